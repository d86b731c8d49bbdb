//! What holds for every world and every index.

use assemble_apk::Constraint;
use assemble_resolve::{Policy, Repository, Solution, check};
use assemble_testkit::solution::{Listed, Rules, Shelf, problems};
use proptest::prelude::*;

use crate::support::{judged, listed, repository, solve, solved, tagged, world};

/// Small numbers make collisions, cycles and conflicts frequent.
fn index() -> impl Strategy<Value = String> {
    let name = || (0..8u8).prop_map(|n| format!("p{n}"));
    let virtual_name = || (0..4u8).prop_map(|n| format!("v{n}"));
    let any_name = prop_oneof![3 => name(), 2 => virtual_name()];
    let bound = prop_oneof![6 => Just(String::new()), 1 => (1..4u8).prop_map(|v| format!(">={v}")),
        1 => (1..4u8).prop_map(|v| format!("={v}")), 1 => (1..4u8).prop_map(|v| format!("<{v}"))];
    let bang = prop_oneof![6 => Just(""), 1 => Just("!")];
    let depends = proptest::collection::vec(
        (bang, any_name, bound).prop_map(|(b, n, v)| format!(" d:{b}{n}{v}")),
        0..4,
    );
    let version = prop_oneof![2 => Just(String::new()), 1 => (1..4u8).prop_map(|v| format!("={v}"))];
    let provides =
        proptest::collection::vec((virtual_name(), version).prop_map(|(n, v)| format!(" p:{n}{v}")), 0..3);
    let install_if = prop_oneof![4 => Just(String::new()), 1 => name().prop_map(|n| format!(" i:{n}"))];
    let line = (name(), 1..4u8, depends, provides, install_if)
        .prop_map(|(n, v, d, p, i)| format!("{n} {v}{}{}{i}", d.concat(), p.concat()));
    proptest::collection::vec(line, 1..24).prop_map(|lines| lines.join("\n"))
}

/// Few enough to try every set; all may be chosen unnamed.
fn small_index() -> impl Strategy<Value = String> {
    index().prop_map(|text| text.lines().take(9).map(|line| format!("{line} k:1\n")).collect())
}

fn wanted() -> impl Strategy<Value = String> {
    let entry = prop_oneof![
        (0..8u8).prop_map(|n| format!("p{n}")),
        (0..4u8).prop_map(|n| format!("v{n}")),
        (0..8u8).prop_map(|n| format!("!p{n}"))
    ];
    proptest::collection::vec(entry, 1..5).prop_map(|entries| entries.join(" "))
}

/// What the judge finds wrong, but for packages that should have come by themselves: when apk looks for those depends on
/// the order in which it decided names, which the judge knows only in part. The cases of the real tool are judged in full.
fn sound(world: &[Constraint], repositories: &[Repository], solution: &Solution) -> Vec<String> {
    let mut found = judged(world, repositories, solution, Rules::Apk);
    found.retain(|problem| !problem.ends_with("should have come by itself"));
    found
}

/// How many packages are of this name, or provide it.
fn candidates(entry: &Constraint, repositories: &[Repository]) -> usize {
    let holders = repositories.iter().filter_map(|repository| {
        let names = repository.index.records.names();
        Some(names.holders(names.find(entry.name.as_str())?).len())
    });
    holders.sum()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn solutions_hold_and_do_not_depend_on_order(one in index(), two in index(), wanted in wanted()) {
        let (one, two) = (repository("one", &one), repository("two", &two));
        let mut world = world(&wanted);
        let forward = [one.clone(), two.clone()];
        let found = solve(&world, &forward, Policy::Apk);
        if let Ok(solution) = &found {
            prop_assert_eq!(check(&world, solution, &forward, Policy::Apk), []);
            prop_assert_eq!(sound(&world, &forward, solution), Vec::<String>::new());
        }
        let theirs = solve(&world, &forward, Policy::Apko);
        world.reverse();
        prop_assert_eq!(found, solve(&world, &forward, Policy::Apk));
        // For apko, not even the order of repositories counts.
        let backward = [two, one];
        let again = solve(&world, &backward, Policy::Apko).map(|mut solution| {
            solution.packages.iter_mut().for_each(|choice| choice.repository = 1 - choice.repository);
            solution
        });
        prop_assert_eq!(theirs, again);
    }

    #[test]
    fn tags_are_kept_to(one in index(), two in index(), wanted in wanted(), pins in proptest::collection::vec(any::<bool>(), 5)) {
        let repositories = [repository("one", &one), tagged("two", "edge", &two)];
        let mut world = world(&wanted);
        for (entry, pin) in world.iter_mut().zip(pins) {
            entry.pin = (pin && !entry.conflict).then(|| "edge".into());
        }
        if let Ok(solution) = solve(&world, &repositories, Policy::Apk) {
            let mut found = sound(&world, &repositories, &solution);
            // The judge knows only of needs of those that were taken.
            if world.iter().filter(|entry| entry.pin.is_some()).any(|entry| candidates(entry, &repositories) > 1) {
                found.retain(|problem| !problem.starts_with("nobody may have"));
            }
            prop_assert_eq!(found, Vec::<String>::new());
        }
    }

    /// Where trying every set finds one, the solver finds one, too.
    #[test]
    fn nothing_is_overlooked(index in small_index(), wanted in wanted()) {
        let repositories = [repository("r", &index)];
        let world = world(&wanted);
        let found = solve(&world, &repositories, Policy::Apk);
        let texts: Vec<String> = world.iter().map(ToString::to_string).collect();
        let packages: Vec<Listed> = repositories[0].index.records.iter().map(listed).collect();
        let shelves = [Shelf { tag: None, packages: &packages }];
        let holds = |bits: u32| {
            let set: Vec<_> = (0..packages.len()).filter(|i| bits >> i & 1 == 1).map(|i| (0, i)).collect();
            let problems = problems(&texts, &shelves, &set, Rules::Apk);
            problems.iter().all(|problem| problem.ends_with("should have come by itself"))
        };
        match found {
            Ok(solution) => {
                prop_assert_eq!(sound(&world, &repositories, &solution), Vec::<String>::new());
            }
            Err(error) => {
                let overlooked = (0..1_u32 << packages.len()).find(|bits| holds(*bits));
                prop_assert_eq!(overlooked, None, "{}", error);
            }
        }
    }
}

#[test]
fn long_chains_do_not_need_a_deep_stack() {
    let n = 10_000;
    let mut text: String = (0..n).map(|i| format!("p{i} 1 d:p{}\n", i + 1)).collect();
    text += &format!("p{n} 1\n");
    let thread = std::thread::Builder::new().stack_size(256 * 1024).spawn(move || {
        let repositories = [repository("r", &text)];
        let chain = solve(&world("p0"), &repositories, Policy::Apk).map(|s| s.packages.len());
        let broken = [repository("r", &text.replace(&format!("p{n} 1\n"), ""))];
        (chain, solve(&world("p0"), &broken, Policy::Apk).unwrap_err().to_string())
    });
    let (chain, error) = thread.unwrap().join().unwrap();
    assert_eq!(chain.unwrap(), n + 1);
    assert!(error.contains("more … ->") && error.len() < 400, "{error}");
}

#[test]
fn wide_packages_cost_no_square() {
    // Every dependency chooses the same package anew, since it needs nothing itself and so is never fixed as a holder.
    let n = 40_000;
    let names = |key: &str, end: &str| -> String { (0..n).map(|i| format!(" {key}:v{i:05}{end}")).collect() };
    let wide = format!("good 1{}\nwide 1{}", names("d", ""), names("p", "=1"));
    assert_eq!(solved("good", &[repository("r", &wide)]).unwrap(), "wide=1 good=1");
    // The same with bounds, and with a package that is fixed since it needs something.
    let bound = format!("good 1{}\nwide 1 d:leaf{}\nleaf 1", names("d", "=1"), names("p", "=1"));
    assert_eq!(solved("good", &[repository("r", &bound)]).unwrap(), "leaf=1 wide=1 good=1");
    // What provides everything itself, and a rival that provides it, too.
    let own = format!("good 1{}{}\nwide 1{}", names("d", ""), names("p", ""), names("p", ""));
    assert_eq!(solved("good wide", &[repository("r", &own)]).unwrap(), "good=1 wide=1");
}

#[test]
fn many_packages_cost_no_square() {
    // Each dependency fixes a name, and each package becomes an entry of the second resolution.
    let n = 10_000;
    let mut text: String = String::from("good 1");
    text += &(0..n).map(|i| format!(" d:p{i}")).collect::<String>();
    text += &(0..n).map(|i| format!("\np{i} 1 d:leaf")).collect::<String>();
    text += "\nleaf 1";
    let packages = solve(&world("good"), &[repository("r", &text)], Policy::Apk).map(|s| s.packages.len());
    assert_eq!(packages.unwrap(), n + 2);
}

#[test]
fn tangled_packages_end_after_a_counted_number_of_choices() {
    // Each level is needed twice, by two names of one package, so the choices double with every level.
    let depth = 60;
    let mut text = String::from("good 1 d:a0 d:b0");
    for level in 0..depth {
        let next = level + 1;
        text += &format!("\nq{level} 1 k:1 p:a{level} p:b{level} d:a{next} d:b{next}");
    }
    text += &format!("\nq{depth} 1 k:1 p:a{depth} p:b{depth}");
    let error = solve(&world("good"), &[repository("r", &text)], Policy::Apko).unwrap_err();
    assert_eq!(
        error.to_string(),
        "no package set was found within 1000000 choices; the dependencies are tangled"
    );
    let packages = solve(&world("good"), &[repository("r", &text)], Policy::Apk).map(|s| s.packages.len());
    assert_eq!(packages.unwrap(), depth + 2);
}

/// What one candidate of a name with a tag needs may come from that repository, also if another is taken in the end. So both
/// apk 2.14 and 3.0 choose here.
#[test]
fn needs_of_any_candidate_may_come_from_its_tag() {
    let tags = "p2 1 d:p5 p:v1\np6 1\np0 1 d:p0 d:p5 p:v1 p:v0\np2 2\np5 1 d:p3";
    let repositories = [repository("one", "p3 1 d:v0\np0 3 p:v2"), tagged("two", "edge", tags)];
    let mut world = world("!p6 p2 v1");
    world[1].pin = Some("edge".into());
    let solution = solve(&world, &repositories, Policy::Apk).unwrap();
    let locked: Vec<String> = solution.locked.iter().map(ToString::to_string).collect();
    assert_eq!(locked, ["p0=1", "p2=2@edge", "p3=1", "p5=1"]);
}
