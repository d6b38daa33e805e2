//! A flood: far more new keys than a limiter may hold.

use std::hash::BuildHasher;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use brimful::{Quota, SipState};

use super::contenders::{BURST, Brimful, PERIOD, brimful_of};
use super::keys::{Numbers, Spread, keys, order};
use crate::bench::Scale;
use crate::child;
use crate::harness::pin;
use crate::histogram::Histogram;
use crate::report::{Bar, Report, count, figure};
use crate::resident::{most_resident, resident};

const MAX_KEYS: u64 = 1_000_000;

/// Keys that owe more than those of the flood, and so are not forgotten for them.
const RESIDENTS: u64 = 100_000;

/// Keys that have nothing left.
const EXHAUSTED: u64 = 1_000;

/// What residents owe at first: more than a new key will ever start with. Each key that is
/// forgotten lowers that, by a token or so in its shard, and the flood is shorter.
const OWED: u32 = BURST / 2;

/// How long a token takes. So long that a new key's bucket is not full before the table is.
const QUOTAS: [(&str, Duration); 2] = [("a token a second", Duration::from_secs(1)), ("a token in 400 s", PERIOD)];

/// In front of the percentiles, as they are told by [`measure`].
const FIGURES: [&str; 8] = [
    "memory_limit() bytes",
    "resident bytes at most",
    "exhausted keys' calls",
    "admitted beyond their quota",
    "refused to residents",
    "flood seconds",
    "evictions",
    "refusals",
];

const MEASURES: [&str; 4] = ["p50 ns", "p99 ns", "p99.9 ns", "worst ns"];

/// What one thread sees of its hits.
struct Seen {
    ticks: Histogram,
    refused: u64,
    asked: u64,
    /// To each of the exhausted keys.
    admitted: Vec<u64>,
}

struct Scene<S> {
    limiter: Brimful<u64, S>,
    clock: quanta::Clock,
    exhausted: Vec<u64>,
    order: Vec<u64>,
}

impl<S: BuildHasher + Send + Sync> Scene<S> {
    /// Hits residents, one after the other, until it is told to stop; and asks for an exhausted
    /// key every now and then.
    fn watch(&self, stop: &AtomicBool) -> Seen {
        pin(0);
        let mut seen = Seen { ticks: Histogram::new(), refused: 0, asked: 0, admitted: vec![0; self.exhausted.len()] };
        let mut exhausted = (0..self.exhausted.len()).cycle();
        for part in self.order.chunks(64).cycle() {
            for key in part {
                let start = self.clock.raw();
                let admitted = self.limiter.allow(key);
                let end = self.clock.raw();
                seen.ticks.add(end.saturating_sub(start));
                seen.refused += u64::from(!admitted);
            }
            if let Some(place) = exhausted.next() {
                seen.asked += 1;
                seen.admitted[place] += u64::from(self.limiter.allow(&self.exhausted[place]));
            }
            if stop.load(Ordering::Relaxed) {
                break;
            }
        }
        seen
    }

    /// Watches, while another thread is busy with something else.
    fn beside(&self, busy: impl FnOnce() + Send) -> Seen {
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let watcher = scope.spawn(|| self.watch(&stop));
            scope.spawn(|| {
                pin(1);
                busy();
                stop.store(true, Ordering::Relaxed);
            });
            watcher.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    fn percentiles(&self, ticks: &Histogram) -> [f64; 4] {
        let at = |share| ticks.percentile(share);
        [at(0.5), at(0.99), at(0.999), ticks.worst()].map(|end| self.clock.delta_as_nanos(0, end) as f64)
    }
}

/// [`FIGURES`], and [`MEASURES`] without the flood and with it.
pub(super) fn measure(quota: &str, flood: u64) -> Option<Vec<f64>> {
    let (_, period) = QUOTAS.into_iter().find(|(name, _)| *name == quota)?;
    let mut known: Vec<u64> = keys(RESIDENTS + EXHAUSTED);
    let exhausted = known.split_off(RESIDENTS as usize);
    let order = order(&known, Spread::Uniform, 1_000_000);
    let before = resident().and_then(|_| resident()).unwrap_or(f64::NAN);

    let scene = Scene {
        limiter: brimful_of(Quota::new(1, period).burst(BURST), MAX_KEYS, SipState::new()),
        clock: quanta::Clock::new(),
        exhausted,
        order,
    };
    let drained = Instant::now();
    let mut refused = known.iter().filter(|key| scene.limiter.try_acquire_n(*key, OWED).is_err()).count() as u64;
    refused += scene.exhausted.iter().filter(|key| scene.limiter.try_acquire_n(*key, BURST).is_err()).count() as u64;

    let calm_for = Duration::from_millis((flood / 50_000).clamp(200, 5_000));
    let without = scene.beside(|| {
        // As many threads, on the same table, but no new keys.
        let begin = Instant::now();
        for part in scene.order.chunks(1_000).rev().cycle() {
            part.iter().for_each(|key| _ = scene.limiter.allow(key));
            if begin.elapsed() > calm_for {
                break;
            }
        }
    });
    let begin = Instant::now();
    let with = scene.beside(|| {
        let mut numbers = Numbers::new(6);
        for _ in 0..flood {
            let _ = scene.limiter.allow(&numbers.next());
        }
    });
    let seconds = begin.elapsed().as_secs_f64();
    let most = most_resident().unwrap_or(f64::NAN) - before;

    // What their quota gave each of them since before it had nothing.
    let earned = (drained.elapsed().as_secs_f64() / period.as_secs_f64()) as u64;
    let beyond = without.admitted.iter().zip(&with.admitted).map(|(&one, &other)| (one + other).saturating_sub(earned));
    let mut figures = vec![
        scene.limiter.memory_limit() as f64,
        most,
        (without.asked + with.asked) as f64,
        beyond.sum::<u64>() as f64,
        (refused + without.refused + with.refused) as f64,
        seconds,
        scene.limiter.evictions() as f64,
        scene.limiter.refusals() as f64,
    ];
    figures.extend(scene.percentiles(&without.ticks));
    figures.extend(scene.percentiles(&with.ticks));
    Some(figures)
}

pub(super) fn section(scale: &Scale, report: &mut Report) -> io::Result<()> {
    let keys = if scale.quick { 5_000_000 } else { 100_000_000 };
    for (quota, _) in QUOTAS {
        let scenario = format!("flood: {} new keys, room for {}, {quota}", count(keys), count(MAX_KEYS));
        if scale.wants(&scenario) {
            one(&scenario, quota, keys, report)?;
        }
    }
    Ok(())
}

fn one(scenario: &str, quota: &str, flood: u64, report: &mut Report) -> io::Result<()> {
    println!("\n{scenario}; {} residents are hit, and {} exhausted keys ask", count(RESIDENTS), count(EXHAUSTED));
    let numbers = child::ask(&["flood", quota, &flood.to_string()])?;
    if numbers.len() != FIGURES.len() + 2 * MEASURES.len() {
        return Err(io::Error::other("no figures of the flood"));
    }
    let (figures, percentiles) = numbers.split_at(FIGURES.len());
    for (measure, &value) in FIGURES.iter().zip(figures) {
        println!("  {measure:<28} {:>12}", figure(value));
        report.add(scenario, "brimful", measure, value);
    }
    println!("  a resident's hit, ns         {}", MEASURES.map(|measure| format!("{measure:>12}")).join(" "));
    for (name, times) in ["without the flood", "with it"].iter().zip(percentiles.chunks(MEASURES.len())) {
        let text: Vec<_> = times.iter().map(|&time| format!("{:>12}", figure(time))).collect();
        println!("    {name:<26} {}", text.join(" "));
        for (measure, &value) in MEASURES.iter().zip(times) {
            report.add(scenario, &format!("brimful, {name}"), measure, value);
        }
    }
    // Without /proc the memory is not a number.
    let memory = Some(figures[1] / figures[0]).filter(|ratio| !ratio.is_nan());
    report.bar(&format!("{scenario}: resident bytes / memory_limit()"), Bar::AtMost(1.1), memory);
    let slower = percentiles[MEASURES.len() + 2] / percentiles[2];
    report.bar(&format!("{scenario}: p99.9 of a hit, with / without"), Bar::AtMost(3.0), Some(slower));
    report.bar(
        &format!("{scenario}: exhausted keys' admissions beyond their quota"),
        Bar::AtMost(0.0),
        Some(figures[3]),
    );
    Ok(())
}
