//! What a token is asked for (distribution's token scopes: `repository:NAME:pull,push`).

/// Scopes of a challenge that are taken over.
const MAX_FOREIGN: usize = 4;

/// What is to be done in a repository. The order is that of what each includes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Access {
    /// Only to be known to the registry.
    Login,
    /// Read.
    Pull,
    /// Read and write.
    Push,
}

/// The scopes for `access` to `repository`, then those that the registry named itself, with the actions for one name
/// merged. Our own comes first: some servers only look at the first.
pub(crate) fn scopes(repository: &str, access: Access, asked: &[String]) -> Vec<String> {
    let mut out: Vec<(String, Vec<String>)> = Vec::new();
    let own = match access {
        Access::Login => None,
        Access::Pull => Some(format!("repository:{repository}:pull")),
        Access::Push => Some(format!("repository:{repository}:pull,push")),
    };
    for scope in own.iter().chain(asked.iter().take(MAX_FOREIGN)) {
        let Some((name, actions)) = scope.rsplit_once(':') else { continue };
        let at = out.iter().position(|(known, _)| known == name).unwrap_or_else(|| {
            out.push((name.to_owned(), Vec::new()));
            out.len() - 1
        });
        let known = &mut out[at].1;
        for action in actions.split(',').filter(|a| !a.is_empty()) {
            if !known.iter().any(|k| k == action) {
                known.push(action.to_owned());
            }
        }
    }
    out.into_iter().map(|(name, actions)| format!("{name}:{}", actions.join(","))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_scope_first_and_actions_merged() {
        let asked = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
        for (access, foreign, want) in [
            (Access::Push, asked(&[]), vec!["repository:a/b:pull,push"]),
            (Access::Push, asked(&["repository:a/b:pull"]), vec!["repository:a/b:pull,push"]),
            (Access::Pull, asked(&["repository:a/b:pull,delete"]), vec!["repository:a/b:pull,delete"]),
            (
                Access::Pull,
                asked(&["repository:proxy/a/b:pull", "nonsense"]),
                vec!["repository:a/b:pull", "repository:proxy/a/b:pull"],
            ),
            (Access::Login, asked(&[]), vec![]),
            (Access::Login, asked(&["registry:catalog:*"]), vec!["registry:catalog:*"]),
        ] {
            assert_eq!(scopes("a/b", access, &foreign), want);
        }
    }
}
