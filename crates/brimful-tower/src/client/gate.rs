//! [`Gate`]: the last stop of the calls of a key, after its server has refused one.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use brimful::{Clock, OwnedAcquire, Quota, RateLimiter};

use super::answer::Jitter;

/// The pause after a refusal without a time, doubled by each further one in a row, up to 64 seconds.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const MOST_DOUBLINGS: u32 = 6;

/// The parts into which the rate of a gate is divided.
const PARTS: u32 = 64;

/// The most parts: so many that calls that wait become fewer while others come at the rate of the quota.
const MOST_PARTS: u32 = PARTS + PARTS / 8;

/// The time whose calls a gate lets out at once, because timers are no finer.
const AT_ONCE: Duration = Duration::from_millis(2);

/// The answers without a refusal after which a gate is faster by one part.
const ANSWERS_FOR_A_PART: u32 = 4;

/// The time after which a gate is as fast as it can be, and forgotten when no call waits.
const MEMORY: Duration = Duration::from_secs(600);

/// The last stop of the calls of a key, after its server has refused one: it is closed during a pause, and then lets the
/// calls out one by one, or those of two milliseconds at once.
///
/// Its rate is at first that of the key's quota. It is halved by each refusal, and goes up by a 64th of the quota's rate with
/// every fourth answer that is none, up to nine eighths of it, so that the calls that wait become fewer.
/// So the rate of calls comes near to that of a server whose limit is lower than the quota, and such a server refuses few.
pub(super) struct Gate<C> {
    limiter: Arc<RateLimiter<C>>,
    /// The highest quota.
    quota: Quota,
    /// The end of the last pause, on the clock. The writer is a thread that pauses, under the lock of the gates. A call that
    /// begins after that sees it, by acquire and release of this value or of the lock.
    opens: AtomicU64,
    row: Mutex<Row>,
}

/// The refusals in a row, and the rate that they have led to. Answers to calls that left before the end of the last one's pause
/// do not count.
#[derive(Clone, Copy)]
struct Row {
    refusals: u32,
    parts: u32,
    answers: u32,
    /// The end of the pause after the last refusal.
    until: u64,
    /// The random number of the last pause. Those of calls that were in flight together have the same one, or the longest of
    /// them would count.
    drawn: u64,
}

impl<C: Clock + Clone + Send + Sync + 'static> Gate<C> {
    /// Returns a gate for a key with this quota.
    pub(super) fn new(quota: Quota, clock: C) -> Self {
        // Full, whatever the buckets of the limiter begin with: a call that comes here has its token.
        // Twice the quota, so that the units of a bucket divide the quota and its half.
        let highest = part_of(quota, 2 * PARTS).or_else(|| part_of(quota, PARTS));
        let highest = highest.unwrap_or(quota.burst(1).initial(1));
        let gate = Gate {
            limiter: Arc::new(RateLimiter::with_clock(highest, clock)),
            quota,
            opens: AtomicU64::new(0),
            row: Mutex::new(Row { refusals: 0, parts: PARTS, answers: 0, until: 0, drawn: 0 }),
        };
        gate.set_rate();
        gate
    }

    pub(super) fn quota(&self) -> Quota {
        self.quota
    }

    pub(super) fn opens(&self) -> u64 {
        self.opens.load(Ordering::Acquire)
    }

    /// Lets a call out, if no other one waits and it may leave now.
    pub(super) fn try_pass(&self, now: u64) -> bool {
        self.opens() <= now && self.limiter.allow()
    }

    /// Waits until a call may leave.
    pub(super) fn pass(&self, deadline: u64) -> OwnedAcquire<C> {
        self.limiter.acquire_n_owned(1).until(deadline)
    }

    /// Returns whether the gate is as fast as the quota, and no call waits. One whose pause is long over is made so.
    pub(super) fn is_over(&self, now: u64) -> bool {
        if self.opens() > now {
            return false;
        }
        let is_old = self.opens().saturating_add(nanos(MEMORY)) <= now;
        if is_old && std::mem::replace(&mut self.row().parts, MOST_PARTS) < MOST_PARTS {
            self.set_rate();
        }
        self.row().parts >= PARTS && self.limiter.waiters() == 0
    }

    /// Counts the refusal of a call that left at this time. Returns the pause after it: the one that the server named, or one
    /// that grows with the row, up to the longest; `None` if the server named none, and the call was in flight together with
    /// one that was refused before.
    pub(super) fn refused(&self, left_at: u64, named: Option<Duration>, longest: Option<Duration>) -> Option<Duration> {
        let mut row = self.row();
        if left_at < row.until {
            return named;
        }
        let own = FIRST_PAUSE * (1 << row.refusals.min(MOST_DOUBLINGS));
        let parts = (row.parts.min(PARTS) / 2).max(1);
        *row = Row { refusals: row.refusals.saturating_add(1), parts, answers: 0, ..*row };
        Some(named.unwrap_or_else(|| own.min(longest.unwrap_or(own))))
    }

    /// Marks the gate as closed from now for a time, after the answer to a call that left at this time, and returns the time,
    /// which is longer at random. [`pause`](Gate::pause) then closes it.
    pub(super) fn close(
        &self,
        (left_at, now): (u64, u64),
        time: Duration,
        is_refusal: bool,
        jitter: &Jitter,
    ) -> Duration {
        let mut row = self.row();
        if left_at >= self.opens() {
            row.drawn = jitter.draw();
        }
        let time = jitter.stretch(time, row.drawn);
        self.opens.fetch_max(now.saturating_add(nanos(time)), Ordering::AcqRel);
        if is_refusal {
            row.until = self.opens();
        }
        time
    }

    /// Closes the gate for a time, and then lets the calls out at its current rate.
    pub(super) fn pause(&self, time: Duration) {
        self.set_rate();
        self.limiter.pause_for(time);
    }

    /// Returns a gate in the place of this one: with a quota, of which it has the same part, and which opens at another time.
    /// This one is then [retired](Gate::retire).
    pub(super) fn other(&self, quota: Quota, opens: u64, clock: C) -> Self {
        let closed = Duration::from_nanos(opens.saturating_sub(clock.now()));
        // It opens at a time, or it would be taken for one whose pause is long over.
        let gate = Gate { opens: AtomicU64::new(opens), ..Gate::new(quota, clock) };
        let row = *self.row();
        *gate.row() = Row { until: row.until.min(opens), ..row };
        gate.pause(closed);
        gate
    }

    /// Sends away the calls that wait.
    pub(super) fn retire(&self) {
        self.limiter.close();
    }

    /// Counts a call that left at this time and was served. Returns whether the rate has changed:
    /// [`set_rate`](Gate::set_rate) then sets it.
    pub(super) fn served(&self, left_at: u64) -> bool {
        let mut row = self.row();
        if left_at < row.until {
            return false;
        }
        row.refusals = 0;
        row.answers += 1;
        let is_faster = row.parts < MOST_PARTS && row.answers >= ANSWERS_FOR_A_PART;
        if is_faster {
            (row.parts, row.answers) = (row.parts + 1, 0);
        }
        is_faster
    }

    pub(super) fn set_rate(&self) {
        if let Some(quota) = part_of(self.quota, self.row().parts) {
            // A rate that is too low to be counted leaves the rate as it is.
            let _ = self.limiter.set_quota(quota);
        }
    }

    fn row(&self) -> MutexGuard<'_, Row> {
        self.row.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the quota of a gate with a part of this rate, with a burst of at least one; `None` if there is no such quota.
fn part_of(quota: Quota, parts: u32) -> Option<Quota> {
    let (tokens, period) = quota.rate();
    let part = Quota::try_new(tokens, period * PARTS / parts).ok()?;
    let burst = ((part.tokens_per_second() * AT_ONCE.as_secs_f64()) as u32).max(1);
    Some(part.try_burst(burst).ok()?.initial(burst))
}

pub(super) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
