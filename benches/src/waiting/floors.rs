//! Hand-written limiters: an exact schedule with tokio's sleep, and tokio's semaphore that a task
//! fills.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until};

use super::contenders::Waits;
use crate::limit::Limit;

/// A limiter without a limit.
#[derive(Debug)]
pub(super) struct Nothing;

impl Waits for Nothing {
    async fn acquire(&self) -> Option<u64> {
        None
    }
}

/// An exact schedule, which returns the instant at which each call is due.
#[derive(Debug)]
pub(super) struct Schedule {
    token: u64,
    /// The time of the tokens that the bucket holds beyond one.
    slack: u64,
    next: Mutex<u64>,
}

impl Schedule {
    pub(super) fn new(limit: Limit) -> Self {
        let token = limit.token().as_nanos() as u64;
        Schedule { token, slack: token * u64::from(limit.burst - 1), next: Mutex::new(0) }
    }

    /// Returns the instant at which a call of now is due. Later calls are due after it.
    pub(super) fn reserve(&self, now: u64) -> u64 {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let due = now.max(next.saturating_sub(self.slack));
        *next = due.max(*next) + self.token;
        due
    }
}

/// A place in the schedule, and a sleep. A reservation is lost if the future is dropped.
#[derive(Debug)]
pub(super) struct Reserve {
    start: Instant,
    schedule: Schedule,
}

impl Reserve {
    pub(super) fn new(limit: Limit) -> Self {
        // The bucket has been full for long.
        let start = Instant::now();
        Reserve { start, schedule: Schedule::new(limit) }
    }
}

impl Waits for Reserve {
    async fn acquire(&self) -> Option<u64> {
        let now = self.start.elapsed().as_nanos() as u64;
        let due = self.schedule.reserve(now);
        if due > now {
            sleep_until(self.start + Duration::from_nanos(due)).await;
        }
        None
    }
}

/// Like [`Reserve`], for threads.
#[derive(Debug)]
pub(super) struct ReserveBlocking {
    start: std::time::Instant,
    schedule: Schedule,
    /// The number of threads that sleep.
    asleep: AtomicU64,
}

impl ReserveBlocking {
    pub(super) fn new(limit: Limit) -> Self {
        let start = std::time::Instant::now();
        ReserveBlocking { start, schedule: Schedule::new(limit), asleep: AtomicU64::new(0) }
    }

    pub(super) fn waiting(&self) -> u64 {
        self.asleep.load(Ordering::Acquire)
    }

    pub(super) fn acquire(&self) {
        let now = self.start.elapsed().as_nanos() as u64;
        let due = self.schedule.reserve(now);
        if due > now {
            self.asleep.fetch_add(1, Ordering::AcqRel);
            let until = self.start + Duration::from_nanos(due);
            std::thread::sleep(until.saturating_duration_since(std::time::Instant::now()));
            self.asleep.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

/// tokio's fair semaphore, and a task that adds the earned permits every millisecond.
#[derive(Debug)]
pub(super) struct Permits {
    semaphore: Arc<Semaphore>,
    refill: AbortHandle,
}

impl Permits {
    pub(super) fn new(limit: Limit) -> Self {
        let semaphore = Arc::new(Semaphore::new(limit.burst as usize));
        let filled = semaphore.clone();
        let fill = async move {
            let mut ticks = tokio::time::interval(Duration::from_millis(1));
            let mut before = 0;
            let start = Instant::now();
            loop {
                ticks.tick().await;
                let earned = start.elapsed().as_nanos() / limit.token().as_nanos();
                let room = (limit.burst as usize).saturating_sub(filled.available_permits());
                filled.add_permits(((earned - before) as usize).min(room));
                before = earned;
            }
        };
        Permits { semaphore, refill: tokio::spawn(fill).abort_handle() }
    }
}

impl Waits for Permits {
    async fn acquire(&self) -> Option<u64> {
        if let Ok(permit) = self.semaphore.acquire().await {
            permit.forget();
        }
        None
    }
}

impl Drop for Permits {
    fn drop(&mut self) {
        self.refill.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_begins_with_the_burst() {
        let schedule = Schedule::new(Limit::per_second(1_000, 3));
        let due: Vec<u64> = [10, 10, 10, 10, 11, 5_000_010].map(|now| schedule.reserve(now)).into();
        assert_eq!(due, [10, 10, 10, 1_000_010, 2_000_010, 5_000_010]);
        // The bucket is full again, less one token.
        let due: Vec<u64> = [5_000_010, 5_000_010, 5_000_010].map(|now| schedule.reserve(now)).into();
        assert_eq!(due, [5_000_010, 5_000_010, 6_000_010]);
    }
}
