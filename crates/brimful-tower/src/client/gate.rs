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

/// The answers without a refusal after which a gate is faster by one part.
const ANSWERS_FOR_A_PART: u32 = 4;

/// The time after which a gate is forgotten, whatever its rate.
const MEMORY: Duration = Duration::from_secs(600);

/// The last stop of the calls of a key, after its server has refused one: it is closed during a pause, and then lets the
/// calls out one by one, at most at the rate of the key's quota, and never in a burst.
///
/// Its rate is halved by each refusal, and goes up by a 64th of the quota's rate with every fourth answer that is none.
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
struct Row {
    refusals: u32,
    parts: u32,
    answers: u32,
}

impl<C: Clock + Clone + Send + Sync + 'static> Gate<C> {
    /// Returns a gate for a key with this quota.
    pub(super) fn new(quota: Quota, clock: C) -> Self {
        // Full, whatever the buckets of the limiter begin with: a call that comes here has its token.
        let quota = quota.burst(1).initial(1);
        Gate {
            limiter: Arc::new(RateLimiter::with_clock(quota, clock)),
            quota,
            opens: AtomicU64::new(0),
            row: Mutex::new(Row { refusals: 0, parts: PARTS, answers: 0 }),
        }
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

    /// Returns whether the gate would stop no call.
    pub(super) fn is_idle(&self, now: u64) -> bool {
        let is_fast = || self.row().parts == PARTS || self.opens().saturating_add(nanos(MEMORY)) <= now;
        self.opens() <= now
            && self.limiter.waiters() == 0
            && self.limiter.time_until(1) == Some(Duration::ZERO)
            && is_fast()
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
        *row = Row { refusals: row.refusals.saturating_add(1), parts: (row.parts / 2).max(1), answers: 0 };
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

    /// Counts a call that left at this time and was served. Returns whether the rate has changed:
    /// [`set_rate`](Gate::set_rate) then sets it.
    pub(super) fn served(&self, left_at: u64) -> bool {
        let mut row = self.row();
        if left_at < self.opens() {
            return false;
        }
        row.refusals = 0;
        row.answers += 1;
        let is_faster = row.parts < PARTS && row.answers >= ANSWERS_FOR_A_PART;
        if is_faster {
            (row.parts, row.answers) = (row.parts + 1, 0);
        }
        is_faster
    }

    pub(super) fn set_rate(&self) {
        let (tokens, period) = self.quota.rate();
        let parts = self.row().parts;
        if let Ok(quota) = Quota::try_new(tokens, period * PARTS / parts).and_then(|quota| quota.try_burst(1)) {
            // A rate that is too low to be counted leaves the rate as it is.
            let _ = self.limiter.set_quota(quota);
        }
    }

    fn row(&self) -> MutexGuard<'_, Row> {
        self.row.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
