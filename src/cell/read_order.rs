//! The order of the load of the word and the reading of the clock.
//!
//! The load comes first by default, so that a denial is true of one instant. If another thread
//! charges the bucket between a reading and a later load, the bucket may look empty as of that
//! reading, although it never was. But an admitted call has then held the loaded word for as long
//! as the clock takes to read. If threads take from one bucket at the same time, another thread has
//! usually swapped the word by then. So after failed compare-exchanges the clock is read first, and
//! once more if the result would be a denial. The first such denial restores the default.

use crate::sync::{Hint, Ordering};
use crate::word::Reading;

/// A hint: both orders are correct at any time.
pub(crate) struct ReadOrderHint(Hint);

impl ReadOrderHint {
    /// Starts with the load first.
    pub(crate) const fn new() -> Self {
        ReadOrderHint(Hint::new(false))
    }

    #[inline]
    pub(crate) fn clock_first(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Called when a compare-exchange fails. Switches to clock-first with probability 1/1024, using
    /// the reading as the random source. All threads read the hint, so it must not change with
    /// every other call if some calls are admitted and some denied.
    #[cold]
    #[inline(never)]
    pub(crate) fn on_cas_failure(&self, now: Reading) {
        // The models switch it themselves, with a reading of zero.
        const MANY: u64 = if cfg!(brimful_loom) { u64::MAX } else { 1_024 };
        if now.nanos().is_multiple_of(MANY) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    /// Called when a call is denied after the clock came first. Switches to load-first.
    #[cold]
    #[inline(never)]
    pub(crate) fn on_denial(&self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_lost_swap_in_many_turns_it_and_a_denial_turns_it_back() {
        let (order, mut turns) = (ReadOrderHint::new(), 0);
        assert!(!order.clock_first());
        for nanos in 0..10_240 {
            order.on_cas_failure(Reading::from_nanos(nanos));
            turns += u32::from(order.clock_first());
            order.on_denial();
            assert!(!order.clock_first());
        }
        assert_eq!(turns, 10);
    }
}
