//! [`Counters`]: numbers that only grow, striped by thread.

use std::array;

use crossbeam_utils::CachePadded;

use crate::quota::Quotas;
use crate::sync::{AtomicU64, Ordering, PLACES, own_place, place};

/// A number that is counted.
#[derive(Clone, Copy)]
pub(super) enum Counter {
    /// Admitted calls for one token. Their tokens are not counted again, so that the most frequent call raises
    /// one counter.
    Single,
    /// Other admitted calls.
    Several,
    /// Calls for one token that were denied for now. Their tokens are not counted again, either.
    SingleDenied,
    /// Other calls that were denied for now.
    RateLimited,
    ExceedsBurst,
    TableFull,
    TooLate,
    QueueFull,
    /// Waits that were ended: the key was removed, or the limiter closed.
    Ended,
    /// Waits that were dropped.
    Abandoned,
    Waited,
    WaitMicros,
    Refunds,
    Changes,
    Pauses,
}

const COUNTERS: usize = Counter::Pauses as usize + 1;

/// An amount of tokens that is counted, in two numbers: whole tokens, and millionths.
#[derive(Clone, Copy)]
pub(super) enum Amount {
    /// Without the tokens of [`Counter::Single`].
    Admitted,
    /// Without the tokens of [`Counter::SingleDenied`].
    Denied,
    Refunded,
}

const AMOUNTS: usize = Amount::Refunded as usize + 1;
/// The first of the numbers of calls that each of several limits refused.
const LIMITS: usize = COUNTERS + 2 * AMOUNTS;
const NUMBERS: usize = LIMITS + Quotas::MOST;
const MICRO: u64 = 1_000_000;

/// The numbers of a limiter.
///
/// Each place has a copy of all numbers, in cache lines of its own. A thread that owns its place is the only
/// writer there, so it needs no read-modify-write. Threads beyond those add atomically, in places that several
/// of them share.
///
/// # Memory ordering
///
/// Relaxed: a number orders nothing. The next owner of a place continues from the last value, because places
/// are handed over under a lock.
pub(super) struct Counters([CachePadded<[AtomicU64; NUMBERS]>; PLACES]);

/// The numbers in the place of a thread.
#[derive(Clone, Copy)]
pub(super) struct Numbers<'a> {
    numbers: &'a [AtomicU64; NUMBERS],
    is_own: bool,
}

impl Numbers<'_> {
    #[inline]
    pub(super) fn add(self, counter: Counter, n: u64) {
        self.raise(counter as usize, n);
    }

    /// Adds whole tokens and parts of 10⁻¹² token, to the nearest millionth of one.
    #[inline]
    pub(super) fn add_tokens(self, amount: Amount, whole: u32, pico: u64) {
        let at = COUNTERS + 2 * amount as usize;
        self.raise(at, whole.into());
        if pico > 0 {
            self.raise(at + 1, (pico + MICRO / 2) / MICRO);
        }
    }

    /// Counts a call that the nth of several limits refused.
    pub(super) fn add_refusal(self, nth: usize) {
        self.raise(LIMITS + nth.min(Quotas::MOST - 1), 1);
    }

    #[inline]
    fn raise(self, at: usize, n: u64) {
        let number = &self.numbers[at];
        if self.is_own {
            number.store(number.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
        } else {
            number.fetch_add(n, Ordering::Relaxed);
        }
    }
}

/// The sums of the numbers over all places.
#[derive(Clone, Copy)]
pub(super) struct Sums([u64; NUMBERS]);

impl Counters {
    pub(super) fn new() -> Self {
        Counters(array::from_fn(|_| CachePadded::new(array::from_fn(|_| AtomicU64::new(0)))))
    }

    /// Returns the numbers of this thread, to be raised.
    #[inline]
    pub(super) fn here(&self) -> Numbers<'_> {
        let place = place();
        Numbers { numbers: &self.0[place.index()], is_own: place.is_own() }
    }

    /// Counts one, if this thread owns its place. Returns false if it does not.
    #[inline(always)]
    pub(super) fn count_if_own(&self, counter: Counter) -> bool {
        let Some(place) = own_place() else { return false };
        Numbers { numbers: &self.0[place], is_own: true }.add(counter, 1);
        true
    }

    pub(super) fn sums(&self) -> Sums {
        let sum =
            |at: usize| self.0.iter().fold(0, |sum: u64, place| sum.wrapping_add(place[at].load(Ordering::Relaxed)));
        Sums(array::from_fn(sum))
    }
}

impl Sums {
    pub(super) const ZERO: Sums = Sums([0; NUMBERS]);

    /// Returns what was added after `earlier`.
    pub(super) fn since(&self, earlier: &Sums) -> Sums {
        Sums(array::from_fn(|at| self.0[at].wrapping_sub(earlier.0[at])))
    }

    pub(super) fn get(&self, counter: Counter) -> u64 {
        self.0[counter as usize]
    }

    /// Returns the calls that the nth of several limits refused.
    pub(super) fn refused_by(&self, nth: usize) -> u64 {
        self.0[LIMITS..].get(nth).copied().unwrap_or_default()
    }

    pub(super) fn tokens(&self, amount: Amount) -> f64 {
        let at = COUNTERS + 2 * amount as usize;
        self.calls_for_one(amount) as f64 + self.0[at] as f64 + self.0[at + 1] as f64 / MICRO as f64
    }

    /// Returns the whole tokens of an amount that never began anew.
    #[cfg(feature = "metrics")]
    pub(super) fn whole_tokens(&self, amount: Amount) -> u64 {
        let at = COUNTERS + 2 * amount as usize;
        self.calls_for_one(amount).wrapping_add(self.0[at]).wrapping_add(self.0[at + 1] / MICRO)
    }

    /// Returns the calls for one token, whose tokens are counted by this alone.
    fn calls_for_one(&self, amount: Amount) -> u64 {
        match amount {
            Amount::Admitted => self.get(Counter::Single),
            Amount::Denied => self.get(Counter::SingleDenied),
            Amount::Refunded => 0,
        }
    }
}
