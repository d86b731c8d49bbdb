use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// Where this host's users keep caches, for us: `$XDG_CACHE_HOME/assemble`, else `~/.cache/assemble`, or
/// `~/Library/Caches/assemble` on macOS. The caller passes the values of `XDG_CACHE_HOME` and `HOME`. Nothing if
/// neither is an absolute path.
pub fn platform_cache_dir(xdg_cache_home: Option<&OsStr>, home: Option<&OsStr>) -> Option<PathBuf> {
    // The base directory specification wants relative paths ignored.
    let absolute = |value: Option<&OsStr>| value.map(PathBuf::from).filter(|path| path.is_absolute());
    let below_home = if cfg!(target_os = "macos") { "Library/Caches" } else { ".cache" };
    let caches = absolute(xdg_cache_home).or_else(|| Some(absolute(home)?.join(below_home)))?;
    // Such a home means that there is none.
    let usable = caches != Path::new("/nonexistent").join(below_home);
    usable.then(|| caches.join("assemble"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_absolute_one_wins() {
        let dir = |xdg: Option<&str>, home: Option<&str>| {
            platform_cache_dir(xdg.map(OsStr::new), home.map(OsStr::new)).map(|p| p.display().to_string())
        };
        let below =
            if cfg!(target_os = "macos") { "/h/Library/Caches/assemble" } else { "/h/.cache/assemble" };
        assert_eq!(dir(Some("/x"), Some("/h")).unwrap(), "/x/assemble");
        for xdg in [None, Some(""), Some("rel")] {
            assert_eq!(dir(xdg, Some("/h")).unwrap(), below);
        }
        assert_eq!(dir(None, None), None);
        assert_eq!(dir(Some("x"), Some("h")), None);
        assert_eq!(dir(None, Some("/nonexistent")), None);
    }
}
