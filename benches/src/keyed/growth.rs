//! Growth: what hits notice of a table that another thread makes grow.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use cpu_time::ThreadTime;

use super::contenders::{Job, Keyed, with};
use super::hits::room;
use super::keys::Numbers;
use super::most_keys;
use crate::bench::Scale;
use crate::child;
use crate::harness::pin;
use crate::histogram::Histogram;
use crate::report::{Bar, Report, count, figure};

/// The keys that are hit all the while.
const KNOWN: u64 = 1_000;

const MEASURES: [&str; 7] =
    ["hits", "median CPU ns", "p99.9 CPU ns", "worst CPU ns", "p99.9 wall ns", "worst wall ns", "refused"];

/// The figures of [`MEASURES`], while the table grows to so many keys.
pub(super) fn measure(name: &str, n: u64) -> Option<Vec<f64>> {
    with(name, room(n), Grow(n))
}

struct Grow(u64);

impl Job<u64> for Grow {
    type Answer = Vec<f64>;

    fn run<L: Keyed<u64>>(self, make: impl FnOnce() -> L) -> Vec<f64> {
        let limiter = make();
        let mut numbers = Numbers::new(5);
        let known: Vec<u64> = (0..KNOWN).map(|_| numbers.next()).collect();
        let refused = AtomicU64::new(0);
        let hit = |key: &u64| {
            if !limiter.hit(key) {
                refused.fetch_add(1, Ordering::Relaxed);
            }
        };
        known.iter().for_each(hit);
        let grown = AtomicBool::new(false);
        let grow = || {
            pin(1);
            for _ in KNOWN..self.0 {
                hit(&numbers.next());
            }
            grown.store(true, Ordering::Relaxed);
        };
        let watch = || {
            pin(0);
            let (mut cpu, mut wall) = (Histogram::new(), Histogram::new());
            let mut last = ThreadTime::now();
            for key in known.iter().cycle() {
                let start = Instant::now();
                hit(key);
                wall.add(start.elapsed().as_nanos() as u64);
                let now = ThreadTime::now();
                cpu.add(now.duration_since(last).as_nanos() as u64);
                last = now;
                if grown.load(Ordering::Relaxed) {
                    break;
                }
            }
            (cpu, wall)
        };
        let (cpu, wall) = std::thread::scope(|scope| {
            let watcher = scope.spawn(watch);
            scope.spawn(grow);
            watcher.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        let figures = [
            cpu.count(),
            cpu.percentile(0.5),
            cpu.percentile(0.999),
            cpu.worst(),
            wall.percentile(0.999),
            wall.worst(),
            refused.into_inner(),
        ];
        figures.map(|figure| figure as f64).into()
    }
}

pub(super) fn section(scale: &Scale, report: &mut Report) -> io::Result<()> {
    let keys = most_keys(scale);
    let scenario = format!("growth: calls while it grows from {} to {} keys", count(KNOWN), count(keys));
    if !scale.wants(&scenario) {
        return Ok(());
    }
    println!("\n{scenario}; each figure with the readings of the time");
    println!("  {:<20} {}", "", MEASURES.map(|measure| format!("{measure:>13}")).join(" "));
    for name in ["brimful", "governor", "rate-net (ahash)"] {
        let numbers = child::ask_again(scale.runs.min(5), &["growth", name, &keys.to_string()])?;
        for (measure, &value) in MEASURES.iter().zip(&numbers) {
            report.add(&scenario, name, measure, value);
        }
        let text: Vec<_> = numbers.iter().map(|&value| format!("{:>13}", figure(value))).collect();
        println!("  {name:<20} {}", text.join(" "));
    }
    println!("  A call that waits for a lock asleep uses no CPU time; the wall's includes other processes.");
    let worst = report.get(&scenario, "brimful", "worst CPU ns").map(|worst| worst / 1e6);
    report.bar(&format!("{scenario}: brimful's worst, ms of CPU time"), Bar::AtMost(1.0), worst);
    Ok(())
}
