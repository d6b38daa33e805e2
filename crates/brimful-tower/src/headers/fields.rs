//! [`headers`]: the headers for a decision.

use std::fmt;
use std::time::Duration;

use brimful::Quota;
use http::HeaderMap;

use super::decided::Decided;
use super::limit_decision::LimitDecision;
use super::structured::List;
use super::values::{Field, Values, Writer};
use super::window::window;

/// A version of the draft "`RateLimit` header fields for HTTP" of the IETF, in which the fields `RateLimit` and
/// `RateLimit-Policy` are written. The form of the fields has changed between drafts, and may change again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum IetfDraft {
    /// [draft-ietf-httpapi-ratelimit-headers-10](https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/10/).
    /// The fields have the same form as in drafts 08 and 09.
    #[default]
    Draft10,
}

/// Returns the headers for a decision: on one limit, or on several, all of which are shown.
///
/// - `Retry-After` of a refused call, in seconds, rounded up and at least 1. It is left out if the call is never
///   admitted, because its cost exceeds the burst.
/// - `RateLimit-Policy` of the [draft](IetfDraft): for each limit its name, its burst `q` and, if the quota is
///   [known](Headers::quotas), the window `w` in which an empty bucket fills, in seconds, rounded up.
/// - `RateLimit`: for each limit its name, the tokens that are left `r`, rounded down, and a time `t` in seconds, rounded
///   up. If the limit refused the call, `t` is the time until it admits the call. If not, `t` is the time until the
///   bucket is full, and is left out if that is after `Retry-After`.
/// - on request, [`X-RateLimit-*`](Headers::x_rate_limit).
///
/// # Examples
///
/// ```
/// use brimful::{CompositeLimiter, MockClock, Quota, RateLimiter};
/// use brimful_tower::headers;
/// use std::time::Duration;
///
/// let limiter = RateLimiter::with_clock(Quota::per_minute(60).burst(3), MockClock::new());
/// let map = headers(&limiter.decide(2)).quotas(&|_| Some(limiter.quota())).to_map();
/// assert_eq!(map["ratelimit-policy"], "\"default\";q=3;w=3");
/// assert_eq!(map["ratelimit"], "\"default\";r=1;t=2");
///
/// limiter.clock().advance(Duration::from_millis(500));
/// let map = headers(&limiter.decide(3)).policy("reports").x_rate_limit().to_map();
/// assert_eq!(map["retry-after"], "2"); // 1.5 s
/// assert_eq!(map["ratelimit"], "\"reports\";r=1;t=2");
/// assert_eq!(map["x-ratelimit-remaining"], "1");
///
/// let limiter = CompositeLimiter::with_clock("burst: 10/s; daily: 500/day".parse()?, MockClock::new());
/// let map = headers(&limiter.decide(1)).quotas(&|name| limiter.quota(name)).to_map();
/// assert_eq!(map["ratelimit-policy"], "\"burst\";q=10;w=1, \"daily\";q=500;w=86400");
/// assert_eq!(map["ratelimit"], "\"burst\";r=9;t=1, \"daily\";r=499;t=173");
/// # Ok::<(), brimful::ParseQuotaError>(())
/// ```
pub fn headers<'a>(decision: impl Into<Decided<'a>>) -> Headers<'a> {
    let decided = decision.into();
    Headers::new(decided, (!decided.allowed()).then(|| decided.retry_after()))
}

/// A function that returns the quota of a policy.
type QuotaOf<'a> = dyn Fn(&str) -> Option<Quota> + 'a;

/// The headers for a decision, made by [`headers`]. The options choose the headers, and
/// [`write_to`](Headers::write_to) or [`to_map`](Headers::to_map) writes them.
#[derive(Clone, Copy)]
#[must_use = "nothing is written until `write_to` or `to_map` is called"]
pub struct Headers<'a> {
    decided: Decided<'a>,
    /// The time of `Retry-After`, if the call was refused.
    refused: Option<Option<Duration>>,
    policy: &'a str,
    quotas: Option<&'a QuotaOf<'a>>,
    draft: Option<IetfDraft>,
    x_rate_limit: bool,
}

impl<'a> Headers<'a> {
    pub(crate) fn new(decided: Decided<'a>, refused: Option<Option<Duration>>) -> Self {
        let draft = Some(IetfDraft::default());
        Headers { decided, refused, policy: "default", quotas: None, draft, x_rate_limit: false }
    }

    /// Sets the name of the policy for a decision on one limit, which has no name itself: by default `default`.
    ///
    /// Bytes that are not printable ASCII are written as `%` and two digits.
    pub fn policy(self, name: &'a str) -> Self {
        Headers { policy: name, ..self }
    }

    /// Sets the function that returns the quota of the policy with a name, for the windows in `RateLimit-Policy`. By
    /// default there are none.
    pub fn quotas(self, quotas: &'a dyn Fn(&str) -> Option<Quota>) -> Self {
        Headers { quotas: Some(quotas), ..self }
    }

    /// Sets the version of the draft for `RateLimit` and `RateLimit-Policy`; `None` for neither. By default it is the
    /// latest.
    pub fn ietf(self, draft: Option<IetfDraft>) -> Self {
        Headers { draft, ..self }
    }

    /// Adds `X-RateLimit-Limit` (the burst), `X-RateLimit-Remaining` (the tokens that are left, rounded down) and
    /// `X-RateLimit-Reset` (the seconds until the bucket is full, rounded up), of the limit with the fewest tokens left.
    pub fn x_rate_limit(self) -> Self {
        Headers { x_rate_limit: true, ..self }
    }

    /// Sets that the call was refused, and the time after which it can be retried: by default, those of the decision.
    /// For a call that waited in vain after the decision.
    pub fn refused(self, retry_after: Option<Duration>) -> Self {
        Headers { refused: Some(retry_after), ..self }
    }

    /// Adds the headers to a map.
    ///
    /// `RateLimit` and `RateLimit-Policy` are lists: a further line is added to those of another limiter. Of the other
    /// headers, which have one value, those that are there stay.
    pub fn write_to(&self, map: &mut HeaderMap) {
        self.values().merge_into(map);
    }

    /// Returns the headers as a map.
    #[must_use]
    pub fn to_map(&self) -> HeaderMap {
        self.in_map(HeaderMap::new(), 2)
    }

    /// Returns the headers in this map, which is empty, with space for `others`.
    pub(crate) fn in_map(&self, mut map: HeaderMap, others: usize) -> HeaderMap {
        let of_the_draft = if self.draft.is_some() { 2 } else { 0 };
        let not_standard = if self.x_rate_limit { 3 } else { 0 };
        map.reserve(1 + of_the_draft + not_standard + others);
        self.values().insert_into(&mut map);
        map
    }

    /// Returns the headers.
    pub(crate) fn values(&self) -> Values {
        let mut values = Writer::new();
        if let Some(wait) = self.refused.flatten() {
            values.write(Field::RetryAfter, |text| text.push_number(seconds(wait).max(1)));
        }
        if let Some(IetfDraft::Draft10) = self.draft {
            values.write(Field::RateLimitPolicy, |text| self.write_policies(&mut List::new(text)));
            values.write(Field::RateLimit, |text| self.write_limits(&mut List::new(text)));
        }
        if let Some(tightest) = self.x_rate_limit.then(|| self.decided.tightest()).flatten() {
            values.write(Field::XLimit, |text| text.push_number(tightest.limit().into()));
            values.write(Field::XRemaining, |text| text.push_number(tightest.remaining().into()));
            if let Some(wait) = tightest.reset_after() {
                values.write(Field::XReset, |text| text.push_number(seconds(wait)));
            }
        }
        values.finish()
    }

    fn write_policies(&self, policies: &mut List<'_>) {
        for (name, decision) in self.decided.limits() {
            let name = name.unwrap_or(self.policy);
            let policy = policies.item(name).parameter(b'q', decision.limit().into());
            if let Some(window) = self.quotas.and_then(|quotas| quotas(name)).as_ref().and_then(window) {
                policy.parameter(b'w', window);
            }
        }
    }

    fn write_limits(&self, limits: &mut List<'_>) {
        for (name, decision) in self.decided.limits() {
            let limit = limits.item(name.unwrap_or(self.policy)).parameter(b'r', decision.remaining().into());
            if let Some(time) = self.time(decision) {
                limit.parameter(b't', time);
            }
        }
    }

    /// Returns the time of a limit in `RateLimit`, in seconds. Never after `Retry-After`, as the draft demands.
    fn time(&self, decision: LimitDecision<'_>) -> Option<u64> {
        let time = if decision.allowed() { decision.reset_after() } else { decision.retry_after() };
        let time = seconds(time?);
        match self.refused {
            Some(Some(wait)) => Some(time).filter(|&time| time <= seconds(wait).max(1)),
            _ => Some(time),
        }
    }
}

impl fmt::Debug for Headers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(&self.to_map()).finish()
    }
}

/// Rounds up to whole seconds. If it rounded down, a client would come back too early.
fn seconds(wait: Duration) -> u64 {
    wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0))
}
