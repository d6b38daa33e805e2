//! [`Throttle`]: the service.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use tower_service::Service;

use super::future::{BoxError, ThrottleFuture};
use super::gate::nanos;
use super::limits::Limits;
use super::retries::Repeat;
use super::shared::Shared;

/// A client that lets each call wait for its turn, made by a [`ThrottleLayer`](crate::client::ThrottleLayer).
pub struct Throttle<S, P, R> {
    service: S,
    shared: Arc<Shared<P, R>>,
}

impl<S, P, R> Throttle<S, P, R> {
    pub(super) fn new(service: S, shared: Arc<Shared<P, R>>) -> Self {
        Throttle { service, shared }
    }

    /// Returns the service that makes the calls.
    pub fn get_ref(&self) -> &S {
        &self.service
    }
}

impl<S, P, R, B, T> Service<Request<B>> for Throttle<S, P, R>
where
    S: Service<Request<B>, Response = Response<T>> + Clone,
    S::Error: Into<BoxError>,
    P: Limits<B>,
    R: Repeat<B>,
{
    type Response = Response<T>;
    type Error = BoxError;
    type Future = ThrottleFuture<S, B, P, R>;

    #[inline]
    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.service.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let shared = self.shared.clone();
        let deadline = shared.limits.now().saturating_add(nanos(shared.longest_wait));
        match shared.limits.begin(&request, deadline) {
            Ok(begun) => ThrottleFuture::begin(begun, request, &mut self.service, deadline, shared),
            Err(error) => ThrottleFuture::failed(error, shared),
        }
    }
}

impl<S: Clone, P, R> Clone for Throttle<S, P, R> {
    fn clone(&self) -> Self {
        Throttle { service: self.service.clone(), shared: self.shared.clone() }
    }
}

impl<S: fmt::Debug, P, R> fmt::Debug for Throttle<S, P, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Throttle").field("service", &self.service).finish_non_exhaustive()
    }
}
