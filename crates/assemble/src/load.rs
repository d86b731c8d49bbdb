//! Hands an image to the docker or podman that runs on this machine.

use std::path::Path;
use std::process::{Command, Output};

use crate::error::{OwnError, Result};

/// A container engine that answered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Engine {
    pub(crate) program: &'static str,
}

/// The engines that are tried, in this order, with a question that only a working one answers.
const ENGINES: [(&str, &[&str]); 2] = [
    ("docker", &["version", "--format", "{{.Server.Version}}"]),
    ("podman", &["info", "--format", "{{.Version.Version}}"]),
];

impl Engine {
    /// The first engine that answers; of docker only, if its address was given.
    pub(crate) fn find(docker_only: bool) -> Result<Self> {
        let mut tried = Vec::new();
        for (program, question) in ENGINES.into_iter().take(if docker_only { 1 } else { ENGINES.len() }) {
            match Command::new(program).args(question).output() {
                Ok(output) if output.status.success() => return Ok(Self { program }),
                Ok(output) => tried.push(format!("{program}: {}", first_line(&output))),
                Err(error) => tried.push(format!("{program}: {error}")),
            }
        }
        Err(OwnError::NoRuntime { tried }.into())
    }

    /// Loads an archive; gives the names that the engine lists the image under.
    pub(crate) fn load(self, archive: &Path) -> Result<Vec<String>> {
        let program = self.program;
        let failed = |said: String| OwnError::Load { program: program.to_owned(), said };
        let output = Command::new(program)
            .args(["load", "-i"])
            .arg(archive)
            .output()
            .map_err(|error| failed(error.to_string()))?;
        if !output.status.success() {
            return Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()).into());
        }
        Ok(loaded_names(&String::from_utf8_lossy(&output.stdout)))
    }
}

fn first_line(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).lines().next().unwrap_or("it does not answer").to_owned()
}

/// docker says `Loaded image: NAME`, podman `Loaded image: NAME` or `Loaded image(s): NAME,NAME`.
fn loaded_names(said: &str) -> Vec<String> {
    said.lines()
        .filter_map(|line| line.strip_prefix("Loaded image"))
        .filter_map(|rest| rest.split_once(": ").map(|(_, names)| names))
        .flat_map(|names| names.split(','))
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_engines_are_understood() {
        assert_eq!(loaded_names("Loaded image: hello:latest\n"), ["hello:latest"]);
        assert_eq!(loaded_names("Loaded image: localhost/hello:latest\n"), ["localhost/hello:latest"]);
        assert_eq!(loaded_names("Loaded image(s): a:1,b:2\n"), ["a:1", "b:2"]);
        assert_eq!(loaded_names("Loaded image ID: sha256:00\n"), ["sha256:00"]);
        assert!(loaded_names("").is_empty());
    }
}
