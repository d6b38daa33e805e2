//! [`Options`]: what all clones of a middleware share.

use std::borrow::Cow;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use brimful::Tokens;
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};

use super::answer::Handler;
use super::control::Control;
use super::event::{Degraded, Event, Share};
use super::hold::Hold;
use super::refusal::{AnswerForm, Refusal, grpc_type};
use super::settle::Settler;
use crate::headers::{Decided, Headers, IetfDraft, Values};
use crate::key::{KeyExtractor, MissingKey, OnMissingKey, RequestHead};
use crate::limits::{Held, Longest, Numbers, Vain};

/// The way of a request that was refused at once, with the decision.
pub(super) enum Refused<W, D> {
    /// The shadow mode passes it on.
    Passes(D),
    Waits(W, D),
    /// It is answered.
    Is(D),
}

/// A function that returns the cost of a request.
pub(super) type Cost = Box<dyn Fn(&RequestHead<'_>) -> Tokens + Send + Sync>;

/// The limiter and the settings, which all clones of a middleware share.
pub(super) struct Options<E, L> {
    pub(super) key: E,
    pub(super) limiter: Arc<L>,
    pub(super) policy: Cow<'static, str>,
    /// By default a request costs one token.
    pub(super) cost: Option<Cost>,
    /// By default a request that is admitted costs that.
    pub(super) settle: Option<Arc<Settler>>,
    /// Whether a request takes its tokens only when it is settled.
    pub(super) charges_later: bool,
    /// The settings that change at run time.
    pub(super) control: Arc<Control>,
    pub(super) on_missing_key: OnMissingKey,
    /// Whether responses of the service have the headers.
    pub(super) on_admitted: bool,
    pub(super) draft: Option<IetfDraft>,
    pub(super) x_rate_limit: bool,
    /// Whether requests have the decision in their extensions.
    pub(super) in_extensions: bool,
    /// Whether the decision on an admitted request is read: for its headers, its extensions or a share.
    pub(super) needs_decision: bool,
    pub(super) form: AnswerForm,
    pub(super) handler: Option<Handler>,
    pub(super) share: Option<Share>,
}

impl<E, L> Options<E, L> {
    #[inline]
    pub(super) fn cost(&self, head: &RequestHead<'_>) -> Tokens {
        self.cost.as_ref().map_or(Tokens::ONE, |cost| cost(head))
    }

    pub(super) fn report(&self, event: &Event<'_>) {
        self.control.events.report(event);
    }

    /// Answers a request without a key, unless it is admitted. A key that is repeated is not left out.
    #[cold]
    pub(super) fn answer_missing_key(&self, head: &RequestHead<'_>, missing: &MissingKey) -> Option<Response<Bytes>> {
        if self.on_missing_key == OnMissingKey::Admit && !missing.is_repeated() {
            return None;
        }
        let refusal = Refusal { missing_key: Some(missing), ..Refusal::new(head, missing.status(), self.form) };
        if self.control.is_shadow() {
            self.would_refuse(head, &refusal);
            return None;
        }
        Some(self.answer(head, refusal))
    }

    /// Counts and reports a request that only the shadow mode admits.
    fn would_refuse(&self, head: &RequestHead<'_>, refusal: &Refusal<'_>) {
        self.control.count_would_refuse();
        self.report(&Event::WouldRefuse { head: *head, refusal });
    }

    /// Takes the headers of a request that is answered now, so that the answer uses their memory: an empty map with space.
    /// Leaves them where they are read for the answer.
    fn take_map<B>(&self, request: &mut Request<B>) -> HeaderMap {
        if self.control.events.are_read() || grpc_type(request.method(), request.headers()).is_some() {
            return HeaderMap::new();
        }
        let mut map = std::mem::take(request.headers_mut());
        map.clear();
        map
    }

    fn answer(&self, head: &RequestHead<'_>, refusal: Refusal<'_>) -> Response<Bytes> {
        self.report(&Event::Refused { head: *head, refusal: &refusal });
        match &self.handler {
            Some(handler) => handler(refusal),
            None => refusal.into_response(),
        }
    }
}

impl<E: KeyExtractor, L: Numbers<E::Key>> Options<E, L> {
    /// Looks for a proxy that is not trusted.
    #[inline]
    pub(super) fn look_for_proxy(&self, head: &RequestHead<'_>) {
        if let Some(finding) = self.control.proxy.look(head, || self.key.ignores_proxies(head)) {
            self.report(&Event::Found { finding: &finding });
        }
    }

    /// Returns the tokens that a request takes when it is admitted.
    #[inline]
    pub(super) fn taken(&self, key: &E::Key, cost: Tokens) -> Tokens {
        // If the tokens have gone since the look, this request is refused. If others have come, it takes them now.
        if self.charges_later && self.limiter.has(key, cost) { Tokens::ZERO } else { cost }
    }

    /// Returns what an admitted request holds.
    #[inline]
    pub(super) fn admitted(
        &self,
        key: &E::Key,
        cost: Tokens,
        taken: Tokens,
        outcome: &mut L::Outcome,
    ) -> Option<Hold<L::Held>> {
        let held = self.limiter.held(key, taken, outcome, self.settle.is_some())?;
        self.hold(held, cost)
    }

    /// Returns what a request holds from now on.
    pub(super) fn hold(&self, held: L::Held, cost: Tokens) -> Option<Hold<L::Held>> {
        if self.settle.is_none() && !L::Held::LASTS {
            held.settle(cost, drop);
            return None;
        }
        Some(Hold::new(held, cost, self.settle.clone().filter(|_| !L::Held::LASTS)))
    }

    /// Reports the shares of quotas that this request has used up.
    pub(super) fn find_shares(&self, head: &RequestHead<'_>, key: &E::Key, decision: &L::Decision, taken: Tokens) {
        if let (Some(share), Some(decided)) = (&self.share, L::decided(decision)) {
            share.find(decided, taken, |name, decision, skipped| {
                let policy = name.unwrap_or_else(|| self.policy(key));
                self.report(&Event::ShareUsed { head: *head, policy, decision, skipped });
            });
        }
    }

    /// Returns the headers for the response of the service, if it is to have them.
    pub(super) fn headers_on_admitted(&self, key: &E::Key, decision: &L::Decision) -> Option<Values> {
        let decided = L::decided(decision).filter(|_| self.on_admitted)?;
        // In shadow mode, the decision may have refused the request.
        let refused = (!decided.allowed()).then_some(None);
        Some(self.headers(key, decided, refused, |headers| headers.values()))
    }

    /// Reports a decision that the policy for failures made.
    pub(super) fn report_degraded(&self, head: &RequestHead<'_>, decision: &L::Decision, is_admitted: bool) {
        if L::is_degraded(decision) {
            self.report(&Event::Degraded { head: *head, is_admitted });
        }
    }

    /// Puts the decision on a request that goes to the service into its extensions. Returns the headers for its response.
    pub(super) fn pass<B>(&self, request: &mut Request<B>, key: &E::Key, decision: L::Decision) -> Option<Values> {
        let headers = self.headers_on_admitted(key, &decision);
        if L::is_degraded(&decision) {
            request.extensions_mut().insert(Degraded);
        }
        if self.in_extensions {
            request.extensions_mut().insert(decision);
        }
        headers
    }

    /// Returns what becomes of a request that was refused at once.
    pub(super) fn refused(
        &self,
        head: &RequestHead<'_>,
        key: &E::Key,
        cost: Tokens,
        outcome: L::Outcome,
    ) -> Refused<L::Wait, L::Decision> {
        let decision = L::decision(outcome);
        self.report_degraded(head, &decision, false);
        if self.control.is_shadow() {
            self.pass_in_shadow(head, key, cost, &decision);
            return Refused::Passes(decision);
        }
        match self.wait(key, cost, &decision) {
            Some(wait) => Refused::Waits(wait, decision),
            None => Refused::Is(decision),
        }
    }

    /// Returns the wait of a request that was refused at once, if requests wait.
    fn wait(&self, key: &E::Key, cost: Tokens, refused: &L::Decision) -> Option<L::Wait> {
        let longest = self.control.longest_wait();
        (!longest.is_zero()).then(|| self.limiter.wait(key, cost, Longest::Within(longest), Some(refused)))
    }

    /// Returns the name of the policy of a limiter of one quota.
    fn policy(&self, key: &E::Key) -> &str {
        self.limiter.policy(key).unwrap_or(&self.policy)
    }

    fn headers<R>(
        &self,
        key: &E::Key,
        decided: Decided<'_>,
        refused: Option<Option<Duration>>,
        write: impl FnOnce(Headers<'_>) -> R,
    ) -> R {
        let quotas = |policy: &str| self.limiter.quota(key, policy);
        let mut headers = Headers::new(decided, refused).policy(self.policy(key)).quotas(&quotas).ietf(self.draft);
        if self.x_rate_limit {
            headers = headers.x_rate_limit();
        }
        write(headers)
    }

    /// Counts and reports a request that was refused at once, and that the shadow mode admits; or keeps a place for it in the
    /// queue, if it would wait.
    #[cold]
    fn pass_in_shadow(&self, head: &RequestHead<'_>, key: &E::Key, cost: Tokens, decision: &L::Decision) {
        let decided = L::decided(decision);
        let mut retry_after = decided.and_then(Decided::retry_after);
        let mut is_shed = decided.is_none_or(Decided::is_shed);
        if let Some(mut wait) = L::KEEPS_PLACES.then(|| self.wait(key, cost, decision)).flatten() {
            match Pin::new(&mut wait).poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Pending => return self.control.places.keep(Box::pin(async move { drop(wait.await) })),
                // The tokens have come meanwhile.
                Poll::Ready(Ok(_)) => return,
                Poll::Ready(Err(error)) => (retry_after, is_shed) = (error.retry_after(), !error.is_of_quota()),
            }
        }
        let decided = (decided, retry_after);
        self.with_refusal(head, key, decided, is_shed, HeaderMap::new(), |refusal| self.would_refuse(head, &refusal));
    }

    /// Answers a request that was refused at once.
    pub(super) fn answer_refused<B>(
        &self,
        mut request: Request<B>,
        key: &E::Key,
        decision: &L::Decision,
    ) -> Response<Bytes> {
        let map = self.take_map(&mut request);
        let decided = L::decided(decision);
        let is_shed = decided.is_none_or(Decided::is_shed);
        let (decided, head) = ((decided, decided.and_then(Decided::retry_after)), &RequestHead::from(&request));
        self.with_refusal(head, key, decided, is_shed, map, |refusal| self.answer(head, refusal))
    }

    /// Answers a request that waited in vain, from the decision before the wait.
    pub(super) fn answer_late(
        &self,
        head: &RequestHead<'_>,
        key: &E::Key,
        decision: &L::Decision,
        error: &L::Error,
    ) -> Response<Bytes> {
        let decided = (L::decided(decision), error.retry_after());
        let is_shed = !error.is_of_quota();
        self.with_refusal(head, key, decided, is_shed, HeaderMap::new(), |refusal| self.answer(head, refusal))
    }

    fn with_refusal<R>(
        &self,
        head: &RequestHead<'_>,
        key: &E::Key,
        (decided, retry_after): (Option<Decided<'_>>, Option<Duration>),
        is_shed: bool,
        map: HeaderMap,
        call: impl FnOnce(Refusal<'_>) -> R,
    ) -> R {
        let own = self.policy(key);
        // As many as a limiter of several quotas shows.
        let (mut violated, mut count) = ([own; 8], 1);
        if let Some(decided) = decided {
            let names = decided.violated().map(|name| name.unwrap_or(own));
            count = violated.iter_mut().zip(names).map(|(place, name)| *place = name).count();
        }
        let status = if is_shed { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::TOO_MANY_REQUESTS };
        let refusal = Refusal::new(head, status, self.form);
        let headers = match decided {
            Some(decided) => {
                let others = refusal.further_headers();
                self.headers(key, decided, Some(retry_after), |headers| headers.in_map(map, others))
            }
            None => map,
        };
        call(Refusal { violated: &violated[..count], retry_after, headers, ..refusal })
    }
}
