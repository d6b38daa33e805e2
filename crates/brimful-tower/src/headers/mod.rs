//! Response headers for a decision.
//!
//! [`headers`] makes them of a [`Decision`](brimful::Decision), or of the decision of several limits. It needs no tower:
//! it writes to a `HeaderMap` of the crate `http`.

mod decided;
mod fields;
mod structured;
mod text;
mod values;
mod window;

pub use decided::Decided;
pub(crate) use fields::merge;
pub use fields::{Headers, IetfDraft, headers};
