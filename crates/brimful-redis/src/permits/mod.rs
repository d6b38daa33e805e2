//! Concurrency limits that many processes share.

mod builder;
mod error;
mod keeper;
mod lease;
mod limit;
mod permit;
mod script;
mod turns;

pub use builder::RedisConcurrencyLimitBuilder;
pub use error::SharedPermitError;
pub use limit::RedisConcurrencyLimit;
pub use permit::SharedPermit;
