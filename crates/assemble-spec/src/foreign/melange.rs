//! A spec that installs what a melange file builds.

use super::translate::Draft;
use crate::check::fits;
use crate::node::{Content, Node};

/// The text of that spec. It always parses.
pub(super) fn equivalent(root: &Node) -> String {
    let mut draft = Draft::default();
    let text = |node: Option<&Node>| node.and_then(Node::scalar).map(|scalar| scalar.text.clone());
    draft.repositories.push("./packages".to_owned());
    for repository in list(root.get("environment").and_then(|node| node.get("contents")?.get("repositories")))
    {
        let built_here = repository.contains("/packages") && !repository.contains("://");
        if !built_here && !repository.starts_with('@') && fits::repository(&repository) {
            draft.repositories.push(repository);
        }
    }
    draft.keyring.push("./melange.rsa.pub".to_owned());
    let name = text(root.get("package").and_then(|node| node.get("name"))).unwrap_or_default();
    if fits::package(&name) {
        draft.package(&name);
        draft.entrypoint = Some(vec![format!("/usr/bin/{name}")]);
    } else {
        draft.note("its name is made of variables: write what it stands for");
        draft.package("my-package");
    }
    if let Some(description) = text(root.get("package").and_then(|node| node.get("description"))) {
        draft.annotation("org.opencontainers.image.description", &description);
    }
    draft.text()
}

fn list(node: Option<&Node>) -> Vec<String> {
    match node.map(|node| &node.content) {
        Some(Content::List(items)) => {
            items.iter().filter_map(Node::scalar).map(|scalar| scalar.text.clone()).take(20).collect()
        }
        _ => Vec::new(),
    }
}
