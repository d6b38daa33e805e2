//! [`RateLimit`]: the service.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use tower_service::Service;

use super::body::ResponseBody;
use super::future::{ResponseFuture, Waiting};
use super::limiter::Limiter;
use super::options::Options;
use crate::key::{KeyExtractor, OnMissingKey, RequestHead};

/// A service that limits the rate of requests to another one, made by a [`RateLimitLayer`](crate::RateLimitLayer).
pub struct RateLimit<S, E, L> {
    service: S,
    options: Arc<Options<E, L>>,
}

impl<S, E, L> RateLimit<S, E, L> {
    pub(super) fn new(service: S, options: Arc<Options<E, L>>) -> Self {
        RateLimit { service, options }
    }

    /// Returns the service whose requests are limited.
    pub fn get_ref(&self) -> &S {
        &self.service
    }
}

impl<S, E, L, B, R> Service<Request<B>> for RateLimit<S, E, L>
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
    E: KeyExtractor,
    L: Limiter<E::Key>,
{
    type Response = Response<ResponseBody<R>>;
    type Error = S::Error;
    type Future = ResponseFuture<S, B, E, L>;

    #[inline]
    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let options = &self.options;
        let head = RequestHead::from(&request);
        if options.exempt.covers(&head) {
            return ResponseFuture::serving(self.service.call(request), None);
        }
        let key = match options.key.key(&head) {
            Ok(key) => key,
            Err(_) if options.on_missing_key == OnMissingKey::Admit => {
                return ResponseFuture::serving(self.service.call(request), None);
            }
            Err(missing) => return ResponseFuture::answered(options.answer_missing_key(&missing)),
        };
        let cost = options.cost(&head);
        let decision = options.limiter.decide(&key, cost);
        if L::decided(&decision).allowed() {
            let headers = options.admitted(&decision);
            if options.in_extensions {
                request.extensions_mut().insert(decision);
            }
            return ResponseFuture::serving(self.service.call(request), headers);
        }
        if options.longest_wait.is_zero() {
            return ResponseFuture::answered(options.answer_refused(&decision));
        }
        let wait = options.limiter.wait(&key, cost, options.longest_wait);
        // The service that is ready stays here, for the next request: a permit that it may hold does not wait.
        let service = self.service.clone();
        ResponseFuture::waiting(Waiting::new(wait, decision, key, request, service, options.clone()))
    }
}

impl<S: Clone, E, L> Clone for RateLimit<S, E, L> {
    fn clone(&self) -> Self {
        RateLimit { service: self.service.clone(), options: self.options.clone() }
    }
}

impl<S: fmt::Debug, E, L> fmt::Debug for RateLimit<S, E, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimit").field("service", &self.service).field("policy", &self.options.policy).finish()
    }
}
