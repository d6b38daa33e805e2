//! The parts that all engines share: the limits in integers, the requests, and the narrow interface of an engine.

mod bucket;
mod flight;
mod limit;
mod rational;
mod request;
mod store;

pub use bucket::{Bucket, execute};
pub(crate) use flight::Flight;
pub use limit::{Limit, LimitError};
pub use request::{Operation, Outcome, Request, RequestId};
pub use store::{Store, StoreError};
