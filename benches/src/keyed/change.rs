//! Changes of the quota of many keys: their cost, and that of hits before and after.

use std::io;

use brimful::{KeyedRateLimiter, QuotaChange};

use super::keys::{keys, passes};
use super::new_keys::each;
use super::quotas::{Quota, sizes};
use super::tails::Tail;
use crate::bench::Scale;
use crate::child;
use crate::harness::pin;
use crate::histogram::Histogram;
use crate::report::{Bar, Report, count};

const QUOTA: &str = "60/min";

const ROWS: [&str; 3] = ["set_quota", "a hit, never changed", "a hit, changed"];

/// Changes, and the hits on each table after each change.
const CHANGES: usize = 200;
const HITS: u64 = 10_000;

/// Answers `change`: the median, the 99.9th percentile and the worst of each row, in nanoseconds. Two tables are
/// hit in turns, and the quota of one of them is changed before each turn.
pub(super) fn answer(n: u64) -> Option<Vec<f64>> {
    pin(0);
    let quota = Quota::named(QUOTA)?;
    let keys = keys::<u64>(n);
    let order = passes(&keys, HITS as usize * CHANGES);
    let table = || {
        let table = KeyedRateLimiter::<u64>::builder().quota(quota.limit.quota()).max_keys(n as usize).build().ok()?;
        keys.iter().for_each(|key| _ = table.try_acquire_n(key, quota.limit.burst / 2));
        Some(table)
    };
    let tables = [table()?, table()?];
    let lower = quota.limit.quota().burst(quota.limit.burst / 2);
    let mut times = [(); ROWS.len()].map(|()| Histogram::new());
    let [changes, hits @ ..] = &mut times;
    for (round, part) in order.chunks(HITS as usize).take(CHANGES).enumerate() {
        // Every second change begins an era, into which each key is carried over by its next call.
        let change = match round % 4 {
            0 => QuotaChange::keep(lower),
            1 => QuotaChange::keep(quota.limit.quota()),
            2 => QuotaChange::keep(lower),
            _ => QuotaChange::proportional(quota.limit.quota()),
        };
        each(1, changes, |_| tables[1].set_quota(change).expect("the highest quota, or a lower one"));
        for turn in 0..tables.len() {
            let at = (round + turn) % tables.len();
            each(part.len() as u64, &mut hits[at], |nth| _ = tables[at].try_acquire(&part[nth as usize]));
        }
    }
    Some(times.iter().flat_map(Tail::of).collect())
}

pub(super) fn section(scale: &Scale, report: &mut Report) -> io::Result<()> {
    for keys in sizes(scale, &[10_000_000]) {
        let title = format!("change: {} u64 keys, {QUOTA}", count(keys));
        if !scale.wants(&title) {
            continue;
        }
        let size = keys.to_string();
        let nanos = child::ask_again(scale.runs.min(5), &["change", &size])?;
        let micros: Vec<f64> = nanos.iter().map(|nanos| nanos / 1e3).collect();
        let rows: Vec<Vec<f64>> = micros.chunks(micros.len() / ROWS.len()).map(<[f64]>::to_vec).collect();
        println!("\n{title}: µs of the thread's CPU time, with a reading of it");
        report.figures(&title, &ROWS, &["median", "p99.9", "worst"], &rows);
        report.bar(&format!("{title}: {}, worst, µs", ROWS[0]), Bar::AtMost(1_000.0), Some(rows[0][2]));
        let slower = rows[2][1] - rows[1][1];
        report.bar(&format!("{title}: p99.9 of a hit, changed less never changed, µs"), Bar::AtMost(1.0), Some(slower));
    }
    Ok(())
}
