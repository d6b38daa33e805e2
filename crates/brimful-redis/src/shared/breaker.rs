//! [`Breaker`]: whether the store is asked, after it has failed.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// The failures in a row after which the store is not asked for a time.
const FAILURES: u32 = 3;

/// The first time for which the store is not asked.
const FIRST: Duration = Duration::from_millis(50);

/// The longest time.
const LONGEST: Duration = Duration::from_secs(2);

/// A circuit breaker. It opens after three failures in a row, for 50 ms, and then for twice as long each time, up to two
/// seconds, less a random part of up to a half. After that time one call asks the store, while the others still do not;
/// if it succeeds, the breaker is closed.
///
/// Every field is advice: a call that reads an old value asks once more or once less. So all accesses are relaxed.
#[derive(Debug)]
pub(super) struct Breaker {
    origin: Instant,
    /// The microseconds since the origin until which the store is not asked; zero if the breaker is closed.
    open_until: AtomicU64,
    failures: AtomicU32,
    /// The times that the breaker has opened in a row.
    openings: AtomicU32,
    /// The time for which other calls wait for the outcome of the one that asks, in microseconds.
    probe: u64,
    random: RandomState,
}

/// What a call may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asks {
    Store,
    /// Nothing for this time.
    Nothing(Duration),
}

impl Breaker {
    /// Returns a closed breaker for calls with this deadline.
    pub(super) fn new(deadline: Duration) -> Self {
        Breaker {
            origin: Instant::now(),
            open_until: AtomicU64::new(0),
            failures: AtomicU32::new(0),
            openings: AtomicU32::new(0),
            probe: micros(deadline).max(1),
            random: RandomState::new(),
        }
    }

    fn now(&self) -> u64 {
        micros(self.origin.elapsed())
    }

    /// Returns whether a call may ask the store.
    pub(super) fn asks(&self) -> Asks {
        let until = self.open_until.load(Ordering::Relaxed);
        if until == 0 {
            return Asks::Store;
        }
        let now = self.now();
        if now < until {
            return Asks::Nothing(Duration::from_micros(until - now));
        }
        // One call asks. The others wait until it has an answer, or has none by its deadline.
        match self.open_until.compare_exchange(until, now + self.probe, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) | Err(0) => Asks::Store,
            Err(until) => Asks::Nothing(Duration::from_micros(until.saturating_sub(now))),
        }
    }

    /// Called when the store has answered.
    pub(super) fn succeeded(&self) {
        if self.failures.load(Ordering::Relaxed) != 0 {
            self.failures.store(0, Ordering::Relaxed);
            self.openings.store(0, Ordering::Relaxed);
            self.open_until.store(0, Ordering::Relaxed);
        }
    }

    /// Called when the store has failed.
    pub(super) fn failed(&self) {
        let before = self.failures.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| Some(n.saturating_add(1)));
        let failures = before.unwrap_or(u32::MAX).saturating_add(1);
        let (until, now) = (self.open_until.load(Ordering::Relaxed), self.now());
        // A call that asked before the breaker opened changes nothing: the breaker is open for longer than one probe
        // takes, or it is not open and this is one of the first failures.
        let is_probed = until != 0 && until <= now + self.probe;
        if failures < FAILURES || until != 0 && !is_probed {
            return;
        }
        let openings = self.openings.load(Ordering::Relaxed);
        let longest = micros(FIRST.saturating_mul(1 << openings.min(10)).min(LONGEST));
        let next = now + longest - self.random.hash_one(now) % (longest / 2 + 1);
        if self.open_until.compare_exchange(until, next.max(1), Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            self.openings.store(openings.saturating_add(1), Ordering::Relaxed);
        }
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open_for(breaker: &Breaker) -> Duration {
        match breaker.asks() {
            Asks::Store => panic!("it is closed"),
            Asks::Nothing(time) => time,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn opens_after_three_failures_and_one_call_asks_again() {
        let breaker = Breaker::new(Duration::from_millis(10));
        for _ in 0..3 {
            assert_eq!(breaker.asks(), Asks::Store);
            breaker.failed();
        }
        let time = open_for(&breaker);
        assert!(time <= FIRST && time >= FIRST / 2, "{time:?}");
        // Calls that began before it opened.
        breaker.failed();
        breaker.failed();
        assert_eq!(open_for(&breaker), time);

        tokio::time::advance(FIRST).await;
        assert_eq!(breaker.asks(), Asks::Store);
        open_for(&breaker); // one call asks
        breaker.failed();
        let second = open_for(&breaker);
        assert!(second >= FIRST && second <= 2 * FIRST, "{second:?}");

        tokio::time::advance(2 * FIRST).await;
        assert_eq!(breaker.asks(), Asks::Store);
        breaker.succeeded();
        assert_eq!(breaker.asks(), Asks::Store);
        assert_eq!(breaker.asks(), Asks::Store);
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_asks_and_is_dropped_does_not_keep_it_open() {
        let breaker = Breaker::new(Duration::from_millis(10));
        (0..3).for_each(|_| breaker.failed());
        tokio::time::advance(FIRST).await;
        assert_eq!(breaker.asks(), Asks::Store);
        tokio::time::advance(Duration::from_millis(11)).await;
        assert_eq!(breaker.asks(), Asks::Store);
    }

    #[tokio::test(start_paused = true)]
    async fn a_success_between_failures_keeps_it_closed() {
        let breaker = Breaker::new(Duration::from_millis(10));
        for _ in 0..10 {
            breaker.failed();
            breaker.failed();
            breaker.succeeded();
        }
        assert_eq!(breaker.asks(), Asks::Store);
    }

    #[tokio::test(start_paused = true)]
    async fn the_longest_time_is_two_seconds() {
        let breaker = Breaker::new(Duration::from_millis(10));
        (0..3).for_each(|_| breaker.failed());
        for _ in 0..20 {
            tokio::time::advance(LONGEST).await;
            assert_eq!(breaker.asks(), Asks::Store);
            breaker.failed();
            assert!(open_for(&breaker) <= LONGEST);
        }
        assert!(open_for(&breaker) >= LONGEST / 2);
    }
}
