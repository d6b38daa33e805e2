//! A decision before other work, with which it can overlap.

use std::sync::atomic::{AtomicU64, Ordering};

use super::Scenario;
use super::limiters::{ADMITS, FIELD, Job, Limiter, REFUSES, with};
use super::states::{DRAINED, FULL};
use crate::harness::Contender;
use crate::limit::Limit;

/// About 100 cycles of multiplications, three cycles each (four on some processors), in chains that
/// wait for their results of the previous call. So a decision adds only the time that cannot
/// overlap.
trait Work: Sync + 'static {
    fn new() -> Self;
    fn run(&self) -> u64;
}

const STEPS: usize = 33;

/// Work in floating point, which leaves the integer units to the decision.
struct Floats<const CHAINS: usize>([AtomicU64; CHAINS]);

impl<const CHAINS: usize> Work for Floats<CHAINS> {
    fn new() -> Self {
        Floats([const { AtomicU64::new(0x3ff0_0000_0000_0001) }; CHAINS])
    }

    #[inline(always)]
    fn run(&self) -> u64 {
        let factor = std::hint::black_box(1.000_000_000_1);
        chains(&self.0, |value| (f64::from_bits(value) * factor).to_bits())
    }
}

/// Work in integers. Four chains keep the one integer multiplier busy, and a decision then has to
/// wait for it: the worst neighbour that a decision can have.
struct Integers<const CHAINS: usize>([AtomicU64; CHAINS]);

impl<const CHAINS: usize> Work for Integers<CHAINS> {
    fn new() -> Self {
        Integers([const { AtomicU64::new(3) }; CHAINS])
    }

    #[inline(always)]
    fn run(&self) -> u64 {
        chains(&self.0, |value| value.wrapping_mul(value | 1))
    }
}

#[inline(always)]
fn chains<const CHAINS: usize>(cells: &[AtomicU64; CHAINS], step: impl Fn(u64) -> u64) -> u64 {
    let mut values: [u64; CHAINS] = std::array::from_fn(|chain| cells[chain].load(Ordering::Relaxed));
    for _ in 0..STEPS {
        for value in &mut values {
            *value = step(*value);
        }
    }
    for (cell, value) in cells.iter().zip(values) {
        cell.store(value, Ordering::Relaxed);
    }
    values[0]
}

pub(super) fn scenarios() -> Vec<Scenario> {
    let (one, four, multiplier) =
        ("a chain of 100 cycles", "four chains of 100 cycles", "four chains that want the multiplier");
    vec![
        scenario::<Floats<1>>(one, "admitted", ADMITS, FULL),
        scenario::<Floats<4>>(four, "admitted", ADMITS, FULL),
        scenario::<Integers<4>>(multiplier, "admitted", ADMITS, FULL),
        scenario::<Floats<1>>(one, "denied", REFUSES, DRAINED),
        scenario::<Floats<4>>(four, "denied", REFUSES, DRAINED),
        scenario::<Integers<4>>(multiplier, "denied", REFUSES, DRAINED),
    ]
}

/// A contender that decides, and then does the work.
struct Before<W>(&'static str, W);

impl<W: Work> Job for Before<W> {
    type Answer = Contender<'static>;

    fn run<L: Limiter>(self, make: impl Fn() -> L) -> Self::Answer {
        let (Before(name, work), limiter) = (self, make());
        Contender::new(name, move || (limiter.take(), work.run()))
    }
}

fn scenario<W: Work>(before: &str, outcome: &str, floor: &'static str, limit: Limit) -> Scenario {
    let work = W::new();
    let mut contenders = vec![Contender::new("the work alone", move || work.run())];
    let names = [floor].into_iter().chain(FIELD);
    contenders.extend(names.filter_map(|name| with(name, limit, Before(name, W::new()))));
    Scenario { name: format!("work: in front of {before}, {outcome}"), contenders, bars: Vec::new() }
}
