//! Clauses, what follows from them, and what a dead end teaches.
//!
//! A variable is a number, and true, false or open. The engine knows nothing of packages: rules that would need too many
//! clauses are told to it one consequence at a time, as a [`Reason::Pair`].

/// A variable, or its opposite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Literal(u32);

impl Literal {
    pub(super) fn yes(variable: u32) -> Self {
        Self(variable << 1)
    }

    pub(super) fn no(variable: u32) -> Self {
        Self(variable << 1 | 1)
    }

    pub(super) fn variable(self) -> u32 {
        self.0 >> 1
    }

    pub(super) fn is_yes(self) -> bool {
        self.0 & 1 == 0
    }

    pub(super) fn not(self) -> Self {
        Self(self.0 ^ 1)
    }

    fn place(self) -> usize {
        self.0 as usize
    }
}

/// The number of a clause.
pub(super) type ClauseId = u32;

/// Why a literal holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    /// It was decided.
    Decision,
    /// It holds whatever else does.
    Fact,
    /// All other literals of a clause are false.
    Clause(ClauseId),
    /// The two cannot both be false, and this one is.
    Pair(Literal),
}

/// What cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Conflict {
    /// All literals of a clause are false.
    Clause(ClauseId),
    /// Both are false, and must not be.
    Pair(Literal, Literal),
}

/// What a learnt clause was made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    Clause(ClauseId),
    Pair(Literal, Literal),
    /// A literal that is false whatever else holds.
    Settled(Literal),
}

#[derive(Debug)]
struct Clause {
    /// The first two are watched: unless one is true, neither is false.
    literals: Vec<Literal>,
    /// Empty for what is given.
    sources: Vec<Source>,
}

#[derive(Debug, Default)]
pub(super) struct Engine {
    /// By literal.
    values: Vec<Option<bool>>,
    levels: Vec<u32>,
    reasons: Vec<Option<Reason>>,
    clauses: Vec<Clause>,
    /// By literal: the clauses that watch it.
    watches: Vec<Vec<ClauseId>>,
    /// What holds, in order.
    trail: Vec<Literal>,
    /// Where each level begins.
    starts: Vec<usize>,
    /// How much of the trail was looked at.
    seen: usize,
    /// Counted steps.
    pub(super) steps: u64,
    marked: Vec<bool>,
}

impl Engine {
    pub(super) fn variable(&mut self) -> u32 {
        let variable = u32::try_from(self.levels.len()).unwrap_or(u32::MAX >> 1);
        self.levels.push(0);
        self.reasons.push(None);
        self.marked.push(false);
        self.values.extend([None, None]);
        self.watches.extend([Vec::new(), Vec::new()]);
        variable
    }

    pub(super) fn value(&self, literal: Literal) -> Option<bool> {
        self.values[literal.place()]
    }

    pub(super) fn level(&self) -> u32 {
        u32::try_from(self.starts.len()).unwrap_or(u32::MAX)
    }

    pub(super) fn trail(&self) -> &[Literal] {
        &self.trail
    }

    /// Where the current level begins on the trail, for each level.
    pub(super) fn decisions(&self) -> impl Iterator<Item = Literal> + '_ {
        self.starts.iter().map(|start| self.trail[*start])
    }

    pub(super) fn reason(&self, literal: Literal) -> Option<Reason> {
        self.reasons[literal.variable() as usize]
    }

    pub(super) fn clause(&self, id: ClauseId) -> (&[Literal], &[Source]) {
        let clause = &self.clauses[id as usize];
        (&clause.literals, &clause.sources)
    }

    fn set(&mut self, literal: Literal, reason: Reason) {
        self.values[literal.place()] = Some(true);
        self.values[literal.not().place()] = Some(false);
        self.levels[literal.variable() as usize] = self.level();
        self.reasons[literal.variable() as usize] = Some(reason);
        self.trail.push(literal);
    }

    /// Decides an open literal.
    pub(super) fn decide(&mut self, literal: Literal) {
        self.starts.push(self.trail.len());
        self.set(literal, Reason::Decision);
    }

    /// Makes a literal hold.
    pub(super) fn imply(&mut self, literal: Literal, reason: Reason) -> Result<(), Conflict> {
        match self.value(literal) {
            Some(true) => Ok(()),
            None => {
                self.set(literal, reason);
                Ok(())
            }
            Some(false) => Err(match reason {
                Reason::Clause(id) => Conflict::Clause(id),
                Reason::Pair(other) => Conflict::Pair(literal, other),
                Reason::Decision | Reason::Fact => Conflict::Pair(literal, literal),
            }),
        }
    }

    /// Adds a clause that may be true, open, or false under what holds, and draws the consequence.
    pub(super) fn add(
        &mut self,
        mut literals: Vec<Literal>,
        sources: Vec<Source>,
    ) -> Result<ClauseId, Conflict> {
        let id = ClauseId::try_from(self.clauses.len()).unwrap_or(ClauseId::MAX);
        self.steps += literals.len() as u64;
        // Those that are false last come first among the false ones, so that they are the first to open again.
        let rank = |literal: &Literal| match self.value(*literal) {
            Some(true) => (0, 0),
            None => (1, 0),
            Some(false) => (2, u32::MAX - self.levels[literal.variable() as usize]),
        };
        for place in 0..literals.len().min(2) {
            let best = (place..literals.len()).min_by_key(|at| (rank(&literals[*at]), *at));
            literals.swap(place, best.unwrap_or(place));
        }
        for literal in literals.iter().take(2) {
            self.watches[literal.place()].push(id);
        }
        let first = literals.first().copied();
        let others_false = literals.iter().skip(1).all(|l| self.value(*l) == Some(false));
        self.clauses.push(Clause { literals, sources });
        match first {
            None => Err(Conflict::Clause(id)),
            Some(first) if others_false => self.imply(first, Reason::Clause(id)).map(|()| id),
            Some(_) => Ok(id),
        }
    }

    /// The next literal that holds and was not looked at, after all that clauses say about it.
    pub(super) fn next(&mut self) -> Result<Option<Literal>, Conflict> {
        let Some(&literal) = self.trail.get(self.seen) else { return Ok(None) };
        self.seen += 1;
        let gone = literal.not();
        let mut watching = std::mem::take(&mut self.watches[gone.place()]);
        let mut kept = 0;
        let mut outcome = Ok(Some(literal));
        for at in 0..watching.len() {
            let id = watching[at];
            self.steps += 1;
            if outcome.is_err() || self.still_watches(id, gone, &mut outcome) {
                watching[kept] = id;
                kept += 1;
            }
        }
        watching.truncate(kept);
        // Nobody began to watch what is false meanwhile.
        self.watches[gone.place()] = watching;
        outcome
    }

    /// Finds another literal to watch; if there is none, draws the consequence.
    fn still_watches(
        &mut self,
        id: ClauseId,
        gone: Literal,
        outcome: &mut Result<Option<Literal>, Conflict>,
    ) -> bool {
        let values = &self.values;
        let literals = &mut self.clauses[id as usize].literals;
        if literals.first() == Some(&gone) && literals.len() > 1 {
            literals.swap(0, 1);
        }
        let Some(&first) = literals.first() else { return true };
        if values[first.place()] == Some(true) {
            return true;
        }
        let other = literals.iter().skip(2).position(|l| values[l.place()] != Some(false));
        if let Some(place) = other {
            self.steps += place as u64;
            literals.swap(1, place + 2);
            let watched = literals[1];
            self.watches[watched.place()].push(id);
            return false;
        }
        self.steps += literals.len() as u64;
        if let Err(conflict) = self.imply(first, Reason::Clause(id)) {
            *outcome = Err(conflict);
        }
        true
    }

    /// Takes back everything above a level.
    pub(super) fn back_to(&mut self, level: u32) {
        let Some(&start) = self.starts.get(level as usize) else { return };
        for literal in self.trail.drain(start..) {
            self.values[literal.place()] = None;
            self.values[literal.not().place()] = None;
            self.reasons[literal.variable() as usize] = None;
        }
        self.starts.truncate(level as usize);
        self.seen = self.seen.min(start);
    }

    /// What made a conflict: its literals, all false.
    fn parts(&self, conflict: Conflict) -> Vec<Literal> {
        match conflict {
            Conflict::Clause(id) => self.clauses[id as usize].literals.clone(),
            Conflict::Pair(one, other) => vec![one, other],
        }
    }

    /// Learns from a conflict above level 0: goes back to where the lesson has a consequence, and draws that.
    pub(super) fn learn(&mut self, conflict: Conflict) -> Result<(), Conflict> {
        let mut sources = vec![match conflict {
            Conflict::Clause(id) => Source::Clause(id),
            Conflict::Pair(one, other) => Source::Pair(one, other),
        }];
        let mut lesson: Vec<Literal> = Vec::new();
        let mut touched: Vec<u32> = Vec::new();
        let mut open = 0_usize;
        let mut parts = self.parts(conflict);
        let mut at = self.trail.len();
        // The conflict may lie wholly below the current level, when it was found on adding a clause.
        let level = parts.iter().map(|l| self.levels[l.variable() as usize]).max().unwrap_or(0);
        self.back_to(level);
        at = at.min(self.trail.len());
        let asserted = loop {
            for part in parts.drain(..) {
                let variable = part.variable() as usize;
                if std::mem::replace(&mut self.marked[variable], true) {
                    continue;
                }
                self.steps += 1;
                touched.push(part.variable());
                match self.levels[variable] {
                    0 => sources.push(Source::Settled(part)),
                    of if of == level => open += 1,
                    _ => lesson.push(part),
                }
            }
            let next = loop {
                let Some(before) = at.checked_sub(1) else { break None };
                at = before;
                let literal = self.trail[at];
                if self.marked[literal.variable() as usize] {
                    break Some(literal);
                }
            };
            let Some(next) = next else { break None };
            open = open.saturating_sub(1);
            if open == 0 {
                break Some(next.not());
            }
            match self.reason(next) {
                Some(Reason::Clause(id)) => {
                    sources.push(Source::Clause(id));
                    parts.extend(self.clauses[id as usize].literals.iter().filter(|l| **l != next));
                }
                Some(Reason::Pair(other)) => {
                    sources.push(Source::Pair(next, other));
                    parts.push(other);
                }
                Some(Reason::Decision | Reason::Fact) | None => {}
            }
        };
        for variable in touched {
            self.marked[variable as usize] = false;
        }
        let back = lesson.iter().map(|l| self.levels[l.variable() as usize]).max().unwrap_or(0);
        if level == 0 {
            return Err(conflict);
        }
        self.back_to(back.min(level - 1));
        let mut literals: Vec<Literal> = asserted.into_iter().collect();
        literals.extend(lesson);
        self.add(literals, sources).map(|_| ())
    }
}
