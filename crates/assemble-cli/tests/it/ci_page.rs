//! The commands of `docs/ci.md` are run as they stand there.

use std::process::Command;

use crate::sandbox::{Sandbox, finish, workspace};

/// The lines below `run: |` and `script:`, one script for each block.
fn scripts(page: &str) -> Vec<String> {
    let mut scripts = Vec::new();
    for block in page.split("```yaml").skip(1).filter_map(|rest| rest.split("```").next()) {
        let commands: Vec<&str> = block
            .lines()
            .map(str::trim)
            .map(|line| line.strip_prefix("- ").unwrap_or(line))
            .filter(|line| line.starts_with("assemble "))
            .collect();
        scripts.push(commands.join("\n"));
    }
    scripts
}

#[test]
fn the_steps_of_the_page_work() {
    let page = std::fs::read_to_string(workspace().join("docs/ci.md")).unwrap();
    let scripts = scripts(&page);
    assert_eq!(scripts.len(), 2, "GitHub Actions and GitLab CI");
    for script in scripts {
        assert_eq!(script.lines().count(), 3, "{script}");
        let s = Sandbox::new().with_hello();
        s.write("hello.yaml", "contents:\n  binary: hello\n");
        let bin = std::path::Path::new(env!("CARGO_BIN_EXE_assemble")).parent().unwrap();
        let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
        let mut command = Command::new("sh");
        command.args(["-ec", &script]).current_dir(s.root()).env_clear().env("PATH", path);
        command.env("HOME", s.path("home")).env("ASSEMBLE_CACHE", s.path("cache"));
        let ran = finish(&mut command, s.root());
        assert_eq!(ran.code, 0, "{script}\n{}", ran.stderr);
        assert_eq!(ran.stderr.matches("identical").count(), 2, "{}", ran.stderr);
    }
}
