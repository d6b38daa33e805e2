//! Access logs in the common or combined format, as Apache and nginx write them.

mod client;
mod entry;
mod log;
mod prefix;

pub(crate) use entry::{Scratch, parse};
pub(crate) use log::Access;
