//! Shell patterns over the tree, as the loader's configuration uses them in `include`.

use super::error::InstallError;
use super::root::Root;

/// Whether the text is a pattern rather than a plain path.
fn is_pattern(text: &[u8]) -> bool {
    text.iter().any(|b| b"*?[\\".contains(b))
}

/// The paths that match, in byte order of names folder by folder; `None` for a malformed pattern.
pub(super) fn paths(root: &Root, pattern: &[u8]) -> Result<Option<Vec<Vec<u8>>>, InstallError> {
    if !is_pattern(pattern) {
        let found = root.look_up(pattern)?.map(|_| pattern.to_vec());
        return Ok(Some(found.into_iter().collect()));
    }
    let parts: Vec<&[u8]> = pattern.split(|b| *b == b'/').collect();
    if parts.iter().any(|part| parse(part).is_none()) {
        return Ok(None);
    }
    let plain = parts.iter().position(|part| is_pattern(part)).unwrap_or(parts.len());
    let mut found = vec![parts[..plain].join(&b'/')];
    for part in &parts[plain..] {
        let pattern = parse(part).unwrap_or_default();
        let mut next = Vec::new();
        for folder in &found {
            let Some(id) = root.look_up(folder)? else { continue };
            for (name, _) in root.tree.names(id).filter(|(name, _)| matches(&pattern, &runes(name))) {
                let prefix: &[u8] = if folder.is_empty() { b"" } else { b"/" };
                next.push([folder.as_slice(), prefix, name].concat());
            }
        }
        found = next;
    }
    Ok(Some(found))
}

/// One step of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Any,
    AnyRun,
    One(u32),
    Class { negated: bool, ranges: Vec<(u32, u32)> },
}

/// Code points; a byte that is no UTF-8 becomes U+FFFD.
fn runes(text: &[u8]) -> Vec<u32> {
    let mut out = Vec::new();
    for chunk in text.utf8_chunks() {
        out.extend(chunk.valid().chars().map(u32::from));
        out.extend(chunk.invalid().iter().map(|_| 0xFFFD));
    }
    out
}

/// Nothing for a malformed pattern: an open class, a backslash at the end, an empty class.
fn parse(pattern: &[u8]) -> Option<Vec<Step>> {
    let mut rest = runes(pattern).into_iter().peekable();
    let mut steps = Vec::new();
    while let Some(c) = rest.next() {
        steps.push(match char::from_u32(c)? {
            '*' => Step::AnyRun,
            '?' => Step::Any,
            '\\' => Step::One(rest.next()?),
            '[' => {
                let negated = rest.next_if_eq(&u32::from('^')).is_some();
                let mut ranges = Vec::new();
                while ranges.is_empty() || rest.next_if_eq(&u32::from(']')).is_none() {
                    let low = bound(&mut rest)?;
                    let high =
                        if rest.next_if_eq(&u32::from('-')).is_some() { bound(&mut rest)? } else { low };
                    ranges.push((low, high));
                }
                Step::Class { negated, ranges }
            }
            _ => Step::One(c),
        });
    }
    Some(steps)
}

fn bound(rest: &mut impl Iterator<Item = u32>) -> Option<u32> {
    let c = rest.next()?;
    match char::from_u32(c)? {
        '-' | ']' => None,
        '\\' => rest.next(),
        _ => Some(c),
    }
}

/// Whether the whole name matches; going back only to the last run, so time is at most the product of the lengths.
fn matches(steps: &[Step], name: &[u32]) -> bool {
    let (mut step, mut at) = (0, 0);
    let mut back: Option<(usize, usize)> = None;
    loop {
        match (steps.get(step), name.get(at)) {
            (None, None) => return true,
            (Some(Step::AnyRun), _) => {
                back = Some((step + 1, at));
                step += 1;
                continue;
            }
            (Some(one), Some(c)) if matches_one(one, *c) => {
                (step, at) = (step + 1, at + 1);
                continue;
            }
            _ => {}
        }
        match back {
            Some((after, from)) if from < name.len() => {
                back = Some((after, from + 1));
                (step, at) = (after, from + 1);
            }
            _ => return false,
        }
    }
}

fn matches_one(step: &Step, c: u32) -> bool {
    match step {
        Step::Any => true,
        Step::AnyRun => false,
        Step::One(expected) => *expected == c,
        Step::Class { negated, ranges } => {
            ranges.iter().any(|(low, high)| (*low..=*high).contains(&c)) != *negated
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        let hit = |pattern: &str, name: &str| {
            parse(pattern.as_bytes()).map(|steps| matches(&steps, &runes(name.as_bytes())))
        };
        for (pattern, name, expected) in [
            ("*.conf", "a.conf", Some(true)),
            ("*.conf", "a.conf.d", Some(false)),
            ("a*b*c", "aXbXbc", Some(true)),
            ("?", "é", Some(true)),
            ("?", "", Some(false)),
            ("[a-c]x", "bx", Some(true)),
            ("[^a-c]x", "bx", Some(false)),
            ("[^a]", "b", Some(true)),
            ("\\*", "*", Some(true)),
            ("\\*", "x", Some(false)),
            ("[\\]]", "]", Some(true)),
            ("*", "", Some(true)),
            ("[", "x", None),
            ("[]a]", "a", None),
            ("[a", "a", None),
            ("a\\", "a", None),
            ("[-]", "-", None),
        ] {
            assert_eq!(hit(pattern, name), expected, "{pattern} {name}");
        }
        let long = "a*".repeat(50) + "b";
        assert_eq!(hit(&long, &"a".repeat(5000)), Some(false));
    }

    #[test]
    fn folders_may_be_patterns_too() {
        let mut root = Root::new();
        for path in ["etc/x/1.conf", "etc/x/2.txt", "etc/y/0.conf", "etc/y/1.conf"] {
            root.make_folders(super::super::root::split(path.as_bytes()).0, 0o755, "test").unwrap();
            root.write(path.as_bytes(), Vec::new(), 0o644, "test").unwrap();
        }
        let all = |pattern: &str| {
            let found = paths(&root, pattern.as_bytes()).unwrap();
            found.unwrap_or_default().into_iter().map(|p| String::from_utf8(p).unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(all("etc/*/*.conf"), ["etc/x/1.conf", "etc/y/0.conf", "etc/y/1.conf"]);
        assert_eq!(all("etc/x/1.conf"), ["etc/x/1.conf"]);
        assert_eq!(all("*"), ["etc"]);
        assert_eq!(all("etc/x/none"), Vec::<String>::new());
        assert_eq!(all("etc/*/[").len(), 0);
        assert_eq!(all("none/*").len(), 0);
    }
}
