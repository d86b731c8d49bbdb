//! An independent judge of package sets: it reads records and constraints by itself, and knows nothing of any solver.

use std::collections::{BTreeMap, BTreeSet};

/// Whose rules count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rules {
    /// Those of apk-tools.
    Apk,
    /// Those of apko: another order of versions, and `install_if` is not owed.
    Apko,
}

/// A package as an index lists it, in its own words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// `D:`
    pub depends: Vec<String>,
    /// `p:`
    pub provides: Vec<String>,
    /// `i:`
    pub install_if: Vec<String>,
}

/// A repository.
#[derive(Debug, Clone, Copy)]
pub struct Shelf<'a> {
    /// Its tag.
    pub tag: Option<&'a str>,
    /// What it lists.
    pub packages: &'a [Listed],
}

/// A package of a set: the repository's place, and the package's place there.
pub type Place = (usize, usize);

/// One way to put versions in order.
type Order = fn(&str, &str) -> Option<std::cmp::Ordering>;

/// A constraint, taken apart.
#[derive(Debug, Clone, Copy)]
struct Wish<'a> {
    not: bool,
    name: &'a str,
    sign: &'a str,
    version: &'a str,
    tag: Option<&'a str>,
}

fn wish(text: &str) -> Wish<'_> {
    let (not, text) = text.strip_prefix('!').map_or((false, text), |rest| (true, rest));
    let (text, tag) = text.split_once('@').map_or((text, None), |(text, tag)| (text, Some(tag)));
    let at = text.find(['<', '>', '=', '~']).unwrap_or(text.len());
    let (name, rest) = text.split_at(at);
    let end = rest.find(|c| !"<>=~".contains(c)).unwrap_or(rest.len());
    let (sign, version) = rest.split_at(end);
    Wish { not, name, sign, version, tag }
}

/// apko reads a version of a library that is no package version as `0.` and that version.
fn lowered(name: &str, version: &str, rules: Rules) -> String {
    let revision = version
        .rsplit_once("-r")
        .is_some_and(|(_, n)| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
    if rules == Rules::Apko && name.starts_with("so:") && !revision {
        format!("0.{version}")
    } else {
        version.to_owned()
    }
}

impl Wish<'_> {
    fn admits(&self, version: &str, rules: Rules) -> bool {
        if self.sign.is_empty() {
            return true;
        }
        let wanted = if self.sign.contains('=') {
            lowered(self.name, self.version, rules)
        } else {
            self.version.to_owned()
        };
        let order: Order = match rules {
            Rules::Apk => |a, b| Some(apk_key(a).cmp(&apk_key(b))),
            Rules::Apko => |a, b| Some(apko_key(a)?.cmp(&apko_key(b)?)),
        };
        let Some(order) = order(version, &wanted) else { return false };
        let near = || match rules {
            Rules::Apk => begins_with(version, &wanted),
            Rules::Apko => apko_falls_under(version, &wanted),
        };
        self.sign.chars().any(|sign| match sign {
            '<' => order.is_lt(),
            '>' => order.is_gt(),
            '=' => !self.sign.contains('~') && order.is_eq(),
            _ => near(),
        })
    }
}

/// A number as text that sorts as a number.
fn numeric(text: &str) -> (usize, String) {
    let text = text.trim_start_matches('0');
    (text.len(), text.to_owned())
}

/// A sort key: versions are in apk's order if their keys are. Each step is a rank, then what is compared at that rank.
fn apk_key(version: &str) -> Vec<(u8, (usize, String))> {
    const WRONG: u8 = 1;
    const END: u8 = 2;
    let mut key = Vec::new();
    let mut rest = version;
    let mut last = 9;
    while !rest.is_empty() {
        let digits = |text: &str| text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let word = |text: &str, of: fn(char) -> bool| text.find(|c| !of(c)).unwrap_or(text.len());
        let first = rest.chars().next().unwrap_or_default();
        let (rank, value, used) = match first {
            '0'..='9' if key.is_empty() => (9, numeric(&rest[..digits(rest)]), digits(rest)),
            '.' if last >= 8 && !key.is_empty() && digits(&rest[1..]) > 0 => {
                let number = &rest[1..=digits(&rest[1..])];
                // With a leading zero it is a fraction.
                let value = if number.starts_with('0') { (0, number.to_owned()) } else { numeric(number) };
                (8, value, number.len() + 1)
            }
            'a'..='z' if last >= 8 && !key.is_empty() => (7, (0, first.to_string()), 1),
            '_' if last >= 5 && !key.is_empty() => {
                let name = &rest[1..=word(&rest[1..], |c| c.is_ascii_lowercase())];
                let before = ["alpha", "beta", "pre", "rc"].iter().position(|s| *s == name);
                let behind = ["cvs", "svn", "git", "hg", "p"].iter().position(|s| *s == name);
                match (before, behind) {
                    (Some(place), _) => (0, (place, String::new()), name.len() + 1),
                    (_, Some(place)) => (6, (place, String::new()), name.len() + 1),
                    _ => (WRONG, (0, String::new()), rest.len()),
                }
            }
            '0'..='9' if last == 6 => (5, numeric(&rest[..digits(rest)]), digits(rest)),
            '~' if last >= 5 && !key.is_empty() => {
                let hash = &rest[1..=word(&rest[1..], |c| matches!(c, '0'..='9' | 'a'..='f'))];
                if hash.is_empty() {
                    (WRONG, (0, String::new()), rest.len())
                } else {
                    (4, (0, hash.to_owned()), hash.len() + 1)
                }
            }
            '-' if last >= 4 && !key.is_empty() && rest.starts_with("-r") && digits(&rest[2..]) > 0 => {
                (3, numeric(&rest[2..2 + digits(&rest[2..])]), 2 + digits(&rest[2..]))
            }
            _ => (WRONG, (0, String::new()), rest.len()),
        };
        key.push((rank, value));
        if rank == WRONG {
            return key;
        }
        // What may follow depends on the step alone; a suffix of either kind counts as one.
        last = if rank == 0 { 6 } else { rank };
        rest = &rest[used..];
    }
    key.push((if key.is_empty() { WRONG } else { END }, (0, String::new())));
    key
}

fn begins_with(version: &str, wanted: &str) -> bool {
    let wanted = apk_key(wanted);
    let (_, steps) = wanted.split_last().expect("a key has an end");
    let key = apk_key(version);
    key == wanted || (wanted.last().is_some_and(|(rank, _)| *rank == 2) && key.starts_with(steps))
}

type ApkoKey = (Vec<u64>, u8, (u8, u64), (u8, u64), u64);

/// Nothing for what apko does not know for a version.
fn apko_key(version: &str) -> Option<ApkoKey> {
    let (rest, revision) = match version.split_once("-r") {
        Some((rest, n)) => (rest, n.parse::<i64>().ok().filter(|_| n.bytes().all(|b| b.is_ascii_digit()))?),
        None => (version, 0),
    };
    let mut parts = rest.split('_');
    let head = parts.next()?;
    let letter = head.bytes().last().filter(u8::is_ascii_lowercase);
    let numbers = &head[..head.len() - usize::from(letter.is_some())];
    let number = |text: &str| text.parse::<i64>().ok().filter(|_| text.bytes().all(|b| b.is_ascii_digit()));
    let numbers: Option<Vec<u64>> = numbers.split('.').map(|n| number(n).map(i64::unsigned_abs)).collect();
    let (mut before, mut behind) = ((5, 0), (0, 0));
    for part in parts {
        let at = part.find(|c: char| c.is_ascii_digit()).unwrap_or(part.len());
        let (name, count) = part.split_at(at);
        let count = if count.is_empty() { 0 } else { number(count)?.unsigned_abs() };
        let rank = |names: &[&str]| (1..).zip(names).find(|(_, n)| **n == name).map(|(rank, _)| rank);
        match (rank(&["alpha", "beta", "pre", "rc"]), rank(&["cvs", "svn", "git", "hg", "p"])) {
            (Some(rank), _) if before.0 == 5 && behind.0 == 0 => before = (rank, count),
            (_, Some(rank)) if behind.0 == 0 => behind = (rank, count),
            _ => return None,
        }
    }
    Some((numbers?, letter.unwrap_or(0), before, behind, revision.unsigned_abs()))
}

fn apko_falls_under(version: &str, wanted: &str) -> bool {
    let (Some(have), Some(want)) = (apko_key(version), apko_key(wanted)) else { return false };
    let ((pre, pre_count), (post, post_count)) = (want.2, want.3);
    have.0.starts_with(&want.0)
        && (have.0.len() > want.0.len()
            || ((want.1 == 0 || want.1 == have.1)
                && (pre == 5 || pre == have.2.0)
                && (pre_count == 0 || pre_count == have.2.1)
                && (post == 0 || post == have.3.0)
                && (post_count == 0 || post_count == have.3.1)
                && (want.4 == 0 || want.4 == have.4)))
}

/// A package of the set, its provides taken apart.
struct Member<'a> {
    listed: &'a Listed,
    tag: Option<&'a str>,
    /// Name and version, if there is one; its own first.
    holds: Vec<(&'a str, Option<&'a str>)>,
}

impl<'a> Member<'a> {
    fn new(shelf: &Shelf<'a>, listed: &'a Listed) -> Self {
        let own = (listed.name.as_str(), Some(listed.version.as_str()));
        let provides = listed.provides.iter().map(|text| match text.split_once('=') {
            Some((name, version)) => (name, Some(version)),
            None => (text.as_str(), None),
        });
        Self { listed, tag: shelf.tag, holds: std::iter::once(own).chain(provides).collect() }
    }

    fn shown(&self) -> String {
        format!("{}-{}", self.listed.name, self.listed.version)
    }

    fn is(&self, wish: &Wish<'_>, rules: Rules) -> bool {
        self.holds.iter().enumerate().any(|(place, (name, version))| {
            *name == wish.name
                && match (version, rules) {
                    (Some(version), _) if place == 0 => wish.admits(version, rules),
                    (Some(version), _) => wish.admits(&lowered(name, version, rules), rules),
                    // Below every version.
                    (None, Rules::Apk) => wish.sign.is_empty() || wish.sign.starts_with('<'),
                    (None, Rules::Apko) if wish.not => wish.sign.is_empty(),
                    (None, Rules::Apko) => wish.admits(&self.listed.version, rules),
                }
        })
    }

    /// Whether the two hold one name, and not both without a version.
    fn clashes(&self, other: &Self) -> Option<&'a str> {
        let clash = |(name, version): &&(&str, Option<&str>)| {
            other.holds.iter().any(|(held, v)| held == name && (v.is_some() || version.is_some()))
        };
        self.holds.iter().find(clash).map(|(name, _)| *name)
    }
}

/// Everything that is wrong with a set, in words; empty if nothing is.
pub fn problems(world: &[String], shelves: &[Shelf<'_>], set: &[Place], rules: Rules) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut members: Vec<Member<'_>> = Vec::new();
    for &(shelf, place) in set {
        match shelves.get(shelf).and_then(|shelf| Some((shelf, shelf.packages.get(place)?))) {
            Some((shelf, listed)) => members.push(Member::new(shelf, listed)),
            None => wrong.push(format!("nothing is at {shelf}/{place}")),
        }
    }
    let mut by_name: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (at, member) in members.iter().enumerate() {
        for (name, _) in &member.holds {
            let of = by_name.entry(name).or_default();
            if of.last() != Some(&at) {
                of.push(at);
            }
        }
    }
    let holders = |name: &str| by_name.get(name).map_or(&[][..], Vec::as_slice);
    for (name, of) in &by_name {
        for (a, b) in of.iter().zip(of.iter().skip(1)) {
            let (a, b) = (&members[*a], &members[*b]);
            if a.clashes(b) == Some(*name) {
                wrong.push(format!("{} and {} both hold {name}", a.shown(), b.shown()));
            }
        }
    }
    let mut judge = |text: &str, by: Option<usize>| {
        let wish = wish(text);
        let mut fitting = holders(wish.name).iter().filter(|at| members[**at].is(&wish, rules));
        let who = by.map_or("the world".to_owned(), |by| members[by].shown());
        if !wish.not && fitting.next().is_none() {
            wrong.push(format!("{who}: {text} is not met"));
        } else if wish.not
            && let Some(other) = fitting.find(|at| Some(**at) != by)
        {
            wrong.push(format!("{who}: {text} is broken by {}", members[*other].shown()));
        }
    };
    for text in world {
        judge(text, None);
    }
    for (at, member) in members.iter().enumerate() {
        for text in &member.listed.depends {
            judge(text, Some(at));
        }
    }
    wrong.extend(unfounded(world, shelves, &members, &by_name, rules));
    if rules == Rules::Apk {
        wrong.extend(owed(world, shelves, &members, &by_name));
    }
    wrong
}

/// Packages that nobody asked for, or that come from where nobody allowed.
fn unfounded(
    world: &[String],
    shelves: &[Shelf<'_>],
    members: &[Member<'_>],
    by_name: &BTreeMap<&str, Vec<usize>>,
    rules: Rules,
) -> Vec<String> {
    let tags: BTreeSet<&str> = shelves.iter().filter_map(|shelf| shelf.tag).collect();
    // For each member: whether it was asked for, and from where it may come.
    let mut asked: Vec<Option<BTreeSet<&str>>> = members.iter().map(|_| None).collect();
    let mut open: Vec<(usize, BTreeSet<&str>)> = Vec::new();
    let fitting = |text: &str| -> Vec<usize> {
        let wish = wish(text);
        let of = by_name.get(wish.name).map_or(&[][..], Vec::as_slice);
        let fits = |at: &usize| !wish.not && members[*at].is(&wish, rules);
        of.iter().copied().filter(fits).collect()
    };
    for text in world {
        let tag = wish(text).tag.and_then(|tag| tags.get(tag).copied());
        open.extend(fitting(text).into_iter().map(|at| (at, tag.into_iter().collect())));
    }
    loop {
        while let Some((at, tags)) = open.pop() {
            let known = asked[at].as_ref();
            if known.is_some_and(|known| known.is_superset(&tags)) {
                continue;
            }
            let all: BTreeSet<&str> = known.into_iter().flatten().copied().chain(tags).collect();
            asked[at] = Some(all.clone());
            for text in &members[at].listed.depends {
                open.extend(fitting(text).into_iter().map(|at| (at, all.clone())));
            }
        }
        // What comes by itself may come from where the packages of its conditions may.
        let by_itself = members.iter().enumerate().find_map(|(at, member)| {
            let conditions = &member.listed.install_if;
            let met = |text: &String| wish(text).not || fitting(text).iter().any(|at| asked[*at].is_some());
            if conditions.is_empty() || !conditions.iter().all(met) {
                return None;
            }
            let from = conditions.iter().flat_map(|text| fitting(text));
            let tags: BTreeSet<&str> = from.flat_map(|at| asked[at].clone().unwrap_or_default()).collect();
            let news = asked[at].as_ref().is_none_or(|known| !known.is_superset(&tags));
            news.then_some((at, tags))
        });
        match by_itself {
            Some(next) => open.push(next),
            None => break,
        }
    }
    let judge = |(at, member): (usize, &Member<'_>)| match (&asked[at], member.tag) {
        (None, _) => Some(format!("nobody asked for {}", member.shown())),
        (Some(allowed), Some(tag)) if !allowed.contains(tag) => {
            let elsewhere = shelves.iter().filter(|shelf| shelf.tag.is_none());
            let mut same = elsewhere.flat_map(|shelf| shelf.packages).filter(|p| *p == member.listed);
            same.next().is_none().then(|| format!("nobody may have {} from @{tag}", member.shown()))
        }
        _ => None,
    };
    members.iter().enumerate().filter_map(judge).collect()
}

/// Packages whose conditions hold, and that could be added without anything else, but are not there.
///
/// apk decides a name that nobody asks for against everyone, and whoever provides it without a version stays beside that
/// decision. So for a package that nobody asked for, what it needs counts as there only if somebody has the name in a
/// version, or somebody else needs it, too. And apk decides the name of what wants to come by itself once: if another
/// package of the name wants to come and cannot, the name may be lost by the time that this one's conditions hold.
fn owed(
    world: &[String],
    shelves: &[Shelf<'_>],
    members: &[Member<'_>],
    by_name: &BTreeMap<&str, Vec<usize>>,
) -> Vec<String> {
    let rules = Rules::Apk;
    let met = |text: &str| {
        let wish = wish(text);
        let of = by_name.get(wish.name).map_or(&[][..], Vec::as_slice);
        of.iter().any(|at| members[*at].is(&wish, rules)) != wish.not
    };
    let needs = members.iter().flat_map(|member| &member.listed.depends);
    let asked: BTreeSet<&str> =
        world.iter().chain(needs).map(|text| wish(text)).filter(|wish| !wish.not).map(|w| w.name).collect();
    let has_version = |text: &str| {
        let wish = wish(text);
        let of = by_name.get(wish.name).map_or(&[][..], Vec::as_slice);
        of.iter().any(|at| {
            let held = members[*at].holds.iter().filter(|(name, _)| *name == wish.name);
            held.filter_map(|(_, version)| *version).any(|version| wish.admits(version, rules))
        })
    };
    let fits = |new: &Member<'_>| {
        let excludes = |text: &String| wish(text).not && new.is(&Wish { not: false, ..wish(text) }, rules);
        let refused =
            world.iter().any(excludes) || members.iter().any(|m| m.listed.depends.iter().any(excludes));
        let own = |text: &&String| !wish(text).not && new.is(&wish(text), rules);
        let decided = |text: &str| wish(text).not || asked.contains(wish(text).name) || has_version(text);
        let mut needs = new.listed.depends.iter().filter(|text| !own(text));
        !refused
            && needs.all(|text| met(text) && decided(text))
            && members.iter().all(|member| new.clashes(member).is_none())
    };
    // Those whose conditions hold, and whether each could be there.
    let waiting = shelves.iter().flat_map(|shelf| shelf.packages.iter().map(move |listed| (shelf, listed)));
    let waiting =
        waiting.filter(|(_, l)| !l.install_if.is_empty() && l.install_if.iter().all(|text| met(text)));
    let waiting: Vec<(Member<'_>, bool)> = waiting
        .map(|(shelf, listed)| Member::new(shelf, listed))
        .map(|new| (fits(&new), new))
        .map(|(fits, new)| (new, fits))
        .collect();
    let lost = |name: &str| {
        let mut others = waiting.iter().filter(|(_, fits)| !fits);
        others.any(|(other, _)| other.holds.iter().any(|(held, _)| *held == name))
    };
    let owed = waiting.iter().filter(|(new, fits)| *fits && new.tag.is_none() && !lost(&new.listed.name));
    owed.map(|(new, _)| format!("{} should have come by itself", new.shown())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(line: &str) -> Listed {
        let mut words = line.split(' ').map(str::to_owned);
        let mut out = Listed {
            name: words.next().unwrap_or_default(),
            version: words.next().unwrap_or_default(),
            ..Listed::default()
        };
        for word in words {
            match word.split_at(2) {
                ("d:", rest) => out.depends.push(rest.to_owned()),
                ("p:", rest) => out.provides.push(rest.to_owned()),
                (_, rest) => out.install_if.push(rest.to_owned()),
            }
        }
        out
    }

    #[test]
    fn it_finds_what_is_wrong() {
        let main: Vec<_> =
            ["a 1 d:b>=2", "b 1", "b 2-r0", "c 1 d:!b", "v 1 p:x=1", "w 1 p:x=2", "auto 1 i:b"]
                .map(listed)
                .into();
        let edge: Vec<_> = ["e 1"].map(listed).into();
        let shelves = [Shelf { tag: None, packages: &main }, Shelf { tag: Some("edge"), packages: &edge }];
        let judge = |world: &str, set: &[Place]| {
            let world: Vec<String> = world.split(' ').map(str::to_owned).collect();
            problems(&world, &shelves, set, Rules::Apk).join("; ")
        };
        assert_eq!(judge("a", &[(0, 0), (0, 2), (0, 6)]), "");
        assert_eq!(judge("a", &[(0, 0), (0, 2)]), "auto-1 should have come by itself");
        assert_eq!(judge("a !auto", &[(0, 0), (0, 2)]), "");
        assert_eq!(judge("a !auto", &[(0, 0), (0, 1)]), "a-1: b>=2 is not met; nobody asked for b-1");
        assert_eq!(judge("c b !auto", &[(0, 3), (0, 2)]), "c-1: !b is broken by b-2-r0");
        assert_eq!(judge("v w", &[(0, 4), (0, 5)]), "v-1 and w-1 both hold x");
        assert_eq!(judge("v", &[(0, 4), (0, 3)]), "nobody asked for c-1");
        assert_eq!(judge("e", &[(1, 0)]), "nobody may have e-1 from @edge");
        assert_eq!(judge("e@edge", &[(1, 0)]), "");
        assert_eq!(judge("v", &[(0, 9)]), "nothing is at 0/9; the world: v is not met");
    }

    #[test]
    fn both_orders_of_versions() {
        let ascending =
            ["1_alpha", "1_rc1", "1", "1-r0", "1~ab", "1_git1", "1a", "1.0", "1.01", "1.1", "1.10", "2"];
        for (i, a) in ascending.iter().enumerate() {
            for (j, b) in ascending.iter().enumerate() {
                assert_eq!(apk_key(a).cmp(&apk_key(b)), i.cmp(&j), "{a} {b}");
            }
        }
        let ascending = ["1_alpha", "1_rc1", "1", "1-r1", "1_git1", "1a", "1.0", "1.1", "1.10", "2"];
        for (i, a) in ascending.iter().enumerate() {
            for (j, b) in ascending.iter().enumerate() {
                assert_eq!(apko_key(a).unwrap().cmp(&apko_key(b).unwrap()), i.cmp(&j), "{a} {b}");
            }
        }
        assert_eq!(apko_key("1.01"), apko_key("1.1"));
        assert_eq!(apko_key("1~ab"), None);
    }
}
