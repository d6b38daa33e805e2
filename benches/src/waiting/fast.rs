//! The fast path: calls that would wait, if the tokens are already there.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};

use brimful::{QuantaClock, RateLimiter};

use super::contenders::{Job, Waits, with};
use super::crowd::runtime;
use crate::bench::Scale;
use crate::contenders::Floor;
use crate::harness::{Contender, alone};
use crate::limit::Limit;
use crate::report::{Bar, Report};

/// A limit that is never used up.
const LIMIT: Limit = Limit::per_second(1_000_000_000, u32::MAX);

/// The limit of the peers, with a burst that they all have room for.
const MODEST: Limit = Limit::per_second(1_000_000_000, 500_000_000);

/// Evaluates to whether a future is ready at once. It is not a function, because the future would
/// be moved into it.
macro_rules! ready {
    ($future:expr) => {
        pin!($future).poll(&mut Context::from_waker(Waker::noop())).is_ready()
    };
}

pub(super) fn section(scale: &Scale, report: &mut Report) -> io::Result<()> {
    const SCENARIO: &str = "fast: the tokens are there, one thread, the real clock";
    if !scale.wants(SCENARIO) {
        return Ok(());
    }
    // The timers of some peers need a runtime.
    let runtime = runtime().ok();
    let _entered = runtime.as_ref().map(|runtime| runtime.enter());
    let (floor, ours) = (Floor::default(), Arc::new(RateLimiter::new(LIMIT.quota())));
    let (first, second, third) = (&*ours, &*ours, &*ours);
    let mut contenders = vec![
        Contender::new("floor: load, clock, swap", || floor.swap(&QuantaClock)),
        Contender::new("try_acquire", || first.try_acquire().is_ok()),
        Contender::new("acquire, polled once", || ready!(second.acquire())),
        Contender::new("acquire_blocking", || third.acquire_blocking().is_ok()),
        Contender::new("acquire_n_owned, polled once", || ready!(ours.acquire_n_owned(1))),
    ];
    struct Poll(&'static str);

    impl Job for Poll {
        type Answer = Contender<'static>;

        fn run<L: Waits>(self, limiter: L) -> Self::Answer {
            Contender::new(self.0, move || ready!(limiter.acquire()))
        }
    }

    let theirs = ["governor", "rate-net", "async-speed-limit"];
    contenders.extend(theirs.iter().filter_map(|name| with(name, MODEST, Poll(name))));
    let runs = if scale.quick { 11 } else { 51 };
    let timings = alone(&contenders, runs, scale.operations);
    let names: Vec<&str> = contenders.iter().map(|contender| contender.name.as_str()).collect();
    report.timings(SCENARIO, &names, &timings);
    for name in ["acquire, polled once", "acquire_blocking"] {
        let ratio = report.ratio(SCENARIO, name, "try_acquire");
        report.bar(&format!("fast: {name} / try_acquire"), Bar::AtMost(1.1), ratio);
    }
    Ok(())
}
