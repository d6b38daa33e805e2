//! Several threads, on one limiter and on a limiter each.

use std::io;

use crossbeam_utils::CachePadded;

use super::limiters::{ADMITS, BRIMFUL, FIELD, GOVERNOR, Job, Limiter, REFUSES, with};
use super::states::{DRAINED, FULL};
use super::{Held, hold, plot};
use crate::bench::Scale;
use crate::harness::{Contender, together};
use crate::report::{Bar, Report};

/// The numbers of threads. If there are more threads than cores, the threads take turns.
pub(super) const THREADS: [usize; 4] = [1, 2, 4, 8];

fn measure(name: &str, threads: usize, contenders: &[Contender<'_>], scale: &Scale, report: &mut Report) {
    let names: Vec<&str> = contenders.iter().map(|contender| contender.name.as_str()).collect();
    let timings = together(contenders, threads, scale.runs, scale.operations);
    report.timings(name, &names, &timings);
}

pub(super) fn shared_name(outcome: &str, threads: usize) -> String {
    format!("threads: {threads} on one limiter, {outcome}")
}

pub(super) fn shared(scale: &Scale, report: &mut Report) -> io::Result<()> {
    struct Shared(&'static str);

    impl Job for Shared {
        type Answer = Contender<'static>;

        fn run<L: Limiter>(self, make: impl Fn() -> L) -> Self::Answer {
            let limiter = CachePadded::new(make());
            // If there is only one token, it is gone then.
            let _ = limiter.take();
            Contender::new(self.0, move || limiter.take())
        }
    }

    let to_governor: Held = (BRIMFUL, GOVERNOR, Bar::AtMost(0.9));
    let outcomes = [
        ("admitted", ADMITS, FULL, vec![(BRIMFUL, ADMITS, Bar::AtMost(1.05)), to_governor]),
        ("denied", REFUSES, DRAINED, vec![(BRIMFUL, REFUSES, Bar::AtMost(1.1))]),
    ];
    for (outcome, floor, limit, bars) in outcomes {
        for threads in THREADS {
            let name = shared_name(outcome, threads);
            if !scale.wants(&name) {
                continue;
            }
            let names = [floor].into_iter().chain(FIELD);
            let contenders: Vec<_> = names.filter_map(|name| with(name, limit, Shared(name))).collect();
            measure(&name, threads, &contenders, scale, report);
            if threads == 2 {
                hold(&name, &bars, report);
            }
        }
        plot::threads(
            scale,
            &format!("threads-{outcome}"),
            &format!("On one limiter, {outcome}"),
            report,
            |threads| shared_name(outcome, threads),
        )?;
    }
    Ok(())
}

fn apart_name(threads: usize) -> String {
    format!("apart: {threads} with a limiter each, admitted")
}

pub(super) fn apart(scale: &Scale, report: &mut Report) -> io::Result<()> {
    /// Limiters that share no cache line with each other, whatever their size is.
    struct Apart(&'static str, usize);

    impl Job for Apart {
        type Answer = Contender<'static>;

        fn run<L: Limiter>(self, make: impl Fn() -> L) -> Self::Answer {
            let Apart(name, threads) = self;
            Contender::each(name, threads, || {
                let limiter = CachePadded::new(make());
                move || limiter.take()
            })
        }
    }

    for threads in THREADS {
        let name = apart_name(threads);
        if scale.wants(&name) {
            let names = [ADMITS].into_iter().chain(FIELD);
            let contenders: Vec<_> = names.filter_map(|name| with(name, FULL, Apart(name, threads))).collect();
            measure(&name, threads, &contenders, scale, report);
        }
    }
    let median = |threads| report.get(&apart_name(threads), BRIMFUL, "median ns");
    let more = median(1).zip(median(2)).map(|(one, two)| one / two);
    if median(2).is_some() {
        report.bar("apart: brimful's throughput, two threads / one", Bar::AtLeast(1.95), more);
    }
    plot::threads(scale, "apart", "With a limiter each", report, apart_name)
}
