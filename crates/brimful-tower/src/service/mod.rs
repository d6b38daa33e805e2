//! The middleware: [`RateLimitLayer`] and [`RateLimit`].

mod answer;
mod body;
mod exempt;
mod future;
mod hold;
mod layer;
mod options;
mod rate_limit;
mod serving;
mod settle;

pub use answer::Refusal;
pub use body::ResponseBody;
pub use future::ResponseFuture;
pub use layer::{RateLimitLayer, RateLimitLayerBuilder};
pub use rate_limit::RateLimit;
pub use settle::{BodyEnd, ResponseHead, Settlement};
