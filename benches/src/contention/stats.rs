//! A limiter that counts its calls, beside one that does not.

use std::io;

use brimful::{KeyedRateLimiter, QuantaClock, RateLimiter};
use crossbeam_utils::CachePadded;

use super::hold;
use super::states::{DRAINED, FULL};
use crate::bench::Scale;
use crate::harness::{Contender, alone, together};
use crate::limit::Limit;
use crate::report::{Bar, Report};

const OFF: &str = "without statistics";
const ON: &str = "with statistics";

/// Returns a limiter of this kind, of which one token is taken.
fn limiter(limit: Limit, stats: bool) -> CachePadded<RateLimiter> {
    let builder = RateLimiter::builder().quota(limit.quota()).clock(QuantaClock);
    let built = if stats { builder.stats() } else { builder }.build();
    let limiter = CachePadded::new(built.expect("the quota is given"));
    let _ = limiter.try_acquire();
    limiter
}

fn lone(limit: Limit) -> Vec<Contender<'static>> {
    let contender = |name, stats| {
        let limiter = limiter(limit, stats);
        Contender::new(name, move || limiter.try_acquire().is_ok())
    };
    vec![contender(OFF, false), contender(ON, true)]
}

fn several() -> Vec<Contender<'static>> {
    let contender = |name, stats| {
        let limiter = limiter(FULL, stats);
        Contender::new(name, move || limiter.try_acquire_n(5).is_ok())
    };
    vec![contender(OFF, false), contender(ON, true)]
}

/// One key of a keyed limiter.
fn keyed(limit: Limit) -> Vec<Contender<'static>> {
    let contender = |name, stats| {
        let builder = KeyedRateLimiter::<u64>::builder().quota(limit.quota()).max_keys(1_000);
        let built = if stats { builder.stats() } else { builder }.build();
        let limiter = built.expect("the quota is given");
        let _ = limiter.try_acquire(&7);
        Contender::new(name, move || limiter.try_acquire(&7).is_ok())
    };
    vec![contender(OFF, false), contender(ON, true)]
}

pub(super) fn section(scale: &Scale, report: &mut Report) -> io::Result<()> {
    let one = Bar::AtMost(1.25);
    // Nine tenths of the throughput.
    let two = Bar::AtMost(1.0 / 0.9);
    let cases: [(&str, usize, Vec<Contender<'static>>, Bar); 7] = [
        ("1 thread, admitted", 1, lone(FULL), one),
        ("1 thread, denied", 1, lone(DRAINED), one),
        ("1 thread, five at a time", 1, several(), one),
        ("1 thread, a key, admitted", 1, keyed(FULL), one),
        ("2 threads on one limiter, admitted", 2, lone(FULL), two),
        ("2 threads on one limiter, denied", 2, lone(DRAINED), two),
        ("2 threads on one key, admitted", 2, keyed(FULL), two),
    ];
    for (case, threads, contenders, bar) in cases {
        let name = format!("stats: {case}");
        if !scale.wants(&name) {
            continue;
        }
        let timings = match threads {
            1 => alone(&contenders, scale.runs, scale.operations),
            _ => together(&contenders, threads, scale.runs, scale.operations),
        };
        report.timings(&name, &[OFF, ON], &timings);
        hold(&name, &[(ON, OFF, bar)], report);
    }
    Ok(())
}
