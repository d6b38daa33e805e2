//! Which comes first: the load of the word, or the reading of the clock.
//!
//! The load, for a denial to be worth something: if somebody charged the bucket between a reading and
//! a load, it may look empty as of that reading, although it never was. But whoever is admitted
//! has then held the word for as long as it takes to read the clock; and where threads take from one
//! bucket at once, another has swapped it by then more often than not. So once swaps have failed, the clock is
//! read first, and once more where that would end in a denial; until there is one.

use crate::sync::{Hint, Ordering};
use crate::word::Reading;

/// A hint: either order is right at any time.
pub(crate) struct Order(Hint);

impl Order {
    /// The load first.
    pub(crate) const fn new() -> Self {
        Order(Hint::new(false))
    }

    #[inline]
    pub(crate) fn clock_first(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// A swap failed. Only one in many has the clock come first, at random, where readings are: all read
    /// the hint, so where some are admitted and some denied it must not change with every other call.
    #[cold]
    #[inline(never)]
    pub(crate) fn lost(&self, now: Reading) {
        // The models turn it themselves, by a reading of zero.
        const MANY: u64 = if cfg!(brimful_loom) { u64::MAX } else { 1_024 };
        if now.nanos().is_multiple_of(MANY) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    /// A call was denied, and the clock had come first.
    #[cold]
    #[inline(never)]
    pub(crate) fn denied(&self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_lost_swap_in_many_turns_it_and_a_denial_turns_it_back() {
        let (order, mut turns) = (Order::new(), 0);
        assert!(!order.clock_first());
        for nanos in 0..10_240 {
            order.lost(Reading::from_nanos(nanos));
            turns += u32::from(order.clock_first());
            order.denied();
            assert!(!order.clock_first());
        }
        assert_eq!(turns, 10);
    }
}
