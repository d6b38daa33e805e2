//! [`Gate`]: the last stop of the calls of a key, after its server has refused one.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use brimful::{Clock, OwnedAcquire, Quota, RateLimiter};

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

/// The refusals in a row, and the rate that they have led to.
#[derive(Clone, Copy)]
struct Row {
    refusals: u32,
    parts: u32,
    answers: u32,
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
            row: Mutex::new(Row { refusals: 0, parts: PARTS, answers: 0 }),
        };
        gate.set_rate();
        gate
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
    /// that grows with the row, made longer by a function; `None` if the server named none, and the call was in flight
    /// together with one that was refused before.
    pub(super) fn refused(
        &self,
        left_at: u64,
        named: Option<Duration>,
        stretch: impl Fn(Duration) -> Duration,
    ) -> Option<Duration> {
        let mut row = self.row();
        if row.refusals > 0 && left_at < self.opens() {
            return named;
        }
        let own = FIRST_PAUSE * (1 << row.refusals.min(MOST_DOUBLINGS));
        *row = Row { refusals: row.refusals.saturating_add(1), parts: (row.parts.min(PARTS) / 2).max(1), answers: 0 };
        Some(named.unwrap_or_else(|| stretch(own)))
    }

    /// Marks the gate as closed until this time. [`pause`](Gate::pause) then closes it.
    pub(super) fn close(&self, until: u64) {
        self.opens.fetch_max(until, Ordering::AcqRel);
    }

    /// Closes the gate for a time, and then lets the calls out at its current rate.
    pub(super) fn pause(&self, time: Duration) {
        self.set_rate();
        self.limiter.pause_for(time);
    }

    /// Returns a gate of the same rate that is open, and sends away the calls that wait at this one.
    pub(super) fn resumed(&self, clock: C) -> Self {
        let gate = Gate::new(self.quota, clock);
        *gate.row() = *self.row();
        gate.set_rate();
        self.limiter.close();
        gate
    }

    /// Counts a call that left at this time and was served. Returns whether the rate has changed:
    /// [`set_rate`](Gate::set_rate) then sets it.
    pub(super) fn served(&self, left_at: u64) -> bool {
        let mut row = self.row();
        if left_at < self.opens() {
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
