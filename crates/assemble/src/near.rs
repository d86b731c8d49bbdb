//! Which name was probably meant.

/// No name is longer, and comparing would take time.
const MOST: usize = 255;

/// The name that a few slips away could have been meant; of several that are as near, the first by bytes.
pub(crate) fn nearest<'n>(wanted: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    if wanted.len() > MOST {
        return None;
    }
    names
        .map(|name| (strsim::damerau_levenshtein(wanted, name), name))
        .filter(|(distance, _)| *distance <= (wanted.len() / 4).max(1))
        .min()
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_near_and_other_names_are_not() {
        let names = ["busybox", "zlib", "musl", "musm"];
        let near = |wanted: &str| nearest(wanted, names.into_iter());
        assert_eq!(near("busibox"), Some("busybox"));
        assert_eq!(near("bsuybox"), Some("busybox"));
        assert_eq!(near("musk"), Some("musl"));
        assert_eq!(near("openssl"), None);
        assert_eq!(near(&"musl".repeat(100)), None);
    }
}
