//! A lone limiter's queue, and its verbs where the word is lent to that.

use std::sync::Arc;

use super::RateLimiter;
use super::account::Account;
use crate::algorithm::token_bucket::{self, Ask};
use crate::cell::{Now, Seen, Taken};
use crate::clock::Clock;
use crate::table::Arrival;
use crate::tokens::Tokens;
use crate::wait::{Call, Drive, MakeTimer, Queue, Rule, Terms, Waiters};
use crate::word::{Reading, Units, Word, Worth};

/// The most who wait on one limiter, unless told otherwise.
pub(super) const MAX_WAITERS: u32 = 1 << 20;

impl<C> RateLimiter<C> {
    fn rule(&self) -> Rule {
        Rule { layout: *self.quota.layout() }
    }

    /// The same limiter, with a queue on these terms.
    pub(super) fn with_waiters(mut self, most: u32, timer: Option<MakeTimer>) -> Self {
        self.hot.waiters = Waiters::on(Terms::new(self.rule(), most, timer));
        self
    }

    fn queue(&self) -> &Arc<Queue> {
        self.hot.waiters.queue(|| Terms::new(self.rule(), MAX_WAITERS, None))
    }

    /// Takes. `None`: the word is lent, and the caller goes to the queue itself.
    #[inline(always)]
    pub(super) fn take_in_cell(&self, n: Tokens, leaving: Tokens, now: impl Now) -> Option<Taken> {
        match self.hot.cell.take(self.layout(), self, (n, leaving), now) {
            Ok(taken) => Some(taken),
            Err(seen) => self.retry_in_cell(Ask::new(self.layout(), n, leaving), now, seen),
        }
    }

    #[cold]
    #[inline(never)]
    fn retry_in_cell(&self, ask: Ask, now: impl Now, seen: Seen) -> Option<Taken> {
        self.hot.cell.take_cold(self.layout(), self, ask, now, seen)
    }

    /// Takes from a word that was seen to be lent.
    #[cold]
    #[inline(never)]
    pub(super) fn take_lent(&self, ask: Ask, source: impl Now) -> Taken {
        let queue = self.queue();
        loop {
            let lent = queue.work_for(&self.hot.cell, |loan| {
                let mut source = source;
                loan.take(&queue.terms().rule, ask, source.first())
            });
            let taken = lent.or_else(|| self.hot.cell.take_at_length(self.layout(), self, ask, source));
            if let Some(taken) = taken {
                return taken;
            }
        }
    }

    /// Changes a word that was seen to be lent; `None` where it is at home by then.
    #[cold]
    pub(super) fn change_lent(
        &self,
        mut source: impl Now,
        change: impl FnOnce(Word, Reading) -> (Word, Units),
    ) -> Option<Units> {
        let queue = self.queue();
        queue.work_for(&self.hot.cell, |loan| loan.change(&queue.terms().rule, source.first(), change))
    }

    /// Looks at a word that was seen to be lent; `None` where it is at home by then.
    #[cold]
    pub(super) fn peek_lent(&self, leaving: Units, now: Reading) -> Option<Worth> {
        let queue = self.queue();
        queue.work_for(&self.hot.cell, |loan| loan.worth(&queue.terms().rule, leaving, now))
    }

    /// Takes, or waits.
    #[cold]
    pub(super) fn enter(
        &self,
        call: &mut Call,
        now: Reading,
        drive: impl FnOnce(Option<&MakeTimer>) -> Drive,
    ) -> Arrival {
        let queue = self.queue();
        queue.terms().drive(drive);
        let home = |word: Word| {
            if word.is_special() { token_bucket::started(self.layout(), now, self.quota.initial_units()) } else { word }
        };
        let (entered, stirred) = queue.enter_for(&self.hot.cell, home, call, now);
        Arrival::Entered { queue: queue.clone(), entered, stirred }
    }

    /// How many wait for tokens, and have the timer armed for them: a mock clock may be moved then.
    #[must_use]
    pub fn waiters(&self) -> u32 {
        self.hot.waiters.waiting()
    }

    pub(super) fn bring_home(&self) {
        self.queue().bring_home(&self.hot.cell);
    }
}

/// What drives the queues of a limiter with this clock: the clock, and the timer that was chosen,
/// or else is the clock's own, or the default one.
pub(super) fn drive<C>(clock: &C, chosen: Option<&MakeTimer>) -> Drive
where
    C: Clock + Clone + Send + Sync + 'static,
{
    let (time, own) = (clock.clone(), clock.clone());
    let default = || MakeTimer::new(move || own.timer().unwrap_or_else(crate::clock::default_timer));
    Drive::new(move || Reading::from_nanos(time.now()), chosen.cloned().unwrap_or_else(default))
}
