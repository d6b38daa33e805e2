//! New keys: a limiter that grows from none to many.

use std::io;
use std::time::Instant;

use cpu_time::ThreadTime;

use super::contenders::{FAST, Job, Keyed, NAMES, with};
use super::hits::room;
use super::keys::keys;
use super::plot;
use crate::bench::Scale;
use crate::child;
use crate::harness::{Contender, Timing, alone, pin};
use crate::report::{Bar, Report, count, figure};

/// Nanoseconds for all keys: the growing of a fresh limiter, in a process that had none before.
pub(super) fn mean(name: &str, n: u64) -> Option<Vec<f64>> {
    struct Grow(Vec<u64>);

    impl Job<u64> for Grow {
        type Answer = Vec<f64>;

        fn run<L: Keyed<u64>>(self, make: impl FnOnce() -> L) -> Vec<f64> {
            let limiter = make();
            let start = Instant::now();
            let admitted = self.0.iter().filter(|key| limiter.hit(key)).count();
            let time = start.elapsed().as_nanos() as f64;
            // The time of a limiter that refused is nobody's.
            vec![if admitted == self.0.len() { time } else { f64::NAN }]
        }
    }

    pin(0);
    with(name, room(n), Grow(keys(n)))
}

/// Of single insertions, by the thread's CPU time.
const MEASURES: [&str; 4] = ["median", "p99", "p99.9", "worst"];

/// The nanoseconds of [`MEASURES`].
pub(super) fn each(name: &str, n: u64) -> Option<Vec<f64>> {
    struct Each(Vec<u64>);

    impl Job<u64> for Each {
        type Answer = Vec<f64>;

        fn run<L: Keyed<u64>>(self, make: impl FnOnce() -> L) -> Vec<f64> {
            let limiter = make();
            let mut times = vec![0; self.0.len()];
            let mut last = ThreadTime::now();
            for (key, time) in self.0.iter().zip(&mut times) {
                let _ = limiter.hit(key);
                let now = ThreadTime::now();
                *time = now.duration_since(last).as_nanos() as u64;
                last = now;
            }
            times.sort_unstable();
            let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize] as f64;
            vec![at(0.5), at(0.99), at(0.999), at(1.0)]
        }
    }

    /// The cost of reading the time.
    struct Nothing;

    impl Keyed<u64> for Nothing {
        fn hit(&self, _: &u64) -> bool {
            true
        }

        fn take(&self, _: &u64, _: u32) -> bool {
            true
        }
    }

    pin(0);
    let job = Each(keys(n));
    if name == NOTHING { Some(job.run(|| Nothing)) } else { with(name, room(n), job) }
}

const NOTHING: &str = "the reading itself";

pub(super) fn section(scale: &Scale, report: &mut Report) -> io::Result<()> {
    let n = 1_000_000;
    let keys = n.to_string();
    let scenario = format!("insert: u64, from none to {} keys", count(n));
    if !scale.wants(&scenario) {
        return Ok(());
    }
    // A child for each run; one that fails has no time.
    let grow = |name: &'static str| {
        let keys = &keys;
        Contender::timed(name, move |_| match child::ask(&["insert", name, keys]) {
            Ok(numbers) => numbers.first().copied().unwrap_or(f64::NAN),
            Err(error) => {
                eprintln!("{error}");
                f64::NAN
            }
        })
    };
    let contenders = NAMES.map(grow);
    let timings: Vec<Timing> = alone(&contenders, scale.runs.min(15), n);
    for (hasher, names) in [("SipHash", 0..FAST), ("ahash", FAST..NAMES.len())] {
        report.timings(&format!("{scenario}, {hasher}"), &NAMES[names.clone()], &timings[names]);
    }
    let default = format!("{scenario}, SipHash");
    let ratio = report.ratio(&default, "brimful", "governor");
    report.bar(&format!("{default}, per key: brimful / governor"), Bar::AtMost(0.6), ratio);
    singles(scale, &keys, &scenario, report)
}

fn singles(scale: &Scale, keys: &str, scenario: &str, report: &mut Report) -> io::Result<()> {
    println!("\n{scenario}, each by itself: ns of the thread's CPU time, with a reading of it");
    println!("  {:<36} {:>9} {:>9} {:>9} {:>11}", "", MEASURES[0], MEASURES[1], MEASURES[2], MEASURES[3]);
    let scenario = format!("{scenario}, each by itself");
    let names: Vec<&str> = std::iter::once(NOTHING).chain(NAMES).collect();
    for name in &names {
        let numbers = child::ask_again(scale.runs.min(5), &["insertions", name, keys])?;
        for (measure, &value) in MEASURES.iter().zip(&numbers) {
            report.add(&scenario, name, &format!("{measure} ns"), value);
        }
        let text: Vec<_> = numbers.iter().map(|&value| figure(value)).collect();
        let at = |place: usize| text.get(place).map_or("–", String::as_str);
        println!("  {name:<36} {:>9} {:>9} {:>9} {:>11}", at(0), at(1), at(2), at(3));
    }
    let worst = report.get(&scenario, "brimful", "worst ns").map(|worst| worst / 1e6);
    report.bar(&format!("{scenario}: brimful's worst, ms"), Bar::AtMost(1.0), worst);
    match &scale.svg {
        Some(folder) => plot::insertions(folder, &scenario, &names, &MEASURES, report),
        None => Ok(()),
    }
}
