//! What a package says about itself: the object that packages and indexes share.

use std::borrow::Cow;

use data_encoding::HEXLOWER;

use super::AdbError;
use super::value::Slots;
use crate::{Checksum, Constraint, Operator, PackageInfo, PackageName, Provide, Record, Version};

const NAME: usize = 1;
const VERSION: usize = 2;
const HASHES: usize = 3;
const DESCRIPTION: usize = 4;
const ARCH: usize = 5;
const LICENSE: usize = 6;
const ORIGIN: usize = 7;
const MAINTAINER: usize = 8;
const URL: usize = 9;
const COMMIT: usize = 10;
const BUILD_TIME: usize = 11;
const INSTALLED_SIZE: usize = 12;
const FILE_SIZE: usize = 13;
const PRIORITY: usize = 14;
const DEPENDS: usize = 15;
const PROVIDES: usize = 16;
const REPLACES: usize = 17;
const INSTALL_IF: usize = 18;
const TAGS: usize = 21;

/// What a dependency costs beyond its text, and a record beyond its texts and dependencies.
const DEPENDENCY_COST: usize = 160;
const RECORD_COST: usize = 512;
/// What each byte costs of a dependency outside the grammar, which is kept as it is shown: escaped.
const ESCAPED_COST: usize = 6;

/// The longest text that is read, and the longest name or version: no real one comes near.
const MAX_TEXT: usize = 64 << 10;
const MAX_WORD: usize = 4 << 10;

/// The info object of a package.
pub(super) fn package_info(info: Slots<'_>) -> Result<PackageInfo, AdbError> {
    let (name, version) = identity(info)?;
    let list = |slot, field| dependencies(info, slot, field, Token::whole);
    Ok(PackageInfo {
        name,
        version,
        arch: word(info, ARCH, "arch")?,
        license: text(info, LICENSE, "license")?,
        description: text(info, DESCRIPTION, "description")?,
        origin: text(info, ORIGIN, "origin")?,
        maintainer: text(info, MAINTAINER, "maintainer")?,
        url: text(info, URL, "url")?,
        depends: list(DEPENDS, "depends")?,
        provides: list(PROVIDES, "provides")?,
        install_if: list(INSTALL_IF, "install-if")?,
        replaces: list(REPLACES, "replaces")?,
        triggers: Vec::new(),
        commit: commit(info)?,
        build_time: build_time(info)?,
        installed_size: info.int(INSTALLED_SIZE, "installed-size")?.unwrap_or(0),
        provider_priority: info.int(PRIORITY, "provider-priority")?.unwrap_or(0),
        tags: words(info.list(TAGS, "tags")?, "tags")?,
    })
}

/// The same object as an entry of an index. Dependencies outside the grammar are met by nothing, as in other indexes.
pub(super) fn record(info: Slots<'_>) -> Result<Record, AdbError> {
    info.database().pay(RECORD_COST)?;
    let (name, version) = identity(info)?;
    if !name.is_file_name() {
        return Err(AdbError::value("name", "is a path"));
    }
    if !version.is_file_name() {
        return Err(AdbError::value("version", "is a path"));
    }
    let constraints = |slot, field| dependencies(info, slot, field, |token| Ok(token.constraint()));
    let provides = dependencies(info, PROVIDES, "provides", |token| Ok(token.provide()))?;
    let hash = info.blob(HASHES, "hashes")?.unwrap_or_default();
    let checksum = match hash.len() {
        20 => hash.try_into().ok().map(Checksum::from_bytes),
        _ => hash.try_into().ok().map(Checksum::from_sha256),
    };
    Ok(Record {
        name,
        version,
        arch: word(info, ARCH, "arch")?,
        license: text(info, LICENSE, "license")?,
        description: text(info, DESCRIPTION, "description")?,
        origin: text(info, ORIGIN, "origin")?,
        maintainer: text(info, MAINTAINER, "maintainer")?,
        url: text(info, URL, "url")?,
        depends: constraints(DEPENDS, "depends")?,
        provides: provides.into_iter().flatten().collect(),
        install_if: constraints(INSTALL_IF, "install-if")?,
        commit: commit(info)?,
        build_time: build_time(info)?,
        size: info.int(FILE_SIZE, "file-size")?.unwrap_or(0),
        installed_size: info.int(INSTALLED_SIZE, "installed-size")?.unwrap_or(0),
        provider_priority: info.int(PRIORITY, "provider-priority")?.unwrap_or(0),
        checksum,
        unknown_field: None,
    })
}

fn identity(info: Slots<'_>) -> Result<(PackageName, Version), AdbError> {
    let name = PackageName::parse(&word(info, NAME, "name")?);
    let version = Version::parse(&word(info, VERSION, "version")?);
    Ok((
        name.map_err(|_| AdbError::value("name", "is no package name"))?,
        version.map_err(|_| AdbError::value("version", "is no version"))?,
    ))
}

fn limited<'d>(
    slots: Slots<'d>,
    slot: usize,
    field: &'static str,
    limit: usize,
) -> Result<Option<&'d [u8]>, AdbError> {
    match slots.blob(slot, field)? {
        Some(bytes) if bytes.len() > limit => Err(AdbError::value(field, "is too long")),
        other => Ok(other),
    }
}

/// A text in one line: what is not UTF-8 becomes U+FFFD, and what would end a line of the installed database a space.
pub(super) fn text(slots: Slots<'_>, slot: usize, field: &'static str) -> Result<String, AdbError> {
    let raw = String::from_utf8_lossy(limited(slots, slot, field, MAX_TEXT)?.unwrap_or_default());
    let line = raw.trim_end();
    // Nearly all are of these; looking at characters one by one takes longer.
    if line.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return Ok(line.to_owned());
    }
    Ok(line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect())
}

/// A text without white space and control characters; perhaps empty.
pub(super) fn word(slots: Slots<'_>, slot: usize, field: &'static str) -> Result<String, AdbError> {
    let raw = limited(slots, slot, field, MAX_WORD)?.unwrap_or_default();
    let text = std::str::from_utf8(raw).map_err(|_| AdbError::value(field, "is no UTF-8"))?;
    if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(AdbError::value(field, "holds white space or a control character"));
    }
    Ok(text.to_owned())
}

/// A list of words, none of them empty.
pub(super) fn words(list: Slots<'_>, field: &'static str) -> Result<Vec<String>, AdbError> {
    let mut out = Vec::new();
    for slot in list.numbers() {
        list.database().pay(DEPENDENCY_COST)?;
        let text = word(list, slot, field)?;
        if text.is_empty() {
            return Err(AdbError::value(field, "has an empty item"));
        }
        out.push(text);
    }
    Ok(out)
}

fn commit(info: Slots<'_>) -> Result<String, AdbError> {
    Ok(HEXLOWER.encode(limited(info, COMMIT, "repo-commit", MAX_WORD)?.unwrap_or_default()))
}

fn build_time(info: Slots<'_>) -> Result<i64, AdbError> {
    let time = info.int(BUILD_TIME, "build-time")?.unwrap_or(0);
    i64::try_from(time).map_err(|_| AdbError::value("build-time", "is too large"))
}

/// A dependency: `[!]NAME[OP VERSION]`.
struct Token<'d> {
    conflict: bool,
    name: Cow<'d, str>,
    /// As it is written; empty if there is no version.
    operator: &'static str,
    version: Cow<'d, str>,
    /// Name and version, if the text says the same as the object: no name with an operator in it, for instance.
    sound: Option<(PackageName, Option<Version>)>,
    field: &'static str,
}

impl<'d> Token<'d> {
    fn read(dependency: Slots<'d>, field: &'static str) -> Result<Self, AdbError> {
        const NAME: usize = 1;
        const VERSION: usize = 2;
        const MATCH: usize = 3;
        const CONFLICT: u64 = 16;
        const EQUAL: u64 = 1;
        let name = String::from_utf8_lossy(limited(dependency, NAME, field, MAX_WORD)?.unwrap_or_default());
        let version = limited(dependency, VERSION, field, MAX_WORD)?.map(String::from_utf8_lossy);
        let wanted = dependency.int(MATCH, field)?.unwrap_or(EQUAL);
        let conflict = wanted & CONFLICT != 0;
        let sound_name = PackageName::parse(&name).ok();
        let Some(version) = version else {
            let sound = sound_name.map(|name| (name, None));
            return Ok(Self { conflict, name, operator: "", version: Cow::Borrowed(""), sound, field });
        };
        let operator = match wanted & !CONFLICT {
            1 => "=",
            2 => "<",
            3 => "<=",
            4 => ">",
            5 => ">=",
            6 => "><",
            8 | 9 => "~",
            11 => "<~",
            13 => ">~",
            _ => "?",
        };
        let plain = |c: char| !matches!(c, '=' | '<' | '>' | '~' | '@');
        let sound_version = Version::parse(&version).ok().filter(|_| version.chars().all(plain));
        let sound = sound_name.zip(sound_version).filter(|_| operator != "?");
        let sound = sound.map(|(name, version)| (name, Some(version)));
        Ok(Self { conflict, name, operator, version, sound, field })
    }

    fn text(&self) -> String {
        let not = if self.conflict { "!" } else { "" };
        [not, &self.name, self.operator, &self.version].concat()
    }

    /// The text for the installed database.
    fn whole(self) -> Result<String, AdbError> {
        match self.sound {
            Some(_) => Ok(self.text()),
            None => Err(AdbError::value(self.field, "holds no dependency")),
        }
    }

    /// What its text says.
    fn constraint(mut self) -> Constraint {
        match self.sound.take().zip(Operator::of_run(self.operator)) {
            Some(((name, version), operator)) => {
                Constraint { name, operator, version, pin: None, conflict: self.conflict }
            }
            None => Constraint::unmeetable(&self.text()),
        }
    }

    fn provide(self) -> Option<Provide> {
        let (name, version) = self.sound.filter(|_| !self.conflict && matches!(self.operator, "" | "="))?;
        Some(Provide { name, version })
    }
}

fn dependencies<'d, T>(
    info: Slots<'d>,
    slot: usize,
    field: &'static str,
    convert: impl Fn(Token<'d>) -> Result<T, AdbError>,
) -> Result<Vec<T>, AdbError> {
    let list = info.list(slot, field)?;
    // Paid for before there is room: a few bytes may stand for millions.
    let count = list.numbers().count();
    list.database().pay(count.saturating_mul(DEPENDENCY_COST))?;
    let mut out = Vec::with_capacity(count);
    for number in list.numbers() {
        let dependency = list.object(number, field)?;
        let token = Token::read(dependency.ok_or(AdbError::value(field, "has an empty item"))?, field)?;
        let each = if token.sound.is_none() { ESCAPED_COST } else { 1 };
        list.database().pay((token.name.len() + token.version.len()).saturating_mul(each))?;
        out.push(convert(token)?);
    }
    Ok(out)
}
