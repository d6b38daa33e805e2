//! [`HostLimits`]: quotas for each host.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use brimful::{
    BuildError, Clock, CompositeAcquireError, CompositeLimiter, KeyedCompositeLimiter, OwnedCompositeAcquire,
    QuantaClock, Quota, Quotas,
};

use super::host::Host;
use super::turns::{Sealed, Turns, fastest};

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
    others: KeyedCompositeLimiter<Host, C>,
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
        HostLimits { hosts: HashMap::new(), others }
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

impl<C> Sealed for HostLimits<C> {}

impl<C: Clock + Clone + Send + Sync + 'static> Turns<Host> for HostLimits<C> {
    type Clock = C;
    type Wait = OwnedCompositeAcquire<C>;
    type Error = CompositeAcquireError;

    fn clock(&self) -> &C {
        self.others.clock()
    }

    fn try_take(&self, host: &Host) -> bool {
        self.get(host).map_or_else(|| self.others.allow(host), |limiter| limiter.allow())
    }

    fn wait(&self, host: &Host, deadline: u64) -> OwnedCompositeAcquire<C> {
        let wait = self.get(host).map_or_else(|| self.others.acquire_owned(host), |limiter| limiter.acquire_owned());
        wait.until(deadline)
    }

    fn give_back(&self, host: &Host) {
        match self.get(host) {
            Some(limiter) => limiter.add_tokens(1),
            None => self.others.key(host).add_tokens(1),
        }
    }

    fn fastest(&self, host: &Host) -> Quota {
        match self.get(host) {
            Some(limiter) => fastest(limiter.quotas().iter().map(|(name, quota)| limiter.quota(name).unwrap_or(quota))),
            None => Turns::fastest(&self.others, host),
        }
    }
}

impl<C: Clock> fmt::Debug for HostLimits<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quotas = self.hosts.iter().map(|(host, limiter)| (host, limiter.quotas()));
        f.debug_map().entries(quotas).entry(&"*", self.others.quotas()).finish()
    }
}
