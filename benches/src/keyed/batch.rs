//! Batches: many keys in one call, beside the same keys one by one.

use std::io;

use super::contenders::{BRIMFUL, GOVERNOR};
use super::keys::Key;
use super::quotas::{Quota, selected, sizes};
use super::ranking::{Ranking, Row};
use super::traffic::{Calls, Timer, Traffic};
use crate::bench::Scale;
use crate::harness::{Timing, alone};
use crate::report::{Report, count};

const NAMES: [&str; 5] = ["brimful-sip", "in fours", "in 16s", "in 64s", "governor-sip"];

const SIZES: [usize; 3] = [4, 16, 64];

/// Measures one limiter with all of brimful's ways to ask, on the real clock.
pub(super) fn section(scale: &Scale, report: &mut Report) -> io::Result<()> {
    for keys in sizes(scale, &[10_000_000]) {
        let title = format!("batch: {}, {} keys, default hashers", u64::KIND, count(keys));
        if !scale.wants(&title) {
            continue;
        }
        let calls = Calls::new(keys, Traffic::Real);
        let rows: Vec<Row> = selected(scale).into_iter().filter_map(|quota| row(quota, &calls, scale)).collect();
        let bar = (keys == 10_000_000).then_some(0.45);
        Ranking { title, contenders: NAMES.to_vec(), rows, ratio: "16 / single", bar }.publish(report);
    }
    Ok(())
}

fn row(quota: &'static Quota, calls: &Calls<u64>, scale: &Scale) -> Option<Row> {
    // A batch takes one token for each key.
    let single = Quota { cost: 1, ..*quota };
    let ours = calls.filled(BRIMFUL, &single, Traffic::Real).ok()?;
    let theirs = calls.filled(GOVERNOR, &single, Traffic::Real).ok()?;
    let mut runs = vec![ours.contender(NAMES[0], false, Timer::Cpu)];
    runs.extend(SIZES.iter().zip(&NAMES[1..]).map(|(&size, name)| ours.batches(name, size)));
    runs.push(theirs.contender(NAMES[4], false, Timer::Cpu));
    let timings: Vec<Timing> = alone(&runs, scale.runs, scale.operations);
    Some(Row {
        quota: quota.name,
        traffic: Traffic::Real.name(),
        ratio: timings[2].ratio_to(&timings[0]),
        admitted: [Some(ours.admitted()), Some(theirs.admitted())],
        wrong: String::new(),
        timings: timings.into_iter().map(Some).collect(),
    })
}
