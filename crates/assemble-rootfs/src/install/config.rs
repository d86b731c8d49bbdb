//! `/etc/apko.json`: the configuration an image was made from, as apko writes it.

use std::collections::BTreeMap;
use std::io;

use assemble_types::Mode;
use serde::Serialize;
use serde_json::ser::Formatter;

use super::error::InstallError;
use super::root::Root;

/// What `/etc/apko.json` holds, in the order it is written. Empty members are left out, but `contents`, `entrypoint`
/// and `accounts` are always there.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct ApkoConfig {
    /// What goes into the image.
    pub contents: ApkoContents,
    /// How the image starts.
    pub entrypoint: ApkoEntrypoint,
    /// Arguments, one text.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cmd: String,
    /// The signal that stops the container.
    #[serde(rename = "stop-signal", skip_serializing_if = "String::is_empty")]
    pub stop_signal: String,
    /// The working directory.
    #[serde(rename = "work-dir", skip_serializing_if = "String::is_empty")]
    pub work_dir: String,
    /// Who the image runs as.
    pub accounts: ApkoAccounts,
    /// Architectures in OCI's names with the variant, such as `amd64` or `arm/v7`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub archs: Vec<String>,
    /// Environment variables.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, String>,
    /// Annotations of the manifest.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Volumes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<String>,
}

/// The member `contents`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct ApkoContents {
    /// Repositories for building only, sorted and distinct.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub build_repositories: Vec<String>,
    /// Repositories for the image only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub runtime_repositories: Vec<String>,
    /// Repositories for both, sorted and distinct.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub repositories: Vec<String>,
    /// Keys as they were named, sorted and distinct.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub keyring: Vec<String>,
    /// The locked packages, `name=version`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub packages: Vec<String>,
}

/// The member `entrypoint`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct ApkoEntrypoint {
    /// `service-bundle` or nothing.
    #[serde(rename = "type", skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// The command, one text.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub command: String,
    /// A fragment for `/bin/sh -c`.
    #[serde(rename = "shell-fragment", skip_serializing_if = "String::is_empty")]
    pub shell_fragment: String,
}

/// The member `accounts`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct ApkoAccounts {
    /// A user's name or number. Installing turns the name of a known user into its number.
    #[serde(rename = "run-as", skip_serializing_if = "String::is_empty")]
    pub run_as: String,
}

impl ApkoConfig {
    /// The file's bytes: one line, with the escapes that Go's encoder makes.
    pub(super) fn to_line(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let mut serializer = serde_json::Serializer::with_formatter(&mut out, GoEscapes);
        self.serialize(&mut serializer).expect("texts, lists and maps of texts always serialise into memory");
        out.push(b'\n');
        out
    }
}

/// Writes the file, for all to read and none to write.
pub(super) fn write(root: &mut Root, config: &ApkoConfig) -> Result<(), InstallError> {
    let id = root.write(b"etc/apko.json", config.to_line(), 0o444, "the configuration of the image")?;
    root.tree.node_mut(id).meta.mode = Mode::from_bits(0o444);
    Ok(())
}

/// Compact, and with the five more characters escaped that Go takes for unsafe in HTML and JavaScript.
struct GoEscapes;

impl Formatter for GoEscapes {
    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, writer: &mut W, text: &str) -> io::Result<()> {
        let special = |c| matches!(c, '<' | '>' | '&' | '\u{2028}' | '\u{2029}');
        let mut rest = text;
        while let Some(at) = rest.find(special) {
            writer.write_all(&rest.as_bytes()[..at])?;
            let mut chars = rest[at..].chars();
            if let Some(c) = chars.next() {
                write!(writer, "\\u{:04x}", u32::from(c))?;
            }
            rest = chars.as_str();
        }
        writer.write_all(rest.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_and_omissions() {
        assert_eq!(
            String::from_utf8(ApkoConfig::default().to_line()).unwrap(),
            "{\"contents\":{},\"entrypoint\":{},\"accounts\":{}}\n"
        );
        let one = |s: &str| vec![s.to_owned()];
        let map = |k: &str, v: &str| BTreeMap::from([(k.to_owned(), v.to_owned())]);
        let config = ApkoConfig {
            contents: ApkoContents {
                build_repositories: one("b"),
                runtime_repositories: one("r"),
                repositories: one("x"),
                keyring: one("k"),
                packages: one("p=1"),
            },
            entrypoint: ApkoEntrypoint {
                kind: "service-bundle".into(),
                command: "/bin/sh -l".into(),
                shell_fragment: "exit 1".into(),
            },
            cmd: "c".into(),
            stop_signal: "TERM".into(),
            work_dir: "/w".into(),
            accounts: ApkoAccounts { run_as: "65532".into() },
            archs: one("arm/v7"),
            environment: map("E", "1"),
            annotations: map("a", "2"),
            volumes: one("/v"),
        };
        assert_eq!(
            String::from_utf8(config.to_line()).unwrap(),
            concat!(
                r#"{"contents":{"build_repositories":["b"],"runtime_repositories":["r"],"repositories":["x"],"#,
                r#""keyring":["k"],"packages":["p=1"]},"entrypoint":{"type":"service-bundle","command":"/bin/sh -l","#,
                r#""shell-fragment":"exit 1"},"cmd":"c","stop-signal":"TERM","work-dir":"/w","accounts":{"run-as":"65532"},"#,
                r#""archs":["arm/v7"],"environment":{"E":"1"},"annotations":{"a":"2"},"volumes":["/v"]}"#,
                "\n"
            )
        );
    }

    #[test]
    fn escapes_are_those_of_go() {
        let config = ApkoConfig {
            cmd: "a<b>&\u{2028}\u{2029}\"\\/\t\n\r\u{8}\u{c}\u{1}\u{1f}\u{7f}é😀".into(),
            ..ApkoConfig::default()
        };
        let text = String::from_utf8(config.to_line()).unwrap();
        assert!(
            text.contains(
                "\"a\\u003cb\\u003e\\u0026\\u2028\\u2029\\\"\\\\/\\t\\n\\r\\b\\f\\u0001\\u001f\u{7f}é😀\""
            ),
            "{text}"
        );
    }
}
