//! Our own order of installation, for sets that apko's second resolution cannot bring in.

use std::collections::HashMap;

use assemble_apk::Constraint;

use crate::universe::{Id, NameId, Universe};

/// Dependencies first, then by name; what comes by itself behind what it came for. In a cycle, what was begun first is
/// last.
pub(crate) fn own_order(universe: &Universe<'_>, set: &[Id]) -> Vec<Id> {
    let mut sorted = set.to_vec();
    sorted.sort_unstable_by_key(|id| (universe.record(*id).name.as_str(), *id));
    let mut holders: HashMap<NameId, Vec<Id>> = HashMap::new();
    for &id in &sorted {
        for name in std::iter::once(universe.own(id)).chain(universe.provided(id).iter().copied()) {
            let of = holders.entry(name).or_default();
            if of.last() != Some(&id) {
                of.push(id);
            }
        }
    }
    // Everything in the set that has the name, whatever version is meant: the set holds, so that is who grants it.
    let granting = |c: &Constraint| -> &[Id] {
        let known = universe.name(c.name.as_str()).and_then(|name| holders.get(&name));
        known.filter(|_| !c.conflict).map_or(&[], Vec::as_slice)
    };
    let before = |id: Id| {
        let record = universe.record(id);
        record.depends.iter().chain(&record.install_if).flat_map(granting).copied()
    };
    let mut begun: HashMap<Id, bool> = set.iter().map(|id| (*id, false)).collect();
    let mut begin = |id: Id| begun.insert(id, true) == Some(false);
    let mut order = Vec::with_capacity(set.len());
    for &id in &sorted {
        if !begin(id) {
            continue;
        }
        let mut stack = vec![(id, before(id))];
        while let Some((id, open)) = stack.last_mut() {
            match open.next() {
                Some(next) if begin(next) => stack.push((next, before(next))),
                Some(_) => {}
                None => {
                    order.push(*id);
                    stack.pop();
                }
            }
        }
    }
    order
}
