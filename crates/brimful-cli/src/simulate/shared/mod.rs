//! `simulate --redis`: replays logs through a limiter on a Redis server, in real time or faster.

mod options;
mod pace;
mod report;
mod run;
mod server;

pub(crate) use options::Options;
pub(crate) use run::run;
