//! The parts that all engines share: the limits in integers, the requests, and the narrow interface of an engine.

mod bucket;
mod limit;
mod rational;
mod request;
mod store;

pub use bucket::{Bucket, execute};
pub use limit::{Limit, LimitError};
pub use request::{Operation, Outcome, Request, RequestId};
pub use store::{Store, StoreError};
