//! Memory: the growth of a process for each waiter, beside the waiter's future.

use std::future::Future;
use std::hint::black_box;
use std::io;
use std::pin::Pin;
use std::task::{Context, Waker};

use brimful::{KeyedRateLimiter, Quota, TokioTimer};

use super::contenders::{BRIMFUL, Job, NAMES, ON_TOKIO, Waits, with};
use super::crowd::runtime;
use super::turns::{Of, in_turns, table};
use crate::bench::Scale;
use crate::limit::Limit;
use crate::report::{Bar, Report, count};
use crate::resident::anonymous;

/// So slow that no waiter is served during the measurement, and as fast as leaky-bucket's ticks and
/// a whole number of nanoseconds allow.
const LIMIT: Limit = Limit::per_second(1, 1);

/// Polls each future once. Returns the bytes per future that became resident, and the bytes of a
/// future.
fn grown<F: Future>(mut futures: Vec<Pin<Box<F>>>) -> Option<Vec<f64>> {
    // Read twice, because the first reading allocates.
    let before = anonymous().and_then(|_| anonymous())?;
    let mut context = Context::from_waker(Waker::noop());
    for future in &mut futures {
        let _ = black_box(future.as_mut().poll(&mut context));
    }
    let bytes = anonymous()? - before;
    let size = futures.first().map_or(0, |future| size_of_val(&**future));
    let figures = vec![bytes / futures.len() as f64, size as f64];
    // Not dropped, because waiters would be served while others are dropped.
    std::mem::forget(futures);
    Some(figures)
}

pub(super) fn tasks(name: &str, n: u64) -> Option<Vec<f64>> {
    struct Poll(u64);

    impl Job for Poll {
        type Answer = Option<Vec<f64>>;

        fn run<L: Waits>(self, limiter: L) -> Self::Answer {
            // The first waiters allocate memory that is not counted for the other waiters.
            let mut first: Vec<_> = (0..3).map(|_| Box::pin(limiter.acquire())).collect();
            for future in &mut first {
                let _ = future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            }
            grown((0..self.0).map(|_| Box::pin(limiter.acquire())).collect())
        }
    }

    let runtime = runtime().ok()?;
    let entered = runtime.enter();
    let figures = with(name, LIMIT, Poll(n))?;
    drop(entered);
    runtime.shutdown_background();
    figures
}

/// Like [`tasks`], with a key for each waiter.
pub(super) fn keys(name: &str, n: u64) -> Option<Vec<f64>> {
    let builder = KeyedRateLimiter::<u64>::builder().quota(Quota::per_hour(1).burst(1)).max_keys(2 * n as usize);
    let limiter = match name {
        BRIMFUL => builder.build(),
        ON_TOKIO => builder.timer(TokioTimer::new).build(),
        _ => return None,
    };
    let limiter = limiter.ok()?;
    let runtime = runtime().ok()?;
    let entered = runtime.enter();
    let emptied = (0..n).filter(|key| limiter.allow(key)).count() as u64;
    let figures = grown((0..n).map(|key| Box::pin(limiter.acquire(&key))).collect());
    drop(entered);
    runtime.shutdown_background();
    figures.filter(|_| emptied == n)
}

pub(super) fn section(scale: &Scale, report: &mut Report) -> io::Result<()> {
    let n: u64 = if scale.quick { 20_000 } else { 100_000 };
    let bars =
        [("memory: a task", "tasks", &NAMES[..], 96.0), ("memory: a key", "keys", &[BRIMFUL, ON_TOKIO], 1_024.0)];
    for (what, kind, names, most) in bars {
        let scenario = format!("{what} that waits, {} of them: resident bytes", count(n));
        if !scale.wants(&scenario) {
            continue;
        }
        if anonymous().is_none() {
            println!("\n{scenario}: not measured, because there is no /proc here");
            continue;
        }
        let words = |name: &str| vec!["memory".to_owned(), kind.to_owned(), name.to_owned(), n.to_string()];
        let measures = [("beside its future", Of::Median), ("its future", Of::Median)];
        let figures = in_turns(names, scale.runs, &measures, words)?;
        table(&scenario, names, &measures, &figures, report);
        for name in [BRIMFUL, ON_TOKIO] {
            let measured = report.get(&scenario, name, "beside its future");
            report.bar(&format!("{what} that waits: {name}: bytes"), Bar::AtMost(most), measured);
        }
    }
    Ok(())
}
