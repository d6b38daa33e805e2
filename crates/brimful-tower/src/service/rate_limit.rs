//! [`RateLimit`]: the service.

use std::fmt;
use std::mem;
use std::sync::Arc;
use std::task::{Context, Poll};

use brimful::Tokens;
use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use super::body::ResponseBody;
use super::future::{ResponseFuture, Waiting};
use super::hold::Hold;
use super::options::Options;
use super::serving::Serving;
use crate::key::{KeyExtractor, MissingKey, RequestHead};
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
    /// Answers a request without a key, or passes it on.
    #[cold]
    fn without_key<B>(&mut self, request: Request<B>, missing: &MissingKey) -> ResponseFuture<S, B, E, L>
    where
        S: Service<Request<B>>,
        E: KeyExtractor,
        L: Limiter<E::Key>,
    {
        match self.options.answer_missing_key(&RequestHead::from(&request), missing) {
            Some(answer) => ResponseFuture::answered(answer),
            None => ResponseFuture::plain(self.service.call(request)),
        }
    }

    /// Lets a request wait that was refused, or answers it; or passes it on in shadow mode.
    #[inline(never)]
    fn refused<B>(
        &mut self,
        request: Request<B>,
        key: E::Key,
        cost: Tokens,
        decision: L::Decision,
    ) -> ResponseFuture<S, B, E, L>
    where
        S: Service<Request<B>> + Clone,
        E: KeyExtractor,
        L: Limiter<E::Key>,
    {
        let options = &self.options;
        if options.control.is_shadow() {
            options.pass_in_shadow(&RequestHead::from(&request), &key, cost, &decision);
            return self.pass(request, &key, decision, None);
        }
        let longest = options.control.longest_wait();
        if longest.is_zero() {
            return ResponseFuture::answered(options.answer_refused(request, &key, &decision));
        }
        // The service that is ready makes this call: what it has reserved is for this one.
        let next = self.service.clone();
        let ready = mem::replace(&mut self.service, next);
        ResponseFuture::waiting(Waiting::new((key, cost, decision), longest, request, ready, options.clone()))
    }

    /// Passes on an admitted request that holds something, or whose decision is needed.
    #[inline(never)]
    fn decided<B>(
        &mut self,
        request: Request<B>,
        key: &E::Key,
        taken: Tokens,
        decision: L::Decision,
        hold: Option<Hold<L::Held>>,
    ) -> ResponseFuture<S, B, E, L>
    where
        S: Service<Request<B>>,
        E: KeyExtractor,
        L: Limiter<E::Key>,
    {
        self.options.find_shares(&RequestHead::from(&request), key, &decision, taken);
        self.pass(request, key, decision, hold)
    }

    /// Passes a request on with its decision.
    fn pass<B>(
        &mut self,
        mut request: Request<B>,
        key: &E::Key,
        decision: L::Decision,
        hold: Option<Hold<L::Held>>,
    ) -> ResponseFuture<S, B, E, L>
    where
        S: Service<Request<B>>,
        E: KeyExtractor,
        L: Limiter<E::Key>,
    {
        let headers = self.options.headers_on_admitted(key, &decision);
        if self.options.in_extensions {
            request.extensions_mut().insert(decision);
        }
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

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let options = &*self.options;
        let head = RequestHead::from(&request);
        if options.control.exempts(&head) {
            return ResponseFuture::plain(self.service.call(request));
        }
        options.look_for_proxy(&head);
        // The key and the outcome stay where they are, unless they are needed elsewhere: moves take time.
        let found = options.key.key(&head);
        let key = match &found {
            Ok(key) => key,
            Err(missing) => return self.without_key(request, missing),
        };
        let cost = options.cost(&head);
        let taken = options.taken(key, cost);
        let mut outcome = options.limiter.decide(key, taken);
        if !L::allowed(&outcome) {
            return match found {
                Ok(key) => self.refused(request, key, cost, L::decision(outcome)),
                Err(missing) => self.without_key(request, &missing),
            };
        }
        let hold = options.admitted(key, cost, taken, &mut outcome);
        if hold.is_some() || options.needs_decision {
            return self.decided(request, key, taken, L::decision(outcome), hold);
        }
        ResponseFuture::plain(self.service.call(request))
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
