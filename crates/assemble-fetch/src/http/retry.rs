//! Whether and when to try again.

use std::hash::{BuildHasher as _, RandomState};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};

/// When and how often to try again: exponential back-off with full jitter, unless the server names a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryPolicy {
    /// How often in all, the first time included.
    pub tries: u32,
    /// The longest wait after the first failure; it doubles with each one.
    pub base: Duration,
    /// The longest wait of our own choice.
    pub cap: Duration,
    /// The longest wait a server may ask for; if it asks for more, the user has to know now.
    pub longest_asked: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            tries: 5,
            base: Duration::from_millis(500),
            cap: Duration::from_secs(30),
            longest_asked: Duration::from_mins(1),
        }
    }
}

/// What to do after a failure that may pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryDecision {
    /// Wait so long, then try again.
    After(Duration),
    /// Tell the user.
    GiveUp(GiveUp),
}

/// Why there is no further try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GiveUp {
    /// All tries are used up.
    TriesUsedUp,
    /// The server asked to wait longer than is sensible.
    AskedToWait(Duration),
}

impl RetryPolicy {
    /// What to do when the `attempt`th try (from 1) failed. `headers` are those of the answer, if there was one;
    /// `seed` makes the jitter, see [`jitter_seed`].
    pub fn decide(&self, attempt: u32, headers: Option<&HeaderMap>, seed: u64) -> RetryDecision {
        if attempt >= self.tries {
            return RetryDecision::GiveUp(GiveUp::TriesUsedUp);
        }
        if let Some(asked) = headers.and_then(retry_after) {
            return if asked > self.longest_asked {
                RetryDecision::GiveUp(GiveUp::AskedToWait(asked))
            } else {
                RetryDecision::After(asked)
            };
        }
        let doublings = attempt.saturating_sub(1).min(30);
        let longest = self.base.saturating_mul(1 << doublings).min(self.cap);
        let part = u32::try_from(mix(seed.wrapping_add(u64::from(attempt))) >> 40).unwrap_or(0);
        // Full jitter: anything from nothing to the longest, so that clients that failed together part ways.
        RetryDecision::After(longest.mul_f64(f64::from(part) / f64::from(1_u32 << 24)))
    }
}

/// [`RetryPolicy::decide`] with the default policy.
pub fn retry_delay(attempt: u32, headers: Option<&HeaderMap>, jitter_seed: u64) -> RetryDecision {
    RetryPolicy::default().decide(attempt, headers, jitter_seed)
}

/// How often a host is tried that refuses the connection: nobody listens there, which passes only where a server is just
/// being started.
pub const REFUSED_TRIES: u32 = 3;

/// Whether the host refused the connection.
pub fn is_refused(error: &reqwest::Error) -> bool {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = next {
        let refused = |error: &std::io::Error| error.kind() == std::io::ErrorKind::ConnectionRefused;
        if error.downcast_ref().is_some_and(refused) {
            return true;
        }
        next = error.source();
    }
    false
}

/// Whether an answer with this status may be another one next time.
pub fn is_transient_status(status: u16) -> bool {
    matches!(status, 408 | 429 | 499 | 500 | 502 | 503 | 504 | 522)
}

/// A number that differs between processes and calls. Only waiting times may depend on it.
pub fn jitter_seed() -> u64 {
    RandomState::new().hash_one(0_u8)
}

/// What `Retry-After` asks for (RFC 9110 section 10.2.3); nothing if it is absent or means nothing.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    let then = http_date(text)?;
    // The server's own clock, if it tells: ours may be off, and then the difference would be wrong.
    let now = headers.get(DATE).and_then(|date| http_date(date.to_str().ok()?)).unwrap_or_else(|| {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
    });
    Some(Duration::from_secs(u64::try_from(then.saturating_sub(now)).unwrap_or(0)))
}

/// Seconds since the epoch of an HTTP date in its one current form, `Sun, 06 Nov 1994 08:49:37 GMT`. The two obsolete
/// forms are not read: what they lead to, the ordinary back-off, is harmless.
pub(crate) fn http_date(text: &str) -> Option<i64> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (_, rest) = text.split_once(", ")?;
    let mut parts = rest.split(' ');
    let mut next = || parts.next();
    let (day, month, year, time, zone) = (next()?, next()?, next()?, next()?, next()?);
    if zone != "GMT" || next().is_some() {
        return None;
    }
    let number = |text: &str, digits: usize, max: i64| {
        let good = text.len() == digits && text.bytes().all(|b| b.is_ascii_digit());
        text.parse::<i64>().ok().filter(|n| good && *n <= max)
    };
    let (day, year) = (number(day, 2, 31)?, number(year, 4, 9999)?);
    let month = i64::try_from(MONTHS.iter().position(|m| *m == month)?).ok()? + 1;
    let mut clock = time.split(':');
    let mut next = |max| number(clock.next()?, 2, max);
    let (hour, minute, second) = (next(23)?, next(59)?, next(60)?);
    (clock.next().is_none() && day >= 1)
        .then(|| days_from_epoch(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second)
}

/// Days since 1970-01-01 in the Gregorian calendar, counting years from March so that the leap day comes last.
fn days_from_epoch(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + of_year - 719_468
}

/// Spreads a seed's bits (the finishing steps of SplitMix64).
fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(value: &str, date: Option<&str>) -> RetryDecision {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, value.parse().unwrap());
        if let Some(date) = date {
            headers.insert(DATE, date.parse().unwrap());
        }
        retry_delay(1, Some(&headers), 0)
    }

    #[test]
    fn the_server_s_wish_wins_within_reason() {
        let after = |seconds| RetryDecision::After(Duration::from_secs(seconds));
        assert_eq!(asked("0", None), after(0));
        assert_eq!(asked("7", None), after(7));
        assert_eq!(asked("60", None), after(60));
        let give_up = |s| RetryDecision::GiveUp(GiveUp::AskedToWait(Duration::from_secs(s)));
        assert_eq!(asked("86400", None), give_up(86_400));
        assert_eq!(asked("99999999999999999999", None), give_up(u64::MAX));
        let now = Some("Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(asked("Sun, 06 Nov 1994 08:49:40 GMT", now), after(3));
        assert_eq!(asked("Sun, 06 Nov 1994 08:00:00 GMT", now), after(0));
        assert_eq!(asked("Mon, 07 Nov 1994 08:49:37 GMT", now), give_up(86_400));
        assert_eq!(asked("Sun, 06 Nov 1994 08:49:37 GMT", None), after(0));
    }

    #[test]
    fn nonsense_means_the_ordinary_back_off() {
        let ordinary = retry_delay(1, None, 0);
        for text in
            ["", "soon", "-1", "1.5", "Sun, 31 Foo 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 CET"]
        {
            assert_eq!(asked(text, None), ordinary, "{text}");
        }
    }

    #[test]
    fn back_off_doubles_is_capped_and_ends() {
        let policy = RetryPolicy { tries: 100, ..RetryPolicy::default() };
        for (attempt, longest) in [(1, 500), (2, 1000), (3, 2000), (6, 16_000), (7, 30_000), (99, 30_000)] {
            let longest = Duration::from_millis(longest);
            let waits: Vec<Duration> = (0..1000)
                .map(|seed| match policy.decide(attempt, None, seed) {
                    RetryDecision::After(wait) => wait,
                    RetryDecision::GiveUp(why) => panic!("{attempt}: {why:?}"),
                })
                .collect();
            let (least, most) = (*waits.iter().min().unwrap(), *waits.iter().max().unwrap());
            assert!(
                most <= longest && most > longest * 9 / 10 && least < longest / 10,
                "{attempt}: {least:?} {most:?}"
            );
        }
        assert_eq!(retry_delay(5, None, 0), RetryDecision::GiveUp(GiveUp::TriesUsedUp));
        assert!(matches!(retry_delay(4, None, 0), RetryDecision::After(_)));
    }

    #[test]
    fn dates() {
        for (text, seconds) in [
            ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
            ("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777),
            ("Tue, 29 Feb 2000 23:59:59 GMT", 951_868_799),
            ("Wed, 01 Mar 2000 00:00:00 GMT", 951_868_800),
            ("Thu, 31 Dec 2099 00:00:00 GMT", 4_102_358_400),
        ] {
            assert_eq!(http_date(text), Some(seconds), "{text}");
        }
    }

    #[test]
    fn seeds_differ() {
        assert_ne!(jitter_seed(), jitter_seed());
    }
}
