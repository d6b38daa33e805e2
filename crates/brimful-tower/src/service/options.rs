//! [`Options`]: what all clones of a middleware share.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use brimful::Tokens;
use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};

use super::answer::{Handler, Refusal};
use super::exempt::Exempt;
use super::hold::Hold;
use super::settle::Settle;
use crate::headers::{Decided, Headers, IetfDraft, headers};
use crate::key::{KeyExtractor, MissingKey, OnMissingKey, RequestHead};
use crate::limits::{Calls, Held, Vain};

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
    pub(super) settle: Option<Settle>,
    /// Whether a request takes its tokens only when it is settled.
    pub(super) charges_later: bool,
    pub(super) exempt: Exempt,
    pub(super) longest_wait: Duration,
    pub(super) on_missing_key: OnMissingKey,
    /// Whether responses of the service have the headers.
    pub(super) on_admitted: bool,
    pub(super) draft: Option<IetfDraft>,
    pub(super) x_rate_limit: bool,
    /// Whether requests have the decision in their extensions.
    pub(super) in_extensions: bool,
    pub(super) handler: Option<Handler>,
}

impl<E, L> Options<E, L> {
    #[inline]
    pub(super) fn cost(&self, head: &RequestHead<'_>) -> Tokens {
        self.cost.as_ref().map_or(Tokens::ONE, |cost| cost(head))
    }

    #[cold]
    pub(super) fn answer_missing_key(&self, missing: &MissingKey) -> Response<Bytes> {
        self.answer(Refusal {
            status: missing.status(),
            violated: &[],
            retry_after: None,
            headers: HeaderMap::new(),
            missing_key: Some(missing),
        })
    }

    fn answer(&self, refusal: Refusal<'_>) -> Response<Bytes> {
        match &self.handler {
            Some(handler) => handler(refusal),
            None => refusal.into_response(),
        }
    }
}

impl<E: KeyExtractor, L: Calls<E::Key>> Options<E, L> {
    /// Takes the tokens of a request if they are there. Returns what the request holds.
    #[inline]
    pub(super) fn decide(&self, key: &E::Key, cost: Tokens) -> (L::Decision, Option<Hold<L::Held>>) {
        // If the tokens have gone since the look, this request is refused. If others have come, it takes them now.
        let taken = if self.charges_later && self.limiter.has(key, cost) { Tokens::ZERO } else { cost };
        let (decision, held) = self.limiter.decide(key, taken);
        if !L::allowed(&decision) || (held.is_none() && self.settle.is_none()) {
            return (decision, None);
        }
        let held = held.or_else(|| self.limiter.hold(key, taken));
        (decision, held.and_then(|held| self.hold(held, cost)))
    }

    /// Returns what a request holds from now on.
    pub(super) fn hold(&self, held: L::Held, cost: Tokens) -> Option<Hold<L::Held>> {
        if self.settle.is_none() && !L::Held::LASTS {
            held.settle(cost);
            return None;
        }
        Some(Hold::new(held, cost, self.settle.clone().filter(|_| !L::Held::LASTS)))
    }

    /// Returns the headers for the response of the service, if it is to have them.
    #[inline]
    pub(super) fn admitted(&self, key: &E::Key, decision: &L::Decision) -> Option<HeaderMap> {
        let decided = L::decided(decision).filter(|_| self.on_admitted);
        decided.map(|decided| self.headers(key, decided, |headers| headers))
    }

    /// Returns the name of the policy of a limiter of one quota.
    fn policy(&self, key: &E::Key) -> &str {
        self.limiter.policy(key).unwrap_or(&self.policy)
    }

    fn headers(
        &self,
        key: &E::Key,
        decided: Decided<'_>,
        change: impl FnOnce(Headers<'_>) -> Headers<'_>,
    ) -> HeaderMap {
        let quotas = |policy: &str| self.limiter.quota(key, policy);
        let mut headers = headers(decided).policy(self.policy(key)).quotas(&quotas).ietf(self.draft);
        if self.x_rate_limit {
            headers = headers.x_rate_limit();
        }
        change(headers).to_map()
    }

    /// Answers a request that was refused at once.
    pub(super) fn answer_refused(&self, key: &E::Key, decision: &L::Decision) -> Response<Bytes> {
        let decided = L::decided(decision);
        let is_shed = decided.is_none_or(Decided::is_full);
        self.answer_decided(key, decided, decided.and_then(Decided::retry_after), is_shed)
    }

    /// Answers a request that waited in vain, from the decision before the wait.
    pub(super) fn answer_late(&self, key: &E::Key, decision: &L::Decision, error: &L::Error) -> Response<Bytes> {
        self.answer_decided(key, L::decided(decision), error.retry_after(), !error.is_of_quota())
    }

    fn answer_decided(
        &self,
        key: &E::Key,
        decided: Option<Decided<'_>>,
        retry_after: Option<Duration>,
        is_shed: bool,
    ) -> Response<Bytes> {
        let own = self.policy(key);
        let violated: Vec<&str> = match decided {
            Some(decided) => decided.violated().map(|name| name.unwrap_or(own)).collect(),
            None => vec![own],
        };
        let headers = decided.map(|decided| self.headers(key, decided, |headers| headers.refused(retry_after)));
        self.answer(Refusal {
            status: if is_shed { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::TOO_MANY_REQUESTS },
            violated: &violated,
            retry_after,
            headers: headers.unwrap_or_default(),
            missing_key: None,
        })
    }
}
