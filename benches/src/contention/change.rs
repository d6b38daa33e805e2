//! A limiter whose quota has changed, beside one whose quota never did.

use std::io;

use brimful::{KeyedRateLimiter, Quota, RateLimiter};
use crossbeam_utils::CachePadded;

use super::hold;
use super::states::{DRAINED, ENDLESS, FULL};
use crate::bench::Scale;
use crate::harness::{Contender, alone};
use crate::limit::Limit;
use crate::report::{Bar, Report};

const NEVER: &str = "never changed";
const CHANGED: &str = "changed";

/// Half of the rate.
fn slower(limit: Limit) -> Quota {
    Quota::new(limit.tokens.into(), 2 * limit.period).burst(limit.burst)
}

/// Contenders that ask a limiter of which one token was taken.
fn lone(limit: Limit) -> Vec<Contender<'static>> {
    let contender = |name, has_changed| {
        let limiter = CachePadded::new(RateLimiter::new(limit.quota()));
        if has_changed {
            limiter.set_quota(slower(limit)).expect("a lower quota");
        }
        let _ = limiter.try_acquire();
        Contender::new(name, move || limiter.try_acquire().is_ok())
    };
    vec![contender(NEVER, false), contender(CHANGED, true)]
}

/// Contenders that ask one key of a keyed limiter.
fn keyed(limit: Limit) -> Vec<Contender<'static>> {
    let contender = |name, has_changed| {
        let built = KeyedRateLimiter::<u64>::builder().quota(limit.quota()).max_keys(1_000).build();
        let limiter = built.expect("the quota is given");
        if has_changed {
            limiter.set_quota(slower(limit)).expect("a lower quota");
        }
        let _ = limiter.try_acquire(&7);
        Contender::new(name, move || limiter.try_acquire(&7).is_ok())
    };
    vec![contender(NEVER, false), contender(CHANGED, true)]
}

pub(super) fn section(scale: &Scale, report: &mut Report) -> io::Result<()> {
    let cases: [(&str, Vec<Contender<'static>>); 6] = [
        ("admitted, not full", lone(ENDLESS)),
        ("admitted, full", lone(FULL)),
        ("denied", lone(DRAINED)),
        ("a key, admitted, not full", keyed(ENDLESS)),
        ("a key, admitted, full", keyed(FULL)),
        ("a key, denied", keyed(DRAINED)),
    ];
    for (case, contenders) in cases {
        let name = format!("change: {case}");
        if scale.wants(&name) {
            report.timings(&name, &[NEVER, CHANGED], &alone(&contenders, scale.runs, scale.operations));
            hold(&name, &[(CHANGED, NEVER, Bar::AtMost(2.0))], report);
        }
    }
    Ok(())
}
