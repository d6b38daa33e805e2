//! [`RateLimit`]: the service.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{HeaderMap, Request, Response};
use http_body::Body;
use tower_service::Service;

use super::body::ResponseBody;
use super::future::{ResponseFuture, Waiting};
use super::hold::Hold;
use super::options::Options;
use super::serving::Serving;
use crate::key::{KeyExtractor, RequestHead};
use crate::limits::Limiter;

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

impl<S, E, L> RateLimit<S, E, L> {
    /// Passes a request on.
    #[inline]
    fn serve<B>(
        &mut self,
        request: Request<B>,
        hold: Option<Hold<L::Held>>,
        headers: Option<HeaderMap>,
    ) -> ResponseFuture<S, B, E, L>
    where
        S: Service<Request<B>>,
        E: KeyExtractor,
        L: Limiter<E::Key>,
    {
        ResponseFuture::serving(Serving::new(self.service.call(request), hold, headers))
    }
}

impl<S, E, L, B, R> Service<Request<B>> for RateLimit<S, E, L>
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
    E: KeyExtractor,
    L: Limiter<E::Key>,
    R: Body,
{
    type Response = Response<ResponseBody<R, L::Held>>;
    type Error = S::Error;
    type Future = ResponseFuture<S, B, E, L>;

    #[inline]
    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let options = &self.options;
        let head = RequestHead::from(&request);
        if options.control.exempts(&head) {
            return self.serve(request, None, None);
        }
        options.look_for_proxy(&head);
        let key = match options.key.key(&head) {
            Ok(key) => key,
            Err(missing) => {
                return match options.answer_missing_key(&head, &missing) {
                    Some(answer) => ResponseFuture::answered(answer),
                    None => self.serve(request, None, None),
                };
            }
        };
        let cost = options.cost(&head);
        let (decision, hold, taken) = options.decide(&key, cost);
        if L::allowed(&decision) {
            options.find_shares(&head, &key, &decision, taken);
        } else {
            let longest = options.control.longest_wait();
            if !longest.is_zero() && !options.control.is_shadow() {
                // The service that is ready stays here, for the next request: a permit that it may hold does not wait.
                let service = self.service.clone();
                let waiting = Waiting::new((key, cost, decision), longest, request, service, options.clone());
                return ResponseFuture::waiting(waiting);
            }
            if let Some(answer) = options.answer_refused(&head, &key, &decision) {
                return ResponseFuture::answered(answer);
            }
        }
        let headers = options.admitted(&key, &decision);
        if options.in_extensions {
            request.extensions_mut().insert(decision);
        }
        self.serve(request, hold, headers)
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
