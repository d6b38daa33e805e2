//! The states of a limiter, and the ways to ask it, by one thread.

use std::hint::black_box;
use std::num::NonZeroU32;
use std::time::Duration;

use brimful::{Clock, QuantaClock, Quota, RateLimiter};

use super::limiters::{
    ADMITS, BETTER_BUCKET, BRIMFUL, FIELD, GOVERNOR, Job, Limiter, RATE_NET, RATELIMIT, REFUSES, with,
};
use super::{Held, Scenario};
use crate::contenders::{Floor, Governor, GovernorStepped, Stepped};
use crate::harness::Contender;
use crate::limit::Limit;
use crate::report::Bar;

/// A second's worth of tokens, as the named constructors give it. The bucket is always full while a
/// bench asks.
pub(super) const FULL: Limit = Limit::per_second(1_000_000_000, 1_000_000_000);
/// A bucket that is never used up while a bench lasts, and never full again.
pub(super) const ENDLESS: Limit = Limit::per_second(1, u32::MAX);
/// A bucket that has nothing to give.
pub(super) const DRAINED: Limit = Limit::per_second(1, 1);

pub(super) const NOT_FULL: &str = "admitted: the real clock, not full";
pub(super) const DENIED: &str = "denied: the real clock";

fn stepped(limit: Limit, step: u64) -> (RateLimiter<Stepped>, Governor<GovernorStepped>) {
    let theirs = governor::RateLimiter::direct_with_clock(limit.governors(), GovernorStepped(Stepped::new(step)));
    (RateLimiter::with_clock(limit.quota(), Stepped::new(step)), theirs)
}

/// A contender that takes one token.
struct Takes(&'static str);

impl Job for Takes {
    type Answer = Contender<'static>;

    fn run<L: Limiter>(self, make: impl Fn() -> L) -> Self::Answer {
        let limiter = make();
        Contender::new(self.0, move || limiter.take())
    }
}

/// Returns a floor and the field, on the real clock.
fn field(floor: &'static str, limit: Limit) -> Vec<Contender<'static>> {
    let names = [floor].into_iter().chain(FIELD);
    names.filter_map(|name| with(name, limit, Takes(name))).collect()
}

/// Returns the bars for the peers that read the system's clock: each is to be at least three times
/// slower.
fn three_times() -> [Held; 3] {
    [RATELIMIT, BETTER_BUCKET, RATE_NET].map(|peer| (peer, BRIMFUL, Bar::AtLeast(3.0)))
}

pub(super) fn admitted() -> Vec<Scenario> {
    let on_a_clock_of_steps = |name: &str, limit: Limit, taken: u32, step: u64| {
        let (ours, theirs) = stepped(limit, step);
        if let Some(taken) = NonZeroU32::new(taken) {
            let _ = ours.try_acquire_n(taken.get());
            let _ = theirs.check_n(taken);
        }
        let (floor, clock) = (Floor::default(), Stepped::new(step));
        let contenders = vec![
            Contender::new(ADMITS, move || floor.swap(&clock)),
            Contender::new(BRIMFUL, move || ours.take()),
            Contender::new(GOVERNOR, move || theirs.take()),
        ];
        Scenario { name: format!("admitted: {name}"), contenders, bars: vec![(BRIMFUL, ADMITS, Bar::AtMost(1.1))] }
    };
    let on_the_real_clock = |name: &str, limit: Limit| {
        let bars = [(BRIMFUL, ADMITS, Bar::AtMost(1.1))].into_iter().chain(three_times()).collect();
        Scenario { name: name.to_owned(), contenders: field(ADMITS, limit), bars }
    };
    vec![
        clocks(),
        on_a_clock_of_steps("same tick, not full", ENDLESS, 1_000_000, 0),
        on_a_clock_of_steps("tick changes, not full", Limit::per_second(1_000, 1_000), 500, 1_000_000),
        on_a_clock_of_steps("full, idle longer than a refill", Limit::per_second(100, 10), 0, 1_000_000_000),
        on_a_clock_of_steps("full, idle about a refill", Limit::per_second(100, 10), 0, 10_000_001),
        on_a_clock_of_steps("full, same tick", Limit::per_second(10_000, 10_000), 0, 100_000),
        on_the_real_clock(NOT_FULL, ENDLESS),
        on_the_real_clock("admitted: the real clock, full", FULL),
    ]
}

fn clocks() -> Scenario {
    let (floor, quanta) = (Floor::default(), quanta::Clock::new());
    let contenders = vec![
        Contender::new("the counter", move || quanta.raw()),
        Contender::new("QuantaClock", move || QuantaClock.now()),
        Contender::new("Instant", std::time::Instant::now),
        Contender::new("load, CAS", move || floor.swap_timeless()),
    ];
    Scenario { name: "admitted: parts of it, alone".to_owned(), contenders, bars: Vec::new() }
}

pub(super) fn denied() -> Vec<Scenario> {
    let (ours, theirs) = stepped(DRAINED, 0);
    let _ = (ours.take(), theirs.take());
    let (floor, clock) = (Floor::default(), Stepped::new(0));
    let of_steps = vec![
        Contender::new(REFUSES, move || floor.look(&clock)),
        Contender::new(BRIMFUL, move || ours.take()),
        Contender::new(GOVERNOR, move || theirs.take()),
    ];
    let bars = vec![(BRIMFUL, REFUSES, Bar::AtMost(1.1))];
    vec![
        Scenario { name: "denied: same tick".to_owned(), contenders: of_steps, bars: bars.clone() },
        Scenario { name: DENIED.to_owned(), contenders: field(REFUSES, DRAINED), bars },
    ]
}

pub(super) fn several() -> Vec<Scenario> {
    struct Five(&'static str);

    impl Job for Five {
        type Answer = Contender<'static>;

        fn run<L: Limiter>(self, make: impl Fn() -> L) -> Self::Answer {
            let limiter = make();
            Contender::new(self.0, move || limiter.take_n(5))
        }
    }

    let limit = Limit::per_second(1_000_000_000, u32::MAX);
    let names = [ADMITS].into_iter().chain(FIELD);
    let contenders = names.filter_map(|name| with(name, limit, Five(name))).collect();
    vec![Scenario { name: "several: five at a time".to_owned(), contenders, bars: Vec::new() }]
}

pub(super) fn decide() -> Vec<Scenario> {
    const KEPT: &str = "brimful decide(1), all of it kept";
    let limiter = || RateLimiter::new(ENDLESS.quota());
    let (floor, plain, kept, asked) = (Floor::default(), limiter(), limiter(), limiter());
    let contenders = vec![
        Contender::new(ADMITS, move || floor.swap(&QuantaClock)),
        Contender::new("brimful try_acquire", move || plain.take()),
        Contender::new(KEPT, move || kept.decide(1)),
        Contender::new("brimful decide(1), allowed()", move || asked.decide(1).allowed()),
    ];
    let bars = vec![(KEPT, ADMITS, Bar::AtMost(1.1))];
    vec![Scenario { name: "decide: the numbers for headers".to_owned(), contenders, bars }]
}

pub(super) fn construction() -> Vec<Scenario> {
    struct Makes(&'static str);

    impl Job for Makes {
        type Answer = Contender<'static>;

        fn run<L: Limiter>(self, make: impl Fn() -> L + Sync + 'static) -> Self::Answer {
            Contender::new(self.0, make)
        }
    }

    let from_a_quota = Limit::per_second(100, 200);
    let mut contenders: Vec<_> = FIELD.iter().filter_map(|name| with(name, from_a_quota, Makes(name))).collect();
    contenders.push(Contender::new("brimful Quota from numbers", || {
        Quota::try_new(black_box(100), Duration::from_secs(1)).and_then(|quota| quota.try_burst(200))
    }));
    vec![Scenario { name: "construction: of one that is dropped".to_owned(), contenders, bars: Vec::new() }]
}
