//! Response headers for a decision.
//!
//! [`headers`] makes them of a [`Decision`](brimful::Decision), or of the decision of several limits. It needs no tower:
//! it writes to a `HeaderMap` of the crate `http`.

mod decided;
mod fields;
mod limit_decision;
mod structured;
mod text;
mod values;
mod window;

pub use decided::Decided;
pub use fields::{Headers, IetfDraft, headers};
pub use limit_decision::LimitDecision;
pub(crate) use values::Values;
