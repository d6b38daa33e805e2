//! The effect of a server's hints on a model.

use std::time::Duration;

use crate::cell::TimeSource;
use crate::clock::Clock;
use crate::composite::QueuedLimits;
use crate::tokens::Tokens;
use crate::word::Reading;

use super::dimension::Dimension;
use super::dims::Dims;
use super::hints::ServerHints;
use super::state::Model;

/// The longest pause: a server that names a longer one is not believed.
const LONGEST: Duration = Duration::from_secs(86_400);

/// The pause after a refusal without a time, doubled by each further one in a row.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The most times that it is doubled.
const MOST_DOUBLINGS: u32 = 6;

/// A bucket is raised by this part of what it is below the server's.
const RISE: u128 = 8;

impl<C: Clock + Send + Sync + 'static> Model<C> {
    /// Takes over what a server said.
    pub(super) fn observe(&self, hints: &ServerHints) {
        let in_a_row = self.count_answer(hints);
        let time = hints.retry_time().filter(|time| !time.is_zero());
        let pause = match (time, hints.is_refused()) {
            (Some(time), _) => Some(time),
            (None, true) => Some(reset_of(hints).unwrap_or(FIRST_PAUSE * (1 << in_a_row.min(MOST_DOUBLINGS)))),
            (None, false) => None,
        };
        if let Some(pause) = pause {
            self.pause(pause);
        }
        let in_flight = self.limits().slots.word().in_flight();
        let now = self.limits().read();
        let (charged, added) = self.limits().dims().correct(hints, in_flight, now);
        if charged || added {
            self.changed(charged);
        }
    }

    /// Admits nothing for a time, and then begins with empty buckets of minutes.
    pub(super) fn pause(&self, time: Duration) {
        if time.is_zero() {
            return;
        }
        let nanos = u64::try_from(time.min(LONGEST).as_nanos()).unwrap_or(u64::MAX);
        self.queue.replace_limits(|limits| {
            let opens = Reading::from_nanos(limits.read().nanos().saturating_add(nanos));
            limits.change_dims(|dims| dims.pause(opens, &limits.clock));
        });
    }
}

/// Returns the longest time after which a dimension is reset that has nothing left.
fn reset_of(hints: &ServerHints) -> Option<Duration> {
    let exhausted =
        Dimension::ALL.map(|dimension| hints.of(dimension)).into_iter().filter(|hint| hint.remaining == Some(0));
    exhausted.filter_map(|hint| hint.reset_in).max()
}

impl<C: Clock> Dims<C> {
    /// Brings the buckets near to what the server says is left: down to it at once, and up by a part of the difference.
    /// Returns whether something was charged, and whether something was added.
    ///
    /// The server may not have counted the calls in flight yet. So their requests are not added, and tokens only if no
    /// other call than the one that was answered is in flight.
    fn correct(&self, hints: &ServerHints, in_flight: usize, now: Reading) -> (bool, bool) {
        let (mut charged, mut added) = (false, false);
        let at = TimeSource::given(now.max(self.opens()));
        for dim in self.limited() {
            let Some(remaining) = hints.of(dim.dimension).remaining else { continue };
            let remaining = u32::try_from(remaining).map_or(Tokens::MAX, Tokens::new);
            let (held, _) = dim.target().held_and_debt(at);
            let above = held.saturating_sub(remaining);
            if !above.is_zero() {
                dim.target().settle(Tokens::ZERO, above, at);
                charged = true;
                continue;
            }
            let unseen = match dim.dimension {
                Dimension::Rpm | Dimension::Rpd => Tokens::new(u32::try_from(in_flight).unwrap_or(u32::MAX)),
                _ if in_flight > 1 => continue,
                _ => Tokens::ZERO,
            };
            let below = remaining.min(dim.burst()).saturating_sub(unseen).saturating_sub(held);
            let part = Tokens::from_pico(below.total_pico() / RISE);
            if !part.is_zero() && self.opens() <= now {
                dim.target().add_tokens(part, at);
                added = true;
            }
        }
        (charged, added)
    }
}
