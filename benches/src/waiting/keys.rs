//! Many keys, with one waiter on each.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use brimful::{Clock, KeyedRateLimiter, QuantaClock, Quota, TokioTimer};
use cpu_time::ProcessTime;

use super::contenders::{BRIMFUL, ON_TOKIO};
use super::crowd::runtime;
use super::records::{Record, Slot, percentile, served};
use super::turns::{Measure, Of, in_turns, table};
use crate::bench::Scale;
use crate::report::{Bar, Report, count};

/// A token's time. It is longer than the time until all tasks wait.
const PERIOD: Duration = Duration::from_secs(5);

/// The time in which the tasks come, as many in each millisecond.
const MILLISECONDS: u64 = 4_000;

/// The time of a unit of a key's bucket, in nanoseconds. Instants that are not further apart are
/// the same to the bucket.
const UNIT: u64 = 4;

const MEASURES: [Measure; 9] = [
    ("served", Of::Least),
    ("CPU µs/token", Of::Median),
    ("early", Of::Most),
    ("inversions", Of::Most),
    ("inv. by > 1 ms", Of::Most),
    ("late granted p50 µs", Of::Median),
    ("late granted p99 µs", Of::Median),
    ("late returned p50 µs", Of::Median),
    ("late returned p99 µs", Of::Median),
];

/// Empties the bucket of each key, and waits for the next token of each. The bucket that was
/// emptied first is due first, exactly a token's time after the instant at which it was emptied.
pub(super) fn measure(name: &str, n: u64) -> Option<Vec<f64>> {
    let _ = QuantaClock.now();
    let builder = KeyedRateLimiter::<u64>::builder().quota(Quota::new(1, PERIOD).burst(1)).max_keys(2 * n as usize);
    let limiter = match name {
        BRIMFUL => builder.build(),
        ON_TOKIO => builder.timer(TokioTimer::new).build(),
        _ => return None,
    };
    let limiter = Arc::new(limiter.ok()?);
    let slots: Arc<Vec<Slot>> = Arc::new((0..n).map(|_| Slot::default()).collect());
    let runtime = runtime().ok()?;
    let left = Arc::new(AtomicUsize::new(n as usize));
    let (done, all_done) = mpsc::channel();
    let start = ProcessTime::now();
    let begin = Instant::now();
    for key in 0..n {
        let turn = Duration::from_millis(key * MILLISECONDS / n);
        std::thread::sleep(turn.saturating_sub(begin.elapsed()));
        let (limiter, slots, left, done) = (limiter.clone(), slots.clone(), left.clone(), done.clone());
        runtime.spawn(async move {
            if let (Ok(first), Ok(second)) = (limiter.acquire(&key).await, limiter.acquire(&key).await) {
                let (begun, granted) = (first.granted_at(), second.granted_at());
                let returned = QuantaClock.now();
                slots[key as usize].write(&Record { begun, entered: begun, granted, returned, polls: 2 });
            }
            if left.fetch_sub(1, Ordering::AcqRel) == 1 {
                let _ = done.send(());
            }
        });
    }
    let _ = all_done.recv_timeout(5 * PERIOD);
    let cpu = start.elapsed().as_secs_f64();
    runtime.shutdown_background();

    let mut records = served(&slots);
    records.sort_by_key(|record| record.begun);
    let due = |record: &Record| record.begun + PERIOD.as_nanos() as u64;
    let early = records.iter().filter(|record| record.granted < due(record)).count();
    let passed = |by: u64| {
        let apart = |two: &[Record]| two[1].begun - two[0].begun > UNIT;
        let passed = |two: &&[Record]| apart(two) && two[1].granted + by < two[0].granted;
        records.windows(2).filter(passed).count() as f64
    };
    let late = |at: &dyn Fn(&Record) -> u64, share| {
        let mut late: Vec<u64> = records.iter().map(|record| at(record).saturating_sub(due(record))).collect();
        percentile(&mut late, share) / 1e3
    };
    let (granted, returned) = (|record: &Record| record.granted, |record: &Record| record.returned);
    Some(vec![
        records.len() as f64,
        cpu * 1e6 / records.len() as f64,
        early as f64,
        passed(0),
        passed(1_000_000),
        late(&granted, 0.5),
        late(&granted, 0.99),
        late(&returned, 0.5),
        late(&returned, 0.99),
    ])
}

pub(super) fn section(scale: &Scale, report: &mut Report) -> io::Result<()> {
    let n: u64 = if scale.quick { 20_000 } else { 100_000 };
    let scenario = format!("keys: {} of them, one waits on each", count(n));
    if !scale.wants(&scenario) {
        return Ok(());
    }
    let names = [BRIMFUL, ON_TOKIO];
    let words = |name: &str| vec!["keys".to_owned(), name.to_owned(), n.to_string()];
    let figures = in_turns(&names, scale.runs, &MEASURES, words)?;
    table(&scenario, &names, &MEASURES, &figures, report);
    for name in names {
        let get = |measure: usize| report.get(&scenario, name, MEASURES[measure].0);
        let bars = [
            ("served", Bar::AtLeast(n as f64), get(0)),
            ("early grants", Bar::AtMost(0.0), get(2)),
            ("neighbours not granted in the order of their instants", Bar::AtMost(0.0), get(3)),
            ("the same, by more than a timer's tick of 1 ms", Bar::AtMost(0.0), get(4)),
        ];
        for (what, bar, measured) in bars {
            report.bar(&format!("keys: {name}: {what}"), bar, measured);
        }
    }
    Ok(())
}
