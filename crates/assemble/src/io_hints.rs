//! What to do where the host refuses.

use std::io;
use std::path::Path;

/// What to do where the host refuses something at a path.
pub(crate) fn io_hint(error: &io::Error, path: &str) -> Vec<String> {
    match error.kind() {
        io::ErrorKind::PermissionDenied => refused(Path::new(path)),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            vec!["make room on that disk, and run it again".into()]
        }
        io::ErrorKind::ReadOnlyFilesystem => {
            vec!["choose another place with -o, or another cache with --cache-dir".into()]
        }
        io::ErrorKind::NotFound => vec!["check the spelling of the path".into()],
        _ => Vec::new(),
    }
}

/// Who is asked for what is refused: what is at that path, else the folder above that is to hold it.
fn refused(path: &Path) -> Vec<String> {
    let is_there = |above: &&Path| !above.as_os_str().is_empty() && above.symlink_metadata().is_ok();
    // The folder that we are in has no name in a path without one.
    let there = path.ancestors().find(is_there).unwrap_or(Path::new("."));
    let shown = there.display();
    vec![if there == path {
        format!("see who may: ls -ld {shown}")
    } else {
        format!(
            "this user may not write into the folder {shown}: see `ls -ld {shown}`, or name another place"
        )
    }]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_that_refuses_is_one_that_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let at = |rest: &str| refused(&folder.path().join(rest)).remove(0);
        let root = folder.path().display();
        assert_eq!(
            at("a/b.oci"),
            format!(
                "this user may not write into the folder {root}: see `ls -ld {root}`, or name another place"
            )
        );
        assert_eq!(refused(folder.path()), [format!("see who may: ls -ld {root}")]);
        assert!(refused(Path::new("not-there.tar"))[0].contains("`ls -ld .`"));
    }
}
