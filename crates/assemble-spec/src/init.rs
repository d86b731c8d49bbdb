//! Specs that nobody had to write.

use assemble_types::SourceSpan;

use crate::model::{Binary, BinarySources, Located, Spec};
use crate::yaml;

/// What `assemble build ./hello` means without a spec: the program and the base files. The path is taken as it is,
/// relative to wherever the caller resolves it. The spans name it and have no text.
pub fn spec_for_binary(path: &str) -> Spec {
    let span = SourceSpan {
        file: path.to_owned(),
        line: 1,
        column: 1,
        length: 1,
        text: String::new(),
        label: String::new(),
    };
    let source = Located { value: path.to_owned(), span: span.clone() };
    let binary = Binary { sources: BinarySources::One(source), path: None, permissions: None, span };
    Spec { binary: Some(binary), ..Spec::default() }
}

/// The spec that `assemble init ./hello` writes: what [`spec_for_binary`] means, with all that people change next as
/// comments.
pub fn init_text(binary: &str) -> String {
    let source = yaml::scalar(binary);
    let name = binary.rsplit('/').next().unwrap_or_default();
    let target = yaml::scalar(&format!("/usr/bin/{name}"));
    let (amd64, arm64) = (yaml::scalar(&format!("{binary}-amd64")), yaml::scalar(&format!("{binary}-arm64")));
    format!(
        "\
# yaml-language-server: $schema=assemble.schema.json
# Editors that read the line above complete and check this file: `assemble schema > assemble.schema.json` writes it.

# What goes into the image. Paths are relative to this file.
contents:
  # A static program. It goes to {target}.
  binary: {source}

  # Instead of it, for several platforms: a program for each, and one path for all. See `archs` below.
  # binary:
  #   source: {{amd64: {amd64}, arm64: {arm64}}}
  #   path: {target}

  # Files and folders beside it.
  # files:
  #   - source: ./static
  #     path: /srv/static
  #     exclude: ['*.map']

  # Users, CA certificates and time zones are added; each can be left out.
  # base-files:
  #   certificates: true
  #   time-zones: true

# What a container starts. Without it, the program does, without arguments.
# entrypoint: [{target}, --verbose]

# environment:
#   LOG_LEVEL: info

# Ports that it listens on, for people and tools to know.
# ports: [8080]

# A folder that exists, for relative paths.
# work-dir: /

# The user: 65532 (nonroot) unless said otherwise. `root` has to be asked for.
# accounts:
#   run-as: 65532

# For several platforms, with the second form of `contents.binary` above.
# archs: [amd64, arm64]

# annotations:
#   org.opencontainers.image.source: https://example.com/my/repository
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse_spec;

    #[test]
    fn what_init_writes_means_what_no_spec_means() {
        for path in [
            "./hello",
            "hello",
            "../a b/it's",
            "/x/\"y\"\\",
            "true",
            "0x10",
            "é: #",
            "*",
            "-",
            "x\ny",
            "./.5",
        ] {
            let text = init_text(path);
            let spec = parse_spec("assemble.yaml", text.as_bytes())
                .unwrap_or_else(|e| panic!("{path}: {}\n{text}", e.plain()));
            let sources = |spec: &Spec| match &spec.binary.as_ref().unwrap().sources {
                BinarySources::One(source) => source.value.clone(),
                BinarySources::PerPlatform(_) => unreachable!(),
            };
            assert_eq!(sources(&spec), path);
            let bare =
                |spec: Spec| Spec { binary: None, places: std::collections::BTreeMap::default(), ..spec };
            assert_eq!(bare(spec), bare(spec_for_binary(path)));
        }
    }

    #[test]
    fn every_suggestion_of_init_works_when_it_is_taken() {
        let text: String = init_text("./hello")
            .lines()
            .map(|line| {
                let indent = line.len() - line.trim_start().len();
                // Prose begins with a capital letter or ends in a full stop; suggestions do neither.
                match line.trim_start().strip_prefix("# ") {
                    Some(rest)
                        if !rest.ends_with('.')
                            && !rest.starts_with(char::is_uppercase)
                            && !rest.starts_with("yaml-language-server:") =>
                    {
                        format!("{}{rest}\n", " ".repeat(indent))
                    }
                    _ => format!("{line}\n"),
                }
            })
            .collect();
        // The second form of `binary` stands instead of the first.
        let text = text.replacen("  binary: ./hello\n", "", 1);
        let spec =
            parse_spec("assemble.yaml", text.as_bytes()).unwrap_or_else(|e| panic!("{}\n{text}", e.plain()));
        assert_eq!((spec.files.len(), spec.platforms.len()), (1, 2));
        assert!(
            matches!(&spec.binary.as_ref().unwrap().sources, BinarySources::PerPlatform(map) if map.len() == 2)
        );
        assert_eq!(spec.ports.len(), 1);
        assert!(spec.entrypoint.is_some() && spec.run_as.is_some() && spec.work_dir.is_some());
    }
}
