//! Where a configuration's own source is, as its git checkout says.

use std::fs;
use std::path::{Path, PathBuf};

use assemble_types::SafeUrl;

/// More references lead from one to the next in no checkout.
const MOST_REFERENCES: usize = 8;

/// `URL@COMMIT` of the checkout that holds the configuration, if it lies in the working directory or is it. Whatever is
/// odd about the checkout means that nothing is known.
pub(super) fn probe(config: &Path) -> Option<String> {
    let top = std::path::absolute(".").ok()?;
    let config = std::path::absolute(config).ok()?;
    let git =
        config.parent()?.ancestors().take_while(|folder| folder.starts_with(&top)).find_map(git_folder)?;
    let url = normal(&origin(&fs::read_to_string(common(&git).join("config")).ok()?)?)?;
    Some(format!("{url}@{}", head(&git)?))
}

/// `.git` of a checkout: a folder, or a file that names one.
fn git_folder(folder: &Path) -> Option<PathBuf> {
    let place = folder.join(".git");
    if place.is_dir() {
        return Some(place);
    }
    let text = fs::read_to_string(&place).ok()?;
    Some(folder.join(text.strip_prefix("gitdir:")?.trim()))
}

/// Where a worktree shares its configuration and references.
fn common(git: &Path) -> PathBuf {
    match fs::read_to_string(git.join("commondir")) {
        Ok(text) => git.join(text.trim()),
        Err(_) => git.to_owned(),
    }
}

/// The first URL of the remote `origin`.
fn origin(config: &str) -> Option<String> {
    let mut inside = false;
    for line in config.lines().map(str::trim) {
        if line.starts_with('[') {
            inside = line.replace(' ', "") == "[remote\"origin\"]";
        } else if let Some((key, value)) = line.split_once('=').filter(|_| inside)
            && key.trim() == "url"
        {
            return Some(value.trim().trim_matches('"').to_owned());
        }
    }
    None
}

/// A URL without a user; what git takes for `ssh` is written as a URL.
fn normal(text: &str) -> Option<String> {
    if !text.contains("://") && !text.starts_with('/') && !text.starts_with('.') {
        let (host, path) = text.split_once(':')?;
        let host = host.rsplit('@').next().unwrap_or(host);
        return Some(format!("git+ssh://{host}/{path}"));
    }
    if !text.contains("://") {
        return Some(text.to_owned());
    }
    let mut url = text.parse::<SafeUrl>().ok()?.expose().clone();
    url.set_username("").ok()?;
    url.set_password(None).ok()?;
    Some(url.to_string())
}

fn head(git: &Path) -> Option<String> {
    let common = common(git);
    let mut text = fs::read_to_string(git.join("HEAD")).ok()?;
    for _ in 0..MOST_REFERENCES {
        let line = text.trim();
        let Some(name) = line.strip_prefix("ref:").map(str::trim) else {
            return is_commit(line).then(|| line.to_owned());
        };
        if name.split('/').any(|part| part == "..") {
            return None;
        }
        text = fs::read_to_string(git.join(name))
            .or_else(|_| fs::read_to_string(common.join(name)))
            .ok()
            .or_else(|| packed(&common, name))?;
    }
    None
}

fn packed(common: &Path, name: &str) -> Option<String> {
    let text = fs::read_to_string(common.join("packed-refs")).ok()?;
    let found = text.lines().find_map(|line| line.split_once(' ').filter(|(_, known)| *known == name))?;
    Some(found.0.to_owned())
}

fn is_commit(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|b| b.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_remotes() {
        let url = |text: &str| normal(text);
        assert_eq!(
            url("git@example.org:team/app.git").as_deref(),
            Some("git+ssh://example.org/team/app.git")
        );
        assert_eq!(url("https://u:p@example.org/a.git").as_deref(), Some("https://example.org/a.git"));
        assert_eq!(url("ssh://git@example.org/a.git").as_deref(), Some("ssh://example.org/a.git"));
        let config = "[core]\n\turl = no\n[remote \"other\"]\n\turl = no\n[remote \"origin\"]\n\turl = yes\n\turl = no\n";
        assert_eq!(origin(config).as_deref(), Some("yes"));
        assert_eq!(origin("[remote \"other\"]\nurl = no"), None);
    }

    #[test]
    fn a_branch_is_found_loose_and_packed() {
        let folder = tempfile::tempdir().unwrap();
        let git = folder.path();
        let commit = "0123456789012345678901234567890123456789";
        fs::write(git.join("HEAD"), "ref: refs/heads/main\n").unwrap();
        assert_eq!(head(git), None);
        fs::write(git.join("packed-refs"), format!("# x\n{commit} refs/heads/main\n")).unwrap();
        assert_eq!(head(git).as_deref(), Some(commit));
        fs::create_dir_all(git.join("refs/heads")).unwrap();
        fs::write(git.join("refs/heads/main"), "ref: HEAD\n").unwrap();
        assert_eq!(head(git), None, "a circle");
    }
}
