//! The limits of LLM APIs, shared by many processes.

mod builder;
mod dims;
mod error;
mod gate;
mod limiter;
mod permit;
mod slots;

pub use builder::SharedModelLimiterBuilder;
pub use error::{SharedModelCause, SharedModelError};
pub use limiter::{DimensionUse, SharedModelLimiter};
pub use permit::SharedModelPermit;
