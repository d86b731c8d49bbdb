//! What the crate does as a whole, on packages made for the purpose, on real ones, and on hostile ones.

mod chain;
mod database;
mod hostile;
mod kit;
mod odd;
mod real;
mod signatures;
