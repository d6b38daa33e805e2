//! The effect of a server's hints on a model.

use std::time::Duration;

use crate::clock::Clock;
use crate::composite::QueuedLimits;
use crate::sync::lock;
use crate::tokens::Tokens;
use crate::word::Reading;

use super::dimension::Dimension;
use super::dims::Dims;
use super::hints::ServerHints;
use super::row::Answered;
use super::state::Model;

/// The longest pause: a server that names a longer one is not believed.
const LONGEST: Duration = Duration::from_secs(86_400);

impl<C: Clock + Send + Sync + 'static> Model<C> {
    /// Takes over what a server said with the answer to a call that was admitted in this epoch; `None` if the call is not
    /// known.
    pub(super) fn observe(&self, hints: &ServerHints, epoch: Option<u64>) {
        let time = hints.retry_time().filter(|time| !time.is_zero());
        let of = epoch.map_or_else(|| Answered::Some(self.limits().read()), Answered::Call);
        if hints.is_refused() {
            self.count_refusal();
            self.refused(of, time.or_else(|| reset_of(hints)));
        } else {
            self.answered(of);
            self.pause(time.unwrap_or_default());
        }
        // A call that is not known may have ended before its answer is observed.
        let answered = usize::from(epoch.is_some());
        let others = self.limits().slots.word().in_flight().saturating_sub(answered);
        let (charged, added) = self.correct(hints, others);
        if charged || added {
            self.changed(charged);
        }
    }

    fn correct(&self, hints: &ServerHints, others: usize) -> (bool, bool) {
        let now = self.limits().read();
        let _one_at_a_time = lock(&self.corrections);
        self.limits().dims().correct(hints, others, now)
    }

    /// Admits nothing for a time, and then begins with empty buckets of minutes.
    pub(super) fn pause(&self, time: Duration) {
        if time.is_zero() {
            return;
        }
        if end(self.limits().read(), time) <= self.limits().dims().opens() {
            return;
        }
        self.queue.replace_limits(|limits| {
            let now = limits.read();
            limits.change_dims(|dims| dims.pause(now, end(now, time), &limits.clock));
        });
    }

    /// Returns the time until the pause is over; zero if there is none.
    pub(super) fn paused(&self) -> Duration {
        let (opens, now) = (self.limits().dims().opens(), self.limits().read());
        Duration::from_nanos(opens.nanos().saturating_sub(now.nanos()))
    }

    /// Ends a pause that is on.
    pub(super) fn resume(&self) {
        if self.limits().dims().opens() > self.limits().read() {
            self.queue.replace_limits(|limits| limits.change_dims(|dims| dims.resume(&limits.clock)));
        }
    }

    /// Pauses after a refusal by the server, for the time that it `named`, or else for one that grows with the row.
    fn refused(&self, of: Answered, named: Option<Duration>) {
        // Most refusals of calls that were in flight together end here.
        let is_new =
            |now, dims: &Dims<C>| dims.row.counts(of) || named.is_some_and(|time| end(now, time) > dims.opens());
        if !is_new(self.limits().read(), &self.limits().dims()) {
            return;
        }
        self.queue.replace_limits(|limits| {
            let now = limits.read();
            limits.change_dims(|dims| {
                // Under the lock: of two refusals at once, only the first counts.
                let counted = dims.row.counts(of).then(|| dims.row.refused());
                if let Some(time) = named.or(counted) {
                    dims.pause(now, end(now, time), &limits.clock);
                    dims.row.paused(dims.epoch(), dims.opens());
                }
            });
        });
    }

    /// Ends the row of refusals, if the call was begun after the last one.
    fn answered(&self, of: Answered) {
        if self.limits().dims().row.ends(of) {
            self.limits().change_dims(|dims| {
                if dims.row.ends(of) {
                    dims.row.served();
                }
            });
        }
    }
}

/// Returns the end of a pause that begins now.
fn end(now: Reading, time: Duration) -> Reading {
    let nanos = u64::try_from(time.min(LONGEST).as_nanos()).unwrap_or(u64::MAX);
    Reading::from_nanos(now.nanos().saturating_add(nanos))
}

/// Returns the longest time after which a dimension is reset that has nothing left.
fn reset_of(hints: &ServerHints) -> Option<Duration> {
    let exhausted =
        Dimension::ALL.map(|dimension| hints.of(dimension)).into_iter().filter(|hint| hint.remaining == Some(0));
    exhausted.filter_map(|hint| hint.reset_in).max()
}

impl<C: Clock> Dims<C> {
    /// Brings the buckets near to what the server says is left: down to it at once, and up by a part of the difference, as
    /// far as [hints have taken](super::corrections). One thread at a time does. Returns whether something was charged, and
    /// whether something was added.
    ///
    /// The server may not have counted the other calls of the model that are in flight. So their requests are not added,
    /// and tokens only if there are no others.
    fn correct(&self, hints: &ServerHints, others: usize, now: Reading) -> (bool, bool) {
        let (mut charged, mut added) = (false, false);
        for dim in self.limited() {
            let Some(remaining) = hints.of(dim.dimension).remaining else { continue };
            let remaining = u32::try_from(remaining).map_or(Tokens::MAX, Tokens::new);
            if dim.corrections.lower(dim.target(), remaining, now.max(self.opens())) {
                charged = true;
                continue;
            }
            let unseen = match dim.dimension {
                Dimension::Rpm | Dimension::Rpd => Tokens::new(u32::try_from(others).unwrap_or(u32::MAX)),
                _ if others > 0 => continue,
                _ => Tokens::ZERO,
            };
            if self.opens() <= now {
                added |= dim.corrections.raise(dim.target(), remaining.min(dim.burst()).saturating_sub(unseen));
            }
        }
        (charged, added)
    }
}
