//! The open dependencies of one package, in order of urgency, at a cost that does not grow with their square.

use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

use super::pass::Wish;
use crate::universe::Id;

/// Where a wish stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rank {
    /// Nothing needs to be chosen for it.
    Met,
    /// That many candidates.
    Open(usize),
}

/// A package whose dependencies are being met. For the entries of the world, `id` means nothing.
#[derive(Debug)]
pub(crate) struct Frame<'a> {
    pub(crate) id: Id,
    /// Places in the list of what was chosen for this package itself.
    pub(crate) chosen: Vec<usize>,
    /// As listed by the package; nothing where it is met or chosen for.
    wishes: Vec<Option<Wish<'a>>>,
    /// How many candidates each had when last looked at.
    counts: Vec<usize>,
    /// The open ones: fewest candidates first, then by text, then as listed.
    order: BTreeSet<(usize, Rc<str>, usize)>,
    /// Which wishes are for a name. Looked into only; filled at the second look, since most packages need none.
    by_name: HashMap<&'a str, Vec<usize>>,
    /// How much of the log of changes is reflected in `order`; nothing before the first look.
    seen: Option<usize>,
}

impl<'a> Frame<'a> {
    pub(crate) fn new(id: Id, wishes: Vec<Wish<'a>>) -> Self {
        let counts = vec![0; wishes.len()];
        let wishes = wishes.into_iter().map(Some).collect();
        let (order, by_name) = (BTreeSet::new(), HashMap::new());
        Self { id, chosen: Vec::new(), wishes, counts, order, by_name, seen: None }
    }

    /// The places of wishes that must be ranked (again), as listed: all at first, then those for names that changed since.
    pub(crate) fn stale(&mut self, changed: &[&'a str]) -> Vec<usize> {
        let all = 0..self.wishes.len();
        let Some(seen) = self.seen.replace(changed.len()) else { return all.collect() };
        let news = changed.get(seen..).unwrap_or(&[]);
        if self.order.is_empty() || news.is_empty() {
            return Vec::new();
        }
        if news.len() >= self.order.len() {
            let mut open: Vec<usize> = self.order.iter().map(|(_, _, at)| *at).collect();
            open.sort_unstable();
            return open;
        }
        if self.by_name.is_empty() {
            for (at, wish) in self.wishes.iter().enumerate() {
                if let Some(wish) = wish {
                    self.by_name.entry(wish.constraint.name.as_str()).or_default().push(at);
                }
            }
        }
        let named = news.iter().filter_map(|name| self.by_name.get(name));
        let mut stale: Vec<usize> = named.flatten().copied().collect();
        stale.sort_unstable();
        stale.dedup();
        stale
    }

    /// The wish at this place, if it is open.
    pub(crate) fn wish(&self, at: usize) -> Option<&Wish<'a>> {
        self.wishes.get(at)?.as_ref()
    }

    pub(crate) fn rank(&mut self, at: usize, rank: Rank) {
        let Some(wish) = self.wish(at) else { return };
        let text = Rc::clone(&wish.text);
        let place = (self.counts[at], text, at);
        match rank {
            Rank::Open(count) if count == place.0 => {}
            Rank::Open(count) => {
                self.order.remove(&place);
                self.order.insert((count, place.1, at));
                self.counts[at] = count;
            }
            Rank::Met => {
                self.order.remove(&place);
                self.wishes[at] = None;
            }
        }
    }

    /// Takes the most urgent wish.
    pub(crate) fn take_first(&mut self) -> Option<Wish<'a>> {
        let (_, _, at) = self.order.pop_first()?;
        self.wishes[at].take()
    }
}
