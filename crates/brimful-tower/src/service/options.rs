//! [`Options`]: what all clones of a middleware share.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use brimful::{AcquireCause, AcquireError, Tokens};
use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};

use super::answer::{Handler, Refusal};
use super::calls::{Calls, Vain};
use super::exempt::Exempt;
use crate::headers::{Decided, Headers, IetfDraft, headers};
use crate::key::{KeyExtractor, MissingKey, OnMissingKey, RequestHead};

/// A function that returns the cost of a request.
pub(super) type Cost = Box<dyn Fn(&RequestHead<'_>) -> Tokens + Send + Sync>;

/// The limiter and the settings, which all clones of a middleware share.
pub(super) struct Options<E, L> {
    pub(super) key: E,
    pub(super) limiter: Arc<L>,
    pub(super) policy: Cow<'static, str>,
    /// By default a request costs one token.
    pub(super) cost: Option<Cost>,
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
    /// Returns the headers for the response of the service, if it is to have them.
    #[inline]
    pub(super) fn admitted(&self, decision: &L::Decision) -> Option<HeaderMap> {
        self.on_admitted.then(|| self.headers(L::decided(decision), |headers| headers))
    }

    fn headers(&self, decided: Decided<'_>, change: impl FnOnce(Headers<'_>) -> Headers<'_>) -> HeaderMap {
        let quotas = |policy: &str| self.limiter.quota(policy);
        let mut headers = headers(decided).policy(&self.policy).quotas(&quotas).ietf(self.draft);
        if self.x_rate_limit {
            headers = headers.x_rate_limit();
        }
        change(headers).to_map()
    }

    /// Answers a request that was refused at once.
    pub(super) fn answer_refused(&self, decision: &L::Decision) -> Response<Bytes> {
        let decided = L::decided(decision);
        let is_full = decided.limits().any(|(_, decision)| !decision.allowed() && decision.table_is_full());
        self.answer_decided(decided, decided.retry_after(), is_full)
    }

    /// Answers a request that waited in vain, from the decision before the wait.
    pub(super) fn answer_late(&self, decision: &L::Decision, error: &L::Error) -> Response<Bytes> {
        let by_quota = |error| matches!(error, AcquireError::TooLate(_) | AcquireError::ExceedsBurst(_));
        let is_shed = !matches!(error.cause(), AcquireCause::Tokens(error) if by_quota(error));
        self.answer_decided(L::decided(decision), error.retry_after(), is_shed)
    }

    fn answer_decided(&self, decided: Decided<'_>, retry_after: Option<Duration>, is_shed: bool) -> Response<Bytes> {
        let violated: Vec<&str> = decided
            .limits()
            .filter(|(_, decision)| !decision.allowed())
            .map(|(name, _)| name.unwrap_or(&self.policy))
            .collect();
        let headers = self.headers(decided, |headers| headers.refused(retry_after));
        self.answer(Refusal {
            status: if is_shed { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::TOO_MANY_REQUESTS },
            violated: &violated,
            retry_after,
            headers,
            missing_key: None,
        })
    }
}
