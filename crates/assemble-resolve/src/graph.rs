//! Who is in a package set because of whom.

use std::collections::{HashMap, VecDeque};

use assemble_apk::{Constraint, Record};

use crate::check::Holder;
use crate::{Policy, Repository, Solution};

/// A constraint, and the package of the set that meets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edge {
    /// As written.
    pub constraint: Constraint,
    /// Its place in [`Solution::packages`].
    pub to: usize,
}

/// Who in a set needs whom. Places are those of [`Solution::packages`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Graph {
    /// What the world's entries stand for.
    pub world: Vec<Edge>,
    /// For each package, what it needs, in its own order; one package may be there for several constraints.
    pub needs: Vec<Vec<Edge>>,
    /// For each package that came in by itself: what its `install_if` conditions stand for; else nothing.
    pub came_for: Vec<Vec<Edge>>,
}

/// A way from the world to a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    /// The entry of the world.
    pub entry: Constraint,
    /// The packages from there, and the constraint that leads to each; the first one's is the entry.
    pub steps: Vec<Edge>,
}

/// The graph of a set. Exclusions are no part of it.
pub fn graph(
    world: &[Constraint],
    solution: &Solution,
    repositories: &[Repository],
    policy: Policy,
) -> Graph {
    let records: Vec<Option<&Record>> = solution
        .packages
        .iter()
        .map(|choice| repositories.get(choice.repository)?.index.records.get(choice.record))
        .collect();
    let mut holders: HashMap<&str, Vec<(usize, Holder<'_>)>> = HashMap::new();
    for (place, (record, choice)) in records.iter().zip(&solution.packages).enumerate() {
        for (name, holder) in record.iter().flat_map(|record| Holder::all_of(*choice, record)) {
            holders.entry(name).or_default().push((place, holder));
        }
    }
    let edges = |list: &[Constraint]| -> Vec<Edge> {
        let wanted = list.iter().filter(|c| !c.conflict);
        let met = |constraint: &Constraint| {
            let of = holders.get(constraint.name.as_str()).map_or(&[][..], Vec::as_slice);
            let meets = |(_, holder): &&(usize, Holder<'_>)| holder.is_named(constraint, policy);
            // A package of that name before one that provides it.
            let own = |(_, holder): &&(usize, Holder<'_>)| holder.record.name == constraint.name;
            let best = of.iter().filter(meets).find(own).or_else(|| of.iter().find(meets));
            best.map(|(place, _)| Edge { constraint: constraint.clone(), to: *place })
        };
        wanted.filter_map(met).collect()
    };
    let needs: Vec<Vec<Edge>> =
        records.iter().map(|record| record.map(|r| edges(&r.depends)).unwrap_or_default()).collect();
    let world = edges(world);
    let mut graph = Graph { came_for: vec![Vec::new(); needs.len()], world, needs };
    let reached = graph.reached();
    for (place, record) in records.iter().enumerate().filter(|(place, _)| !reached[*place]) {
        graph.came_for[place] = record.map(|r| edges(&r.install_if)).unwrap_or_default();
    }
    graph
}

impl Graph {
    /// What is reached from the world by needs alone.
    fn reached(&self) -> Vec<bool> {
        let mut reached = vec![false; self.needs.len()];
        let mut open: Vec<usize> = self.world.iter().map(|edge| edge.to).collect();
        while let Some(place) = open.pop() {
            if !std::mem::replace(&mut reached[place], true) {
                open.extend(self.needs[place].iter().map(|edge| edge.to));
            }
        }
        reached
    }

    /// For each package those that came in by themselves for its sake, in order of their places.
    fn brought(&self) -> Vec<Vec<Edge>> {
        let mut brought: Vec<Vec<Edge>> = vec![Vec::new(); self.came_for.len()];
        for (to, edges) in self.came_for.iter().enumerate() {
            for Edge { constraint, to: place } in edges {
                // The first condition that it meets counts.
                if brought[*place].last().is_none_or(|last| last.to != to) {
                    brought[*place].push(Edge { constraint: constraint.clone(), to });
                }
            }
        }
        brought
    }

    /// For each entry of the world from which a package is reached, the shortest way.
    pub fn paths_to(&self, place: usize) -> Vec<Path> {
        let brought = self.brought();
        self.world.iter().filter_map(|entry| self.path(entry, place, &brought)).collect()
    }

    fn path(&self, entry: &Edge, place: usize, brought: &[Vec<Edge>]) -> Option<Path> {
        let mut from: HashMap<usize, (usize, Edge)> = HashMap::new();
        let mut open = VecDeque::from([entry.to]);
        while let Some(at) = open.pop_front() {
            if at == place {
                let mut steps = Vec::new();
                let mut step = at;
                while let Some((before, edge)) = from.get(&step) {
                    steps.push(edge.clone());
                    step = *before;
                }
                steps.push(entry.clone());
                steps.reverse();
                return Some(Path { entry: entry.constraint.clone(), steps });
            }
            for edge in self.needs[at].iter().chain(&brought[at]) {
                if edge.to != entry.to && !from.contains_key(&edge.to) {
                    open.push_back(edge.to);
                    from.insert(edge.to, (at, edge.clone()));
                }
            }
        }
        None
    }
}
