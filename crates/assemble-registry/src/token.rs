//! Answers of token servers.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::secret::Secret;

/// Bytes of an answer that are read; a larger one is refused.
pub(crate) const ANSWER_LIMIT: usize = 64 * 1024;
/// Lifetime where none, or none that makes sense, is given.
const DEFAULT_LIFE: Duration = Duration::from_mins(1);
/// No token is kept for longer.
const MAX_LIFE: Duration = Duration::from_hours(24);

/// A token and when to get the next.
#[derive(Debug, Clone)]
pub(crate) struct Token {
    pub(crate) secret: Secret,
    refresh_at: Option<Instant>,
}

impl Token {
    /// A token that was given to us and cannot be renewed.
    pub(crate) fn fixed(secret: Secret) -> Self {
        Self { secret, refresh_at: None }
    }

    /// Whether it is still good for a new call.
    pub(crate) fn is_fresh(&self, now: Instant) -> bool {
        self.refresh_at.is_none_or(|at| now < at)
    }

    /// Reads `{"token"|"access_token", "expires_in"}`. `Err` says what is wrong with it.
    pub(crate) fn parse(body: &[u8], now: Instant) -> Result<Self, &'static str> {
        if body.len() > ANSWER_LIMIT {
            return Err("is larger than 64 KiB");
        }
        let value: Value = serde_json::from_slice(body).map_err(|_| "is no JSON")?;
        let text = |key: &str| value.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
        let token = text("token").or_else(|| text("access_token")).ok_or("has no token in it")?;
        if !token.bytes().all(|b| b.is_ascii_graphic()) {
            return Err("has a token with characters that no token has");
        }
        let life = value.get("expires_in").and_then(Value::as_f64).map_or(DEFAULT_LIFE, life);
        Ok(Self { secret: Secret::new(token), refresh_at: now.checked_add(refresh_after(life)) })
    }
}

fn life(seconds: f64) -> Duration {
    if seconds > 0.0 {
        Duration::try_from_secs_f64(seconds).unwrap_or(MAX_LIFE).min(MAX_LIFE)
    } else {
        DEFAULT_LIFE
    }
}

/// At three quarters, and 10 s before the end at the latest; of very short lives half is used, or every call would
/// have to ask for a token of its own.
fn refresh_after(life: Duration) -> Duration {
    let margin = Duration::from_secs(10);
    if life < 2 * margin { life / 2 } else { (life * 3 / 4).min(life.saturating_sub(margin)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_good_and_bad() {
        let now = Instant::now();
        let after = |s: f64| now + Duration::from_secs_f64(s);
        for (body, fresh_for) in [
            (r#"{"token":"t"}"#, 45.0),
            (r#"{"access_token":"t"}"#, 45.0),
            (r#"{"token":"","access_token":"t"}"#, 45.0),
            (r#"{"token":"t","access_token":"u","expires_in":300}"#, 225.0),
            (r#"{"token":"t","expires_in":24}"#, 14.0),
            (r#"{"token":"t","expires_in":5}"#, 2.5),
            (r#"{"token":"t","expires_in":0}"#, 45.0),
            (r#"{"token":"t","expires_in":-5}"#, 45.0),
            (r#"{"token":"t","expires_in":"300"}"#, 45.0),
            (r#"{"token":"t","expires_in":1e300}"#, 64800.0),
        ] {
            let token = Token::parse(body.as_bytes(), now).unwrap();
            assert_eq!(token.secret.expose(), "t", "{body}");
            assert!(token.is_fresh(after(fresh_for - 0.01)), "{body}");
            assert!(!token.is_fresh(after(fresh_for)), "{body}");
        }
        for (body, want) in [
            ("<html>".to_owned(), "is no JSON"),
            ("{}".to_owned(), "has no token in it"),
            (r#"{"token":7}"#.to_owned(), "has no token in it"),
            (r#"{"token":"a\r\nX: y"}"#.to_owned(), "has a token with characters that no token has"),
            (format!(r#"{{"token":"{}"}}"#, "x".repeat(100_000)), "is larger than 64 KiB"),
        ] {
            assert_eq!(Token::parse(body.as_bytes(), now).unwrap_err(), want);
        }
        assert!(Token::fixed(Secret::new("x")).is_fresh(after(1e6)));
    }
}
