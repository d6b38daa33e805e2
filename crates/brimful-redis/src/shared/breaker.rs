//! [`Breaker`]: whether the store is asked, after it has failed.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The failures in a row after which the store is not asked for a time.
const FAILURES: u32 = 3;

/// The first time for which the store is not asked.
const FIRST: Duration = Duration::from_millis(50);

/// The longest time.
const LONGEST: Duration = Duration::from_secs(2);

/// A circuit breaker. It opens after three failures in a row, for 50 ms, and then for twice as long each time, up to two
/// seconds, less a random part of up to a half. After that time one call asks the store, while the others still do not. Any
/// answer closes it.
///
/// Its lock is held for some instructions. A call that asks a server takes a thousand times as long.
#[derive(Debug)]
pub(super) struct Breaker {
    state: Mutex<State>,
    /// The time for which other calls wait for the outcome of the one that asks.
    probe: Duration,
    random: RandomState,
}

#[derive(Debug)]
struct State {
    kind: Kind,
    /// The number of changes of the kind. A failure of a call that asked before the last change is old news.
    changes: u64,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Closed {
        failures: u32,
    },
    /// The store is not asked until then. `openings` is the number of times in a row.
    Open {
        until: Instant,
        openings: u32,
    },
    /// One call asks. Another may ask if there is no outcome by then.
    Probing {
        until: Instant,
        openings: u32,
    },
}

/// The permission to ask the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Asks {
    changes: u64,
}

impl Breaker {
    /// Returns a closed breaker for calls with this deadline.
    pub(super) fn new(deadline: Duration) -> Self {
        let state = State { kind: Kind::Closed { failures: 0 }, changes: 0 };
        Breaker { state: Mutex::new(state), probe: deadline, random: RandomState::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns whether a call may ask the store. The error is the time until one may.
    pub(super) fn asks(&self) -> Result<Asks, Duration> {
        let mut state = self.lock();
        match state.kind {
            Kind::Closed { .. } => {}
            Kind::Open { until, openings } | Kind::Probing { until, openings } => {
                let now = Instant::now();
                if now < until {
                    return Err(until - now);
                }
                state.change(Kind::Probing { until: now + self.probe, openings });
            }
        }
        Ok(Asks { changes: state.changes })
    }

    /// Called when the store has answered. Returns whether this closes the breaker.
    pub(super) fn succeeded(&self) -> bool {
        let mut state = self.lock();
        match state.kind {
            Kind::Closed { failures: 0 } => false,
            // Failures of calls that asked before this count no longer.
            was => {
                state.change(Kind::Closed { failures: 0 });
                !matches!(was, Kind::Closed { .. })
            }
        }
    }

    /// Called when the store has failed for a call that asked. Returns whether this opens the breaker, which was closed.
    pub(super) fn failed(&self, asked: Asks) -> bool {
        let mut state = self.lock();
        if asked.changes != state.changes {
            return false;
        }
        match &mut state.kind {
            Kind::Closed { failures } => {
                *failures += 1;
                let opens = *failures >= FAILURES;
                if opens {
                    self.open(&mut state, 0);
                }
                opens
            }
            Kind::Probing { openings, .. } => {
                let openings = openings.saturating_add(1);
                self.open(&mut state, openings);
                false
            }
            Kind::Open { .. } => false,
        }
    }

    fn open(&self, state: &mut State, openings: u32) {
        let longest = FIRST.saturating_mul(1 << openings.min(10)).min(LONGEST);
        let random = (self.random.hash_one(state.changes) >> 32) as f64 / f64::from(u32::MAX);
        state.change(Kind::Open { until: Instant::now() + longest.mul_f64(1.0 - random / 2.0), openings });
    }
}

impl State {
    fn change(&mut self, kind: Kind) {
        self.kind = kind;
        self.changes += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEADLINE: Duration = Duration::from_millis(100);

    fn fail(breaker: &Breaker, times: u32) {
        for _ in 0..times {
            let _ = breaker.failed(breaker.asks().unwrap());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn opens_after_three_failures_and_one_call_asks_again() {
        let breaker = Breaker::new(DEADLINE);
        let early: Vec<Asks> = (0..100).map(|_| breaker.asks().unwrap()).collect();
        fail(&breaker, 2);
        assert!(breaker.failed(breaker.asks().unwrap()), "it opens");
        let time = breaker.asks().unwrap_err();
        assert!(time <= FIRST && time >= FIRST / 2, "{time:?}");
        // The calls that asked before it opened.
        early.iter().for_each(|&asked| assert!(!breaker.failed(asked)));
        assert_eq!(breaker.asks().unwrap_err(), time);

        tokio::time::advance(FIRST).await;
        let probe = breaker.asks().unwrap();
        breaker.asks().unwrap_err(); // one call asks
        early.iter().for_each(|&asked| assert!(!breaker.failed(asked)));
        assert!(!breaker.failed(probe), "it was open");
        let second = breaker.asks().unwrap_err();
        assert!(second >= FIRST && second <= 2 * FIRST, "{second:?}");

        tokio::time::advance(2 * FIRST).await;
        breaker.asks().unwrap();
        assert!(breaker.succeeded(), "it closes");
        fail(&breaker, 2);
        breaker.asks().unwrap();
        assert!(!breaker.succeeded(), "it was closed");
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_asks_and_is_dropped_does_not_keep_it_open() {
        let breaker = Breaker::new(DEADLINE);
        fail(&breaker, 3);
        tokio::time::advance(FIRST).await;
        breaker.asks().unwrap();
        tokio::time::advance(DEADLINE).await;
        breaker.asks().unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_success_between_failures_keeps_it_closed() {
        let breaker = Breaker::new(DEADLINE);
        for _ in 0..10 {
            let before = breaker.asks().unwrap();
            fail(&breaker, 2);
            breaker.succeeded();
            // It asked before the success.
            breaker.failed(before);
        }
        fail(&breaker, 2);
        breaker.asks().unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn the_longest_time_is_two_seconds() {
        let breaker = Breaker::new(DEADLINE);
        fail(&breaker, 3);
        for _ in 0..20 {
            tokio::time::advance(LONGEST).await;
            fail(&breaker, 1);
            assert!(breaker.asks().unwrap_err() <= LONGEST);
        }
        assert!(breaker.asks().unwrap_err() >= LONGEST / 2);
    }

    /// On a store that answers in the end, it is closed in the end, whatever the threads did before.
    #[tokio::test]
    async fn it_never_stays_open_on_a_store_that_answers() {
        for _ in 0..200 {
            let breaker = Breaker::new(Duration::from_millis(1));
            std::thread::scope(|scope| {
                for fails in [true, false] {
                    let breaker = &breaker;
                    scope.spawn(move || {
                        for _ in 0..200 {
                            match breaker.asks() {
                                Ok(asked) if fails => _ = breaker.failed(asked),
                                Ok(_) => _ = breaker.succeeded(),
                                Err(_) => {}
                            }
                        }
                    });
                }
            });
            breaker.succeeded();
            assert!(breaker.asks().is_ok());
        }
    }
}
