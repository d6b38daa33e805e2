//! `simulate --llm`: replays a trace of calls to a language model through a [`ModelLimiter`](brimful::model::ModelLimiter), in
//! virtual time.

mod alarm;
mod ledger;
mod options;
mod report;
mod run;
mod server;
mod sim;
mod trace;

pub(crate) use options::Options;
pub(crate) use run::run;
