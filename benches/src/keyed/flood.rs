//! A flood: far more new keys than a limiter may hold.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::clock::Real;
use super::contenders::{BRIMFUL, Plan, Table, build};
use super::keys::{Numbers, keys, passes};
use super::quotas::{Quota, selected};
use crate::bench::Scale;
use crate::child;
use crate::harness::pin;
use crate::histogram::Histogram;
use crate::report::{Bar, Report, count, figure};
use crate::resident::{most_resident, resident};

const MAX_KEYS: u64 = 1_000_000;

/// Keys that owe half a burst at first, more than a key of the flood, and that are hit during the
/// flood.
const RESIDENTS: u64 = 100_000;

/// Keys that have no tokens left, and that ask now and then.
const EXHAUSTED: u64 = 1_000;

/// The figures that a child answers with.
const FIGURES: [&str; 11] = [
    "limit MB",
    "resident MB",
    "/ limit",
    "asked",
    "beyond",
    "p99.9 calm",
    "p99.9 flood",
    "flood / calm",
    "worst flood",
    "seconds",
    "evicted",
];

/// The observations of the hitting thread.
struct Seen {
    ticks: Histogram,
    asked: u64,
    /// The calls of each exhausted key that were admitted.
    admitted: Vec<u64>,
}

struct Scene<'a> {
    table: &'a dyn Table<u64>,
    clock: quanta::Clock,
    cost: u32,
    exhausted: Vec<u64>,
    order: Vec<u64>,
}

impl Scene<'_> {
    /// Hits residents until it is stopped, and takes from an exhausted key after every 64 hits.
    fn watch(&self, stop: &AtomicBool) -> Seen {
        pin(0);
        let mut seen = Seen { ticks: Histogram::new(), asked: 0, admitted: vec![0; self.exhausted.len()] };
        let mut exhausted = (0..self.exhausted.len()).cycle();
        for part in self.order.chunks(64).cycle() {
            for key in part {
                let start = self.clock.raw();
                self.table.take(key, self.cost);
                seen.ticks.add(self.clock.raw().saturating_sub(start));
            }
            if let Some(place) = exhausted.next() {
                seen.asked += 1;
                seen.admitted[place] += u64::from(self.table.take(&self.exhausted[place], 1));
            }
            if stop.load(Ordering::Relaxed) {
                break;
            }
        }
        seen
    }

    /// Watches while another thread is busy.
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

    fn nanos(&self, ticks: u64) -> f64 {
        self.clock.delta_as_nanos(0, ticks) as f64
    }
}

/// Answers `flood`: [`FIGURES`].
pub(super) fn answer(quota: &str, flood: u64) -> Option<Vec<f64>> {
    let quota = Quota::named(quota)?;
    let mut known: Vec<u64> = keys(RESIDENTS + EXHAUSTED);
    let exhausted = known.split_off(RESIDENTS as usize);
    let order = passes(&known, 1_000_000);
    let before = resident().and_then(|_| resident()).unwrap_or(f64::NAN);

    let table = build::<u64, Real>(BRIMFUL, Plan { max_keys: MAX_KEYS, ..Plan::roomy(quota, MAX_KEYS) }).ok()?;
    let scene = Scene { table: &*table, clock: quanta::Clock::new(), cost: quota.cost, exhausted, order };
    known.iter().for_each(|key| _ = table.take(key, quota.limit.burst / 2));
    // Read before the keys are emptied: an exhausted key earns from the time at which it was
    // emptied.
    let emptied = Instant::now();
    scene.exhausted.iter().for_each(|key| _ = table.take(key, quota.limit.burst));

    // The calm part has as many threads on the same table, and no new keys.
    let calm_for = Duration::from_millis((flood / 50_000).clamp(200, 5_000));
    let calm = scene.beside(|| {
        let begin = Instant::now();
        for part in scene.order.chunks(1_000).rev().cycle() {
            part.iter().for_each(|key| _ = table.take(key, quota.cost));
            if begin.elapsed() > calm_for {
                break;
            }
        }
    });
    let begin = Instant::now();
    let flooded = scene.beside(|| {
        let mut numbers = Numbers::new(6);
        for _ in 0..flood {
            table.take(&numbers.next(), quota.cost);
        }
    });
    let seconds = begin.elapsed().as_secs_f64();
    let most = most_resident().unwrap_or(f64::NAN) - before;

    let earned = (emptied.elapsed().as_nanos() as f64 / quota.limit.token().as_nanos() as f64) as u64;
    let admitted = calm.admitted.iter().zip(&flooded.admitted).map(|(&one, &other)| one + other);
    let beyond: u64 = admitted.map(|admitted| admitted.saturating_sub(earned)).sum();
    let at = |seen: &Seen| scene.nanos(seen.ticks.percentile(0.999));
    let [limit, evictions, _] = table.limits();
    let worst = scene.nanos(flooded.ticks.worst());
    Some(vec![
        limit / 1e6,
        most / 1e6,
        most / limit,
        (calm.asked + flooded.asked) as f64,
        beyond as f64,
        at(&calm),
        at(&flooded),
        at(&flooded) / at(&calm),
        worst,
        seconds,
        evictions,
    ])
}

pub(super) fn section(scale: &Scale, report: &mut Report) -> io::Result<()> {
    let keys: u64 = if scale.quick { 5_000_000 } else { 100_000_000 };
    let title = format!("flood: {} new keys into room for {}", count(keys), count(MAX_KEYS));
    if !scale.wants(&title) {
        return Ok(());
    }
    println!("\n{title}; {} residents are hit, and {} exhausted keys ask; ns", count(RESIDENTS), count(EXHAUSTED));
    println!("  {:<22} {}", "", FIGURES.map(|name| format!("{name:>12}")).join(" "));
    let mut worst = [0.0f64; FIGURES.len()];
    for quota in selected(scale) {
        let figures = child::ask(&["flood", quota.name, &keys.to_string()])?;
        let text: Vec<_> = figures.iter().map(|&value| format!("{:>12}", figure(value))).collect();
        println!("  {:<22} {}", quota.name, text.join(" "));
        for ((measure, &value), worst) in FIGURES.iter().zip(&figures).zip(&mut worst) {
            report.add(&format!("{title}, {}", quota.name), BRIMFUL.name, measure, value);
            *worst = worst.max(value);
        }
    }
    for (measure, limit) in [("/ limit", 1.0), ("flood / calm", 3.0), ("beyond", 0.0)] {
        let figure = FIGURES.iter().position(|known| *known == measure).map(|place| worst[place]);
        let what = match measure {
            "/ limit" => "resident bytes / memory_limit()",
            "beyond" => "exhausted keys' admissions beyond their quota",
            _ => "p99.9 of a resident's hit, with / without",
        };
        report.bar(&format!("{title}: {what}, worst of all quotas"), Bar::AtMost(limit), figure);
    }
    Ok(())
}
