//! The registry's door: basic credentials, or tokens from a service at the same host.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use data_encoding::BASE64;
use serde_json::json;

use crate::http::{Request, Response, parameters};

/// Who may come in.
#[derive(Debug, Clone, Default)]
pub enum Auth {
    /// Everybody.
    #[default]
    Open,
    /// User and password on every call.
    Basic {
        /// The user.
        user: String,
        /// The password.
        password: String,
    },
    /// Bearer tokens from `/token`, which takes GET with basic credentials and POST with a form.
    /// Repositories whose name starts with `denied/` get no actions.
    Token {
        /// The user.
        user: String,
        /// The password; also works as a refresh token (identity token).
        password: String,
        /// Whether tokens to pull are given without credentials.
        anonymous_pull: bool,
        /// How long a token lives.
        lifetime: Duration,
    },
}

/// What a token allows: repository -> actions.
type Grant = BTreeMap<String, BTreeSet<String>>;

#[derive(Debug, Default)]
pub(crate) struct Tokens {
    issued: Vec<(String, Grant, Instant)>,
    counter: usize,
}

impl Tokens {
    /// Makes every token given out so far worthless.
    pub(crate) fn expire(&mut self) {
        self.issued.clear();
    }

    /// Nothing if the request may do `action` to `repository`, else the answer that says why not. More than one pair is
    /// named in one challenge, as the reference registry does for mounts.
    pub(crate) fn refuse(&self, auth: &Auth, request: &Request, needs: &[(&str, &str)]) -> Option<Response> {
        let given = request.header("authorization").unwrap_or("");
        match auth {
            Auth::Open => None,
            Auth::Basic { user, password } => {
                let challenge = "Basic realm=\"test registry\"".to_owned();
                (basic(given).as_ref() != Some(&(user.clone(), password.clone())))
                    .then(|| unauthorized(challenge))
            }
            Auth::Token { .. } => {
                let token = given.strip_prefix("Bearer ").map(|t| self.grant(t));
                let missing: Vec<_> = needs
                    .iter()
                    .filter(|(name, action)| {
                        let grant = token.flatten();
                        !grant.is_some_and(|g| g.get(*name).is_some_and(|actions| actions.contains(*action)))
                    })
                    .collect();
                let alive = token.is_some_and(|grant| grant.is_some());
                if missing.is_empty() && alive {
                    return None;
                }
                let host = request.header("host").unwrap_or("");
                let mut challenge = format!("Bearer realm=\"http://{host}/token\",service=\"test registry\"");
                let scopes: Vec<_> = needs.iter().map(|(name, action)| scope(name, action)).collect();
                if !scopes.is_empty() {
                    challenge += &format!(",scope=\"{}\"", scopes.join(" "));
                }
                match token {
                    None => {}
                    Some(None) => challenge += ",error=\"invalid_token\"",
                    Some(Some(_)) => challenge += ",error=\"insufficient_scope\"",
                }
                Some(unauthorized(challenge))
            }
        }
    }

    fn grant(&self, token: &str) -> Option<&Grant> {
        let now = Instant::now();
        self.issued.iter().find(|(text, _, until)| text == token && *until > now).map(|(_, grant, _)| grant)
    }

    /// The token service.
    pub(crate) fn issue(&mut self, auth: &Auth, request: &Request) -> Response {
        let Auth::Token { user, password, anonymous_pull, lifetime } = auth else {
            return Response::text(404, "no token service\n");
        };
        let form = String::from_utf8_lossy(&request.body).into_owned();
        let post = request.method == "POST";
        let one = |name: &str| parameters(&form, name).into_iter().next().unwrap_or_default();
        let known = if post {
            match one("grant_type").as_str() {
                "refresh_token" => Some(one("refresh_token") == *password),
                _ => Some(one("username") == *user && one("password") == *password),
            }
        } else {
            request.header("authorization").map(|v| basic(v) == Some((user.clone(), password.clone())))
        };
        if known == Some(false) {
            return error(401, "UNAUTHORIZED", "wrong credentials");
        }
        if known.is_none() && !anonymous_pull {
            return error(401, "UNAUTHORIZED", "no anonymous access");
        }
        let scopes = if post { vec![one("scope")] } else { request.parameters("scope") };
        let mut grant = Grant::new();
        for text in scopes.iter().flat_map(|s| s.split(' ')) {
            let Some((name, actions)) = text.strip_prefix("repository:").and_then(|t| t.rsplit_once(':'))
            else {
                continue;
            };
            let allowed = actions
                .split(',')
                .filter(|action| !name.starts_with("denied/") && (known == Some(true) || *action == "pull"));
            grant.entry(name.to_owned()).or_default().extend(allowed.map(str::to_owned));
        }
        self.counter += 1;
        let token = format!("test-token-{}", self.counter);
        self.issued.push((token.clone(), grant, Instant::now() + *lifetime));
        let body = json!({ "token": token, "expires_in": lifetime.as_secs() });
        Response::text(200, &body.to_string()).header("Content-Type", "application/json")
    }
}

/// `push` needs a token for both, as the reference registry asks.
fn scope(name: &str, action: &str) -> String {
    let actions = if action == "push" { "pull,push" } else { action };
    format!("repository:{name}:{actions}")
}

fn basic(header: &str) -> Option<(String, String)> {
    let text = BASE64.decode(header.strip_prefix("Basic ")?.as_bytes()).ok()?;
    let text = String::from_utf8(text).ok()?;
    text.split_once(':').map(|(user, password)| (user.to_owned(), password.to_owned()))
}

fn unauthorized(challenge: String) -> Response {
    error(401, "UNAUTHORIZED", "authentication required").header("WWW-Authenticate", challenge)
}

/// An answer with an error document.
pub(crate) fn error(status: u16, code: &str, message: &str) -> Response {
    let body = json!({ "errors": [{ "code": code, "message": message, "detail": null }] });
    Response::text(status, &body.to_string()).header("Content-Type", "application/json")
}
