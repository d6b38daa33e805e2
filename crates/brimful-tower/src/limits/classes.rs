//! [`Classes`]: a limiter for each class of requests.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use brimful::{Quota, Tokens};

use super::calls::{Begun, Calls, Longest, Numbers};
use crate::headers::Decided;

/// A limiter for each class of requests: for each tier of clients, for reads and writes.
///
/// The key of a request is a pair of its class and of the key for the limiter of that class. The class of each request is
/// found anew, so that a client can change its tier at any time. It finds the bucket of the new class then, which is full if
/// it is new. The quota of a class is changed at its [limiter](Classes::limiter).
///
/// All limiters are of one type, and are found without an allocation, by comparing classes in order: have few of them. A
/// class without a limiter of its own has that of the first class.
///
/// # Examples
///
/// ```
/// use brimful::{KeyedRateLimiter, Quota};
/// use brimful_tower::key::{ExtensionKey, HeaderKey};
/// use brimful_tower::{Classes, RateLimitLayer};
/// use http::HeaderName;
/// use std::sync::Arc;
///
/// /// Inserted into the extensions of a request by the layer that authenticates it.
/// #[derive(Clone, Copy, PartialEq, Eq, Hash)]
/// enum Tier {
///     Free,
///     Pro,
/// }
///
/// let limiter = |quota| Arc::new(KeyedRateLimiter::new(quota));
/// let tiers = Classes::new(Tier::Free, "free", limiter(Quota::per_minute(60)))
///     .and(Tier::Pro, "pro", limiter(Quota::per_minute(6_000)));
/// let tiers = Arc::new(tiers);
/// let api_key = HeaderKey::new(HeaderName::from_static("x-api-key"));
/// let layer = RateLimitLayer::new(tiers.clone(), (ExtensionKey::<Tier>::new(), api_key));
///
/// tiers.limiter(&Tier::Pro).set_quota(Quota::per_minute(3_000))?;
/// # Ok::<(), brimful::SetQuotaError>(())
/// ```
pub struct Classes<T, L> {
    first: Class<T, L>,
    others: Vec<Class<T, L>>,
}

struct Class<T, L> {
    class: T,
    policy: Cow<'static, str>,
    limiter: Arc<L>,
}

impl<T: PartialEq, L> Classes<T, L> {
    /// Returns one class, which is also that of all requests whose class has no limiter of its own. The name is that of its
    /// policy in headers and answers, if its limiter has one quota; a limiter of several quotas has names.
    pub fn new(class: T, policy: impl Into<Cow<'static, str>>, limiter: Arc<L>) -> Self {
        Classes { first: Class { class, policy: policy.into(), limiter }, others: Vec::new() }
    }

    /// Adds a class.
    #[must_use]
    pub fn and(mut self, class: T, policy: impl Into<Cow<'static, str>>, limiter: Arc<L>) -> Self {
        self.others.push(Class { class, policy: policy.into(), limiter });
        self
    }

    /// Returns the limiter of a class.
    pub fn limiter(&self, class: &T) -> &Arc<L> {
        &self.of(class).limiter
    }

    #[inline]
    fn of(&self, class: &T) -> &Class<T, L> {
        self.others.iter().find(|other| self.first.class != *class && other.class == *class).unwrap_or(&self.first)
    }
}

impl<T: fmt::Debug, L> fmt::Debug for Classes<T, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let classes = std::iter::once(&self.first).chain(&self.others);
        f.debug_map().entries(classes.map(|class| (&class.class, &class.policy))).finish()
    }
}

impl<T, K, L> Calls<(T, K)> for Classes<T, L>
where
    T: PartialEq + Send + Sync + 'static,
    L: Calls<K>,
{
    type Decision = L::Decision;
    type Outcome = L::Outcome;
    type Deciding = L::Deciding;
    type Held = L::Held;
    type Wait = L::Wait;
    type Granted = L::Granted;
    type Error = L::Error;

    #[inline]
    fn decide(
        self: &Arc<Self>,
        (class, key): &(T, K),
        cost: Tokens,
        pays_later: bool,
    ) -> Begun<L::Outcome, L::Deciding> {
        self.limiter(class).decide(key, cost, pays_later)
    }

    #[inline]
    fn allowed(outcome: &L::Outcome) -> bool {
        L::allowed(outcome)
    }

    #[inline]
    fn decision(outcome: L::Outcome) -> L::Decision {
        L::decision(outcome)
    }

    #[inline]
    fn held(
        self: &Arc<Self>,
        (class, key): &(T, K),
        taken: Tokens,
        outcome: &mut L::Outcome,
        settles: bool,
    ) -> Option<L::Held> {
        self.limiter(class).held(key, taken, outcome, settles)
    }

    fn wait(
        self: &Arc<Self>,
        (class, key): &(T, K),
        cost: Tokens,
        longest: Longest,
        refused: Option<&L::Decision>,
    ) -> L::Wait {
        self.limiter(class).wait(key, cost, longest, refused)
    }

    fn granted(self: &Arc<Self>, (class, key): &(T, K), cost: Tokens, granted: L::Granted) -> Option<L::Held> {
        self.limiter(class).granted(key, cost, granted)
    }
}

impl<T, K, L> Numbers<(T, K)> for Classes<T, L>
where
    T: PartialEq + Send + Sync + 'static,
    L: Numbers<K>,
{
    const KEEPS_PLACES: bool = L::KEEPS_PLACES;

    fn has(&self, (class, key): &(T, K), cost: Tokens) -> bool {
        self.limiter(class).has(key, cost)
    }

    fn decided(decision: &L::Decision) -> Option<Decided<'_>> {
        L::decided(decision)
    }

    fn look(self: &Arc<Self>, (class, key): &(T, K)) -> Option<L::Decision> {
        self.limiter(class).look(key)
    }

    fn of_wait(granted: &L::Granted) -> Option<L::Decision> {
        L::of_wait(granted)
    }

    fn is_degraded(decision: &L::Decision) -> bool {
        L::is_degraded(decision)
    }

    fn quota(&self, (class, key): &(T, K), policy: &str) -> Option<Quota> {
        self.limiter(class).quota(key, policy)
    }

    fn policy(&self, (class, key): &(T, K)) -> Option<&str> {
        let class = self.of(class);
        Some(class.limiter.policy(key).unwrap_or(&class.policy))
    }
}
