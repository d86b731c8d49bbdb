//! A guard against steps back in cost. Instructions are counted, since they do not vary as time does, and memory.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use crate::host::{cargo, on_path, root, run, say};
use crate::steps::target_dir;

/// What `assemble-cost` can do.
const WORK: [&str; 8] = ["package", "splice", "frames", "gzip", "zstd", "unpack", "solve", "provides"];

/// Work that `assemble-cost` can do with few packages and with many, and what each entry of these may take in memory, in
/// bytes.
const MEMORY: [(&str, u64); 2] = [("one-layer", 400), ("package-layers", 400)];

/// Where the counts are that hold.
const COUNTS: &str = "benches/cost.txt";

/// Percent that a count may be higher than the one that holds.
const MOST_MORE: u64 = 5;

/// Counts anew, and compares or writes.
pub(crate) fn guard(update: bool) -> Result<(), String> {
    if !on_path("valgrind") {
        say("SKIPPED: cost: valgrind is not installed");
        return Ok(());
    }
    run(cargo().args(["build", "--quiet", "--release", "--package", "assemble-cost"]))?;
    let program = target_dir().join("release/assemble-cost");
    let inputs = target_dir().join("cost");
    std::fs::create_dir_all(&inputs).map_err(|e| format!("{}: {e}", inputs.display()))?;
    run(Command::new(&program).arg("inputs").arg(&inputs))?;
    let too_large =
        MEMORY.iter().filter_map(|(work, most)| memory(&program, work, *most, &inputs).transpose());
    if let Some(first) = too_large.collect::<Result<Vec<_>, _>>()?.into_iter().next() {
        return Err(first);
    }
    let mut counts = BTreeMap::new();
    for work in WORK {
        counts.insert(work.to_owned(), count(&program, work, &inputs)?);
    }
    let file = root().join(COUNTS);
    if update {
        return std::fs::write(&file, text(&counts)).map_err(|e| format!("{COUNTS}: {e}"));
    }
    let known = std::fs::read_to_string(&file).map_err(|e| format!("{COUNTS}: {e}"))?;
    compare(&parse(&known)?, &counts)
}

/// Does a piece of work under valgrind, and gives what valgrind and the work said.
fn valgrind(tool: &[&str], program: &Path, work: &str, inputs: &Path) -> Result<(String, String), String> {
    let failed = |why: &str| format!("valgrind, {work}: {why}");
    let output = Command::new("valgrind")
        .args(tool)
        .arg(program)
        .arg(work)
        .arg(inputs)
        // The environment is copied at the start of each process.
        .env_clear()
        .output()
        .map_err(|e| failed(&e.to_string()))?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if !output.status.success() {
        return Err(failed(said.trim()));
    }
    Ok((said, String::from_utf8_lossy(&output.stdout).into_owned()))
}

/// Instructions of the whole process.
fn count(program: &Path, work: &str, inputs: &Path) -> Result<u64, String> {
    let tool = ["--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"];
    let (said, _) = valgrind(&tool, program, work, inputs)?;
    let line = said.lines().find_map(|line| line.split_once("I   refs:").or(line.split_once("I refs:")));
    let number = line.and_then(|(_, number)| number.trim().replace(',', "").parse().ok());
    number.ok_or_else(|| format!("valgrind, {work}: no count in what it says: {said}"))
}

/// Shows what an entry takes at most, beside contents: the difference between many and few. Something if that is too much.
fn memory(program: &Path, work: &str, most: u64, inputs: &Path) -> Result<Option<String>, String> {
    let few = peak(program, &format!("{work}-few"), inputs)?;
    let many = peak(program, &format!("{work}-many"), inputs)?;
    let entries = many.entries.saturating_sub(few.entries).max(1);
    let each = many.bytes.saturating_sub(few.bytes) / entries;
    let contents = many.contents.saturating_sub(few.contents) / entries;
    let own = each.saturating_sub(contents);
    let line =
        format!("{work}: {own} bytes of memory for each entry, and {contents} of contents; at most {most}");
    say(&format!("cost: {line}"));
    Ok((own > most).then_some(line))
}

/// What a process had in memory when it had most.
struct Peak {
    bytes: u64,
    entries: u64,
    contents: u64,
}

fn peak(program: &Path, work: &str, inputs: &Path) -> Result<Peak, String> {
    let (said, told) = valgrind(&["--tool=dhat", "--dhat-out-file=/dev/null"], program, work, inputs)?;
    let number = |text: &str| text.trim().replace(',', "").parse().ok();
    let numbers = || {
        let (bytes, _) =
            said.lines().find_map(|line| line.split_once("At t-gmax:")?.1.split_once(" bytes"))?;
        let (entries, contents) = told.trim().strip_prefix("entries ")?.split_once(" contents ")?;
        Some(Peak { bytes: number(bytes)?, entries: number(entries)?, contents: number(contents)? })
    };
    numbers().ok_or_else(|| format!("valgrind, {work}: no numbers in what it says: {said} {told}"))
}

fn text(counts: &BTreeMap<String, u64>) -> String {
    let mut out = "# Instructions of fixed work, counted by `cargo xtask cost --update`: benches/README.md\n"
        .to_owned();
    for (work, count) in counts {
        let _ = writeln!(out, "{work} {count}");
    }
    out
}

fn parse(text: &str) -> Result<BTreeMap<String, u64>, String> {
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let entry = |line: &str| -> Option<(String, u64)> {
        let (work, count) = line.split_once(' ')?;
        Some((work.to_owned(), count.parse().ok()?))
    };
    lines.map(|line| entry(line).ok_or_else(|| format!("{COUNTS}: `{line}` is no count"))).collect()
}

/// Shows all counts. Fails if one is missing or too high.
fn compare(known: &BTreeMap<String, u64>, counts: &BTreeMap<String, u64>) -> Result<(), String> {
    let mut wrong = Vec::new();
    for (work, &now) in counts {
        let Some(&before) = known.get(work).filter(|before| **before > 0) else {
            wrong.push(format!("{work}: {now} instructions, and no count to compare with"));
            continue;
        };
        let permille = (i128::from(now) - i128::from(before)) * 1000 / i128::from(before);
        let (sign, permille) = (if permille < 0 { '-' } else { '+' }, permille.unsigned_abs());
        let percent = format!("{sign}{}.{} %", permille / 10, permille % 10);
        let line = format!("{work}: {now} instructions, {before} in {COUNTS}: {percent}");
        say(&format!("cost: {line}"));
        if u128::from(now) * 100 > u128::from(before) * u128::from(100 + MOST_MORE) {
            wrong.push(line);
        }
    }
    if wrong.is_empty() {
        return Ok(());
    }
    Err(format!(
        "more than {MOST_MORE} % more:\n  {}\nmake it cheaper; or, if it is worth that (or the compiler is another one): \
         cargo xtask cost --update, and say why in the commit",
        wrong.join("\n  ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(text: &str) -> BTreeMap<String, u64> {
        parse(text).unwrap()
    }

    #[test]
    fn what_costs_more_than_it_may_is_named() {
        let known = counts("# a comment\ngzip 1000\nzstd 1000\n");
        assert_eq!(compare(&known, &counts("gzip 1050\nzstd 10")), Ok(()));
        let said = compare(&known, &counts("gzip 1051\nzstd 1000")).unwrap_err();
        assert!(said.contains("gzip: 1051 instructions, 1000 in benches/cost.txt: +5.1 %"), "{said}");
        assert!(!said.contains("zstd:"), "{said}");
        assert!(compare(&known, &counts("new 1")).is_err());
        assert_eq!(counts(&text(&known)), known);
        assert!(parse("gzip many").is_err());
    }
}
