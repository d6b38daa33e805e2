//! The client side: [`ThrottleLayer`], which lets each call wait for its turn, and heeds what servers say.

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
