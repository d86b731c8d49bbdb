//! Single values: numbers, modes, truth values, platforms, ports, signals.

use assemble_types::{Arch, Mode, Platform, PlatformError};

use super::{Cx, number};
use crate::model::{Port, Protocol};
use crate::node::{Entry, Node, Scalar};
use crate::schema::nearest;
use crate::source::plain;

/// A mistake in a value: what is wrong, and what to do.
pub(super) struct Wrong {
    pub(super) message: String,
    pub(super) help: Option<String>,
}

fn wrong<T>(message: impl Into<String>, help: impl Into<Option<String>>) -> Result<T, Wrong> {
    Err(Wrong { message: message.into(), help: help.into() })
}

impl Cx<'_, '_> {
    /// Runs a check on the text of an entry and reports what it finds.
    pub(super) fn value<T>(
        &mut self,
        name: &str,
        entry: &Entry,
        check: impl Fn(&str, &Scalar) -> Result<T, Wrong>,
    ) -> Option<T> {
        let Some(scalar) = entry.value.scalar() else {
            self.text(name, &entry.value, &entry.key_range)?;
            return None;
        };
        match check(name, scalar) {
            Ok(value) => Some(value),
            Err(wrong) => {
                self.report_wrong("spec/value", wrong, &entry.value);
                None
            }
        }
    }

    /// A number of a user, a group or permissions.
    pub(super) fn id(&mut self, name: &str, entry: &Entry) -> Option<u32> {
        if self.lenient() { self.value(name, entry, apko_number) } else { self.value(name, entry, id) }
    }

    /// A truth value.
    pub(super) fn truth(&mut self, name: &str, entry: &Entry) -> Option<bool> {
        if self.lenient() { self.value(name, entry, apko_truth) } else { self.value(name, entry, truth) }
    }

    pub(super) fn report_wrong(&mut self, code: &'static str, wrong: Wrong, node: &Node) {
        let mut diagnostic = self.wrong(code, wrong.message, node, "");
        diagnostic.help.extend(wrong.help);
        self.report(diagnostic);
    }
}

fn apko_number(name: &str, scalar: &Scalar) -> Result<u32, Wrong> {
    match number::unsigned(scalar) {
        Some(number) => Ok(number),
        None if !scalar.plain && number::unsigned(&Scalar { plain: true, ..scalar.clone() }).is_some() => {
            wrong(
                format!("`{name}` has to be a number, not a text"),
                format!("write `{}` without quotes", plain(&scalar.text)),
            )
        }
        None => wrong(
            format!("`{name}` has to be a number from 0 to 4294967295, not `{}`", plain(&scalar.text)),
            None,
        ),
    }
}

fn apko_truth(name: &str, scalar: &Scalar) -> Result<bool, Wrong> {
    match number::truth(scalar) {
        Some(value) => Ok(value),
        None => truth(name, scalar),
    }
}

/// YAML 1.1's truth values, unquoted.
pub(super) fn truth(name: &str, scalar: &Scalar) -> Result<bool, Wrong> {
    let text = scalar.text.as_str();
    let is = |words: &[&str]| {
        words.iter().any(|w| text == *w || text == w.to_uppercase() || text == capitalised(w))
    };
    let value = match () {
        () if is(&["true", "yes", "on", "y"]) => true,
        () if is(&["false", "no", "off", "n"]) => false,
        () => return wrong(format!("`{name}` has to be true or false, not `{}`", plain(text)), None),
    };
    if scalar.plain {
        Ok(value)
    } else {
        wrong(
            format!("`{name}` has to be true or false, not a text"),
            format!("write `{text}` without quotes"),
        )
    }
}

fn capitalised(word: &str) -> String {
    word[..1].to_uppercase() + &word[1..]
}

/// A user or group number: decimal, `0x`, `0o`, `0b`, or octal with a leading zero.
pub(super) fn id(name: &str, scalar: &Scalar) -> Result<u32, Wrong> {
    let text = scalar.text.replace('_', "");
    let (digits, radix) = match text.as_bytes() {
        [b'0', b'x', ..] => (&text[2..], 16),
        [b'0', b'o', ..] => (&text[2..], 8),
        [b'0', b'b', ..] => (&text[2..], 2),
        [b'0', _, ..] => (&text[1..], 8),
        _ => (&text[..], 10),
    };
    match u32::from_str_radix(digits, radix) {
        Ok(number) if number != u32::MAX && !digits.starts_with('+') => Ok(number),
        _ => wrong(
            format!("`{name}` has to be a number from 0 to 4294967294, not `{}`", plain(&scalar.text)),
            text.starts_with(|c: char| c.is_alphabetic())
                .then(|| "names are not looked up: write the number of the user or group".to_owned()),
        ),
    }
}

/// Permissions in octal: `0755` or `0o755`, also in quotes.
pub(super) fn mode(name: &str, scalar: &Scalar) -> Result<Mode, Wrong> {
    let text = scalar.text.as_str();
    let octal = |digits: &str| {
        let ok = !digits.is_empty() && digits.len() <= 6 && digits.bytes().all(|b| matches!(b, b'0'..=b'7'));
        u32::from_str_radix(digits, 8).ok().filter(|bits| ok && *bits <= 0o7777)
    };
    let digits =
        text.strip_prefix("0o").or_else(|| text.strip_prefix("0O")).or_else(|| text.strip_prefix('0'));
    if let Some(bits) = digits.and_then(|digits| if text == "0" { Some(0) } else { octal(digits) }) {
        return Ok(Mode::from_bits(bits));
    }
    if let Some(digit) = no_octal_digit(digits.unwrap_or(text)) {
        return wrong(
            format!(
                "`{name}` is octal, and `{digit}` in `{}` is no octal digit: they go from 0 to 7",
                plain(text)
            ),
            "write `0644` for a file, `0755` for a program".to_owned(),
        );
    }
    let message = format!("`{name}` has to be octal with a leading zero, not `{}`", plain(text));
    let help = match octal(text) {
        Some(bits) => format!("write `0{bits:03o}`"),
        None => match symbolic(text) {
            Some(bits) => format!("write `0{bits:03o}`"),
            None => "write `0644` for a file, `0755` for a program".to_owned(),
        },
    };
    wrong(message, help)
}

/// The first digit of a number that is none in octal.
fn no_octal_digit(digits: &str) -> Option<char> {
    let number = digits.bytes().all(|b| b.is_ascii_digit());
    digits.chars().find(|digit| matches!(digit, '8' | '9')).filter(|_| number)
}

/// `rwxr-xr-x`.
fn symbolic(text: &str) -> Option<u32> {
    let text = text.as_bytes();
    let mut bits = 0;
    for (at, byte) in text.iter().enumerate() {
        bits = bits << 1 | u32::from(*byte != b'-');
        if *byte != b'-' && *byte != b"rwxrwxrwx".get(at).copied()? {
            return None;
        }
    }
    (text.len() == 9).then_some(bits)
}

const PLATFORM_NAMES: [&str; 20] = [
    "linux/amd64",
    "linux/arm64",
    "linux/arm/v7",
    "linux/arm/v6",
    "linux/386",
    "linux/riscv64",
    "linux/ppc64le",
    "linux/s390x",
    "linux/loong64",
    "amd64",
    "x86_64",
    "arm64",
    "aarch64",
    "armv7",
    "armhf",
    "386",
    "riscv64",
    "ppc64le",
    "s390x",
    "loong64",
];

/// A platform in any of its spellings.
pub(super) fn platform(text: &str) -> Result<Platform, Wrong> {
    text.parse().or_else(|error: PlatformError| {
        wrong(PlatformError(plain(&error.0)).to_string(), platform_hint(&error.0))
    })
}

/// What was probably meant by a text that names no platform.
pub fn platform_hint(text: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    match lower.as_str() {
        "host" | "native" | "local" => {
            Some("name it: what an image is for never depends on the machine that builds it".to_owned())
        }
        "all" | "any" => Some("list the platforms".to_owned()),
        _ if lower.starts_with("windows") || lower.starts_with("darwin") => {
            Some("only Linux images can be built".to_owned())
        }
        _ => nearest(&lower, PLATFORM_NAMES.into_iter()).map(|near| format!("did you mean `{near}`?")),
    }
}

/// The spellings that apko knows, and those it takes as they are; any other text is one that it knows nothing about.
pub(super) fn apko_platform(text: &str) -> Option<Platform> {
    let arch = match text {
        "x86" | "386" => Arch::X86,
        "x86_64" | "amd64" => Arch::X86_64,
        "aarch64" | "arm64" => Arch::Aarch64,
        "armhf" | "arm/v6" => Arch::Armhf,
        "armv7" | "arm/v7" => Arch::Armv7,
        "loong64" | "loongarch64" => Arch::Loongarch64,
        "ppc64le" => Arch::Ppc64le,
        "riscv64" => Arch::Riscv64,
        "s390x" => Arch::S390x,
        _ => return None,
    };
    Some(arch.into())
}

/// `8080`, `8080/tcp`, `53/udp`.
pub(super) fn port(text: &str) -> Result<Port, Wrong> {
    let (number, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = match protocol.to_ascii_lowercase().as_str() {
        "tcp" => Protocol::Tcp,
        "udp" => Protocol::Udp,
        "sctp" => Protocol::Sctp,
        _ => {
            return wrong(
                format!("`{}` is no protocol of a port", plain(protocol)),
                "tcp, udp and sctp are known: `53/udp`".to_owned(),
            );
        }
    };
    let digits = number.bytes().all(|b| b.is_ascii_digit());
    match number.parse::<u16>() {
        Ok(number) if number > 0 && digits => Ok(Port { number, protocol }),
        _ => {
            let inner = number.rsplit(':').next().unwrap_or_default();
            let help = if number.contains(':') && inner.parse::<u16>().is_ok() {
                format!("only the container's side belongs into the image: write `{inner}`")
            } else if number.contains('-') {
                "a range has to be listed port by port".to_owned()
            } else {
                "write a number from 1 to 65535, such as `8080` or `53/udp`".to_owned()
            };
            wrong(format!("`{}` is no port", plain(text)), help)
        }
    }
}

const SIGNALS: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE",
    "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ",
    "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
];

/// A signal that Linux knows: `SIGTERM`, `TERM`, `15`, `SIGRTMIN+3`.
pub(super) fn signal(text: &str) -> Result<(), Wrong> {
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let real_time = |prefix: &str| {
        name.strip_prefix(prefix).is_some_and(|rest| {
            rest.is_empty()
                || rest.get(1..).and_then(|n| n.parse::<u8>().ok()).is_some_and(|n| n <= 30)
                    && rest.starts_with(if prefix == "RTMIN" { '+' } else { '-' })
        })
    };
    let number = name.parse::<u8>().is_ok_and(|n| (1..=64).contains(&n)) && upper == name;
    let known = SIGNALS.contains(&name) || matches!(name, "POLL" | "IOT" | "CLD");
    if number || known || real_time("RTMIN") || real_time("RTMAX") {
        return Ok(());
    }
    let near = nearest(name, SIGNALS.into_iter()).unwrap_or("TERM");
    wrong(format!("`{}` is no signal", plain(text)), format!("did you mean `SIG{near}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain_scalar(text: &str) -> Scalar {
        Scalar { text: text.to_owned(), plain: true }
    }

    #[test]
    fn modes() {
        let parse = |text: &str| {
            mode("permissions", &plain_scalar(text)).map(Mode::bits).map_err(|w| w.help.unwrap())
        };
        for (text, bits) in [
            ("0755", 0o755),
            ("0o755", 0o755),
            ("00644", 0o644),
            ("04755", 0o4755),
            ("0", 0),
            ("01777", 0o1777),
        ] {
            assert_eq!(parse(text), Ok(bits), "{text}");
        }
        for (text, help) in [
            ("755", "write `0755`"),
            ("4755", "write `04755`"),
            ("rwxr-x---", "write `0750`"),
            ("0x1ed", "write `0644` for a file, `0755` for a program"),
            ("0888", "write `0644` for a file, `0755` for a program"),
            ("010000", "write `0644` for a file, `0755` for a program"),
            ("", "write `0644` for a file, `0755` for a program"),
            ("u+x", "write `0644` for a file, `0755` for a program"),
        ] {
            assert_eq!(parse(text), Err(help.to_owned()), "{text}");
        }
    }

    #[test]
    fn numbers() {
        let parse = |text: &str| id("uid", &plain_scalar(text)).ok();
        for (text, number) in [
            ("0", 0),
            ("65532", 65532),
            ("0x10", 16),
            ("0b11", 3),
            ("0o17", 15),
            ("017", 15),
            ("1_000", 1000),
        ] {
            assert_eq!(parse(text), Some(number), "{text}");
        }
        for text in ["", "-1", "+1", "1.5", "root", "4294967295", "99999999999", "08", "0x", "0x+1", "1e3"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn ports_and_signals() {
        let show = |text: &str| port(text).map(|p| p.to_string()).ok();
        assert_eq!(show("8080"), Some("8080/tcp".into()));
        assert_eq!(show("53/UDP"), Some("53/udp".into()));
        for text in ["0", "65536", "+1", "80:80", "1-2", "", "/tcp", "80/", "80/icmp"] {
            assert_eq!(show(text), None, "{text}");
        }
        for text in ["SIGTERM", "term", "15", "SIGRTMIN+3", "RTMAX-14", "SIGRTMIN"] {
            assert!(signal(text).is_ok(), "{text}");
        }
        for text in ["", "SIG15", "0", "65", "SIGTREM", "RTMIN-3", "RTMIN+", "RTMIN+é"] {
            assert!(signal(text).is_err(), "{text}");
        }
    }

    #[test]
    fn truth_needs_no_quotes() {
        for (text, value) in [("true", true), ("Yes", true), ("ON", true), ("n", false), ("False", false)] {
            assert_eq!(truth("x", &plain_scalar(text)).ok(), Some(value), "{text}");
        }
        assert!(truth("x", &plain_scalar("tRUE")).is_err());
        assert!(truth("x", &Scalar { text: "true".into(), plain: false }).is_err());
    }
}
