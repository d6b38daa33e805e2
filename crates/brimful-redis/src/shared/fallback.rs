//! [`FailurePolicy`]: the decisions of a limiter whose store is not available.

use std::fmt::Display;
use std::time::Duration;

use brimful::{KeyedCompositeLimiter, Quota, QuotaError, Quotas, Tokens};

use super::error::{BuildError, SharedError, Unavailable};

/// The decision on a call if the store does not decide within the deadline.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum FailurePolicy {
    /// Refuses the call: nothing at all is admitted while the store is away.
    #[default]
    Deny,
    /// Admits the call: there is no limit while the store is away.
    Allow,
    /// Decides by buckets of this process, whose quotas are the limiter's divided by this number of processes. A bucket
    /// starts empty at its first call in an outage. So all processes together admit at most `rate × T` in an outage of
    /// the length T, and a further burst if an outage before it was so long ago that the buckets are full again. While only
    /// some requests fail, the store grants its rate too: twice the rate together. After the outage, the store's bucket is
    /// as full as if nothing had been granted.
    ///
    /// A burst of less than one token for each process is rounded up to one token.
    LocalShare(u32),
}

impl FailurePolicy {
    /// Returns the policy, unless it is the share of one of no processes.
    pub(crate) fn checked(self) -> Result<Self, BuildError> {
        match self {
            FailurePolicy::LocalShare(0) => Err(BuildError::LocalShare(0, "there is at least one process".to_owned())),
            policy => Ok(policy),
        }
    }
}

/// A policy, ready to decide.
pub(crate) enum Fallback {
    Deny,
    Allow,
    Local(Box<KeyedCompositeLimiter<str>>),
}

impl Fallback {
    pub(super) fn new(policy: FailurePolicy, quotas: &Quotas) -> Result<Self, BuildError> {
        Fallback::of(policy, |n| shares(quotas, n))
    }

    /// Returns the policy, with this function from a number of processes to the limiter of one of them.
    pub(crate) fn of(
        policy: FailurePolicy,
        share: impl FnOnce(u32) -> Result<KeyedCompositeLimiter<str>, BuildError>,
    ) -> Result<Self, BuildError> {
        match policy.checked()? {
            FailurePolicy::Deny => Ok(Fallback::Deny),
            FailurePolicy::Allow => Ok(Fallback::Allow),
            FailurePolicy::LocalShare(n) => share(n).map(|shares| Fallback::Local(Box::new(shares))),
        }
    }

    /// Decides on a call, with a function from the place of a limit to its name.
    pub(crate) fn decide<'a>(
        &'a self,
        name: impl FnOnce(usize) -> Option<&'a str>,
        key: &str,
        cost: Tokens,
        why: Unavailable,
    ) -> Result<(), SharedError> {
        match self {
            Fallback::Deny => Err(SharedError::Unavailable(why)),
            Fallback::Allow => Ok(()),
            Fallback::Local(shares) => shares.try_acquire_n(key, cost).map_err(|refused| match refused.retry_after() {
                Some(retry_after) => {
                    let nth = shares.quotas().iter().position(|(name, _)| name == refused.limit());
                    let limit = nth.and_then(name).unwrap_or(refused.limit());
                    SharedError::RateLimited { limit: limit.to_owned(), retry_after }
                }
                // The cost is above this process's share of the burst.
                None => SharedError::Unavailable(why),
            }),
        }
    }
}

/// Returns a limiter of this process, with its share of the quotas.
fn shares(quotas: &Quotas, n: u32) -> Result<KeyedCompositeLimiter<str>, BuildError> {
    let failed = |why: &dyn Display| BuildError::LocalShare(n, why.to_string());
    let shares = quotas.as_slice().iter().map(|quota| share(quota, n));
    let shares = shares.collect::<Result<Vec<_>, _>>().map_err(|error| failed(&error))?;
    // The names are those of the limiter's quotas, so that a refusal names the same limit. A quota without a name of
    // its own is called by its text, which cannot be given as a name.
    let is_name = |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte));
    let shares = if quotas.iter().all(|(name, _)| is_name(name)) {
        Quotas::named(quotas.iter().map(|(name, _)| name).zip(shares))
    } else {
        Quotas::new(shares)
    };
    let shares = shares.map_err(|error| failed(&error))?;
    KeyedCompositeLimiter::new(shares).map_err(|error| failed(&error))
}

/// Returns a quota divided by a number of processes.
fn share(quota: &Quota, n: u32) -> Result<Quota, QuotaError> {
    const PICO: u128 = 1_000_000_000_000;
    let (tokens, period) = quota.rate();
    let burst = quota.capacity();
    let pico = (u128::from(burst.whole()) * PICO + u128::from(burst.pico())) / u128::from(n);
    let part = Tokens::from_parts((pico / PICO) as u32, (pico % PICO) as u64);
    let part = part.filter(|part| *part >= Tokens::ONE).unwrap_or(Tokens::ONE.min(burst));
    Ok(Quota::try_new(tokens, period.checked_mul(n).unwrap_or(Duration::MAX))?.try_burst(part)?.initial(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_a_part_of_rate_and_burst_and_starts_empty() {
        let quota = share(&"100/s burst 200".parse().unwrap(), 4).unwrap();
        assert_eq!(quota.tokens_per_second(), 25.0);
        assert_eq!(quota.capacity(), Tokens::new(50));
        assert!(quota.initial_tokens().is_zero());
        assert_eq!(share(&"1/min".parse().unwrap(), 8).unwrap().capacity(), Tokens::ONE);
        let third = share(&"1/s burst 10".parse().unwrap(), 3).unwrap().capacity();
        assert!(third.whole() == 3 && third.pico() <= 333_333_333_333, "{third}");
    }

    #[test]
    fn the_names_of_limits_stay() {
        let named = shares(&"a: 10/s; b: 100/min".parse().unwrap(), 2).unwrap();
        assert!(named.quotas().iter().map(|(name, _)| name).eq(["a", "b"]));
        assert_eq!(shares(&"10/s; 100/min".parse().unwrap(), 2).unwrap().quotas().as_slice().len(), 2);
        let none = Fallback::new(FailurePolicy::LocalShare(0), &"10/s".parse().unwrap()).err().unwrap().to_string();
        assert!(none.contains("LocalShare(0)"), "{none}");
    }
}
