//! A lone waiter: each time for a token that is due further away than a timer's tick.

use std::io;

use brimful::{Clock, QuantaClock, RateLimiter};

use super::contenders::{BRIMFUL, Job, NAMES, Waits, with};
use super::crowd::{runtime, watch};
use super::floors::ReserveBlocking;
use super::plot;
use super::records::{Record, Records, percentile};
use super::turns::{Measure, Of, in_turns, table};
use crate::bench::Scale;
use crate::limit::Limit;
use crate::report::{Bar, Report};

const LIMIT: Limit = Limit::per_second(200, 1);

const BLOCKING: &str = "brimful, blocking";
const BLOCKING_FLOOR: &str = "floor: reserve, thread::sleep";

const SHARES: [f64; 3] = [0.5, 0.99, 0.999];

const MEASURES: [Measure; 7] = [
    ("granted p50 µs", Of::Median),
    ("granted p99 µs", Of::Median),
    ("granted p99.9 µs", Of::Median),
    ("returned p50 µs", Of::Median),
    ("returned p99 µs", Of::Median),
    ("returned p99.9 µs", Of::Median),
    ("wakes/grant", Of::Median),
];

pub(super) fn measure(name: &str, tokens: u64) -> Option<Vec<f64>> {
    struct OneByOne(u64);

    impl Job for OneByOne {
        type Answer = tokio::task::JoinHandle<(Records, bool)>;

        fn run<L: Waits>(self, limiter: L) -> Self::Answer {
            // Runs on a worker, as tasks do.
            tokio::spawn(async move {
                let mut records = Vec::with_capacity(self.0 as usize);
                for _ in 0..self.0 {
                    records.push(watch(&limiter).await);
                }
                (Records::new(records), L::CHARGES_LATE)
            })
        }
    }

    if [BLOCKING, BLOCKING_FLOOR].contains(&name) {
        return Some(figures(&blocking(name, tokens), name == BLOCKING));
    }
    let runtime = runtime().ok()?;
    let task = {
        let _entered = runtime.enter();
        with(name, LIMIT, OneByOne(tokens))?
    };
    let (records, charges_late) = runtime.block_on(task).ok()?;
    runtime.shutdown_background();
    Some(figures(&records, charges_late))
}

/// Waits with the thread itself.
fn blocking(name: &str, tokens: u64) -> Records {
    let (ours, floor) = (RateLimiter::new(LIMIT.quota()), ReserveBlocking::new(LIMIT));
    let wait = || {
        if name == BLOCKING {
            return ours.acquire_blocking().map_or(0, |granted| granted.granted_at());
        }
        floor.acquire();
        0
    };
    let record = |_| {
        let begun = QuantaClock.now();
        let granted = wait();
        let returned = QuantaClock.now();
        Record { begun, entered: begun, granted, returned, polls: 1 }
    };
    Records::new((0..tokens).map(record).collect())
}

fn figures(records: &Records, charges_late: bool) -> Vec<f64> {
    let returned = records.returned();
    let granted = records.tell_grants().then(|| records.granted());
    let late = |instants: &[u64]| {
        let mut late = if charges_late {
            records.lateness_alone(granted.as_deref().unwrap_or(&returned), instants, LIMIT)
        } else {
            records.lateness(instants, LIMIT)
        };
        SHARES.map(|share| percentile(&mut late, share) / 1e3)
    };
    let mut figures: Vec<f64> = granted.as_deref().map_or([f64::NAN; 3], late).into();
    figures.extend(late(&returned));
    figures.push(records.wakes());
    figures
}

pub(super) fn section(scale: &Scale, report: &mut Report) -> io::Result<()> {
    let tokens = if scale.quick { 200 } else { 2_000 };
    let scenario = format!("alone: {tokens} times for a token, {}/s, burst 1: how late", LIMIT.tokens);
    if !scale.wants(&scenario) {
        return Ok(());
    }
    let names: Vec<&str> = NAMES.into_iter().chain([BLOCKING_FLOOR, BLOCKING]).collect();
    let words = |name: &str| vec!["alone".to_owned(), name.to_owned(), tokens.to_string()];
    let figures = in_turns(&names, scale.runs, &MEASURES, words)?;
    table(&scenario, &names, &MEASURES, &figures, report);
    for name in [BRIMFUL, BLOCKING] {
        for (measure, most) in [(0, 150.0), (3, 150.0), (1, 1_500.0), (4, 1_500.0)] {
            let measured = report.get(&scenario, name, MEASURES[measure].0);
            report.bar(&format!("alone: {name}: late, {}", MEASURES[measure].0), Bar::AtMost(most), measured);
        }
    }
    let wakes = report.get(&scenario, BRIMFUL, MEASURES[6].0);
    report.bar("alone: brimful: wakes a grant", Bar::AtMost(1.01), wakes);
    match &scale.svg {
        Some(folder) => {
            plot::lateness(folder, &scenario, &names, &[MEASURES[3].0, MEASURES[4].0, MEASURES[5].0], report)
        }
        None => Ok(()),
    }
}
