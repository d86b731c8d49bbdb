//! The effective configuration of an image in apko's words.
//!
//! # Why it is the way it is
//! apko writes this into every image, and prints it on request; tools read it there. So names, order and what is left
//! out are apko's, as its JSON encoder decides them: empty texts, lists and maps, zeros and `false` are left out, but
//! `contents`, `entrypoint` and `accounts` always stand there, and a number that may be absent is written when it is 0.

use std::collections::BTreeMap;

use assemble_types::go_json;
use serde::{Deserialize, Serialize};

/// The whole configuration, in the order it is written.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
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
    /// Users and groups, and who the image runs as.
    pub accounts: ApkoAccounts,
    /// Architectures in OCI's names with the variant, such as `amd64` or `arm/v7`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub archs: Vec<String>,
    /// Environment variables.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, String>,
    /// Changes to files and folders.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<ApkoPath>,
    /// Where the configuration comes from, `url@revision`. Not in images.
    #[serde(rename = "vcs-url", skip_serializing_if = "String::is_empty")]
    pub vcs_url: String,
    /// Annotations of the manifest.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// The included file. Not in images.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub include: String,
    /// Volumes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<String>,
    /// How the image is cut into layers; written even if it is empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layering: Option<ApkoLayering>,
    /// The format of layers: nothing means tar.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub format: String,
    /// Certificates to add; written even if it is empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificates: Option<ApkoCertificates>,
}

/// The member `contents`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
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
    /// Keys that are only put into the image.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub runtime_keyring: Vec<ApkoNamed>,
    /// The packages: the locked ones, `name=version`, or as they were asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub packages: Vec<String>,
    /// The image to build on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub baseimage: Option<ApkoBaseImage>,
}

/// A text with a name: a key or a certificate.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ApkoNamed {
    /// The name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The PEM text.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub content: String,
}

/// The member `contents.baseimage`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ApkoBaseImage {
    /// An OCI layout.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub image: String,
    /// The folder with the databases of its packages, one an architecture.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub apkindex: String,
}

/// The member `entrypoint`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
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
    /// Services by name, each with its command.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub services: BTreeMap<String, String>,
}

/// The member `accounts`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ApkoAccounts {
    /// A user's name or number. Installing turns the name of a known user into its number.
    #[serde(rename = "run-as", skip_serializing_if = "String::is_empty")]
    pub run_as: String,
    /// Users to add.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub users: Vec<ApkoUser>,
    /// Groups to add.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<ApkoGroup>,
}

/// A user to add.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ApkoUser {
    /// The name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub username: String,
    /// The number; never 0.
    #[serde(skip_serializing_if = "is_zero")]
    pub uid: u32,
    /// The main group, if it is not the one with the user's number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gid: Option<u32>,
    /// The shell, if it is not `/bin/sh`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub shell: String,
    /// The home.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub homedir: String,
}

/// A group to add.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ApkoGroup {
    /// The name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub groupname: String,
    /// The number.
    #[serde(skip_serializing_if = "is_zero")]
    pub gid: u32,
    /// Names of its members.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<String>,
}

/// A change to a path.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ApkoPath {
    /// The path as it was written.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// What is done to it.
    #[serde(rename = "type", skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// The new owner.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// The new group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gid: Option<u32>,
    /// The new mode.
    #[serde(skip_serializing_if = "is_zero")]
    pub permissions: u32,
    /// What a link leads to.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub source: String,
    /// Whether all below is meant too.
    #[serde(skip_serializing_if = "is_false")]
    pub recursive: bool,
}

/// The member `layering`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ApkoLayering {
    /// `origin`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub strategy: String,
    /// How many layers with packages there may be.
    #[serde(skip_serializing_if = "is_zero_budget")]
    pub budget: i64,
}

/// The member `certificates`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ApkoCertificates {
    /// Certificates in full.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub additional: Vec<ApkoNamed>,
    /// What packages with certificates provide.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub providers: Vec<String>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_zero_budget(number: &i64) -> bool {
    *number == 0
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_false(value: &bool) -> bool {
    !*value
}

impl ApkoConfig {
    /// The bytes of `/etc/apko.json`: one line with its line end.
    ///
    /// # Panics
    /// Never: texts, numbers, lists, and maps with texts as keys always serialise into memory.
    pub fn to_line(&self) -> Vec<u8> {
        let mut out =
            go_json::compact(self).expect("texts, numbers, lists and maps of texts always serialise");
        out.push(b'\n');
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_out_but_what_is_empty() {
        assert_eq!(
            String::from_utf8(ApkoConfig::default().to_line()).unwrap(),
            "{\"contents\":{},\"entrypoint\":{},\"accounts\":{}}\n"
        );
        let empty = ApkoConfig {
            layering: Some(ApkoLayering::default()),
            certificates: Some(ApkoCertificates::default()),
            accounts: ApkoAccounts {
                users: vec![ApkoUser { gid: Some(0), ..ApkoUser::default() }],
                groups: vec![ApkoGroup::default()],
                ..ApkoAccounts::default()
            },
            paths: vec![ApkoPath { uid: Some(0), gid: Some(0), ..ApkoPath::default() }],
            ..ApkoConfig::default()
        };
        assert_eq!(
            String::from_utf8(empty.to_line()).unwrap(),
            concat!(
                r#"{"contents":{},"entrypoint":{},"accounts":{"users":[{"gid":0}],"groups":[{}]},"#,
                r#""paths":[{"uid":0,"gid":0}],"layering":{},"certificates":{}}"#,
                "\n"
            )
        );
    }

    /// Every member, in the order of apko's own encoder.
    const FULL: &str = concat!(
        r#"{"contents":{"build_repositories":["b"],"runtime_repositories":["r"],"repositories":["x"],"#,
        r#""keyring":["k"],"runtime_keyring":[{"name":"n","content":"c"}],"packages":["p=1"],"#,
        r#""baseimage":{"image":"i","apkindex":"a"}},"#,
        r#""entrypoint":{"type":"service-bundle","command":"/bin/sh -l","shell-fragment":"exit 1","#,
        r#""services":{"a":"1","b":"2"}},"cmd":"c","stop-signal":"TERM","work-dir":"/w","#,
        r#""accounts":{"run-as":"65532","users":[{"username":"u","uid":1,"gid":2,"shell":"/s","homedir":"/h"}],"#,
        r#""groups":[{"groupname":"g","gid":3,"members":["u"]}]},"archs":["arm/v7"],"environment":{"E":"1"},"#,
        r#""paths":[{"path":"/p","type":"hardlink","uid":1,"gid":2,"permissions":493,"source":"/s","recursive":true}],"#,
        r#""vcs-url":"v","annotations":{"a":"\u003c2\u003e"},"include":"i","volumes":["/v"],"#,
        r#""layering":{"strategy":"origin","budget":5},"format":"tar","#,
        r#""certificates":{"additional":[{"name":"n","content":"c"}],"providers":["ca"]}}"#,
        "\n"
    );

    #[test]
    fn order_of_all_members() {
        let config: ApkoConfig = serde_json::from_str(FULL).unwrap();
        assert_eq!(String::from_utf8(config.to_line()).unwrap(), FULL);
        assert!(serde_json::from_str::<ApkoConfig>(r#"{"contents":{"x":1}}"#).is_err());
    }
}
