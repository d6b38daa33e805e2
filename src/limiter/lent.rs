//! Where the word of a lone limiter is not in its cell.

use super::RateLimiter;
use crate::cell::{Follow, Now, Reply, Taken};
use crate::tokens::Tokens;
#[cfg(not(feature = "wait"))]
use crate::word::{Reading, Units, Word, Worth};

/// The reply, and where to go on if the word is lent.
pub(super) struct OrLent<'a, C, N, R> {
    pub(super) limiter: &'a RateLimiter<C>,
    pub(super) n: Tokens,
    pub(super) leaving: Tokens,
    pub(super) source: N,
    pub(super) reply: R,
}

// By hand: the limiter's clock need not be.
impl<C, N: Copy, R: Copy> Clone for OrLent<'_, C, N, R> {
    #[inline]
    fn clone(&self) -> Self {
        *self
    }
}

impl<C, N: Copy, R: Copy> Copy for OrLent<'_, C, N, R> {}

impl<C, N: Now, R: Reply> Reply for OrLent<'_, C, N, R> {
    type Answer = R::Answer;

    #[inline(always)]
    fn to(self, taken: Taken) -> R::Answer {
        self.reply.to(taken)
    }
}

impl<C, N: Now, R: Reply> Follow for OrLent<'_, C, N, R> {
    #[inline(always)]
    fn gone(self) -> R::Answer {
        self.reply.to(self.limiter.take_lent(self.n, self.leaving, self.source))
    }
}

/// Without a queue, no word is ever lent.
#[cfg(not(feature = "wait"))]
impl<C> RateLimiter<C> {
    pub(super) fn take_lent(&self, _: Tokens, _: Tokens, _: impl Now) -> Taken {
        unreachable!("there is no queue")
    }

    pub(super) fn change_lent(&self, _: impl Now, _: impl FnOnce(Word, Reading) -> (Word, Units)) -> Option<Units> {
        unreachable!("there is no queue")
    }

    pub(super) fn peek_lent(&self, _: Reading) -> Option<Worth> {
        unreachable!("there is no queue")
    }
}
