//! What apk's solver knows of names and packages while it decides.

use std::collections::{BTreeSet, VecDeque};

use super::field::{Field, N, Provider, Tags};

/// Where a name waits to be decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Queue {
    #[default]
    Nowhere,
    /// There is nothing to choose: at once, first come first served.
    Now,
    /// There is somebody who may be chosen without having been named.
    Selectable,
    Unresolved,
}

#[derive(Debug, Clone, Default)]
#[allow(clippy::struct_excessive_bools, reason = "each is looked at alone")]
pub(super) struct NameState {
    /// How often it was asked for.
    pub(super) requirers: u32,
    /// Decided: by whom it is provided, or that nobody provides it.
    #[allow(clippy::option_option, reason = "that nobody provides it is a decision, too")]
    pub(super) chosen: Option<Option<Provider>>,
    pub(super) queue: Queue,
    pub(super) dirty: bool,
    pub(super) look_at_depends: bool,
    pub(super) look_at_conditions: bool,
    /// A provider's `install_if` holds.
    pub(super) triggered: bool,
    /// No provider's `install_if` can hold any more.
    pub(super) untriggerable: bool,
    pub(super) has_options: bool,
    /// All who could ask for it have been decided.
    pub(super) askers_done: bool,
    pub(super) selectable: bool,
    /// A condition waits for it to be decided against.
    pub(super) needed_by_condition: bool,
    /// How many of the candidates at hand depend on it, counted from the first one without a gap.
    pub(super) common_depends: u32,
    /// How many of the candidates at hand hold it.
    pub(super) common_provides: u32,
    pub(super) provided_without_version: bool,
}

#[derive(Debug, Clone, Default)]
#[allow(clippy::struct_excessive_bools, reason = "each is looked at alone")]
pub(super) struct PackageState {
    /// How many constraints it breaks.
    pub(super) conflicts: u32,
    /// From where whoever asks for it allows it to come.
    pub(super) allowed: Tags,
    /// Something rules it out, or it was not discovered.
    pub(super) ruled_out: bool,
    pub(super) tag_ok: bool,
    pub(super) tag_preferred: bool,
    /// Of the names that it has, the one that was looked at last.
    pub(super) last_looked_at_for: N,
    /// It is among the candidates that are being looked at.
    pub(super) merged: bool,
    /// It was among the candidates when their common needs were applied last.
    pub(super) used: bool,
    pub(super) triggered: bool,
    pub(super) untriggerable: bool,
}

/// The queues of names.
#[derive(Debug, Default)]
pub(super) struct Queues {
    pub(super) dirty: VecDeque<N>,
    pub(super) now: VecDeque<N>,
    pub(super) selectable: BTreeSet<((bool, bool, u32), N)>,
    pub(super) unresolved: BTreeSet<((bool, bool, u32), N)>,
}

impl Queues {
    pub(super) fn insert(&mut self, field: &Field<'_, '_>, name: N, queue: Queue) {
        let key = (field.name(name).order, name);
        match queue {
            Queue::Nowhere => {}
            Queue::Now => self.now.push_back(name),
            Queue::Selectable => {
                self.selectable.insert(key);
            }
            Queue::Unresolved => {
                self.unresolved.insert(key);
            }
        }
    }

    /// Names in the queue `Now` stay there: whoever takes them out looks whether they still belong there.
    pub(super) fn remove(&mut self, field: &Field<'_, '_>, name: N, queue: Queue) {
        let key = (field.name(name).order, name);
        match queue {
            Queue::Nowhere | Queue::Now => {}
            Queue::Selectable => {
                self.selectable.remove(&key);
            }
            Queue::Unresolved => {
                self.unresolved.remove(&key);
            }
        }
    }
}

/// The initial states.
pub(super) fn initial(field: &Field<'_, '_>) -> (Vec<NameState>, Vec<PackageState>) {
    let packages: Vec<PackageState> = (0..)
        .zip(&field.packages)
        .map(|(number, package)| {
            let untagged = package.tags.has_any_of(Tags::UNTAGGED);
            PackageState {
                allowed: Tags::UNTAGGED,
                ruled_out: !package.discovered,
                tag_ok: package.discovered && untagged,
                tag_preferred: package.discovered && untagged,
                untriggerable: package.discovered && !field.waits(number),
                last_looked_at_for: N::MAX,
                ..PackageState::default()
            }
        })
        .collect();
    let names = (0..).zip(&field.names).map(|(number, name)| NameState {
        untriggerable: name.discovered
            && field.providers(number).iter().all(|p| packages[p.package as usize].untriggerable),
        ..NameState::default()
    });
    (names.collect(), packages)
}
