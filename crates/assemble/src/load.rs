//! Hands an image to the docker or podman that runs on this machine.

use std::path::Path;
use std::process::{Command, Output};

use assemble_layer::Compression;

use crate::error::{OwnError, Result};

/// A container engine that answered.
#[derive(Debug, Clone)]
pub(crate) struct Engine {
    pub(crate) program: &'static str,
    /// As it says; of docker that of the server.
    version: String,
    /// Engines before it that are there and did not answer, each with what it said.
    pub(crate) passed_over: Vec<String>,
}

/// The first docker that unpacks layers in zstd.
const DOCKER_WITH_ZSTD: u32 = 23;

/// The engines that are tried, in this order, with a question that only a working one answers.
const ENGINES: [(&str, &[&str]); 2] = [
    ("docker", &["version", "--format", "{{.Server.Version}}"]),
    ("podman", &["info", "--format", "{{.Version.Version}}"]),
];

impl Engine {
    /// The first engine that answers; of docker only, if its address was given.
    pub(crate) fn find(docker_only: bool) -> Result<Self> {
        let (mut tried, mut passed_over) = (Vec::new(), Vec::new());
        for (program, question) in ENGINES.into_iter().take(if docker_only { 1 } else { ENGINES.len() }) {
            match Command::new(program).args(question).output() {
                Ok(output) if output.status.success() => {
                    let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
                    return Ok(Self { program, version, passed_over });
                }
                Ok(output) => {
                    let said = format!("{program}: {}", first_line(&output));
                    passed_over.push(said.clone());
                    tried.push(said);
                }
                Err(error) => tried.push(format!("{program}: {error}")),
            }
        }
        Err(OwnError::NoRuntime { tried }.into())
    }

    /// Refuses layers that it would not understand, and would only call broken.
    pub(crate) fn takes(&self, compression: Compression) -> Result<()> {
        let major = self.version.split('.').next().and_then(|major| major.parse::<u32>().ok());
        let too_old = self.program == "docker" && major.is_some_and(|major| major < DOCKER_WITH_ZSTD);
        if compression == Compression::Zstd && too_old {
            let (program, version) = (self.program.to_owned(), self.version.clone());
            return Err(OwnError::EngineWithoutZstd { program, version }.into());
        }
        Ok(())
    }

    /// Loads an archive; gives the names that the engine lists the image under.
    pub(crate) fn load(&self, archive: &Path) -> Result<Vec<String>> {
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
    fn an_old_docker_is_not_given_zstd() {
        let takes = |program, version: &str| {
            let engine = Engine { program, version: version.to_owned(), passed_over: Vec::new() };
            engine.takes(Compression::Gzip).unwrap();
            engine.takes(Compression::Zstd).map_err(|error| error.to_string())
        };
        assert_eq!(
            takes("docker", "20.10.24+dfsg1"),
            Err("docker 20.10.24+dfsg1 does not read layers in zstd".into())
        );
        for (program, version) in [("docker", "23.0.1"), ("docker", "dev"), ("podman", "4.3.1")] {
            assert_eq!(takes(program, version), Ok(()));
        }
    }

    #[test]
    fn both_engines_are_understood() {
        assert_eq!(loaded_names("Loaded image: hello:latest\n"), ["hello:latest"]);
        assert_eq!(loaded_names("Loaded image: localhost/hello:latest\n"), ["localhost/hello:latest"]);
        assert_eq!(loaded_names("Loaded image(s): a:1,b:2\n"), ["a:1", "b:2"]);
        assert_eq!(loaded_names("Loaded image ID: sha256:00\n"), ["sha256:00"]);
        assert!(loaded_names("").is_empty());
    }
}
