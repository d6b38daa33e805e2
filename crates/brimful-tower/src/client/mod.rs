//! The client side: [`ThrottleLayer`], which lets each call wait for its turn, and heeds what servers say.
//!
//! | to | use |
//! |---|---|
//! | limit the calls to each host | [`HostLimits`] and [`ByHost`] |
//! | limit the calls of each of other keys | a [`KeyedRateLimiter`](brimful::KeyedRateLimiter) or a [`KeyedCompositeLimiter`](brimful::KeyedCompositeLimiter), and a [key](crate::key) |
//! | limit the calls of several processes together | a `RedisRateLimiter` or a `LeasedRateLimiter` of `brimful-redis`, with the feature `redis` |
//! | limit the requests and tokens of LLM APIs | [`ThrottleLayer::of_models`] and, to charge the usage of an answer, [`ModelCall`] |
//! | repeat calls that were refused | [`Retries`] |
//! | know why a call did not leave | [`ThrottleError`] |
//!
//! [What the server says](ThrottleLayer#what-the-server-says) has the effects of refusals.

mod answer;
mod error;
mod future;
mod gate;
mod gates;
mod host;
mod host_limits;
mod keyed;
mod layer;
mod limits;
mod models;
mod retries;
mod shared;
mod throttle;
mod turns;

pub use error::ThrottleError;
pub use future::{BoxError, ThrottleFuture};
pub use host::{ByHost, Host};
pub use host_limits::HostLimits;
pub use keyed::Keyed;
pub use layer::{ThrottleLayer, ThrottleLayerBuilder};
pub use limits::Limits;
pub use models::{ModelCall, Models};
pub use retries::{NoRetries, Repeat, Retries};
pub use throttle::Throttle;
pub use turns::Turns;
