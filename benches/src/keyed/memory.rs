//! Memory: the growth of a process for each live key.

use std::io;
use std::path::Path;

use super::clock::Real;
use super::contenders::{BRIMFUL, Contender, GOVERNOR, Plan, RATE_NET, build};
use super::keys::{Key, Numbers};
use super::quotas::{QUOTAS, Quota, selected, sizes};
use crate::bench::Scale;
use crate::child;
use crate::harness::pin;
use crate::plot::{Axis, Words, draw_lines, lines};
use crate::report::{Bar, Report, count};
use crate::resident::anonymous;

/// Powers of ten, and sizes between them: a table that has just grown is the largest for its keys.
const SIZES: &[u64] = &[
    1_000, 1_500, 2_000, 3_000, 5_000, 7_000, 10_000, 15_000, 20_000, 30_000, 50_000, 70_000, 100_000, 150_000,
    200_000, 300_000, 500_000, 700_000, 1_000_000, 1_500_000, 2_000_000, 3_000_000, 5_000_000, 7_000_000, 10_000_000,
];

/// A column of the table.
struct Column {
    contender: Contender,
    kind: &'static str,
}

const COLUMNS: [Column; 6] = [
    Column { contender: BRIMFUL, kind: u64::KIND },
    Column { contender: BRIMFUL, kind: String::KIND },
    Column { contender: GOVERNOR, kind: u64::KIND },
    Column { contender: GOVERNOR, kind: String::KIND },
    Column { contender: RATE_NET, kind: u64::KIND },
    Column { contender: RATE_NET, kind: String::KIND },
];

impl Column {
    fn name(&self) -> String {
        format!("{}, {}", self.contender.name, self.kind)
    }

    fn is_brimful(&self) -> bool {
        self.contender == BRIMFUL
    }
}

/// Answers `memory`: the bytes that were added for `n` keys, and how many keys are live.
pub(super) fn answer(name: &str, kind: &str, quota: &str, n: u64) -> Option<Vec<f64>> {
    let (contender, quota) = (Contender::named(name)?, Quota::named(quota)?);
    pin(0);
    if kind == String::KIND { grown::<String>(contender, quota, n) } else { grown::<u64>(contender, quota, n) }
}

fn grown<K: Key>(contender: Contender, quota: &Quota, n: u64) -> Option<Vec<f64>> {
    // Several tables if they are small, because pages are large beside one of them.
    let tables = 50_000u64.div_ceil(n).min(50);
    let mut built = Vec::with_capacity(tables as usize);
    // Read twice, because the first reading allocates.
    let before = anonymous().and_then(|_| anonymous())?;
    let mut numbers = Numbers::new(3);
    for _ in 0..tables {
        let table = build::<K, Real>(contender, Plan::roomy(quota, n)).ok()?;
        for _ in 0..n {
            table.take(&K::of(numbers.next()), quota.limit.burst / 2);
        }
        built.push(table);
    }
    let live: u64 = built.iter().map(|table| table.len().unwrap_or(n)).sum();
    Some(vec![anonymous()? - before, live as f64])
}

pub(super) fn section(scale: &Scale, report: &mut Report) -> io::Result<()> {
    const SCENARIO: &str = "memory: resident bytes per live key";
    if !scale.wants(SCENARIO) {
        return Ok(());
    }
    if anonymous().is_none() {
        println!("\n{SCENARIO}: not measured, because there is no /proc here");
        return Ok(());
    }
    let sizes = sizes(scale, SIZES);
    // An entry of a peer is as large for each quota, so the first quota stands for all.
    let mut worst = [(0.0f64, 0.0f64); 2];
    for quota in selected(scale) {
        let columns = COLUMNS.iter().filter(|column| column.is_brimful() || quota.name == QUOTAS[0].name);
        let ours = one(&format!("{SCENARIO}, {}", quota.name), quota, &columns.collect::<Vec<_>>(), &sizes, report)?;
        for (worst, ours) in worst.iter_mut().zip(ours) {
            *worst = (worst.0.max(ours.0), worst.1.max(ours.1));
        }
    }
    for (column, (most, mean)) in COLUMNS.iter().filter(|column| column.is_brimful()).zip(worst) {
        let what = format!("{SCENARIO}: {}, worst quota", column.kind);
        report.bar(&format!("{what}, worst size"), Bar::AtMost(40.0), Some(most));
        report.bar(&format!("{what}, mean of the sizes"), Bar::AtMost(30.0), Some(mean));
    }
    let title = format!("{SCENARIO}, {}", QUOTAS[0].name);
    scale.svg.as_deref().map_or(Ok(()), |folder| plot(folder, &title, &sizes, report))
}

/// Measures and prints one quota's table. Returns the most bytes of a size and the mean of the
/// sizes, for each of brimful's columns.
fn one(
    scenario: &str,
    quota: &Quota,
    columns: &[&Column],
    sizes: &[u64],
    report: &mut Report,
) -> io::Result<Vec<(f64, f64)>> {
    let heads: Vec<_> = columns.iter().map(|column| format!("{:>22}", column.name())).collect();
    println!("\n{scenario}\n  {:<10} {}", "keys", heads.join(" "));
    let mut figures = vec![Vec::new(); columns.len()];
    for &keys in sizes {
        let mut line = format!("  {:<10}", count(keys));
        for (column, figures) in columns.iter().zip(&mut figures) {
            if column.contender == RATE_NET && keys > 1_000_000 {
                line += &format!(" {:>22}", "–");
                continue;
            }
            let words = ["memory", column.contender.name, column.kind, quota.name, &keys.to_string()];
            let [bytes, live] = child::ask(&words)?[..] else { return Err(io::Error::other("no figures of memory")) };
            let each = bytes / live;
            figures.push(each);
            report.add(scenario, &column.name(), &format!("bytes at {keys}"), each);
            line += &format!(" {each:>22.1}");
        }
        println!("{line}");
    }
    let worst = |figures: &Vec<f64>| figures.iter().copied().fold(0.0, f64::max);
    let mean = |figures: &Vec<f64>| figures.iter().sum::<f64>() / figures.len() as f64;
    let text = |of: &dyn Fn(&Vec<f64>) -> f64| -> String {
        figures.iter().map(|figures| format!(" {:>22.1}", of(figures))).collect()
    };
    println!("  {:<10}{}\n  {:<10}{}", "worst", text(&worst), "mean", text(&mean));
    let ours = columns.iter().zip(&figures).filter(|(column, _)| column.is_brimful());
    Ok(ours.map(|(_, figures)| (worst(figures), mean(figures))).collect())
}

fn plot(folder: &Path, scenario: &str, sizes: &[u64], report: &Report) -> io::Result<()> {
    let line = |column: &Column| {
        let name = column.name();
        let point = |&keys: &u64| Some((keys as f64, report.get(scenario, &name, &format!("bytes at {keys}"))?));
        (name.clone(), sizes.iter().filter_map(point).collect())
    };
    let words = Words { title: "Resident memory", across: "live keys", up: "bytes per key" };
    draw_lines(folder, "memory", &words, &lines(COLUMNS.iter().map(line)), &Axis::Counts, false)
}
