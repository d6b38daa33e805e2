//! One thread: the cost of a decision, beside its floor.

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use brimful::{Clock, Quota, RateLimiter};
use serde_json::json;

use super::{CLOCK, ENDLESS, Padded, median, ns};
use crate::columns::{aligned, left, right};

/// Nanoseconds for each operation: the medians of many short runs, in turns.
pub(super) struct Single {
    clock: f64,
    /// Load and clock, which a denial needs at least.
    look: f64,
    /// Load, clock and compare-and-swap, which an admission needs at least.
    pub(super) floor: f64,
    pub(super) admitted: f64,
    pub(super) denied: f64,
    /// Medians of the ratios within each round: a core may change its speed between rounds.
    pub(super) admitted_ratio: f64,
    denied_ratio: f64,
}

const ROUNDS: usize = 41;
const RUN: Duration = Duration::from_millis(3);

pub(super) fn measure() -> Single {
    let word = Padded(AtomicU64::new(0));
    let full = RateLimiter::new(ENDLESS);
    let empty = RateLimiter::new(Quota::per_day(1).burst(1));
    assert!(empty.allow());
    let runs = interleave([
        &|n| {
            for _ in 0..n {
                black_box(CLOCK.now());
            }
        },
        &|n| {
            let word = black_box(&word);
            for _ in 0..n {
                black_box(word.0.load(Ordering::Relaxed) < CLOCK.now());
            }
        },
        &|n| {
            let word = black_box(&word);
            for _ in 0..n {
                let seen = word.0.load(Ordering::Relaxed);
                let next = CLOCK.now();
                let _ = black_box(word.0.compare_exchange(seen, next, Ordering::AcqRel, Ordering::Relaxed));
            }
        },
        &|n| {
            let limiter = black_box(&full);
            for _ in 0..n {
                let _ = black_box(limiter.try_acquire());
            }
        },
        &|n| {
            let limiter = black_box(&empty);
            for _ in 0..n {
                let _ = black_box(limiter.try_acquire());
            }
        },
    ]);
    let ratio = |of: usize, to: usize| median(runs[of].iter().zip(&runs[to]).map(|(a, b)| a / b).collect());
    let (admitted_ratio, denied_ratio) = (ratio(3, 2), ratio(4, 1));
    let [clock, look, floor, admitted, denied] = runs.map(median);
    Single { clock, look, floor, admitted, denied, admitted_ratio, denied_ratio }
}

/// Returns nanoseconds per operation: for each measure, one number a round.
fn interleave<const N: usize>(measures: [&dyn Fn(u64); N]) -> [Vec<f64>; N] {
    let time = |measure: &dyn Fn(u64), n: u64| {
        let start = Instant::now();
        measure(n);
        start.elapsed()
    };
    // The numbers of operations that fill a run. Finding them also warms up.
    let counts = measures.map(|measure| {
        let mut n = 64;
        while time(measure, n) < RUN {
            n *= 2;
        }
        n
    });
    let mut runs = [(); N].map(|()| Vec::with_capacity(ROUNDS));
    for _ in 0..ROUNDS {
        for ((measure, n), runs) in measures.iter().zip(counts).zip(&mut runs) {
            runs.push(time(measure, n).as_nanos() as f64 / n as f64);
        }
    }
    runs
}

impl Single {
    pub(super) fn text(&self) -> String {
        let row = |name: &str, value, beside: &str| [name.to_owned(), ns(value), beside.to_owned()];
        let times_its_floor = |ratio: f64| format!("{ratio:.2} × its floor");
        let rows = [
            row("read the clock", self.clock, ""),
            row("load + clock", self.look, "the floor of a denial"),
            row("load + clock + compare-and-swap", self.floor, "the floor of an admission"),
            row("try_acquire, admitted", self.admitted, &times_its_floor(self.admitted_ratio)),
            row("try_acquire, denied", self.denied, &times_its_floor(self.denied_ratio)),
        ];
        let rows = aligned([left(2, 32), right(1, 10), left(3, 0)], rows);
        format!("one thread: medians of {ROUNDS} runs of about {RUN:?}, in turns\n{rows}\n")
    }

    pub(super) fn as_json(&self) -> serde_json::Value {
        json!({
            "clock_ns": self.clock,
            "load_clock_ns": self.look,
            "load_clock_cas_ns": self.floor,
            "admitted_ns": self.admitted,
            "denied_ns": self.denied,
            "admitted_ratio": self.admitted_ratio,
            "denied_ratio": self.denied_ratio,
        })
    }
}
