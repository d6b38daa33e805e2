//! [`BackPressureLayer`] and [`BackPressure`]: a limit that makes callers wait until the service is ready.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use brimful::Tokens;
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::limits::{Held, Limiter, Longest, Vain};

/// A layer whose service is ready when a token is there: `poll_ready` waits for the token, in the limiter's queue.
///
/// It has no keys, because the request is not known before the service is ready, and is for requests of any type. The
/// limiter is a [`RateLimiter`](brimful::RateLimiter), a [`CompositeLimiter`](brimful::CompositeLimiter), of which each
/// request takes one token, or a [`ConcurrencyLimit`](brimful::ConcurrencyLimit), whose permit is held until the service has
/// responded. All clones of the layer and of its services share it, and are served in order of arrival, each at its first
/// `poll_ready`.
///
/// It composes with `tower::buffer`, which waits in a task of its own, and with `tower::load_shed`, which refuses requests
/// while no token is there.
///
/// A clone that is ready keeps its token or permit until its `call`, and a clone that has waited keeps its place in the
/// queue. So do not keep a clone that is not called: with `load_shed`, make a clone for each request and drop it after that,
/// as `oneshot` does. Idle clones would hold permits that no other clone gets.
///
/// The limiter bounds the tokens that are granted in a time. If the inner service is not ready, granted tokens wait for it,
/// at most one in each clone, and it can then get all of them at one instant.
///
/// To limit by keys, to refuse with a response, or to hold a permit until the body of the response
/// ends, use a [`RateLimitLayer`](crate::RateLimitLayer).
///
/// # Examples
///
/// ```
/// use brimful::{Quota, RateLimiter};
/// use brimful_tower::BackPressureLayer;
/// use std::convert::Infallible;
/// use std::sync::Arc;
/// use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let limiter = Arc::new(RateLimiter::new(Quota::per_second(1_000).burst(1)));
/// let mut service = ServiceBuilder::new()
///     .layer(BackPressureLayer::new(limiter))
///     .service(service_fn(async |number: u32| Ok::<_, Infallible>(number + 1)));
/// assert_eq!(service.ready().await?.call(1).await?, 2);
/// assert_eq!(service.ready().await?.call(2).await?, 3); // a millisecond later
/// # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
/// # }).unwrap();
/// ```
pub struct BackPressureLayer<L> {
    limiter: Arc<L>,
}

impl<L: Limiter<()>> BackPressureLayer<L> {
    /// Returns a layer with this limiter.
    pub fn new(limiter: Arc<L>) -> Self {
        BackPressureLayer { limiter }
    }
}

impl<S, L: Limiter<()>> Layer<S> for BackPressureLayer<L> {
    type Service = BackPressure<S, L>;

    fn layer(&self, service: S) -> BackPressure<S, L> {
        BackPressure { service, limiter: self.limiter.clone(), state: State::Idle }
    }
}

impl<L> Clone for BackPressureLayer<L> {
    fn clone(&self) -> Self {
        BackPressureLayer { limiter: self.limiter.clone() }
    }
}

impl<L> fmt::Debug for BackPressureLayer<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BackPressureLayer").finish_non_exhaustive()
    }
}

/// A service that is ready when a token is there, made by a [`BackPressureLayer`].
///
/// It holds at most one token, which the next `call` spends. A clone holds none, and waits for itself.
///
/// # Cancel safety
///
/// If the service is dropped, it gives up its place in the queue, and gives a token back that it has not spent.
///
/// # Errors
///
/// `poll_ready` fails with the error of the limiter if it was [closed](brimful::RateLimiter::close), because the service has
/// ended for good then. If a wait ends in vain for another reason, such as a full queue, the service is ready, and the future
/// of the next `call` fails with the error of the limiter; the inner service does not get that request. The errors of the
/// inner service are passed on.
///
/// # Panics
///
/// `call` panics if `poll_ready` was not ready since the last call.
pub struct BackPressure<S, L: Limiter<()>> {
    service: S,
    limiter: Arc<L>,
    state: State<L::Wait, L::Held>,
}

enum State<W, H> {
    Idle,
    Waiting(W),
    Granted(Option<H>),
    /// The next call fails with this.
    Refused(BoxError),
}

impl<S, L: Limiter<()>> BackPressure<S, L> {
    /// Returns the service whose requests are limited.
    pub fn get_ref(&self) -> &S {
        &self.service
    }
}

/// The error of a limiter, or of the service.
type BoxError = Box<dyn Error + Send + Sync>;

impl<S, R, L> Service<R> for BackPressure<S, L>
where
    S: Service<R, Error: Into<BoxError>>,
    L: Limiter<()>,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = BackPressureFuture<S::Future, L::Held>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        loop {
            let next = match &mut self.state {
                State::Idle => {
                    State::Waiting(self.limiter.wait(&(), Tokens::ONE, Longest::Within(Duration::MAX), None))
                }
                State::Waiting(wait) => match ready!(Pin::new(wait).poll(context)) {
                    // The token is given back if it is not spent.
                    Ok(granted) => State::Granted(self.limiter.granted(&(), Tokens::ONE, granted)),
                    Err(error) if error.is_closed() => {
                        self.state = State::Idle;
                        return Poll::Ready(Err(error.into()));
                    }
                    Err(error) => State::Refused(error.into()),
                },
                State::Refused(_) => return Poll::Ready(Ok(())),
                State::Granted(_) => return self.service.poll_ready(context).map_err(Into::into),
            };
            self.state = next;
        }
    }

    fn call(&mut self, request: R) -> Self::Future {
        let held = match std::mem::replace(&mut self.state, State::Idle) {
            State::Granted(held) => held,
            State::Refused(error) => {
                return BackPressureFuture { end: End::Refused { error: Some(error) }, permit: None };
            }
            State::Idle | State::Waiting(_) => {
                panic!("the service is not ready: call `poll_ready` before each `call`")
            }
        };
        let permit = match held {
            Some(held) if !L::Held::LASTS => {
                held.settle(Tokens::ONE, drop);
                None
            }
            held => held,
        };
        BackPressureFuture { end: End::OfService { future: self.service.call(request) }, permit }
    }
}

impl<S: Clone, L: Limiter<()>> Clone for BackPressure<S, L> {
    fn clone(&self) -> Self {
        BackPressure { service: self.service.clone(), limiter: self.limiter.clone(), state: State::Idle }
    }
}

impl<S: fmt::Debug, L: Limiter<()>> fmt::Debug for BackPressure<S, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Idle => "idle",
            State::Waiting(_) => "waiting",
            State::Granted(_) => "granted",
            State::Refused(_) => "refused",
        };
        f.debug_struct("BackPressure").field("service", &self.service).field("state", &state).finish()
    }
}

pin_project! {
    /// The response of a [`BackPressure`] service. It holds the permit of a concurrency limit until it completes or is
    /// dropped.
    pub struct BackPressureFuture<F, H> {
        #[pin]
        end: End<F>,
        permit: Option<H>,
    }
}

pin_project! {
    #[project = EndProjected]
    enum End<F> {
        OfService { #[pin] future: F },
        // `None` when it was returned.
        Refused { error: Option<BoxError> },
    }
}

impl<F, H, T, E> Future for BackPressureFuture<F, H>
where
    F: Future<Output = Result<T, E>>,
    E: Into<BoxError>,
{
    type Output = Result<T, BoxError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = match this.end.project() {
            EndProjected::OfService { future } => ready!(future.poll(context)),
            EndProjected::Refused { error } => {
                return Poll::Ready(Err(error.take().expect("the future has not completed yet")));
            }
        };
        *this.permit = None;
        Poll::Ready(response.map_err(Into::into))
    }
}

impl<F, H> fmt::Debug for BackPressureFuture<F, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BackPressureFuture").finish_non_exhaustive()
    }
}
