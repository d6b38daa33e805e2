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
    pub(super) outcome: Outcome,
    /// Whether the call is repeated, and this response kept meanwhile.
    pub(super) is_repeated: bool,
}

/// The effect of a call on those that come after it. All times are as the server named them, but for the bound.
#[derive(Clone, Copy)]
pub(super) enum Outcome {
    /// The server refused the call for its rate, and perhaps named a pause.
    Refused(Option<Duration>),
    /// Another error, with a pause.
    Failed(Duration),
    /// No call is served for this time, if there is one: the limit has nothing left.
    Served(Option<Duration>),
}

impl Answer {
    pub(super) fn read(status: StatusCode, headers: &HeaderMap, pauses: &Pauses) -> Self {
        #[expect(clippy::disallowed_types, reason = "servers write dates")]
        let now = std::time::SystemTime::now();
        let hints = ServerHints::from_headers(status, headers, now);
        let named = hints.retry_time().filter(|time| !time.is_zero());
        let reset = reset_of(&hints).filter(|time| !time.is_zero());
        // A refusal was for the rate of this client. The others may be for anything.
        let most = if hints.is_refused() { Duration::MAX } else { LONGEST_PAUSE };
        let bound = |time: Duration| time.min(pauses.longest.unwrap_or(most));
        let outcome = match named {
            _ if hints.is_refused() => Outcome::Refused(named.or(reset).map(bound)),
            Some(named) => Outcome::Failed(bound(named)),
            None => Outcome::Served(reset.map(bound)),
        };
        Answer { status, hints, outcome, is_repeated: false }
    }
}

/// The longest pause after an answer that is no refusal, by default.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// The lengths of pauses.
#[derive(Default)]
pub struct Pauses {
    pub(super) jitter: Jitter,
    /// The longest one, before the jitter, if it was set.
    pub(super) longest: Option<Duration>,
}

/// Returns the longest time after which a dimension is reset that has nothing left.
fn reset_of(hints: &ServerHints) -> Option<Duration> {
    let dimensions = Dimension::ALL.map(|dimension| hints.of(dimension)).into_iter();
    dimensions.filter(|hint| hint.remaining == Some(0)).filter_map(|hint| hint.reset_in).max()
}

/// A function that returns random numbers.
type Random = Box<dyn Fn() -> u64 + Send + Sync>;

/// Makes pauses longer at random, so that clients that were refused together do not return together.
pub(super) struct Jitter {
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

    /// Returns a random number.
    pub(super) fn draw(&self) -> u64 {
        (self.random)()
    }

    /// Returns a time that is longer by the part that a random number is.
    pub(super) fn stretch(&self, time: Duration, drawn: u64) -> Duration {
        let most = time.as_nanos() * u128::from(self.percent) / 100;
        let more = (most * u128::from(drawn)) >> 64;
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
        let stretched = |percent, random| {
            let jitter = jitter(percent, random);
            jitter.stretch(Duration::from_secs(100), jitter.draw())
        };
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
        let some: Vec<_> = (0..9).map(|_| default.draw()).collect();
        assert!(some.iter().any(|drawn| *drawn != some[0]), "{some:?}");
    }
}
