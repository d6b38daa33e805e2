//! Several limits in one decision, beside one limit.

use std::io;

use brimful::{AllOf, Charge, CompositeLimiter, Quota, Quotas, RateLimiter};

use crate::bench::Scale;
use crate::harness::{Contender, alone, together};
use crate::report::{Bar, Report};

const PLAIN: &str = "one limit";
const TWO: &str = "composite of two";
const THREE: &str = "composite of three";
const JOINED: &str = "two joined by AllOf";

/// Measures admitted calls on buckets that never run dry, and refused calls on buckets that are empty.
pub(super) fn section(scale: &Scale, report: &mut Report) -> io::Result<()> {
    for (outcome, per_day, burst) in [("admitted", false, u32::MAX), ("refused", true, 1)] {
        for threads in [1, 2] {
            let name = format!("composite: {outcome}, {threads} threads");
            if !scale.wants(&name) {
                continue;
            }
            let quota = |nth: u32| {
                let tokens = 1_000 + nth;
                if per_day { Quota::per_day(1).burst(burst + nth) } else { Quota::per_second(tokens).burst(burst) }
            };
            let list = |limits: u32| Quotas::new((0..limits).map(quota)).map_err(io::Error::other);
            let plain = RateLimiter::new(quota(0));
            let (two, three) = (CompositeLimiter::new(list(2)?), CompositeLimiter::new(list(3)?));
            let (first, second) = (RateLimiter::new(quota(0)), RateLimiter::new(quota(1)));
            // If there are only a few tokens, they are gone then.
            for _ in 0..10 {
                _ = (plain.allow(), two.allow(), three.allow(), first.allow(), second.allow());
            }
            let contenders = [
                Contender::new(PLAIN, || plain.try_acquire().is_ok()),
                Contender::new(TWO, || two.try_acquire().is_ok()),
                Contender::new(THREE, || three.try_acquire().is_ok()),
                Contender::new(JOINED, || {
                    AllOf::new([Charge::new("first", &first, 1), Charge::new("second", &second, 1)])
                        .try_acquire()
                        .is_ok()
                }),
            ];
            let timings = match threads {
                1 => alone(&contenders, scale.runs, scale.operations),
                _ => together(&contenders, threads, scale.runs, scale.operations),
            };
            report.timings(&name, &[PLAIN, TWO, THREE, JOINED], &timings);
            if (outcome, threads) == ("admitted", 1) {
                report.bar(&format!("{name}: {TWO} / {PLAIN}"), Bar::AtMost(1.7), timings[1].ratio_to(&timings[0]));
            }
        }
    }
    Ok(())
}
