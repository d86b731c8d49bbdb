//! The folder that s6 takes its services from.

use super::error::InstallError;
use super::mutations::Service;
use super::root::Root;
use super::text::join_clean;

const FOR: &str = "entrypoint.services";

/// Writes one folder with a script for each service.
pub(super) fn write(root: &mut Root, services: &[Service]) -> Result<(), InstallError> {
    for service in services {
        let folder = join_clean(b"sv", service.name.as_bytes());
        root.make_folders(&folder, 0o777, FOR)?;
        let script = format!("#!/bin/execlineb\n{}\n", service.command).into_bytes();
        root.write(&join_clean(&folder, b"run"), script, 0o755, FOR)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_joined_as_text() {
        let mut root = Root::new();
        let service = |name: &str| Service { name: name.into(), command: "exec web".into() };
        write(&mut root, &[service("web"), service("a/b"), service("../top")]).unwrap();
        let mode =
            |path: &str| root.look_up(path.as_bytes()).unwrap().map(|id| root.tree.node(id).meta.mode.bits());
        assert_eq!((mode("sv"), mode("sv/web"), mode("sv/web/run")), (Some(0o777), Some(0o777), Some(0o755)));
        assert_eq!((mode("sv/a/b/run"), mode("top/run")), (Some(0o755), Some(0o755)));
        assert_eq!(root.read(b"sv/web/run", 99, FOR).unwrap().unwrap(), b"#!/bin/execlineb\nexec web\n");
        let error = write(&mut root, &[service("../../x")]).unwrap_err();
        assert!(matches!(error, InstallError::Dots { .. }), "{error}");
    }
}
