//! Looks for a package set where apk's way ends: complete, in order of preference, with counted steps.
//!
//! Only what is needed is looked at: a package that comes in brings its needs, each need takes the best candidate that is
//! left, and a dead end teaches a rule that keeps the search from walking into it again. A package that nobody needs is
//! never tried, except where its `install_if` conditions hold.

mod engine;
mod reasons;
mod search;

pub(crate) use search::search;
