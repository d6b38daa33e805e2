//! Every window of a run: each thread decides at its own readings, some of them stale, and logs its
//! grants. Then the oracle finds the worst of all windows.

use std::thread;
use std::time::{Duration, Instant};

use brimful::{Clock, Quota, RateLimiter};
use brimful_oracle::bucket::PICO;
use brimful_oracle::window::{Window, WindowScan};
use fastrand::Rng;
use serde_json::json;

use super::CLOCK;
use crate::bound::{bound, tokens, whole};
use crate::text;

/// The results of the oracle.
pub(super) struct Windows {
    decisions: u64,
    grants: u64,
    worst: Option<Window>,
}

/// The most grants that all threads keep: 64 megabytes.
const MOST: usize = 1 << 22;

/// Costs are from 1 to this, or to the burst if that is less.
const COSTLIEST: u32 = 8;

/// In the second half, one decision in so many has an old reading. The first half has none: tokens
/// that are granted at an old reading leave a margin in the windows that begin after it, and such
/// windows do not show whether the limiter admits as much as it may.
const STALE_ONE_IN: u64 = 8;
/// The most nanoseconds by which a reading is old.
const STALE_BY: u64 = 1_000_000;

struct Grant {
    reading_ns: u64,
    cost: u32,
}

/// Decides in all threads for `time`, or until the logs of grants are full.
pub(super) fn check(quota: Quota, threads: usize, time: Duration) -> Windows {
    let limiter = RateLimiter::new(quota);
    let costliest = quota.capacity().whole().clamp(1, COSTLIEST);
    let start = Instant::now();
    let halves = (start + time / 2, start + time);
    let logs = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|worker| {
                let limiter = &limiter;
                scope.spawn(move || decide(limiter, costliest, worker as u64 + 1, MOST / threads, halves))
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().expect("a worker does not panic")).collect::<Vec<_>>()
    });
    let decisions = logs.iter().map(|(decisions, _)| decisions).sum();
    let mut grants: Vec<Grant> = logs.into_iter().flat_map(|(_, grants)| grants).collect();
    grants.sort_unstable_by_key(|grant| grant.reading_ns);
    let mut scan = WindowScan::new(bound(&quota));
    for grant in &grants {
        scan.push(grant.reading_ns, whole(grant.cost.into()));
    }
    Windows { decisions, grants: grants.len() as u64, worst: scan.worst() }
}

/// Returns the number of decisions of one thread, and its grants.
fn decide(
    limiter: &RateLimiter,
    costliest: u32,
    seed: u64,
    most: usize,
    (half, end): (Instant, Instant),
) -> (u64, Vec<Grant>) {
    let (mut decisions, mut grants) = (0, Vec::with_capacity(most));
    let mut random = Rng::with_seed(seed);
    loop {
        let at = Instant::now();
        if at >= end || grants.len() >= most {
            return (decisions, grants);
        }
        let second_half = at >= half || grants.len() >= most / 2;
        for _ in 0..64 {
            let cost = random.u32(1..=costliest);
            let is_stale = second_half && random.u64(..STALE_ONE_IN) == 0;
            let stale = if is_stale { random.u64(..STALE_BY) } else { 0 };
            let now = CLOCK.now();
            let reading_ns = now.saturating_sub(stale);
            decisions += 1;
            if limiter.at(reading_ns).try_acquire_n(cost).is_ok() {
                grants.push(Grant { reading_ns, cost });
            }
        }
    }
}

impl Windows {
    /// Returns the worst window in words.
    pub(super) fn text(&self) -> String {
        let margin = self
            .worst
            .map_or_else(|| "none".to_owned(), |window| format!("{} tokens", text::amount(tokens(&window.margin))));
        let found = format!(
            "margin {margin} of all windows of {} grants in {} decisions: {} violations",
            text::count(self.grants),
            text::count(self.decisions),
            u8::from(self.violated()),
        );
        let Some(window) = self.worst else { return found };
        let granted = window.granted as f64 / PICO as f64;
        format!(
            "{found}\n{} granted within {}; burst + rate × time is {}",
            text::amount(granted),
            text::nanos((window.end_ns - window.start_ns) as f64),
            text::amount(granted + tokens(&window.margin)),
        )
    }

    pub(super) fn violated(&self) -> bool {
        self.worst.is_some_and(|window| window.margin.is_violation())
    }

    pub(super) fn as_json(&self) -> serde_json::Value {
        json!({
            "decisions": self.decisions,
            "grants": self.grants,
            "violated": self.violated(),
            "worst": self.worst.map(|window| json!({
                "start_ns": window.start_ns,
                "end_ns": window.end_ns,
                "granted": window.granted as f64 / PICO as f64,
                "margin_tokens": tokens(&window.margin),
            })),
        })
    }
}
