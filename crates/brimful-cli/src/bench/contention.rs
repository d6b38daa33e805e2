//! Many threads, one limiter.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use brimful::{Clock, Quota, RateLimiter};
use brimful_oracle::window::Margin;
use serde_json::json;

use super::single::Single;
use super::{CLOCK, ENDLESS, Padded, median, ns};
use crate::bound::tokens;
use crate::columns::{aligned, right};
use crate::text;

/// The work of all threads.
#[derive(Clone, Copy)]
pub(super) struct Run {
    pub(super) decisions: u64,
    pub(super) admitted: u64,
    /// The sum of the times of all threads.
    busy: Duration,
    /// From the start of the first thread to the end of the last.
    wall: Duration,
    /// The same on the limiter's clock. Each decision has a reading within it.
    pub(super) span_ns: u64,
}

impl Run {
    pub(super) fn per_second(&self) -> f64 {
        self.decisions as f64 / self.wall.as_secs_f64()
    }

    /// Returns nanoseconds per decision in each thread.
    pub(super) fn ns_each(&self) -> f64 {
        self.busy.as_nanos() as f64 / self.decisions as f64
    }
}

/// Decisions between two looks at the flag that ends a run.
const BATCH: u64 = 64;

/// Repeats `decide` in every thread until the time is up.
fn hammer(threads: usize, time: Duration, decide: impl Fn() -> bool + Sync) -> Run {
    let (stop, gate) = (AtomicBool::new(false), Barrier::new(threads + 1));
    let work = || {
        gate.wait();
        let (start, first) = (Instant::now(), CLOCK.now());
        let (mut decisions, mut admitted) = (0, 0);
        // Relaxed: the flag only ends the loop, and the join orders the results.
        while !stop.load(Ordering::Relaxed) {
            for _ in 0..BATCH {
                admitted += u64::from(decide());
            }
            decisions += BATCH;
        }
        (decisions, admitted, start, Instant::now(), first, CLOCK.now())
    };
    let done = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        gate.wait();
        thread::sleep(time);
        stop.store(true, Ordering::Relaxed);
        workers.into_iter().map(|worker| worker.join().expect("a worker does not panic")).collect::<Vec<_>>()
    });
    let start = done.iter().map(|worker| worker.2).min();
    let end = done.iter().map(|worker| worker.3).max();
    let first = done.iter().map(|worker| worker.4).min().unwrap_or(0);
    let last = done.iter().map(|worker| worker.5).max().unwrap_or(0);
    Run {
        decisions: done.iter().map(|worker| worker.0).sum(),
        admitted: done.iter().map(|worker| worker.1).sum(),
        busy: done.iter().map(|worker| worker.3 - worker.2).sum(),
        wall: start.zip(end).map_or(Duration::ZERO, |(start, end)| end - start),
        span_ns: last.saturating_sub(first),
    }
}

/// Runs all threads on one limiter of `quota`.
pub(super) fn hold(quota: Quota, threads: usize, time: Duration) -> Run {
    let limiter = RateLimiter::new(quota);
    hammer(threads, time, || limiter.allow())
}

/// Nanoseconds per operation in each thread, for a number of threads.
pub(super) struct Row {
    threads: usize,
    floor: f64,
    admitted: f64,
    over_quota: f64,
    /// Of the limiter that admits everything.
    per_second: f64,
}

const ROUNDS: u32 = 3;

/// Measures 1, 2, 4, … threads, up to all. Takes about `time` in all.
pub(super) fn sweep(threads: usize, time: Duration, quota: Quota) -> Vec<Row> {
    let mut counts: Vec<usize> = (0..).map(|j| 1 << j).take_while(|&count| count < threads).collect();
    counts.push(threads);
    let slice = time / (counts.len() as u32 * ROUNDS * 3);
    counts.into_iter().map(|count| row(count, slice, quota)).collect()
}

fn row(threads: usize, slice: Duration, quota: Quota) -> Row {
    let word = Padded(AtomicU64::new(0));
    let (full, held) = (RateLimiter::new(ENDLESS), RateLimiter::new(quota));
    let runs: Vec<[Run; 3]> = (0..ROUNDS)
        .map(|_| {
            [
                hammer(threads, slice, || change(&word.0)),
                hammer(threads, slice, || full.allow()),
                hammer(threads, slice, || held.allow()),
            ]
        })
        .collect();
    let each = |which: usize| median(runs.iter().map(|round| round[which].ns_each()).collect());
    Row {
        threads,
        floor: each(0),
        admitted: each(1),
        over_quota: each(2),
        per_second: median(runs.iter().map(|round| round[1].per_second()).collect()),
    }
}

/// Does the least that an admission needs: reads the clock, and changes one shared word.
#[inline]
fn change(word: &AtomicU64) -> bool {
    let mut seen = word.load(Ordering::Relaxed);
    let now = CLOCK.now();
    // The sum is never the same word, as with a bucket.
    while let Err(current) =
        word.compare_exchange(seen, seen.wrapping_add(now | 1), Ordering::AcqRel, Ordering::Relaxed)
    {
        seen = current;
    }
    true
}

/// Returns the sweep as a table.
pub(super) fn text(rows: &[Row]) -> String {
    let head = ["threads", "floor", "admitted", "× floor", "at the quota", "all admitted, together"].map(str::to_owned);
    let rows = rows.iter().map(|row| {
        let ratio = format!("{:.2}", row.admitted / row.floor);
        let together = text::per_second(row.per_second);
        [row.threads.to_string(), ns(row.floor), ns(row.admitted), ratio, ns(row.over_quota), together]
    });
    let columns = [right(2, 7), right(1, 14), right(1, 14), right(1, 9), right(1, 14), right(1, 22)];
    let rows = aligned(columns, [head].into_iter().chain(rows));
    format!("all threads on one limiter: ns per decision in each thread\n{rows}\n")
}

impl Row {
    pub(super) fn as_json(&self) -> serde_json::Value {
        json!({
            "threads": self.threads,
            "floor_ns": self.floor,
            "admitted_ns": self.admitted,
            "at_quota_ns": self.over_quota,
            "admitted_per_second": self.per_second,
        })
    }
}

impl Run {
    /// Returns rows of a name and a text.
    pub(super) fn rows(&self, quota: &Quota, single: &Single, margin: &Margin) -> [(&'static str, String); 3] {
        let (admitted, most) = (self.admitted as f64, self.admitted as f64 + tokens(margin));
        let decisions = format!(
            "{} on one limiter of {quota}, {} each per thread",
            text::per_second(self.per_second()),
            ns(self.ns_each())
        );
        let one_thread = format!(
            "{} admitted, {} denied; the floor (load + clock + compare-and-swap) is {}: {:.2} × that",
            ns(single.admitted),
            ns(single.denied),
            ns(single.floor),
            single.admitted_ratio
        );
        let asked = if self.admitted == self.decisions { "; the threads never asked for more" } else { "" };
        let admitted = format!(
            "{} of at most {} = burst + rate × {}: {:.4} % of it{asked}",
            text::count(self.admitted),
            text::amount(most),
            text::nanos(self.span_ns as f64),
            // Above 100 % if the bound is broken.
            admitted / most * 100.0,
        );
        [("decisions", decisions), ("one thread", one_thread), ("admitted", admitted)]
    }
}
