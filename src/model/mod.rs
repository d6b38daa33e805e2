//! Limits for LLM APIs: requests and tokens per minute and per day, and parallel requests, for each model.

mod acquire;
mod amounts;
mod builder;
mod charge;
mod config;
mod corrections;
mod dimension;
mod dims;
mod error;
mod handle;
mod hints;
mod learning;
mod limiter;
mod limits;
mod observe;
mod permit;
mod quota;
mod row;
#[cfg(feature = "serde")]
mod serde;
mod state;
mod stats;
mod usage;
mod wait;

pub use acquire::ModelAcquire;
pub use builder::ModelLimiterBuilder;
pub use config::ModelConfig;
pub use dimension::Dimension;
pub use error::{ExceedsLimit, ModelCause, ModelConfigError, ModelError};
pub use handle::ModelHandle;
pub use hints::{DimensionHint, ServerHints};
pub use learning::Learning;
pub use limiter::ModelLimiter;
pub use permit::Permit;
pub use quota::ModelQuota;
pub use stats::{DimensionStats, ModelStats, ModelTable};
pub use usage::Usage;
