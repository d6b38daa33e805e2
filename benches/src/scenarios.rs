//! The states that a limiter can be in, each with everybody who is measured in it.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use brimful::{Clock, QuantaClock, Quota, RateLimiter};
use governor::clock::QuantaClock as GovernorClock;

use crate::contenders::{Floor, Governor, GovernorStepped, MutexBucket, Stepped};
use crate::harness::Contender;

/// A state, and who is measured in it.
pub struct Scenario {
    /// What is measured.
    pub name: &'static str,
    /// By how many threads.
    pub sharing: Sharing,
    /// In the order of the table; the last whose name begins with `floor` is the floor.
    pub contenders: Vec<Contender<'static>>,
}

/// Whether a scenario is about one thread.
pub enum Sharing {
    /// One thread.
    Alone,
    /// All threads use one limiter.
    Threads,
}

/// Tokens per second, and the burst.
#[derive(Clone, Copy)]
struct Limit {
    rate: u32,
    burst: u32,
}

impl Limit {
    fn brimful<C: Clock>(self, clock: C) -> RateLimiter<C> {
        RateLimiter::with_clock(Quota::per_second(self.rate).burst(self.burst), clock)
    }

    fn quota(self) -> governor::Quota {
        let count = |n| NonZeroU32::new(n).unwrap_or(NonZeroU32::MIN);
        governor::Quota::per_second(count(self.rate)).allow_burst(count(self.burst))
    }

    fn governor(self) -> Governor<GovernorClock> {
        governor::RateLimiter::direct(self.quota())
    }

    fn governor_stepped(self, step: u64) -> Governor<GovernorStepped> {
        governor::RateLimiter::direct_with_clock(self.quota(), GovernorStepped(Stepped::new(step)))
    }
}

/// A limit that never runs out while a bench lasts.
const ENDLESS: Limit = Limit { rate: 1, burst: u32::MAX };
/// A limit that has nothing to give.
const DRAINED: Limit = Limit { rate: 1, burst: 1 };

/// Every scenario there is.
#[must_use]
pub fn all() -> Vec<Scenario> {
    let mut all = vec![
        admitted("same tick, not full", ENDLESS, 1_000_000, 0),
        admitted("tick changes, not full", Limit { rate: 1_000, burst: 1_000 }, 500, 1_000_000),
        admitted("full, idle longer than a refill", Limit { rate: 100, burst: 10 }, 0, 1_000_000_000),
        admitted("full, idle about a refill", Limit { rate: 100, burst: 10 }, 0, 10_000_001),
        admitted("full, same tick", Limit { rate: 10_000, burst: 10_000 }, 0, 100_000),
        real_clock(),
        several(),
        decided(),
        denied(),
        construction(),
    ];
    all.extend(work::scenarios());
    all.push(shared("one limiter, admitted", Limit { rate: 1_000_000_000, burst: u32::MAX }, true));
    all.push(shared("one limiter, denied", DRAINED, false));
    all
}

/// One token at a time, on a clock that goes on by `step` with every decision, after `taken`
/// tokens were taken.
fn admitted(name: &'static str, limit: Limit, taken: u32, step: u64) -> Scenario {
    let ours = limit.brimful(Stepped::new(step));
    let theirs = limit.governor_stepped(step);
    if let Some(taken) = NonZeroU32::new(taken) {
        let _ = ours.try_acquire_n(taken.get());
        let _ = theirs.check_n(taken);
    }
    let (floor, clock) = (Floor::default(), Stepped::new(step));
    let contenders = vec![
        Contender::new("floor: clock, load, CAS", move || floor.swap(&clock)),
        Contender::new("brimful try_acquire", move || ours.try_acquire().is_ok()),
        Contender::new("governor check", move || theirs.check().is_ok()),
    ];
    Scenario { name, sharing: Sharing::Alone, contenders }
}

/// On the default clocks, where time is what it is.
fn real_clock() -> Scenario {
    let limit = Limit { rate: 1_000_000_000, burst: 1_000 };
    let (ours, theirs) = (limit.brimful(QuantaClock), limit.governor());
    let mutex = MutexBucket::new(f64::from(limit.rate), f64::from(limit.burst));
    let (word, quanta) = (Floor::default(), quanta::Clock::new());
    let floor = Floor::default();
    let contenders = vec![
        Contender::new("clock: raw counter", move || quanta.raw()),
        Contender::new("clock: QuantaClock", move || QuantaClock.now()),
        Contender::new("clock: Instant", std::time::Instant::now),
        Contender::new("load, CAS", move || word.swap_timeless()),
        Contender::new("floor: clock, load, CAS", move || floor.swap(&QuantaClock)),
        Contender::new("brimful try_acquire", move || ours.try_acquire().is_ok()),
        Contender::new("governor check", move || theirs.check().is_ok()),
        Contender::new("Mutex<(f64, Instant)>", move || mutex.try_acquire(1.0)),
    ];
    Scenario { name: "10^9/s on the real clock", sharing: Sharing::Alone, contenders }
}

fn several() -> Scenario {
    let limit = Limit { rate: 1_000_000_000, burst: u32::MAX };
    let (ours, theirs, floor) = (limit.brimful(QuantaClock), limit.governor(), Floor::default());
    let five = NonZeroU32::MIN.saturating_add(4);
    let contenders = vec![
        Contender::new("floor: clock, load, CAS", move || floor.swap(&QuantaClock)),
        Contender::new("brimful try_acquire_n(5)", move || ours.try_acquire_n(5).is_ok()),
        Contender::new("governor check_n(5)", move || theirs.check_n(five).is_ok_and(|inner| inner.is_ok())),
    ];
    Scenario { name: "five at a time", sharing: Sharing::Alone, contenders }
}

fn decided() -> Scenario {
    let (ours, theirs) = (ENDLESS.brimful(QuantaClock), ENDLESS.brimful(QuantaClock));
    let floor = Floor::default();
    let contenders = vec![
        Contender::new("floor: clock, load, CAS", move || floor.swap(&QuantaClock)),
        Contender::new("brimful try_acquire", move || theirs.try_acquire().is_ok()),
        Contender::new("brimful decide(1), all of it kept", move || ours.decide(1)),
        Contender::new("brimful decide(1), allowed()", {
            let ours = ENDLESS.brimful(QuantaClock);
            move || ours.decide(1).allowed()
        }),
    ];
    Scenario { name: "decide", sharing: Sharing::Alone, contenders }
}

fn denied() -> Scenario {
    let (ours, theirs) = (DRAINED.brimful(Stepped::new(0)), DRAINED.governor_stepped(0));
    let _ = (ours.allow(), theirs.check());
    let (floor, clock) = (Floor::default(), Stepped::new(0));
    let contenders = vec![
        Contender::new("floor: clock, load", move || floor.look(&clock)),
        Contender::new("brimful try_acquire", move || ours.try_acquire().is_ok()),
        Contender::new("governor check", move || theirs.check().is_ok()),
    ];
    Scenario { name: "denied", sharing: Sharing::Alone, contenders }
}

fn construction() -> Scenario {
    let quota = Quota::per_second(100).burst(200);
    let theirs = Limit { rate: 100, burst: 200 }.quota();
    let contenders = vec![
        Contender::new("brimful RateLimiter::new", move || RateLimiter::new(quota)),
        Contender::new("governor RateLimiter::direct", move || governor::RateLimiter::direct(theirs)),
        Contender::new("brimful Quota from numbers", || {
            Quota::try_new(std::hint::black_box(100), Duration::from_secs(1)).and_then(|quota| quota.try_burst(200))
        }),
    ];
    Scenario { name: "construction from a quota", sharing: Sharing::Alone, contenders }
}

fn shared(name: &'static str, limit: Limit, admitted: bool) -> Scenario {
    let (ours, theirs) = (limit.brimful(QuantaClock), limit.governor());
    let mutex = MutexBucket::new(f64::from(limit.rate), f64::from(limit.burst));
    let floor = Floor::default();
    let floor = if admitted {
        Contender::new("floor: padded CAS loop, clock", move || floor.swap(&QuantaClock))
    } else {
        let _ = (ours.allow(), theirs.check(), mutex.try_acquire(1.0));
        Contender::new("floor: clock, load", move || floor.look(&QuantaClock))
    };
    let contenders = vec![
        floor,
        Contender::new("brimful try_acquire", move || ours.try_acquire().is_ok()),
        Contender::new("governor check", move || theirs.check().is_ok()),
        Contender::new("Mutex<(f64, Instant)>", move || mutex.try_acquire(1.0)),
    ];
    Scenario { name, sharing: Sharing::Threads, contenders }
}

/// A decision in front of other work, with which it can overlap.
mod work {
    use super::{AtomicU64, Clock, Contender, DRAINED, Floor, Limit, Ordering, QuantaClock, Scenario, Sharing};

    /// About 100 cycles of multiplications, three cycles each (four on some processors), in
    /// chains that wait for the last time's: what a decision adds is what cannot overlap.
    trait Work: Sync {
        fn new() -> Self;
        fn run(&self) -> u64;
    }

    const STEPS: usize = 33;

    /// In floating point, which leaves the integer units to the decision.
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

    /// In integers: four chains keep the one integer multiplier busy, for which a decision
    /// then has to wait. The worst neighbour it can have.
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
        let busy = Limit { rate: 100_000_000, burst: 1 };
        vec![
            admitted::<Floats<1>>("in front of a chain of 100 cycles, admitted", busy),
            admitted::<Floats<4>>("in front of four chains of 100 cycles, admitted", busy),
            admitted::<Integers<4>>("in front of four chains that want the multiplier, admitted", busy),
            denied::<Floats<1>>("in front of a chain of 100 cycles, denied"),
            denied::<Floats<4>>("in front of four chains of 100 cycles, denied"),
            denied::<Integers<4>>("in front of four chains that want the multiplier, denied"),
        ]
    }

    fn contender<W: Work + 'static, T: 'static>(
        name: &str,
        decide: impl Fn() -> T + Sync + 'static,
    ) -> Contender<'static> {
        let work = W::new();
        Contender::new(name, move || (decide(), work.run()))
    }

    fn admitted<W: Work + 'static>(name: &'static str, limit: Limit) -> Scenario {
        let (ours, theirs, floor) = (limit.brimful(QuantaClock), limit.governor(), Floor::default());
        let contenders = vec![
            contender::<W, _>("the work alone", || ()),
            contender::<W, _>("floor: clock, load, CAS, work", move || floor.swap(&QuantaClock)),
            contender::<W, _>("brimful try_acquire, work", move || ours.try_acquire().is_ok()),
            contender::<W, _>("governor check, work", move || theirs.check().is_ok()),
        ];
        Scenario { name, sharing: Sharing::Alone, contenders }
    }

    fn denied<W: Work + 'static>(name: &'static str) -> Scenario {
        let (ours, theirs, floor) = (DRAINED.brimful(QuantaClock), DRAINED.governor(), Floor::default());
        let _ = (ours.allow(), theirs.check(), QuantaClock.now());
        let contenders = vec![
            contender::<W, _>("the work alone", || ()),
            contender::<W, _>("floor: clock, load, work", move || floor.look(&QuantaClock)),
            contender::<W, _>("brimful try_acquire, work", move || ours.try_acquire().is_ok()),
            contender::<W, _>("governor check, work", move || theirs.check().is_ok()),
        ];
        Scenario { name, sharing: Sharing::Alone, contenders }
    }
}
