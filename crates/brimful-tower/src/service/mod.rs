//! The middleware: [`RateLimitLayer`] and [`RateLimit`].

mod answer;
mod body;
mod calls;
mod exempt;
mod future;
mod layer;
mod limiter;
mod options;
mod rate_limit;

pub use answer::Refusal;
pub use body::ResponseBody;
pub use future::ResponseFuture;
pub use layer::{RateLimitLayer, RateLimitLayerBuilder};
pub use limiter::Limiter;
pub use rate_limit::RateLimit;
