//! What was typed behind `assemble cache`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    assemble cache                               what it holds, and where\n  \
    assemble cache prune --unused-for 30d --max-size 5G\n  \
    assemble cache verify                        reads everything, removes what is damaged")]
pub(crate) struct CacheArgs {
    #[command(subcommand)]
    pub(crate) command: Option<CacheCommand>,
    /// The folder of the cache [default: $ASSEMBLE_CACHE, else the platform's]
    #[arg(long, value_name = "DIR", global = true)]
    pub(crate) cache_dir: Option<PathBuf>,
    /// Write one JSON document to standard output, in success and in failure
    #[arg(long, help_heading = "Report", global = true)]
    pub(crate) json: bool,
    /// Say nothing but warnings and errors
    #[arg(short, long, help_heading = "Report", global = true)]
    pub(crate) quiet: bool,
}

/// More decimals than the largest unit has digits say nothing.
const MOST_DECIMALS: usize = 15;

/// What to do with the cache.
#[derive(Debug, Subcommand)]
pub(crate) enum CacheCommand {
    /// Remove what was not used for long, or is too much
    Prune {
        /// Remove what was not used for so long: 12h, 30d, 8w
        #[arg(long, value_name = "AGE", value_parser = age)]
        unused_for: Option<std::time::Duration>,
        /// Keep no more than so many bytes, those used last: 500M, 1.5G
        #[arg(long, value_name = "SIZE", value_parser = bytes)]
        max_size: Option<u64>,
    },
    /// Read everything, and remove what is damaged; fails (exit code 5) if anything is
    Verify,
}

/// A number with a unit of time.
fn age(text: &str) -> Result<std::time::Duration, String> {
    let wrong = || format!("`{text}` is no age: expected a number with s, m, h, d or w, such as 30d");
    let unit = text.chars().last().ok_or_else(wrong)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        'w' => 604_800,
        _ => return Err(wrong()),
    };
    let count: u64 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    count.checked_mul(seconds).map(std::time::Duration::from_secs).ok_or_else(wrong)
}

/// A number of bytes, perhaps with decimals and a unit: powers of 1000, or of 1024 with an `i`.
fn bytes(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is no size: expected a number with K, M, G or T, such as 5G");
    let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = text[number.len()..].to_ascii_lowercase();
    let unit = unit.strip_suffix('b').unwrap_or(&unit);
    let (unit, base) = unit.strip_suffix('i').map_or((unit, 1000_u64), |unit| (unit, 1024));
    let power = match unit {
        "" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        _ => return Err(wrong()),
    };
    let unit = base.pow(power);
    let (whole, decimals) = number.split_once('.').unwrap_or((number, "0"));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(whole) || !is_number(decimals) || decimals.len() > MOST_DECIMALS {
        return Err(wrong());
    }
    let parse = |text: &str| text.parse::<u128>().map_err(|_| wrong());
    // Half a byte is none.
    let below = parse(decimals)? * u128::from(unit) / 10_u128.pow(u32::try_from(decimals.len()).unwrap_or(0));
    let all = parse(whole)?.checked_mul(u128::from(unit)).and_then(|all| all.checked_add(below));
    all.and_then(|all| u64::try_from(all).ok()).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_decimals_and_units() {
        for (text, expected) in [
            ("0", 0),
            ("5", 5),
            ("1.5M", 1_500_000),
            ("1.5MiB", 1_572_864),
            ("0.25k", 250),
            ("2.0GB", 2_000_000_000),
            ("1.9", 1),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(bytes(text), Ok(expected), "{text}");
        }
        for text in
            ["", "M", ".5M", "5.M", "1.5.0M", "-1", "+1", "1,5M", "5X", "18446744073709551616", "99999999T"]
        {
            assert!(bytes(text).is_err(), "{text}");
        }
        assert!(bytes(&format!("0.{}M", "1".repeat(30))).is_err());
    }
}
