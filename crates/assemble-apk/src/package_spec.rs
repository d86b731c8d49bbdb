//! Where the package files of an index lie.

use std::fmt::Write as _;

use crate::{IndexError, Record};

/// How an index names the files of its packages. All paths are relative: to the repository, or to the index where
/// that is named itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageSpec(Kind);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    /// In the folder of the index.
    Version2,
    /// In the folder of the package's own architecture.
    Version3,
    /// As the index says.
    Named(Vec<Piece>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    /// A variable, and how many of its characters count.
    Variable(Variable, usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Variable {
    Name,
    Version,
    Arch,
    Hash,
}

impl Variable {
    const ALL: [Self; 4] = [Self::Name, Self::Version, Self::Arch, Self::Hash];

    fn name(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Version => "version",
            Self::Arch => "arch",
            Self::Hash => "hash",
        }
    }
}

/// Lines that stand for what has no text, and what stands in front of one.
const VERSION_2: &str = "2";
const VERSION_3: &str = "3";
const NAMED: char = '=';

/// Longer ones are no file name.
const MAX_SPEC: usize = 1024;

impl PackageSpec {
    /// `ARCH/NAME-VERSION.apk`, where ARCH is that of the index.
    pub fn version_2() -> Self {
        Self(Kind::Version2)
    }

    /// `ARCH/NAME-VERSION.apk`, where ARCH is that of the package.
    pub(crate) fn version_3() -> Self {
        Self(Kind::Version3)
    }

    /// Parses a `pkgname-spec`: text with `${name}`, `${version}`, `${arch}`, `${hash}`, or `${name:3}` for the first
    /// three characters. One that names a whole URL is refused: it would send readers elsewhere than to the mirror
    /// they chose.
    pub(crate) fn parse(text: &str) -> Result<Self, IndexError> {
        let error = |problem| IndexError::PackageSpec { text: text.to_owned(), problem };
        if text.len() > MAX_SPEC {
            return Err(error("it is too long"));
        }
        if text.contains("://") {
            return Err(error("it leads away from the repository"));
        }
        if text.starts_with('/') || text.split('/').any(|part| part == "..") {
            return Err(error("it is no path below the repository"));
        }
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some(start) = rest.find("${") {
            let (before, tail) = rest.split_at(start);
            let (variable, after) =
                tail[2..].split_once('}').ok_or_else(|| error("a variable has no end"))?;
            let (name, count) = match variable.split_once(':') {
                Some((name, count)) => (name, count.parse().map_err(|_| error("a length is no number"))?),
                None => (variable, usize::MAX),
            };
            let known = Variable::ALL.into_iter().find(|variable| variable.name() == name);
            let variable = known.ok_or_else(|| error("a variable is not known"))?;
            pieces.push(Piece::Text(before.to_owned()));
            pieces.push(Piece::Variable(variable, count));
            rest = after;
        }
        pieces.push(Piece::Text(rest.to_owned()));
        Ok(Self(Kind::Named(pieces)))
    }

    /// A line of which [`PackageSpec::from_line`] makes the same.
    pub(crate) fn to_line(&self) -> String {
        let pieces = match &self.0 {
            Kind::Version2 => return VERSION_2.to_owned(),
            Kind::Version3 => return VERSION_3.to_owned(),
            Kind::Named(pieces) => pieces,
        };
        let mut line = NAMED.to_string();
        for piece in pieces {
            // Writing to a text does not fail.
            let _ = match piece {
                Piece::Text(text) => write!(line, "{text}"),
                Piece::Variable(variable, usize::MAX) => write!(line, "${{{}}}", variable.name()),
                Piece::Variable(variable, count) => write!(line, "${{{}:{count}}}", variable.name()),
            };
        }
        line
    }

    /// What was written as this line; nothing for any other.
    pub(crate) fn from_line(line: &str) -> Option<Self> {
        let spec = match line {
            VERSION_2 => Self::version_2(),
            VERSION_3 => Self::version_3(),
            named => Self::parse(named.strip_prefix(NAMED)?).ok()?,
        };
        (spec.to_line() == line && !line.contains('\n')).then_some(spec)
    }

    /// The path of a package below the repository, whose index for this architecture it is.
    pub fn below_repository(&self, record: &Record, arch: &str) -> String {
        match &self.0 {
            Kind::Version2 => format!("{arch}/{}", file_name(record)),
            Kind::Version3 if record.arch.is_empty() => format!("{arch}/{}", file_name(record)),
            Kind::Version3 => format!("{}/{}", record.arch, file_name(record)),
            Kind::Named(pieces) => expand(pieces, record),
        }
    }

    /// The path of a package from the folder of an index that is named itself.
    pub fn beside_index(&self, record: &Record) -> String {
        match &self.0 {
            Kind::Version2 | Kind::Version3 => file_name(record),
            Kind::Named(pieces) => expand(pieces, record),
        }
    }
}

fn file_name(record: &Record) -> String {
    format!("{}-{}.apk", record.name, record.version)
}

fn expand(pieces: &[Piece], record: &Record) -> String {
    let mut out = String::new();
    for piece in pieces {
        match piece {
            Piece::Text(text) => out.push_str(text),
            Piece::Variable(variable, count) => {
                let value = match variable {
                    Variable::Name => record.name.to_string(),
                    Variable::Version => record.version.to_string(),
                    Variable::Arch => record.arch.clone(),
                    Variable::Hash => record.checksum.map(|sum| sum.hex()).unwrap_or_default(),
                };
                out.extend(value.chars().take(*count));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index_text::tests::parse_records;

    fn record(text: &str) -> Record {
        parse_records(text.as_bytes()).unwrap().into_vec().remove(0)
    }

    #[test]
    fn paths() {
        let noarch = record("P:a-b\nV:1.2-r3\nA:noarch\nC:Q1kqFQHSGzXGq3k7gQTqb+GxbmnOw=\n");
        let none = record("P:c\nV:1\n");
        let specs = [PackageSpec::version_2(), PackageSpec::version_3()];
        let below = |record| specs.each_ref().map(|spec| spec.below_repository(record, "x86_64"));
        assert_eq!(below(&noarch), ["x86_64/a-b-1.2-r3.apk", "noarch/a-b-1.2-r3.apk"]);
        assert_eq!(below(&none), ["x86_64/c-1.apk", "x86_64/c-1.apk"]);
        assert_eq!(specs[1].beside_index(&noarch), "a-b-1.2-r3.apk");
        for (spec, expected) in [
            ("${name}-${version}.apk", "a-b-1.2-r3.apk"),
            ("${arch}/${name:1}/${name}_${hash:4}.apk", "noarch/a/a-b_92a1.apk"),
            ("pool/$name.${version:99}", "pool/$name.1.2-r3"),
            ("${name:0}x", "x"),
        ] {
            let spec = PackageSpec::parse(spec).unwrap();
            assert_eq!(spec.below_repository(&noarch, "x86_64"), expected);
            assert_eq!(spec.beside_index(&noarch), expected);
        }
    }

    #[test]
    fn a_spec_is_a_line() {
        let named =
            ["x", "$${name}$", "${arch}/${name:1}/${name}_${hash:0}.apk", "${name:18446744073709551615}é"];
        let named = named.map(|spec| PackageSpec::parse(spec).unwrap());
        let mut lines = Vec::new();
        for spec in [PackageSpec::version_2(), PackageSpec::version_3()].into_iter().chain(named) {
            let line = spec.to_line();
            assert_eq!(PackageSpec::from_line(&line), Some(spec));
            lines.push(line);
        }
        assert_eq!(lines.join(" "), "2 3 =x =$${name}$ =${arch}/${name:1}/${name}_${hash:0}.apk =${name}é");
        for line in ["", "4", "x", "=/x", "=a/../b", "=${nam}", "=${name:01}", "=a\nb"] {
            assert_eq!(PackageSpec::from_line(line), None, "{line}");
        }
    }

    #[test]
    fn what_is_no_path_is_refused() {
        use expect_test::expect;
        let mut all = String::new();
        for spec in
            ["https://x.invalid/${name}.apk", "/etc/${name}", "a/../b", "${name", "${nam}", "${name:x}"]
        {
            all.push_str(&format!("{}\n", PackageSpec::parse(spec).unwrap_err()));
        }
        expect![[r#"
            the index names its files as `https://x.invalid/${name}.apk`: it leads away from the repository
            the index names its files as `/etc/${name}`: it is no path below the repository
            the index names its files as `a/../b`: it is no path below the repository
            the index names its files as `${name`: a variable has no end
            the index names its files as `${nam}`: a variable is not known
            the index names its files as `${name:x}`: a length is no number
        "#]]
        .assert_eq(&all);
    }
}
