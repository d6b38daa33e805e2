//! The middleware: [`RateLimitLayer`] and [`RateLimit`].

mod answer;
mod back_pressure;
mod body;
mod builder;
mod control;
mod event;
mod exempt;
mod future;
mod grpc;
mod hold;
mod latest;
mod layer;
mod options;
mod places;
mod problem;
mod rate_limit;
mod refusal;
mod serving;
mod settle;

pub use back_pressure::{BackPressure, BackPressureFuture, BackPressureLayer};
pub use body::ResponseBody;
pub use builder::RateLimitLayerBuilder;
pub use control::Handle;
pub use event::{Degraded, Event};
pub use future::ResponseFuture;
pub use layer::RateLimitLayer;
pub use rate_limit::RateLimit;
pub use refusal::{AnswerForm, Refusal};
pub use settle::{BodyEnd, ResponseHead, Settlement};
