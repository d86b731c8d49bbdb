//! `WWW-Authenticate` (RFC 9110 section 11.6.1), as registries really send it.

/// More text than this in all headers together is cut off: no honest server comes near.
const MAX_TEXT: usize = 16 * 1024;
/// More parts than this are not looked at.
const MAX_PARTS: usize = 64;

/// What a registry asks for, of the ways that we know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Challenge {
    /// User and password with every call.
    Basic,
    /// A token from somewhere else.
    Bearer(BearerChallenge),
}

/// Where a token is to be had, and for what.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct BearerChallenge {
    pub(crate) realm: String,
    pub(crate) service: Option<String>,
    /// Each `type:name:actions`.
    pub(crate) scopes: Vec<String>,
}

/// The best challenge in these header values: Bearer with a realm, else Basic. Others are passed over.
pub(crate) fn choose<'a>(headers: impl IntoIterator<Item = &'a str>) -> Option<Challenge> {
    let mut basic = false;
    let mut left = MAX_TEXT;
    for header in headers {
        if header.len() > left {
            break;
        }
        left -= header.len();
        for (scheme, params) in split(header) {
            if scheme.eq_ignore_ascii_case("basic") {
                basic = true;
            } else if scheme.eq_ignore_ascii_case("bearer") {
                let found = bearer(params);
                if !found.realm.is_empty() {
                    return Some(Challenge::Bearer(found));
                }
            }
        }
    }
    basic.then_some(Challenge::Basic)
}

fn bearer(params: Vec<(String, String)>) -> BearerChallenge {
    let mut out = BearerChallenge::default();
    for (name, value) in params {
        match name.to_ascii_lowercase().as_str() {
            "realm" => out.realm = value,
            "service" if !value.is_empty() => out.service = Some(value),
            // One parameter may name several, and there may be several parameters.
            "scope" => out.scopes.extend(value.split_whitespace().map(str::to_owned)),
            _ => {}
        }
    }
    out
}

/// Splits one header value into challenges. A word before `=` is a parameter, any other word starts a challenge;
/// what makes no sense is skipped.
fn split(header: &str) -> Vec<(String, Vec<(String, String)>)> {
    let mut out: Vec<(String, Vec<(String, String)>)> = Vec::new();
    let mut rest = header;
    for _ in 0..MAX_PARTS {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == ',');
        if rest.is_empty() {
            break;
        }
        let end =
            rest.find(|c: char| c.is_whitespace() || matches!(c, ',' | '=' | '"')).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        let Some(value) = after.trim_start().strip_prefix('=') else {
            if word.is_empty() {
                rest = after.get(1..).unwrap_or("");
            } else {
                out.push((word.to_owned(), Vec::new()));
                rest = after;
            }
            continue;
        };
        let (value, after) = take_value(value.trim_start());
        if let Some((_, params)) = out.last_mut() {
            params.push((word.to_owned(), value));
        }
        rest = after;
    }
    out
}

/// A quoted string with `\` escapes, or a word up to white space or a comma.
fn take_value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(|c: char| c.is_whitespace() || c == ',').unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (value, &quoted[at + 1..]),
            '\\' => value.extend(chars.next().map(|(_, c)| c)),
            c => value.push(c),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::unnecessary_wraps, reason = "the tables want it so")]
    fn bearer(realm: &str, service: Option<&str>, scopes: &[&str]) -> Option<Challenge> {
        Some(Challenge::Bearer(BearerChallenge {
            realm: realm.into(),
            service: service.map(Into::into),
            scopes: scopes.iter().map(|s| (*s).to_owned()).collect(),
        }))
    }

    #[test]
    fn challenges_as_servers_send_them() {
        let full = bearer("https://a/t", Some("s"), &["repository:x/y:pull,push"]);
        for (headers, want) in [
            (
                vec![r#"Bearer realm="https://a/t",service="s",scope="repository:x/y:pull,push""#],
                full.clone(),
            ),
            (
                vec![
                    r#"bEARER   REALM = "https://a/t" ,  Service=s ,scope="repository:x/y:pull,push" , error="x""#,
                ],
                full.clone(),
            ),
            (vec![r#"Basic realm="r""#], Some(Challenge::Basic)),
            (vec!["basic"], Some(Challenge::Basic)),
            (vec![r#"Basic realm="a, Bearer realm=b""#], Some(Challenge::Basic)),
            (vec![r#"Basic realm="r", Bearer realm="https://a/t""#], bearer("https://a/t", None, &[])),
            (vec![r#"Basic realm="r""#, r#"Bearer realm="https://a/t""#], bearer("https://a/t", None, &[])),
            (vec!["Negotiate oYG2gA==, Basic realm=x"], Some(Challenge::Basic)),
            (vec![r#"Digest realm="a", nonce="b", qop="auth""#], None),
            (vec![r#"Bearer realm="https://a/t?x=1&y=\"2\"""#], bearer("https://a/t?x=1&y=\"2\"", None, &[])),
            (
                vec![r#"Bearer realm="https://a/t",scope="repository:a:pull repository:b:pull""#],
                bearer("https://a/t", None, &["repository:a:pull", "repository:b:pull"]),
            ),
            (vec!["Bearer"], None),
            (vec![r#"Bearer realm="""#, "Basic"], Some(Challenge::Basic)),
            (vec![r#"Bearer realm="https://a/t"#], bearer("https://a/t", None, &[])),
            (vec![",,= ,\"\"=,"], None),
            (vec![""], None),
            (vec![], None),
        ] {
            assert_eq!(choose(headers.iter().copied()), want, "{headers:?}");
        }
    }

    #[test]
    fn endless_headers_end() {
        assert_eq!(choose(["a,".repeat(100_000).as_str()]), None);
        assert_eq!(split(&"a=b,".repeat(1000)).len(), 0);
        assert_eq!(split(&"a ".repeat(1000)).len(), MAX_PARTS);
    }
}
