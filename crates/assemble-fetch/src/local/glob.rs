//! Which entries of a tree to leave out.

use crate::FetchError;

/// Any number of components.
const DEEP: &[u8] = b"**";

/// A pattern over paths relative to the top of a tree, matched byte for byte apart from `?`.
///
/// `*` is any run within a component, `?` one character, `**` as a whole component any number of components. A pattern
/// without `/` matches a name at any depth; any other is matched from the top. A matched folder goes with all below it.
#[derive(Debug, Clone)]
pub(super) struct Glob {
    components: Vec<Vec<u8>>,
}

impl Glob {
    pub(super) fn new(pattern: &str) -> Result<Self, FetchError> {
        let bad = |why| FetchError::Pattern { pattern: pattern.to_owned(), why };
        let mut components: Vec<Vec<u8>> = pattern
            .split('/')
            .filter(|part| !matches!(*part, "" | "."))
            .map(|part| part.as_bytes().to_vec())
            .collect();
        if components.is_empty() {
            return Err(bad("it names nothing"));
        }
        if components.iter().any(|part| part == b"..") {
            return Err(bad("`..` leads out of the folder"));
        }
        let trimmed = pattern.strip_suffix('/').unwrap_or(pattern);
        if !trimmed.contains('/') {
            components.insert(0, DEEP.to_vec());
        }
        if components.last().is_some_and(|part| part == DEEP) {
            // At the end it stands for what is below, not for the folder itself.
            components.push(b"*".to_vec());
        }
        Ok(Self { components })
    }

    /// Whether the pattern matches this path itself (not whether it matches a folder above).
    pub(super) fn matches(&self, relative: &[u8]) -> bool {
        let path: Vec<&[u8]> = relative.split(|b| *b == b'/').collect();
        greedy(&self.components, &path, |part| part == DEEP, |part, name| component_matches(part, name))
    }
}

/// Matches items against patterns of which some match any run of items. Going back only to the last such pattern is
/// enough, so the time is at most the product of both lengths.
fn greedy<P, T>(
    pattern: &[P],
    items: &[T],
    any_run: impl Fn(&P) -> bool,
    one: impl Fn(&P, &T) -> bool,
) -> bool {
    let (mut p, mut i) = (0, 0);
    let mut resume: Option<(usize, usize)> = None;
    while i < items.len() {
        if p < pattern.len() && any_run(&pattern[p]) {
            resume = Some((p + 1, i));
            p += 1;
        } else if p < pattern.len() && one(&pattern[p], &items[i]) {
            p += 1;
            i += 1;
        } else if let Some((after, from)) = resume {
            resume = Some((after, from + 1));
            p = after;
            i = from + 1;
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(any_run)
}

fn component_matches(pattern: &[u8], name: &[u8]) -> bool {
    greedy(
        &characters(pattern),
        &characters(name),
        |part| *part == b"*",
        |part, c| *part == b"?" || part == c,
    )
}

/// Characters, and single bytes where there are none.
fn characters(text: &[u8]) -> Vec<&[u8]> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let n = (1..=rest.len().min(4)).find(|n| std::str::from_utf8(&rest[..*n]).is_ok()).unwrap_or(1);
        let (first, after) = rest.split_at(n);
        out.push(first);
        rest = after;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table() {
        for (pattern, yes, no) in [
            ("*.o", &["a.o", "x/y/b.o", ".o"][..], &["a.obj", "o", "a.o/x"][..]),
            ("target", &["target", "a/target"], &["targets", "a/target/x", "mytarget"]),
            ("target/", &["target", "a/target"], &["targets"]),
            ("/target", &["target"], &["a/target"]),
            ("./target", &["target"], &["a/target"]),
            ("a/b", &["a/b"], &["x/a/b", "a/b/c", "a"]),
            ("a/*", &["a/b", "a/.b"], &["a", "a/b/c"]),
            ("a/*/c", &["a/b/c"], &["a/c", "a/b/b/c"]),
            ("a/**", &["a/b", "a/b/c"], &["a", "b/a"]),
            ("a/**/c", &["a/c", "a/b/c", "a/b/b/c"], &["a/b", "c", "a/c/d"]),
            ("**/c", &["c", "a/c", "a/b/c"], &["a/b", "cc"]),
            ("**", &["a", "a/b"], &[]),
            ("**/a/**/b", &["a/b", "x/a/y/b", "a/a/b/b"], &["b", "a", "a/b/c"]),
            ("?", &["a", "x/é", "日"], &["ab", "a/bc"]),
            ("a?c*", &["abc", "abcd", "x/aéc"], &["ac", "abd"]),
            ("a**b", &["ab", "axxb"], &["a/b"]),
            ("[ab]", &["[ab]"], &["a", "b"]),
            ("*", &["a", "a/b"], &[]),
        ] {
            let glob = Glob::new(pattern).unwrap();
            for path in yes {
                assert!(glob.matches(path.as_bytes()), "{pattern} must match {path}");
            }
            for path in no {
                assert!(!glob.matches(path.as_bytes()), "{pattern} must not match {path}");
            }
        }
        assert!(Glob::new("?").unwrap().matches(b"\xff"));
        assert!(Glob::new("*x").unwrap().matches(b"a/\xff\xfex"));
    }

    #[test]
    fn patterns_that_can_match_nothing() {
        for pattern in ["", "/", "./", "a/../b"] {
            assert!(Glob::new(pattern).is_err(), "{pattern}");
        }
    }

    #[test]
    fn hostile_patterns_take_no_exponential_time() {
        let path = vec![b'a'; 4000];
        assert!(!Glob::new(&("*a".repeat(200) + "b")).unwrap().matches(&path));
        let path = b"a/".repeat(2000);
        assert!(!Glob::new(&("**/a/".repeat(200) + "b")).unwrap().matches(&path));
    }
}
