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
use super::future::{ResponseFuture, Stage, Waiting};
use super::hold::Hold;
use super::options::{Options, Refused};
use super::serving::Serving;
use crate::key::{KeyExtractor, MissingKey, RequestHead};
use crate::limits::{Begun, Limiter};

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

/// The ways of a request, once it is not admitted at once, or its decision is needed.
impl<S, B, E, L> ResponseFuture<S, B, E, L>
where
    S: Service<Request<B>> + Clone,
    E: KeyExtractor,
    L: Limiter<E::Key>,
{
    /// Answers a request without a key, or passes it on.
    #[cold]
    fn without_key(limit: &mut RateLimit<S, E, L>, request: Request<B>, missing: &MissingKey) -> Self {
        match limit.options.answer_missing_key(&RequestHead::from(&request), missing) {
            Some(answer) => ResponseFuture::answered(answer),
            None => ResponseFuture::plain(limit.service.call(request)),
        }
    }

    /// Goes on with a request that was refused, or whose decision is on its way.
    #[inline(never)]
    fn not_admitted(
        limit: &mut RateLimit<S, E, L>,
        request: Request<B>,
        (key, cost): (E::Key, Tokens),
        begun: Begun<L::Outcome, L::Deciding>,
    ) -> Self {
        let options = &limit.options;
        let stage = match begun {
            Begun::Now(outcome) => match options.refused(&RequestHead::from(&request), &key, cost, outcome) {
                Refused::Waits(wait, decision) => Stage::Waiting(wait, decision),
                Refused::Passes(decision) => return ResponseFuture::passed(limit, request, &key, decision, None),
                Refused::Is(decision) => {
                    return ResponseFuture::answered(options.answer_refused(request, &key, &decision));
                }
            },
            Begun::Later(deciding) => Stage::Deciding(deciding),
        };
        // The service that is ready makes this call: what it has reserved is for this one.
        let next = limit.service.clone();
        let ready = mem::replace(&mut limit.service, next);
        ResponseFuture::waiting(Waiting::new(stage, (key, cost), request, ready, options.clone()))
    }

    /// Passes on an admitted request that holds something, or whose decision is needed.
    #[inline(never)]
    fn decided(
        limit: &mut RateLimit<S, E, L>,
        request: Request<B>,
        (key, taken): (&E::Key, Tokens),
        decision: L::Decision,
        hold: Option<Hold<L::Held>>,
    ) -> Self {
        limit.options.find_shares(&RequestHead::from(&request), key, &decision, taken);
        ResponseFuture::passed(limit, request, key, decision, hold)
    }

    /// Passes a request on with its decision.
    fn passed(
        limit: &mut RateLimit<S, E, L>,
        mut request: Request<B>,
        key: &E::Key,
        decision: L::Decision,
        hold: Option<Hold<L::Held>>,
    ) -> Self {
        let headers = limit.options.pass(&mut request, key, decision);
        ResponseFuture::serving(Serving::new(limit.service.call(request), hold, headers))
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
            Err(missing) => return ResponseFuture::without_key(self, request, missing),
        };
        let cost = options.cost(&head);
        let taken = options.taken(key, cost);
        let mut begun = options.limiter.decide(key, taken, options.charges_later);
        let outcome = match &mut begun {
            Begun::Now(outcome) if L::allowed(outcome) => outcome,
            _ => {
                return match found {
                    Ok(key) => ResponseFuture::not_admitted(self, request, (key, cost), begun),
                    Err(missing) => ResponseFuture::without_key(self, request, &missing),
                };
            }
        };
        let hold = options.admitted(key, cost, taken, outcome);
        if hold.is_some() || options.needs_decision {
            return match begun {
                Begun::Now(outcome) => ResponseFuture::decided(self, request, (key, taken), L::decision(outcome), hold),
                Begun::Later(_) => unreachable!("it was there"),
            };
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
