//! [`RateLimitLayer`]: the layer.

use std::fmt;
use std::sync::Arc;

use tower_layer::Layer;

use super::control::Handle;
use super::options::Options;
use super::rate_limit::RateLimit;
use crate::checks::Finding;

/// A layer that limits requests: their rate, or those that are in flight.
///
/// It is made of a [limiter](crate::Limiter) of `brimful` and of the [key](crate::key) of a request. The limiter has the quotas and the
/// buckets, which all clones of the layer and of its services share. It stays usable from outside: for its statistics, to
/// change a quota, or to be shared with another layer.
///
/// A request takes its tokens in `call`. If they are there, the request goes to the service. If not, the response is 429
/// with `Retry-After`, the fields `RateLimit` and `RateLimit-Policy`, and problem details in JSON; or the request
/// [waits](crate::RateLimitLayerBuilder::wait_up_to) in the limiter's queue.
///
/// The bound of a quota holds for the tokens that are granted, by the clock of the limiter. It does not hold for the instants
/// at which the service gets the requests: requests that wait longest for a stalled service, or for a thread, can come to it
/// at once.
///
/// For several named quotas at once, use a [`KeyedCompositeLimiter`](brimful::KeyedCompositeLimiter): all of them are
/// charged, or none. For several keys, use several layers. The outer one stays charged if an inner one refuses the request,
/// unless it [settles](crate::RateLimitLayerBuilder::settle) the status 429 at zero. A [concurrency limit](crate::Limiter) is
/// a layer too: the request holds its permit until the body of the response ends. The [guide](crate#limits-of-a-server) says
/// in which order layers go.
///
/// # Examples
///
/// ```
/// use brimful::{KeyedRateLimiter, Quota};
/// use brimful_tower::RateLimitLayer;
/// use brimful_tower::key::{Everyone, HeaderKey};
/// use bytes::Bytes;
/// use http::{HeaderName, Request, Response, StatusCode};
/// use http_body_util::Full;
/// use std::convert::Infallible;
/// use std::sync::Arc;
/// use tower::{ServiceBuilder, ServiceExt, service_fn};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let api_key = HeaderKey::new(HeaderName::from_static("x-api-key"));
/// let limiter = Arc::new(KeyedRateLimiter::new(Quota::per_minute(60).burst(1)));
/// let service = ServiceBuilder::new()
///     .layer(RateLimitLayer::new(limiter.clone(), api_key))
///     .service(service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("hello")))));
///
/// let request = || Request::builder().header("x-api-key", "alice").body(());
/// assert_eq!(service.clone().oneshot(request()?).await?.status(), StatusCode::OK);
/// let refused = service.clone().oneshot(request()?).await?;
/// assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
/// assert_eq!(refused.headers()["retry-after"], "1");
/// assert_eq!(limiter.len(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
pub struct RateLimitLayer<E, L> {
    options: Arc<Options<E, L>>,
}

impl<E, L> RateLimitLayer<E, L> {
    pub(super) fn from_options(options: Options<E, L>) -> Self {
        RateLimitLayer { options: Arc::new(options) }
    }

    /// Returns a handle, which changes settings at run time.
    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle::new(self.options.control.clone())
    }

    /// Returns the [findings](crate::checks) of the settings, and of the requests until now.
    #[must_use]
    pub fn checks(&self) -> Vec<Finding> {
        self.options.control.checks()
    }
}

impl<S, E, L> Layer<S> for RateLimitLayer<E, L> {
    type Service = RateLimit<S, E, L>;

    fn layer(&self, service: S) -> RateLimit<S, E, L> {
        RateLimit::new(service, self.options.clone())
    }
}

impl<E, L> Clone for RateLimitLayer<E, L> {
    fn clone(&self) -> Self {
        RateLimitLayer { options: self.options.clone() }
    }
}

impl<E, L> fmt::Debug for RateLimitLayer<E, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimitLayer").field("policy", &self.options.policy).finish_non_exhaustive()
    }
}
