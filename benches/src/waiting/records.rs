//! The records of waits, and the figures that follow from them.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use brimful_oracle::window::{Bound, WindowScan};

use super::floors::Schedule;
use crate::limit::Limit;

/// The instants of one acquisition, by the process's clock.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Record {
    /// Before the first poll.
    pub(super) begun: u64,
    /// After the first poll: from then on, the waiter had its place.
    pub(super) entered: u64,
    /// The instant of the grant as the limiter reports it; zero if it does not.
    pub(super) granted: u64,
    /// The instant at which the waiter went on.
    pub(super) returned: u64,
    pub(super) polls: u32,
}

/// Room for a record that another thread will write.
#[derive(Debug, Default)]
pub(super) struct Slot {
    begun: AtomicU64,
    entered: AtomicU64,
    granted: AtomicU64,
    returned: AtomicU64,
    polls: AtomicU32,
}

impl Slot {
    pub(super) fn write(&self, record: &Record) {
        self.begun.store(record.begun, Ordering::Relaxed);
        self.entered.store(record.entered, Ordering::Relaxed);
        self.granted.store(record.granted, Ordering::Relaxed);
        self.polls.store(record.polls, Ordering::Relaxed);
        // A thread that reads this value also sees the values that were written before.
        self.returned.store(record.returned, Ordering::Release);
    }

    fn read(&self) -> Option<Record> {
        let returned = self.returned.load(Ordering::Acquire);
        (returned > 0).then(|| Record {
            begun: self.begun.load(Ordering::Relaxed),
            entered: self.entered.load(Ordering::Relaxed),
            granted: self.granted.load(Ordering::Relaxed),
            returned,
            polls: self.polls.load(Ordering::Relaxed),
        })
    }
}

/// Returns the records that were written.
pub(super) fn served(slots: &[Slot]) -> Vec<Record> {
    slots.iter().filter_map(Slot::read).collect()
}

/// The records of the waiters that were served, in the order in which they began.
#[derive(Clone, Debug)]
pub(super) struct Records(Vec<Record>);

impl Records {
    pub(super) fn of(slots: &[Slot]) -> Self {
        Records::new(served(slots))
    }

    pub(super) fn new(mut records: Vec<Record>) -> Self {
        records.sort_by_key(|record| record.begun);
        Records(records)
    }

    pub(super) fn len(&self) -> u64 {
        self.0.len() as u64
    }

    /// Returns whether the limiter reports the instants of its grants.
    pub(super) fn tell_grants(&self) -> bool {
        self.0.iter().all(|record| record.granted > 0) && !self.0.is_empty()
    }

    pub(super) fn granted(&self) -> Vec<u64> {
        self.0.iter().map(|record| record.granted).collect()
    }

    pub(super) fn returned(&self) -> Vec<u64> {
        self.0.iter().map(|record| record.returned).collect()
    }

    /// Returns the seconds from the first beginning to the last return.
    pub(super) fn seconds(&self) -> f64 {
        let end = self.0.iter().map(|record| record.returned).max().unwrap_or(0);
        let begin = self.0.first().map_or(0, |record| record.begun);
        end.saturating_sub(begin) as f64 / 1e9
    }

    /// Returns the mean number of wakes of those waiters that had to wait, counted as the polls
    /// after the first.
    pub(super) fn wakes(&self) -> f64 {
        let waited = self.0.iter().filter(|record| record.polls > 1);
        let (count, wakes) =
            waited.fold((0u64, 0u64), |(count, wakes), record| (count + 1, wakes + u64::from(record.polls) - 1));
        wakes as f64 / count as f64
    }

    /// Returns the number of pairs of neighbours in which the earlier waiter had its place before
    /// the later waiter began, and the later waiter was first nevertheless.
    pub(super) fn inversions(&self, instants: &[u64]) -> f64 {
        let pairs = self.0.windows(2).zip(instants.windows(2));
        pairs.filter(|(two, at)| two[0].entered < two[1].begun && at[1] < at[0]).count() as f64
    }

    /// Returns the lateness of each instant, in nanoseconds. The waiters are due by the exact
    /// schedule of waiters that began in this order.
    pub(super) fn lateness(&self, instants: &[u64], limit: Limit) -> Vec<u64> {
        let schedule = Schedule::new(limit);
        let late = |(record, &at): (&Record, &u64)| at.saturating_sub(schedule.reserve(record.begun));
        self.0.iter().zip(instants).map(late).collect()
    }

    /// Like [`lateness`](Records::lateness), for waits one after the other with a burst of one. A
    /// late grant makes the next grant due later then.
    pub(super) fn lateness_alone(&self, charged: &[u64], instants: &[u64], limit: Limit) -> Vec<u64> {
        let late = |(at, before): (&u64, &u64)| at.saturating_sub(before + limit.token().as_nanos() as u64);
        instants.iter().skip(1).zip(charged).map(late).collect()
    }
}

/// Returns the most tokens beyond `burst + rate × window` in any window.
pub(super) fn excess(instants: &[u64], limit: Limit) -> f64 {
    let mut instants = instants.to_vec();
    instants.sort_unstable();
    let mut scan = WindowScan::new(Bound::new(limit.burst.into(), limit.tokens.into(), limit.period.as_nanos()));
    for at in instants {
        scan.push(at, 1);
    }
    scan.worst().map_or(0.0, |worst| (-worst.margin.as_f64()).max(0.0))
}

/// Returns the number of grants that came before the exact bucket had a token for them.
pub(super) fn early(instants: &[u64], limit: Limit) -> u64 {
    let mut instants = instants.to_vec();
    instants.sort_unstable();
    let schedule = Schedule::new(limit);
    instants.into_iter().filter(|&at| schedule.reserve(at) > at).count() as u64
}

/// Returns a percentile of the numbers, which it sorts.
pub(super) fn percentile(numbers: &mut [u64], share: f64) -> f64 {
    numbers.sort_unstable();
    let place = (numbers.len().saturating_sub(1)) as f64 * share;
    numbers.get(place.round() as usize).map_or(f64::NAN, |&number| number as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Limit = Limit::per_second(1_000, 2);
    const MS: u64 = 1_000_000;

    fn record(begun: u64, entered: u64, returned: u64) -> Record {
        Record { begun, entered, granted: 0, returned, polls: 1 }
    }

    #[test]
    fn only_a_waiter_that_had_its_place_before_is_passed() {
        let one_passed = Records::new(vec![record(1, 2, 30), record(3, 4, 20), record(5, 6, 40)]);
        assert_eq!(one_passed.inversions(&one_passed.returned()), 1.0);
        let at_once = Records::new(vec![record(1, 4, 30), record(3, 5, 20)]);
        assert_eq!(at_once.inversions(&at_once.returned()), 0.0, "neither is before the other");
    }

    #[test]
    fn lateness_is_counted_from_the_exact_schedule() {
        let records = [10, 11, 12, 13].map(|begun| record(begun, begun, begun));
        let records = Records::new(records.into());
        let at = [10, 11, MS + 15, 3 * MS];
        assert_eq!(records.lateness(&at, LIMIT), [0, 0, 5, MS - 10]);
    }

    #[test]
    fn a_grant_too_soon_is_in_excess_and_early() {
        let on_time = [5, 5, MS + 5, 2 * MS + 5];
        assert_eq!((excess(&on_time, LIMIT), early(&on_time, LIMIT)), (0.0, 0));
        let soon = [5, 5, MS + 4, 2 * MS + 5];
        assert_eq!(early(&soon, LIMIT), 1);
        assert!(excess(&soon, LIMIT) > 0.0);
    }
}
