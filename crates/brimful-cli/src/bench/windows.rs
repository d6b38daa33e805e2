//! Every window of a run: each thread brings its own readings, stale ones too, and logs what
//! it was granted; the oracle then finds the worst window of all.

use std::io::{self, Write};
use std::thread;
use std::time::{Duration, Instant};

use brimful::{Clock, Quota, RateLimiter};
use brimful_oracle::bucket::PICO;
use brimful_oracle::window::{Margin, Window, WindowScan};
use serde_json::json;

use super::{CLOCK, Table, in_tokens};
use crate::bound::{bound, tokens, whole};
use crate::text;

/// What the oracle found.
pub(super) struct Windows {
    decisions: u64,
    grants: u64,
    pub(super) worst: Option<Window>,
}

/// Grants kept in all: 64 megabytes.
const MOST: usize = 1 << 22;

/// Costs are 1 to this, where the burst has it.
const COSTLIEST: u32 = 8;

/// In the second half, one decision in so many is made with an old reading,
const STALE_ONE_IN: u64 = 8;
/// up to so much older. The first half has none, because what an old reading is granted
/// leaves room in the windows that begin after it: they would no longer tell a limiter that
/// admits all it may from one that does not.
const STALE_BY: u64 = 1_000_000;

struct Grant {
    reading_ns: u64,
    cost: u32,
}

/// Decides in all threads for `time`, or until the logs are full.
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

/// One thread's decisions: how many, and those that were granted.
fn decide(
    limiter: &RateLimiter,
    costliest: u32,
    seed: u64,
    most: usize,
    (half, end): (Instant, Instant),
) -> (u64, Vec<Grant>) {
    let (mut decisions, mut grants) = (0, Vec::with_capacity(most));
    // The generator is Marsaglia's xorshift: any seed but zero will do.
    let mut random = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    loop {
        let at = Instant::now();
        if at >= end || grants.len() >= most {
            return (decisions, grants);
        }
        let second_half = at >= half || grants.len() >= most / 2;
        for _ in 0..64 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let cost = 1 + (random >> 40) as u32 % costliest;
            let now = CLOCK.now();
            let stale = if second_half && random.is_multiple_of(STALE_ONE_IN) { (random >> 8) % STALE_BY } else { 0 };
            let reading_ns = now.saturating_sub(stale);
            decisions += 1;
            if limiter.at(reading_ns).try_acquire_n(cost).is_ok() {
                grants.push(Grant { reading_ns, cost });
            }
        }
    }
}

impl Windows {
    pub(super) fn print<W: Write>(&self, margin: Option<Margin>, table: &mut Table<'_, W>) -> io::Result<()> {
        table.line(&format!(
            "worst window  margin {} of all windows of {} grants in {} decisions: {} violations",
            in_tokens(margin),
            text::count(self.grants),
            text::count(self.decisions),
            u8::from(self.violated()),
        ))?;
        let Some(window) = self.worst else { return Ok(()) };
        let granted = window.granted as f64 / PICO as f64;
        table.line(&format!(
            "              {} granted within {}, where burst + rate × time is {}",
            text::amount(granted),
            text::nanos((window.end_ns - window.start_ns) as f64),
            text::amount(granted + tokens(&window.margin)),
        ))
    }

    fn violated(&self) -> bool {
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
