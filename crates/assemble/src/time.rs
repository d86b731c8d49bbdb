//! The one time of a build. The clock is never asked.

use std::path::Path;
use std::process::Command;

use assemble_types::Timestamp;

use crate::error::{OwnError, Result};
use crate::plan::{BuildOptions, Mode};

/// Where the time of what we add comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Created {
    /// `SOURCE_DATE_EPOCH` if it is given, else what the packages say, else the epoch.
    #[default]
    Inputs,
    /// The committer time of the last commit of the checkout that the spec lies in.
    Commit,
}

/// The times that a build is told.
#[derive(Debug, Clone, Default)]
pub(crate) struct Times {
    /// The time of all that is made for this build, whatever the packages say.
    pub(crate) fixed: Option<Timestamp>,
    /// Without a fixed time, that of the newest package, but no earlier than this.
    pub(crate) no_earlier: Option<Timestamp>,
    /// That time as it was written, if that was in another zone.
    zoned: Option<String>,
}

impl Times {
    /// What the options say, for a spec in this folder.
    pub(crate) fn of(options: &BuildOptions, directory: &Path) -> Result<Self> {
        let epoch = options.source_date_epoch.as_deref();
        let fixed = match (options.mode, options.created) {
            (_, Created::Commit) => Some(commit_time(directory)?),
            // To apko an empty variable is set, and means the build date.
            (Mode::Apko, _) if epoch == Some("") => Some(options.build_date.unwrap_or_default()),
            _ => source_date_epoch(epoch)?,
        };
        let zoned = options.build_date_text.as_deref().and_then(in_another_zone);
        Ok(Self { fixed, no_earlier: options.build_date, zoned })
    }

    /// A time as apko writes it: the build date stays in its zone, everything else is in UTC.
    pub(crate) fn written(&self, time: Timestamp) -> String {
        match &self.zoned {
            Some(text) if self.no_earlier == Some(time) => text.clone(),
            _ => time.to_string(),
        }
    }
}

/// RFC 3339 without fractions of a second, if it is in a zone other than UTC.
fn in_another_zone(text: &str) -> Option<String> {
    let (start, zone) = (text.get(..19)?, text.get(text.len().checked_sub(6)?..)?);
    (zone.starts_with(['+', '-']) && &zone[1..] != "00:00").then(|| format!("{start}{zone}"))
}

/// Reads `SOURCE_DATE_EPOCH`; empty counts as unset.
fn source_date_epoch(value: Option<&str>) -> Result<Option<Timestamp>> {
    match value.map(str::trim) {
        None | Some("") => Ok(None),
        Some(text) => match Timestamp::parse_seconds(text) {
            Ok(time) => Ok(Some(time)),
            Err(source) => Err(OwnError::Time { what: format!("SOURCE_DATE_EPOCH={text}"), source }.into()),
        },
    }
}

/// The committer time of `HEAD` in the checkout that `directory` lies in.
fn commit_time(directory: &Path) -> Result<Timestamp> {
    let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    let output = Command::new("git")
        .arg("-C")
        .arg(directory)
        .args(["log", "-1", "--no-show-signature", "--format=%ct"])
        .output()
        .map_err(|e| OwnError::Commit { why: format!("git: {e}") })?;
    let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if !output.status.success() || said.is_empty() {
        let why =
            String::from_utf8_lossy(&output.stderr).lines().next().unwrap_or("git said nothing").to_owned();
        return Err(OwnError::Commit { why }.into());
    }
    said.parse().map_err(|source| OwnError::Time { what: format!("git's answer {said}"), source }.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_are_kept() {
        let kept = |text| in_another_zone(text);
        assert_eq!(kept("2031-06-01T12:34:56.5+02:00").as_deref(), Some("2031-06-01T12:34:56+02:00"));
        assert_eq!(kept("2031-06-01T12:34:56Z"), None);
        assert_eq!(kept("2031-06-01T12:34:56+00:00"), None);
        assert_eq!(kept("+1"), None);
    }

    #[test]
    fn only_whole_seconds() {
        let read = |text: Option<&str>| {
            source_date_epoch(text).map(|t| t.map(Timestamp::seconds)).map_err(|e| e.to_string())
        };
        assert_eq!(read(None), Ok(None));
        assert_eq!(read(Some("")), Ok(None));
        assert_eq!(read(Some("1700000000")), Ok(Some(1_700_000_000)));
        for bad in ["yesterday", "1.5", "2024-01-01T00:00:00Z", "99999999999999999999"] {
            assert_eq!(read(Some(bad)), Err(format!("SOURCE_DATE_EPOCH={bad} cannot be used as a time")));
        }
    }
}
