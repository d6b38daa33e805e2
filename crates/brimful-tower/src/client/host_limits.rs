//! [`HostLimits`]: quotas for each host.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use brimful::{
    BuildError, Clock, CompositeAcquireError, CompositeDecision, CompositeLimiter, Granted, KeyedCompositeLimiter,
    OwnedCompositeAcquire, OwnedCompositeReservation, QuantaClock, Quota, Quotas, Tokens,
};

use super::host::Host;
use super::turns::{Turns, fastest};
use crate::limits::{Begun, Calls, Longest, Never};

/// The quotas of a client for each [`Host`]: a table of hosts, and a default for all others, each of which has buckets of
/// its own.
///
/// It keeps the buckets of at most a million other hosts, as a
/// [`KeyedCompositeLimiter`] does: for another number, give one to
/// [`of_others`](HostLimits::of_others).
///
/// # Examples
///
/// ```
/// use brimful_tower::client::{ByHost, HostLimits, ThrottleLayer};
/// use std::sync::Arc;
///
/// let limits = HostLimits::new("5/s burst 1".parse()?)?
///     .host("api.github.com".parse()?, "10/s; hourly: 5000/h".parse()?)
///     .host("localhost:8080".parse()?, "1000/s".parse()?);
/// let layer = ThrottleLayer::new(Arc::new(limits), ByHost);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct HostLimits<C = QuantaClock> {
    hosts: HashMap<Host, Arc<CompositeLimiter<C>>>,
    others: Arc<KeyedCompositeLimiter<Host, C>>,
}

impl HostLimits {
    /// Returns limits with these quotas for every host, on the process's clock.
    ///
    /// # Errors
    ///
    /// As [`KeyedCompositeLimiter::new`].
    pub fn new(default: Quotas) -> Result<Self, BuildError> {
        KeyedCompositeLimiter::new(default).map(HostLimits::of_others)
    }
}

impl<C: Clock + Clone> HostLimits<C> {
    /// Returns limits with this limiter for every host that is not added.
    #[must_use]
    pub fn of_others(others: KeyedCompositeLimiter<Host, C>) -> Self {
        HostLimits { hosts: HashMap::new(), others: Arc::new(others) }
    }

    /// Adds a host. Quotas that it had before are replaced, with their buckets.
    #[must_use]
    pub fn host(mut self, host: Host, quotas: Quotas) -> Self {
        let limiter = CompositeLimiter::with_clock(quotas, self.others.clock().clone());
        self.hosts.insert(host, Arc::new(limiter));
        self
    }

    /// Returns the limiter of a host of the table, for its statistics, or to change its quotas.
    #[must_use]
    pub fn get(&self, host: &Host) -> Option<&Arc<CompositeLimiter<C>>> {
        self.hosts.get(host)
    }

    /// Returns the limiter of all other hosts.
    #[must_use]
    pub fn others(&self) -> &KeyedCompositeLimiter<Host, C> {
        &self.others
    }
}

impl<C: Clock + Clone + Send + Sync + 'static> Calls<Host> for HostLimits<C> {
    type Decision = CompositeDecision;
    type Outcome = CompositeDecision;
    type Deciding = Never<CompositeDecision>;
    type Held = OwnedCompositeReservation<C>;
    type Wait = OwnedCompositeAcquire<C>;
    type Granted = Granted;
    type Error = CompositeAcquireError;

    fn decide(
        self: &Arc<Self>,
        host: &Host,
        cost: Tokens,
        pays_later: bool,
    ) -> Begun<CompositeDecision, Self::Deciding> {
        match self.get(host) {
            Some(limiter) => limiter.decide(host, cost, pays_later),
            None => self.others.decide(host, cost, pays_later),
        }
    }

    fn allowed(decision: &CompositeDecision) -> bool {
        decision.allowed()
    }

    fn decision(decision: CompositeDecision) -> CompositeDecision {
        decision
    }

    fn held(
        self: &Arc<Self>,
        host: &Host,
        taken: Tokens,
        decision: &mut CompositeDecision,
        settles: bool,
    ) -> Option<Self::Held> {
        match self.get(host) {
            Some(limiter) => limiter.held(host, taken, decision, settles),
            None => self.others.held(host, taken, decision, settles),
        }
    }

    fn wait(
        self: &Arc<Self>,
        host: &Host,
        cost: Tokens,
        longest: Longest,
        refused: Option<&CompositeDecision>,
    ) -> Self::Wait {
        match self.get(host) {
            Some(limiter) => limiter.wait(host, cost, longest, refused),
            None => self.others.wait(host, cost, longest, refused),
        }
    }

    fn granted(self: &Arc<Self>, host: &Host, cost: Tokens, granted: Granted) -> Option<Self::Held> {
        match self.get(host) {
            Some(limiter) => limiter.granted(host, cost, granted),
            None => self.others.granted(host, cost, granted),
        }
    }
}

impl<C: Clock + Clone + Send + Sync + 'static> Turns<Host> for HostLimits<C> {
    type Clock = C;

    fn clock(&self) -> &C {
        self.others.clock()
    }

    fn fastest(&self, host: &Host) -> Quota {
        match self.get(host) {
            Some(limiter) => fastest(limiter.quotas().iter().map(|(name, quota)| limiter.quota(name).unwrap_or(quota))),
            None => Turns::fastest(&*self.others, host),
        }
    }
}

impl<C: Clock> fmt::Debug for HostLimits<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quotas = self.hosts.iter().map(|(host, limiter)| (host, limiter.quotas()));
        f.debug_map().entries(quotas).entry(&"*", self.others.quotas()).finish()
    }
}
