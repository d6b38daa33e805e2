//! [`PermitWord`]: the state of a concurrency limit, packed into 64 bits.

/// The bits of each count.
const COUNT_BITS: u32 = 31;

const COUNT: u64 = (1 << COUNT_BITS) - 1;

/// A limit and the permits in flight:
///
/// ```text
///  63       62       61 …… 31   30 …… 0
/// ┌────────┬────────┬──────────┬───────────┐
/// │ closed │ queued │ limit    │ in flight │
/// └────────┴────────┴──────────┴───────────┘
/// ```
///
/// - **In flight** is the number of permits that are out, also of those that were granted to a waiter that
///   has not been polled since. It rises only while it is below the limit, so it never overflows.
/// - **Queued** means that calls have to ask the queue. It is set for as long as there is a waiter.
/// - **Closed** means that no permit is granted any longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PermitWord(u64);

impl PermitWord {
    /// The highest limit.
    pub(crate) const MOST: usize = COUNT as usize;

    /// One permit in flight.
    pub(super) const ONE: u64 = 1;

    pub(super) const QUEUED: u64 = 1 << (2 * COUNT_BITS);

    pub(super) const CLOSED: u64 = QUEUED_AND_CLOSED & !PermitWord::QUEUED;

    /// Returns the word of a limit with no permit in flight. A limit above [`MOST`](PermitWord::MOST) is
    /// cut to it.
    pub(crate) const fn new(limit: usize) -> Self {
        PermitWord(cut(limit) << COUNT_BITS)
    }

    #[inline]
    pub(super) const fn from_bits(bits: u64) -> Self {
        PermitWord(bits)
    }

    #[inline]
    pub(super) const fn bits(self) -> u64 {
        self.0
    }

    #[inline]
    pub(crate) const fn limit(self) -> usize {
        (self.0 >> COUNT_BITS & COUNT) as usize
    }

    #[inline]
    pub(crate) const fn in_flight(self) -> usize {
        (self.0 & COUNT) as usize
    }

    #[inline]
    pub(super) const fn is_queued(self) -> bool {
        self.0 & PermitWord::QUEUED != 0
    }

    #[inline]
    pub(crate) const fn is_closed(self) -> bool {
        self.0 & PermitWord::CLOSED != 0
    }

    /// Returns whether fewer permits are in flight than the limit permits.
    #[inline]
    pub(super) const fn has_permit(self) -> bool {
        self.0 & COUNT < self.0 >> COUNT_BITS & COUNT
    }

    /// Returns whether a call may take a permit without a look at the queue.
    #[inline]
    pub(super) const fn is_free(self) -> bool {
        self.0 & QUEUED_AND_CLOSED == 0 && self.has_permit()
    }

    #[inline]
    pub(super) const fn with_one_more(self) -> Self {
        PermitWord(self.0 + PermitWord::ONE)
    }

    pub(super) const fn with_limit(self, limit: usize) -> Self {
        PermitWord(self.0 & !(COUNT << COUNT_BITS) | cut(limit) << COUNT_BITS)
    }

    pub(super) const fn queued(self) -> Self {
        PermitWord(self.0 | PermitWord::QUEUED)
    }

    pub(super) const fn not_queued(self) -> Self {
        PermitWord(self.0 & !PermitWord::QUEUED)
    }
}

const QUEUED_AND_CLOSED: u64 = !0 << (2 * COUNT_BITS);

const fn cut(limit: usize) -> u64 {
    if limit > PermitWord::MOST { COUNT } else { limit as u64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_do_not_touch_each_other() {
        for limit in [0, 1, 2, PermitWord::MOST - 1, PermitWord::MOST] {
            let word = PermitWord::new(limit);
            assert_eq!((word.limit(), word.in_flight(), word.is_free()), (limit, 0, limit > 0));
            let word = if limit > 0 { word.with_one_more() } else { word };
            assert_eq!((word.limit(), word.in_flight()), (limit, limit.min(1)));
            let queued = word.queued();
            assert!(queued.is_queued() && !queued.is_closed() && !queued.is_free());
            assert_eq!((queued.limit(), queued.not_queued()), (limit, word));
            let closed = PermitWord::from_bits(word.bits() | PermitWord::CLOSED);
            assert!(closed.is_closed() && !closed.is_queued() && !closed.is_free());
            assert_eq!(closed.with_limit(7).limit(), 7);
            assert_eq!(closed.with_limit(7).in_flight(), word.in_flight());
            assert!(closed.with_limit(7).is_closed());
        }
        assert_eq!(PermitWord::new(usize::MAX).limit(), PermitWord::MOST);
    }
}
