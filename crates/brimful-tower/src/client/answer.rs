//! [`Answer`]: the statement of a server with a response.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use brimful::model::{Dimension, ServerHints};
use http::{HeaderMap, StatusCode};

use crate::hints::FromHeaders;

/// The statement of a server about its limits, with a response.
pub struct Answer {
    pub(super) status: StatusCode,
    pub(super) hints: ServerHints,
    /// The pause that the server named with a refusal, or with an error, made longer at random.
    pub(super) pause: Option<Duration>,
    /// The time until the limit is reset, made longer at random, if this call was the last one that the server serves until
    /// then.
    pub(super) exhausted: Option<Duration>,
}

impl Answer {
    pub(super) fn read(status: StatusCode, headers: &HeaderMap, jitter: &Jitter) -> Self {
        #[expect(clippy::disallowed_types, reason = "servers write dates")]
        let now = std::time::SystemTime::now();
        let hints = ServerHints::from_headers(status, headers, now);
        let named = hints.retry_time().filter(|time| !time.is_zero());
        let reset = reset_of(&hints).filter(|time| !time.is_zero());
        let stretch = |time: Option<Duration>| time.map(|time| jitter.stretch(time));
        match hints.is_refused() {
            true => Answer { status, hints, pause: stretch(named.or(reset)), exhausted: None },
            false => Answer { status, hints, pause: stretch(named), exhausted: stretch(reset) },
        }
    }
}

/// Returns the longest time after which a dimension is reset that has nothing left.
fn reset_of(hints: &ServerHints) -> Option<Duration> {
    let dimensions = Dimension::ALL.map(|dimension| hints.of(dimension)).into_iter();
    dimensions.filter(|hint| hint.remaining == Some(0)).filter_map(|hint| hint.reset_in).max()
}

/// A function that returns random numbers.
type Random = Box<dyn Fn() -> u64 + Send + Sync>;

/// Makes pauses longer at random, so that clients that were refused together do not return together.
pub struct Jitter {
    /// The most by which a pause gets longer, in percent.
    percent: u8,
    random: Random,
}

impl Jitter {
    pub(super) fn with_percent(self, percent: u8) -> Self {
        Jitter { percent, ..self }
    }

    pub(super) fn with_random(self, random: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        Jitter { random: Box::new(random), ..self }
    }

    pub(super) fn stretch(&self, time: Duration) -> Duration {
        let most = time.as_nanos() * u128::from(self.percent) / 100;
        let more = (most * u128::from((self.random)())) >> 64;
        time + Duration::from_nanos(u64::try_from(more).unwrap_or(u64::MAX))
    }
}

impl Default for Jitter {
    fn default() -> Self {
        // Each call has other keys.
        Jitter { percent: 10, random: Box::new(|| RandomState::new().hash_one(())) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_gets_longer_by_at_most_the_share() {
        let jitter = |percent, random| Jitter::default().with_percent(percent).with_random(move || random);
        let stretched = |percent, random| jitter(percent, random).stretch(Duration::from_secs(100));
        for (percent, random, nanos) in [
            (10, 0, 100_000_000_000),
            (10, 1 << 63, 105_000_000_000),
            (10, u64::MAX, 109_999_999_999),
            (0, u64::MAX, 100_000_000_000),
            (255, u64::MAX, 354_999_999_999),
        ] {
            assert_eq!(stretched(percent, random), Duration::from_nanos(nanos), "{percent} {random}");
        }
        let default = Jitter::default();
        let some: Vec<_> = (0..9).map(|_| default.stretch(Duration::from_secs(100))).collect();
        assert!(some.iter().any(|time| *time != some[0]), "{some:?}");
    }
}
