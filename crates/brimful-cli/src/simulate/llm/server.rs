//! A server with limits, and calls to it without a limiter of the client.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use brimful::MockClock;
use brimful::model::{Dimension, ModelLimiter, ModelQuota, Usage};

/// The number of calls that each dimension refused: the one that would have taken longest until it admitted the call.
pub(super) type Refusals = BTreeMap<Dimension, u64>;

/// Makes calls to a server that has these limits, at instants in order, each with its usage and the time that it takes.
/// Returns the calls that it refused, by status 429.
///
/// The server has the same buckets as a limiter, charges the usage of a call when it comes, and charges nothing for one
/// that it refuses. No call is repeated.
pub(super) fn refusals(limits: ModelQuota, calls: impl Iterator<Item = (u64, Usage, u64)>) -> Result<Refusals> {
    let clock = MockClock::new();
    let limiter = ModelLimiter::builder().model("server", limits).clock(clock.clone()).build()?;
    let server = limiter.model("server")?;
    // The calls in flight, by their ends.
    let (mut in_flight, mut refusals, mut now) = (BTreeMap::new(), Refusals::new(), 0);
    for (number, (at, usage, takes)) in calls.enumerate() {
        clock.advance(Duration::from_nanos(at - now));
        now = at;
        while in_flight.first_key_value().is_some_and(|(&(end, _), _)| end <= now) {
            in_flight.pop_first();
        }
        match server.try_acquire(usage) {
            Ok(permit) => {
                in_flight.insert((now.saturating_add(takes), number), permit);
            }
            Err(refused) => *refusals.entry(refused.dimension().context(refused)?).or_default() += 1,
        }
    }
    Ok(refusals)
}
