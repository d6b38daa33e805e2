//! A call to a model: taken in four dimensions and a slot, and settled.

use std::io;

use brimful::model::{ModelLimiter, ModelQuota, Usage};
use brimful::{ConcurrencyLimit, Quota, RateLimiter};

use crate::bench::Scale;
use crate::harness::{Contender, alone, together};
use crate::report::{Bar, Report};

const NAMED: &str = "by name, commit";
const HANDLE: &str = "by handle, commit";
const HONEST: &str = "by handle, commit as estimated";
const APART: &str = "four limits and a permit in turn";

/// The highest rate, so that no bucket runs dry.
const PER_MINUTE: u64 = 60_000_000_000;

const ESTIMATE: Usage = Usage { input: 100, output: 50 };
const ACTUAL: Usage = Usage { input: 90, output: 20 };

/// Measures a call that is admitted and committed.
pub(super) fn section(scale: &Scale, report: &mut Report) -> io::Result<()> {
    for threads in [1, 2] {
        let name = format!("model: admitted in four dimensions and committed, {threads} threads");
        if !scale.wants(&name) {
            continue;
        }
        let quota = ModelQuota::new().rpm(PER_MINUTE).tpm(PER_MINUTE).rpd(PER_MINUTE).tpd(PER_MINUTE);
        let quota = quota.max_parallel_requests(1_000);
        let build = || ModelLimiter::builder().model("gpt-4", quota).build().map_err(io::Error::other);
        let (named, other, honest) = (build()?, build()?, build()?);
        let handle = other.model("gpt-4").map_err(io::Error::other)?;
        let honest = honest.model("gpt-4").map_err(io::Error::other)?;
        let limit = || RateLimiter::new(Quota::per_second(1_000_000_000).burst(u32::MAX));
        let apart = [limit(), limit(), limit(), limit()];
        let slots = ConcurrencyLimit::new(1_000);
        let contenders = [
            Contender::new(NAMED, || named.try_acquire("gpt-4", ESTIMATE).map(|mut permit| permit.commit(ACTUAL))),
            Contender::new(HANDLE, || handle.try_acquire(ESTIMATE).map(|mut permit| permit.commit(ACTUAL))),
            Contender::new(HONEST, || honest.try_acquire(ESTIMATE).map(|mut permit| permit.commit(ESTIMATE))),
            Contender::new(APART, || {
                let permit = slots.try_acquire();
                let requests = apart[0].try_acquire().is_ok() && apart[1].try_acquire().is_ok();
                let tokens =
                    apart[2..].iter().map(|limit| limit.try_reserve_n(150).map(|reserved| reserved.commit(110)));
                (permit.is_ok(), requests, tokens.filter(Result::is_ok).count())
            }),
        ];
        let timings = match threads {
            1 => alone(&contenders, scale.runs, scale.operations),
            _ => together(&contenders, threads, scale.runs, scale.operations),
        };
        report.timings(&name, &[NAMED, HANDLE, HONEST, APART], &timings);
        if threads == 1 {
            report.bar(&format!("{name}: {NAMED}, ns"), Bar::AtMost(150.0), Some(timings[0].median));
        }
    }
    Ok(())
}
