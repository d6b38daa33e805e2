//! A crowd of threads on one limiter.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Barrier, mpsc};
use std::time::Duration;

use brimful::{Clock, QuantaClock, RateLimiter};
use cpu_time::ProcessTime;

use super::contenders::BRIMFUL;
use super::floors::ReserveBlocking;
use super::records::{Record, Records, early, excess, percentile};
use super::turns::{Measure, Of, in_turns, table};
use crate::bench::Scale;
use crate::limit::Limit;
use crate::report::{Bar, Report};

const LIMIT: Limit = Limit::per_second(1_000, 10);

const FLOOR: &str = "floor: reserve, thread::sleep";

const NAMES: [&str; 2] = [FLOOR, BRIMFUL];

/// A limiter that blocks a thread.
trait Blocks: Sync {
    /// Waits for a token. Returns the instant of the grant, or zero if the limiter does not report
    /// it.
    fn acquire(&self) -> u64;

    fn waiting(&self) -> u64;
}

impl Blocks for RateLimiter {
    fn acquire(&self) -> u64 {
        self.acquire_blocking().map_or(0, |granted| granted.granted_at())
    }

    fn waiting(&self) -> u64 {
        self.waiters() as u64
    }
}

impl Blocks for ReserveBlocking {
    fn acquire(&self) -> u64 {
        self.acquire();
        0
    }

    fn waiting(&self) -> u64 {
        self.waiting()
    }
}

pub(super) fn measure(name: &str, threads: u64) -> Option<Vec<f64>> {
    let _ = QuantaClock.now();
    match name {
        BRIMFUL => crowd(&RateLimiter::new(LIMIT.quota()), threads),
        FLOOR => crowd(&ReserveBlocking::new(LIMIT), threads),
        _ => None,
    }
}

fn crowd(limiter: &impl Blocks, threads: u64) -> Option<Vec<f64>> {
    let done = AtomicU64::new(0);
    let end = Barrier::new(threads as usize + 1);
    let (sender, records) = mpsc::channel();
    let cpu = std::thread::scope(|scope| {
        for thread in 0..threads {
            let (sender, done, end) = (sender.clone(), &done, &end);
            let wait = move || {
                let begun = QuantaClock.now();
                let granted = limiter.acquire();
                let returned = QuantaClock.now();
                let _ = sender.send(Record { begun, entered: begun, granted, returned, polls: 1 });
                done.fetch_add(1, Ordering::AcqRel);
                // A thread ends when all threads do, so that the end of no thread is counted.
                end.wait();
            };
            if std::thread::Builder::new().stack_size(1 << 16).spawn_scoped(scope, wait).is_err() {
                // The other threads would wait for the missing thread.
                std::process::exit(1);
            }
            // The next thread comes when this one has its place, so that the order is known.
            while done.load(Ordering::Acquire) + limiter.waiting() <= thread {
                std::thread::yield_now();
            }
        }
        let (start, before) = (ProcessTime::now(), done.load(Ordering::Acquire));
        while done.load(Ordering::Acquire) < threads {
            std::thread::sleep(Duration::from_millis(10));
        }
        let cpu = start.elapsed().as_secs_f64() * 1e6 / (threads - before) as f64;
        end.wait();
        cpu
    });
    drop(sender);
    let records = Records::new(records.into_iter().collect());
    let late = |instants: &[u64], share| percentile(&mut records.lateness(instants, LIMIT), share) / 1e3;
    let returned = records.returned();
    let granted = records.tell_grants().then(|| records.granted());
    let of_grants = |tell: &dyn Fn(&[u64]) -> f64| granted.as_deref().map_or(f64::NAN, tell);
    Some(vec![
        cpu,
        LIMIT.ideal(threads) / records.seconds(),
        of_grants(&|granted| records.inversions(granted)),
        records.inversions(&returned),
        of_grants(&|granted| excess(granted, LIMIT)),
        of_grants(&|granted| early(granted, LIMIT) as f64),
        late(&returned, 0.5),
        late(&returned, 0.99),
    ])
}

const MEASURES: [Measure; 8] = [
    ("CPU µs/token", Of::Median),
    ("achieved", Of::Median),
    ("inv. granted", Of::Most),
    ("inv. returned", Of::Median),
    ("excess granted", Of::Most),
    ("early", Of::Most),
    ("late returned p50 µs", Of::Median),
    ("late returned p99 µs", Of::Median),
];

pub(super) fn section(scale: &Scale, report: &mut Report) -> io::Result<()> {
    let scenario = format!("threads: 1000 of them, {}/s, burst {}", LIMIT.tokens, LIMIT.burst);
    if !scale.wants(&scenario) {
        return Ok(());
    }
    let words = |name: &str| vec!["threads".to_owned(), name.to_owned(), "1000".to_owned()];
    let figures = in_turns(&NAMES, scale.runs, &MEASURES, words)?;
    table(&scenario, &NAMES, &MEASURES, &figures, report);
    let get = |measure: usize| report.get(&scenario, BRIMFUL, MEASURES[measure].0);
    let bars = [
        ("neighbours whose grants are inverted", Bar::AtMost(0.0), get(2)),
        ("excess at grants, tokens", Bar::AtMost(0.0), get(4)),
        ("early grants", Bar::AtMost(0.0), get(5)),
        ("achieved / ideal", Bar::AtLeast(0.995), get(1)),
    ];
    for (what, bar, measured) in bars {
        report.bar(&format!("threads: brimful: {what}"), bar, measured);
    }
    Ok(())
}
