//! A bucket that is waited on: the word that was lent, and who waits. What is done here is done
//! under the queue's lock, one after the other, on a word that nobody else can reach.

use std::task::Waker;

use crate::algorithm::token_bucket::{self, Ask, Step};
use crate::cell::Taken;
use crate::word::{Due, Intercept, Layout, Level, Reading, Units, Word, Worth};

use super::line::{Collected, Id, Left, Line, Outcome, Refusal, Waiting};
use super::{Call, Entered, Looked, Terms};

/// Where more than one waits, who is due is made to wait so long at most, so that a crowd is served
/// with one look a millisecond.
const MOST_SLACK: u64 = 1_000_000;

/// The state of a queue.
pub(crate) struct Loan {
    /// Where it is not lent, nobody waits.
    word: Option<Word>,
    line: Line,
    /// What was charged may keep somebody behind the first from being served in time.
    recheck: bool,
    /// Whether a look has something to do, as far as the last call here saw.
    stirred: bool,
}

/// What a bucket's word is read by.
#[derive(Clone, Copy)]
pub(crate) struct Rule {
    pub(crate) layout: Layout,
}

impl Loan {
    pub(super) fn new(word: Option<Word>) -> Self {
        Loan { word, line: Line::new(), recheck: false, stirred: false }
    }

    /// The word comes under the lock.
    pub(super) fn lend(&mut self, word: Word) {
        self.word = Some(word);
    }

    pub(super) fn is_lent(&self) -> bool {
        self.word.is_some()
    }

    /// The word, where nobody waits: it goes home.
    pub(super) fn reclaim(&mut self) -> Option<Word> {
        if self.is_idle() { self.word.take() } else { None }
    }

    /// How many wait.
    pub(crate) fn waiting(&self) -> u32 {
        self.line.waiting()
    }

    /// Whether the word could go home.
    pub(super) fn is_idle(&self) -> bool {
        self.word.is_some() && self.line.waiting() == 0
    }

    /// Looks are given up: the next call is to look. Those who were to be told of a grant later are
    /// told now, to be woken where no lock is held: the next call may not come here.
    pub(super) fn give_up(&mut self) -> Vec<Waker> {
        self.stirred = true;
        self.line.tell_all()
    }

    /// Whether a look is due after what was done here.
    pub(super) fn is_stirred(&mut self) -> bool {
        std::mem::take(&mut self.stirred)
    }

    /// Takes what is asked for, unless it is not there, or somebody waits who comes first.
    pub(crate) fn take(&mut self, rule: &Rule, ask: Ask, now: Reading) -> Option<Taken> {
        let Ask { cost, needed } = ask;
        Some(match self.admit(rule, ask, now)? {
            Ok(held) => Taken::Admitted { cost, held, now },
            Err(deficit) => Taken::Denied { needed, deficit, now },
        })
    }

    /// Whether it is there, for who comes now.
    fn could_admit(&self, rule: &Rule, ask: Ask, now: Reading) -> bool {
        let held = self.word.map(|word| token_bucket::level(&rule.layout, word, now).0);
        !self.line.is_led(ask.leaving()) && held.is_some_and(|held| held >= ask.needed.0 as i64)
    }

    /// What was held before it was taken, or what is missing for it and for those who come first.
    fn admit(&mut self, rule: &Rule, ask: Ask, now: Reading) -> Option<Result<Units, Units>> {
        let word = self.word?;
        let leaving = ask.leaving();
        if !self.line.is_led(leaving) {
            match token_bucket::step_exact(&rule.layout, word, now, ask) {
                Step::Admitted { next, held } => {
                    self.word = Some(next);
                    return Some(Ok(held));
                }
                Step::Denied { deficit, .. } => return Some(Err(deficit)),
                Step::Cold => unreachable!("only special words are cold to the exact step"),
            }
        }
        let held = token_bucket::level(&rule.layout, word, now);
        // The timer is late: whoever is here may do its work.
        self.stirred |= self.line.first().is_some_and(|(_, first)| first.ask.needed.0 as i64 <= held.0);
        let missing = held.missing(u128::from(ask.needed.0) + self.line.ahead_of(leaving));
        Some(Err(missing.max(Units(1))))
    }

    /// Replaces the word by `change` of it, and returns what was added or charged by that.
    pub(crate) fn change(
        &mut self,
        rule: &Rule,
        now: Reading,
        change: impl FnOnce(Word, Reading) -> (Word, Units),
    ) -> Option<Units> {
        let before = self.word?;
        let (word, amount) = change(before, now);
        self.word = Some(word);
        let (Intercept(was), Intercept(is)) =
            (token_bucket::stored_intercept(&rule.layout, before), token_bucket::stored_intercept(&rule.layout, word));
        // Only where there is less than before may somebody be too late.
        self.recheck |= is < was;
        self.stirred |= is != was && self.line.waiting() > 0;
        Some(amount)
    }

    /// What the bucket is worth to somebody who is to leave so much.
    pub(crate) fn worth(&self, rule: &Rule, leaving: Units, now: Reading) -> Option<Worth> {
        let queued = self.line.ahead_of(leaving).min(1 << 62) as u64;
        let worth = Worth::held(now, token_bucket::level(&rule.layout, self.word?, now));
        Some(Worth { queued: Units(queued), ..worth })
    }

    /// Takes, or waits. The word is here.
    pub(crate) fn enter(&mut self, terms: &Terms, call: &mut Call, now: Reading) -> Entered {
        let rule = &terms.rule;
        let Call { ask, deadline, hold, ref mut waker } = *call;
        // Others may have been served since the caller's reading: with a new one, the instants of
        // grants are in order too.
        let now = if self.could_admit(rule, ask, now) { terms.now().unwrap_or(now) } else { now };
        let deficit = match self.admit(rule, ask, now) {
            Some(Ok(_)) => return Entered::Granted(now),
            Some(Err(deficit)) => deficit,
            None => unreachable!("it was lent under this lock"),
        };
        let due = Due::new(rule.layout.earned(), now, deficit);
        if due.misses(deadline) {
            return Entered::TooLate(due);
        }
        if self.line.waiting() >= terms.max_waiters {
            return Entered::Full;
        }
        let hold = super::random_up_to(hold);
        let Some(id) = waker.take().and_then(|waker| self.line.push(Waiting::new(ask, deadline, hold, waker))) else {
            return Entered::Full;
        };
        // The timer may be armed for later than a deadline where others come after it.
        let is_first = self.line.first().is_some_and(|(first, _)| first == id);
        self.stirred |= is_first || deadline < Reading::MAX && self.line.leads(ask.leaving());
        Entered::Waiting { id, alone: is_first.then_some(due) }
    }

    /// Serves whom it can, refuses who cannot be served in time, and tells when to look again.
    pub(super) fn look(&mut self, rule: &Rule, now: Reading) -> Looked {
        let mut woken = Vec::new();
        self.stirred = false;
        if std::mem::take(&mut self.recheck) {
            self.refuse_the_hopeless(rule, now, &mut woken);
        }
        loop {
            self.serve(rule, now, &mut woken);
            if self.line.first_timeout().is_none_or(|at| at > now) {
                break;
            }
            match self.line.time_out() {
                Some(Ok(waker)) => woken.push(waker),
                // Whoever still waits now is not due yet.
                Some(Err(id)) => woken.extend(self.refuse(rule, id, now)),
                None => {}
            }
        }
        Looked { now, next: self.next(rule, now), woken }
    }

    /// Grants the first what they asked for, as long as it is there.
    fn serve(&mut self, rule: &Rule, now: Reading, woken: &mut Vec<Waker>) {
        while let (Some(word), Some((id, first))) = (self.word, self.line.first()) {
            let (ask, deadline) = (first.ask, first.deadline);
            let missed = deadline < now && was_due_after(rule, word, ask, deadline);
            match token_bucket::step_exact(&rule.layout, word, now, ask) {
                Step::Admitted { next, .. } if !missed => {
                    self.word = Some(next);
                    woken.extend(self.line.grant(id, now));
                }
                Step::Denied { deficit, .. } if !after(rule, now, deficit, deadline) => return,
                _ => woken.extend(self.refuse(rule, id, now)),
            }
        }
    }

    /// Refuses somebody, and tells when a new wait for the same would end.
    fn refuse(&mut self, rule: &Rule, id: Id, now: Reading) -> Option<Waker> {
        let ask = self.line.at(id)?.ask;
        let held = self.word.map_or(Level(0), |word| token_bucket::level(&rule.layout, word, now));
        let ahead = self.line.ahead_of(ask.leaving()) - u128::from(ask.cost.0);
        let missing = held.missing(ahead + u128::from(ask.needed.0));
        let due = Due::new(rule.layout.earned(), now, missing.max(Units(1)));
        self.line.refuse(id, Refusal::TooLate(due))
    }

    /// Refuses everybody whose deadline is before they would be served, wherever they stand.
    fn refuse_the_hopeless(&mut self, rule: &Rule, now: Reading, woken: &mut Vec<Waker>) {
        let Some(word) = self.word.filter(|_| self.line.first_timeout().is_some()) else { return };
        let held = token_bucket::level(&rule.layout, word, now);
        let (mut ahead, mut hopeless) = (0, Vec::new());
        for (id, waiting) in self.line.ids() {
            let missing = held.missing(ahead + u128::from(waiting.ask.needed.0));
            if after(rule, now, missing, waiting.deadline) {
                hopeless.push(id);
            } else {
                ahead += u128::from(waiting.ask.cost.0);
            }
        }
        for id in hopeless {
            woken.extend(self.refuse(rule, id, now));
        }
    }

    /// When to look again: when the first is due, or somewhat later if more are due soon after.
    fn next(&self, rule: &Rule, now: Reading) -> Option<Reading> {
        let due = self.word.and_then(|word| self.next_due(rule, word, now));
        [due, self.line.first_timeout()].into_iter().flatten().min()
    }

    fn next_due(&self, rule: &Rule, word: Word, now: Reading) -> Option<Reading> {
        let layout = &rule.layout;
        let held = token_bucket::level(layout, word, now);
        let due = |needed: u128| Due::new(layout.earned(), now, held.missing(needed)).at();
        let needed = self.line.first()?.1.ask.needed.0;
        let first = due(needed.into())?;
        let Some((second, last)) = self.line.second_and_last() else { return Some(first) };
        // While the first is made to wait, no more than half of what is still free may come in: the
        // timer is late too.
        let half = (layout.capacity().0 - needed) / 2;
        let filled = due(u128::from(needed) + u128::from(half)).unwrap_or(Reading::MAX);
        let slack = Reading::from_nanos(first.nanos() + MOST_SLACK).min(filled);
        let unhurried = due(second).is_some_and(|second| second <= slack);
        Some(if unhurried { due(last).map_or(slack, |last| last.min(slack)) } else { first })
    }

    /// What became of somebody, or that `by` is to be woken for them.
    pub(super) fn collect(&mut self, id: Id, by: &Waker, fresh: &mut Option<Waker>) -> Collected {
        self.line.collect(id, by, fresh)
    }

    /// Somebody goes. With the waker, to be dropped where no lock is held.
    pub(super) fn leave(&mut self, id: Id) -> (Option<Outcome>, Option<Waker>) {
        match self.line.take_out(id) {
            Some((Left::Waiting { was_first }, waker)) => {
                self.stirred |= was_first && self.line.waiting() > 0;
                (None, waker)
            }
            Some((Left::Settled(outcome), waker)) => (Some(outcome), waker),
            None => (None, None),
        }
    }

    /// Everybody is refused, and the bucket forgotten.
    pub(super) fn forget(&mut self) -> Vec<Waker> {
        self.word = None;
        let ids: Vec<Id> = self.line.ids().map(|(id, _)| id).collect();
        ids.into_iter().filter_map(|id| self.line.refuse(id, Refusal::Forgotten)).collect()
    }
}

/// Whether the units will have been earned only after the deadline.
fn after(rule: &Rule, now: Reading, missing: Units, deadline: Reading) -> bool {
    Due::new(rule.layout.earned(), now, missing).misses(deadline)
}

/// Whether what is there now was not yet there at the deadline.
fn was_due_after(rule: &Rule, word: Word, ask: Ask, deadline: Reading) -> bool {
    token_bucket::level(&rule.layout, word, deadline).0 < ask.needed.0 as i64
}
