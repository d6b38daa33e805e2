//! The clocks of the matrix: the real one, and one that the bench drives.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use brimful::QuantaClock;
use clock_lib::{Monotonic, SystemClock, Wall};
use crossbeam_utils::CachePadded;
use governor::clock::DefaultClock;
use governor::nanos::Nanos;

/// A source of time, as a clock of each library.
pub(super) trait Time: Clone + Send + Sync + 'static {
    type Brimful: brimful::Clock + Send + Sync + 'static;
    type Governor: governor::clock::Clock<Instant: Send + Sync> + Send + Sync + 'static;
    type RateNet: clock_lib::Clock + Clone + 'static;

    /// Returns a clock that no other table reads.
    fn fresh() -> Self;

    fn brimful(&self) -> Self::Brimful;

    fn governor(&self) -> Self::Governor;

    fn rate_net(&self) -> Self::RateNet;

    /// Sets the time, if it is driven.
    fn set(&self, nanos: u64);
}

/// The default clock of each library.
#[derive(Clone, Copy, Debug)]
pub(super) struct Real;

impl Time for Real {
    type Brimful = QuantaClock;
    type Governor = DefaultClock;
    type RateNet = SystemClock;

    fn fresh() -> Self {
        // The first reading calibrates.
        let _ = brimful::Clock::now(&QuantaClock);
        Real
    }

    fn brimful(&self) -> QuantaClock {
        QuantaClock
    }

    fn governor(&self) -> DefaultClock {
        DefaultClock::default()
    }

    fn rate_net(&self) -> SystemClock {
        SystemClock::new()
    }

    #[inline]
    fn set(&self, _: u64) {}
}

/// A clock that shows the time that the bench sets before each call. So every contender meets each
/// bucket in the same state, however fast the contender is. A reading costs as much as a reading of
/// the default clock, because it reads the counter (for rate-net, the system's clock) and waits for
/// it. Without `COUNTER` it does not, because Valgrind emulates a processor whose counter is not
/// trusted.
///
/// For one thread only: the times that two threads set would be mixed.
#[derive(Clone, Debug)]
pub(super) struct Driven<const COUNTER: bool>(Arc<CachePadded<AtomicU64>>);

/// [`Driven`], for rate-net.
#[derive(Clone, Debug)]
pub(super) struct DrivenRateNet<const COUNTER: bool> {
    origin: Monotonic,
    time: Driven<COUNTER>,
}

impl<const COUNTER: bool> Driven<COUNTER> {
    #[inline]
    fn nanos(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Returns the time, after a reading of the counter.
    #[inline]
    fn read(&self) -> u64 {
        // The reading is always below 2^63, which the processor does not know.
        let wait = if COUNTER { brimful::Clock::now(&QuantaClock) >> 63 } else { 0 };
        self.nanos() + wait
    }
}

impl<const COUNTER: bool> Time for Driven<COUNTER> {
    type Brimful = Self;
    type Governor = Self;
    type RateNet = DrivenRateNet<COUNTER>;

    fn fresh() -> Self {
        if COUNTER {
            let _ = Real::fresh();
        }
        Driven(Arc::default())
    }

    fn brimful(&self) -> Self {
        self.clone()
    }

    fn governor(&self) -> Self {
        self.clone()
    }

    fn rate_net(&self) -> DrivenRateNet<COUNTER> {
        DrivenRateNet { origin: Monotonic::now(), time: self.clone() }
    }

    #[inline]
    fn set(&self, nanos: u64) {
        self.0.store(nanos, Ordering::Relaxed);
    }
}

impl<const COUNTER: bool> brimful::Clock for Driven<COUNTER> {
    #[inline]
    fn now(&self) -> u64 {
        self.read()
    }
}

impl<const COUNTER: bool> governor::clock::Clock for Driven<COUNTER> {
    type Instant = Nanos;

    #[inline]
    fn now(&self) -> Nanos {
        self.read().into()
    }
}

impl<const COUNTER: bool> clock_lib::Clock for DrivenRateNet<COUNTER> {
    #[inline]
    fn now(&self) -> Monotonic {
        if COUNTER {
            black_box(Monotonic::now());
        }
        self.origin + Duration::from_nanos(self.time.nanos())
    }

    fn wall(&self) -> Wall {
        Wall::now()
    }
}

/// The driven time of one table, including the fractions of a nanosecond by which a call may
/// advance it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ticker {
    /// In units of 2^-32 ns.
    at: u128,
}

/// The time by which a call advances a driven clock, in units of 2^-32 ns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step(u128);

impl Step {
    pub(super) const NONE: Step = Step(0);

    pub(super) fn nanos(nanos: f64) -> Self {
        Step((nanos * 2f64.powi(32)) as u128)
    }
}

impl Ticker {
    /// Returns a ticker that starts away from the origin, like a process that has run for a while.
    pub(super) fn start() -> Self {
        Ticker { at: 1_000_000_000 << 32 }
    }

    #[inline]
    pub(super) fn advance(&mut self, step: Step) -> u64 {
        self.at = self.at.wrapping_add(step.0);
        (self.at >> 32) as u64
    }
}
