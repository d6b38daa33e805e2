//! [`Stats`]: the numbers of a limiter, as they were read.

use std::time::Duration;

/// The statistics of a limiter: the calls since it was built, or since the last `take_stats`.
///
/// They are kept if the builder was asked for them
/// ([`RateLimiterBuilder::stats`](crate::RateLimiterBuilder::stats),
/// [`KeyedRateLimiterBuilder::stats`](crate::KeyedRateLimiterBuilder::stats)), and read by
/// [`RateLimiter::stats`](crate::RateLimiter::stats) and [`KeyedRateLimiter::stats`](crate::KeyedRateLimiter::stats).
/// [`Display`](std::fmt::Display) prints them as a text of several lines.
///
/// # What is counted
///
/// Each call that costs something is counted once, when its outcome is known: as admitted, as one of the kinds
/// of denial, which are named after the errors, or as abandoned. A wait whose tokens were there at once is an
/// admitted call; one that was granted later is also counted as waited. A call on several limits
/// ([`AllOf`](crate::AllOf)) is counted by each of its limits if it was admitted, and by the limit that refused it
/// if not. A wait on several limits is counted by each limit for which it waits; if it then gives the tokens back,
/// because another limit refuses, as a refund too. Looks, and calls that cost nothing, are not counted.
///
/// Tokens are counted as they were asked for, each amount to the nearest millionth of a token. The numbers are
/// read one after the other, so calls that overlap the read may be in some of them and not yet in others. No
/// number is lost: the next read has them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Stats {
    /// The calls that were admitted, with or without a wait.
    pub admitted: u64,
    /// The tokens of admitted calls, with those that a reservation's commit charged later.
    pub tokens_admitted: f64,
    /// The calls that were denied because the tokens were not there yet.
    pub rate_limited: u64,
    /// The calls and waits that needed more than the burst.
    pub exceeds_burst: u64,
    /// The calls and waits on a new key for which a full table had no room.
    pub table_full: u64,
    /// The waits that did not end by their deadline, or would not have.
    pub too_late: u64,
    /// The waits for which the queue had no place.
    pub queue_full: u64,
    /// The waits that ended because the key was removed or the limiter closed.
    pub ended: u64,
    /// The tokens of all calls and waits that were denied.
    pub tokens_denied: f64,
    /// The waits that were dropped before they ended. Their tokens are not counted.
    pub abandoned: u64,
    /// The admitted calls whose tokens were granted later than at the first look.
    pub waited: u64,
    /// The sum of their waits, each rounded down to the microsecond.
    pub total_wait: Duration,
    /// The longest of their waits.
    pub longest_wait: Duration,
    /// The times that tokens were given back: by reservations that used less, by `add_tokens`, and by
    /// [`AllOf::give_back`](crate::AllOf::give_back).
    pub refunds: u64,
    /// The tokens that the bucket gained by refunds. Tokens above the burst are not counted.
    pub tokens_refunded: f64,
    /// The times that the quota was changed.
    pub quota_changes: u64,
    /// The times that the limiter was paused.
    pub pauses: u64,
    /// The numbers of the table of a keyed limiter; `None` for a limiter of one bucket.
    pub keys: Option<KeyStats>,
}

impl Stats {
    /// Returns the calls and waits that were denied, for any reason.
    #[must_use]
    pub fn denied(&self) -> u64 {
        let late = [self.table_full, self.too_late, self.queue_full, self.ended];
        late.into_iter().fold(self.rate_limited.saturating_add(self.exceeds_burst), u64::saturating_add)
    }

    /// Returns the mean of the waits of [`waited`](Stats::waited) calls: zero if there are none.
    #[must_use]
    pub fn mean_wait(&self) -> Duration {
        let nanos = self.total_wait.as_nanos().checked_div(self.waited.into()).unwrap_or_default();
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

/// The numbers of the table of a keyed limiter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyStats {
    /// The keys that are known now, as [`len`](crate::KeyedRateLimiter::len) returns them.
    pub known: u64,
    /// The keys that were forgotten because their bucket was full, so that their places are used again.
    pub forgotten: u64,
    /// The buckets in use that were forgotten for new keys, as [`evictions`](crate::KeyedRateLimiter::evictions)
    /// counts them.
    pub evicted: u64,
}

impl KeyStats {
    pub(crate) fn new(known: u64, forgotten: u64, evicted: u64) -> Self {
        KeyStats { known, forgotten, evicted }
    }

    /// Returns what was counted after `earlier`. The known keys are those of now.
    pub(super) fn since(&self, earlier: &KeyStats) -> Self {
        KeyStats {
            known: self.known,
            forgotten: self.forgotten.wrapping_sub(earlier.forgotten),
            evicted: self.evicted.wrapping_sub(earlier.evicted),
        }
    }
}
