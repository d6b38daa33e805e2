//! Growth: the hits of one thread on a table that another thread makes grow.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use cpu_time::ThreadTime;

use super::clock::Real;
use super::contenders::{BRIMFUL, Contender, GOVERNOR, Plan, RATE_NET, build};
use super::keys::Numbers;
use super::quotas::{Quota, selected, sizes};
use super::tails::{Tail, Tails};
use crate::bench::Scale;
use crate::harness::pin;
use crate::histogram::Histogram;
use crate::report::{Report, count};

/// The keys that are hit during the growth.
const KNOWN: usize = 1_000;

const MEASURES: [&str; 5] = ["median", "p99.9", "worst", "wall p99.9", "wall worst"];

/// Answers `growth`: nanoseconds of the hits, by the thread's CPU time and by the wall's.
pub(super) fn answer(name: &str, quota: &str, n: u64) -> Option<Vec<f64>> {
    let (contender, quota) = (Contender::named(name)?, Quota::named(quota)?);
    let table = build::<u64, Real>(contender, Plan::roomy(quota, n)).ok()?;
    let mut numbers = Numbers::new(5);
    let known: Vec<u64> = (0..KNOWN).map(|_| numbers.next()).collect();
    known.iter().for_each(|key| _ = table.take(key, quota.limit.burst / 2));
    let is_grown = AtomicBool::new(false);
    let grow = || {
        pin(1);
        for _ in KNOWN as u64..n {
            table.take(&numbers.next(), quota.cost);
        }
        is_grown.store(true, Ordering::Relaxed);
    };
    let hit = || {
        pin(0);
        let (mut cpu, mut wall) = (Histogram::new(), Histogram::new());
        let mut last = ThreadTime::now();
        for key in known.iter().cycle() {
            let start = Instant::now();
            table.take(key, quota.cost);
            wall.add(start.elapsed().as_nanos() as u64);
            let now = ThreadTime::now();
            cpu.add(now.duration_since(last).as_nanos() as u64);
            last = now;
            if is_grown.load(Ordering::Relaxed) {
                break;
            }
        }
        (cpu, wall)
    };
    let (cpu, wall) = std::thread::scope(|scope| {
        let hitting = scope.spawn(hit);
        scope.spawn(grow);
        hitting.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    });
    Some([Tail::of(&cpu), Tail::of(&wall)[1..].to_vec()].concat())
}

pub(super) fn section(scale: &Scale, report: &mut Report) -> io::Result<()> {
    for keys in sizes(scale, &[10_000_000]) {
        let title = format!("growth: a known u64 key, while another thread inserts {} keys", count(keys));
        if !scale.wants(&title) {
            continue;
        }
        let mut tails = Tails::new(title, &MEASURES, &[("worst", 500.0)]);
        let contenders: &[Contender] =
            if keys > 1_000_000 { &[BRIMFUL, GOVERNOR] } else { &[BRIMFUL, GOVERNOR, RATE_NET] };
        for quota in selected(scale) {
            let pairs: Vec<_> = contenders.iter().map(|contender| (contender.name, quota.name)).collect();
            let words =
                |name: &str, quota: &str| ["growth", name, quota, &keys.to_string()].map(str::to_owned).to_vec();
            tails.ask(scale, &pairs, words)?;
        }
        println!("\na thread that sleeps until a lock is free uses no CPU time; the wall's includes other processes");
        tails.publish(report);
    }
    Ok(())
}
