//! Entries of `contents.packages`.

use assemble_apk::Constraint;

use super::values::Wrong;
use crate::source::plain;

/// One entry: `name`, `name=1.2-r0`, `name>1@edge`.
pub(super) fn parse(text: &str) -> Result<Constraint, Wrong> {
    let wrong = |message: String, help: String| Err(Wrong { message, help: Some(help) });
    let shown = plain(text);
    if text.contains(|c: char| c.is_whitespace() || c.is_control()) {
        let words: Vec<&str> = text.split_whitespace().collect();
        let operators =
            |word: &&str| word.starts_with(['=', '<', '>', '~']) || word.ends_with(['=', '<', '>', '~']);
        let help = if words.iter().any(operators) {
            format!("write it in one word: `{}`", plain(&words.concat()))
        } else {
            "each package has its own line".to_owned()
        };
        return wrong(format!("`{shown}` holds a space"), help);
    }
    if text.strip_suffix(".apk").is_some() || text.starts_with("./") || text.starts_with("../") {
        return wrong(
            format!("`{shown}` is a file: a package is named without its version and ending"),
            "put the file into a repository folder with an index, and list that in `repositories`".to_owned(),
        );
    }
    if text.ends_with(',') {
        return wrong(
            format!("`{shown}` ends in a comma"),
            format!("write `{}`", shown.trim_end_matches(',')),
        );
    }
    for (written, meant) in [("==", "="), ("~=", "~"), ("=>", ">="), ("=<", "<="), ("!=", ""), ("^", "~")] {
        if text.contains(written) && !text.contains("=~") {
            let help = match meant {
                "" => {
                    "a version cannot be excluded; name the ones that are wanted, as in `name<2`".to_owned()
                }
                meant => format!("write `{}`", plain(&text.replacen(written, meant, 1))),
            };
            return wrong(format!("`{written}` in `{shown}` is no operator"), help);
        }
    }
    Constraint::parse(text).map_err(|error| Wrong {
        message: error.to_string(),
        help: Some("write a name, and behind it what version may be: `name`, `name=1.2.3-r0`, `name>=1.2`, `name~1.2`".to_owned()),
    })
}
