//! Permits for calls in flight: taken and given back, by one thread and by two.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use brimful::{ConcurrencyLimit, KeyedConcurrencyLimit};
use crossbeam_utils::CachePadded;
use tokio::sync::Semaphore;

use crate::bench::Scale;
use crate::harness::{Contender, alone, together};
use crate::report::{Bar, Report};

const OURS: &str = "ConcurrencyLimit";
const FLOOR: &str = "floor: load, swap, subtract";
const TOKIO: &str = "tokio Semaphore";

/// A limit that is never reached.
const LIMIT: usize = 1_000;

/// Taking a permit and giving it back, which is one operation.
fn contenders() -> Vec<Contender<'static>> {
    let word = CachePadded::new(AtomicU64::new(0));
    let floor = move || {
        let mut seen = word.load(Ordering::Relaxed);
        while let Err(changed) = word.compare_exchange(seen, seen + 1, Ordering::AcqRel, Ordering::Relaxed) {
            seen = changed;
        }
        word.fetch_sub(1, Ordering::AcqRel)
    };
    let limit = ConcurrencyLimit::new(LIMIT);
    let blocking = ConcurrencyLimit::new(LIMIT);
    let owned = Arc::new(ConcurrencyLimit::new(LIMIT));
    let keyed = KeyedConcurrencyLimit::<u64>::new(LIMIT);
    let semaphore = CachePadded::new(Semaphore::new(LIMIT));
    let shared = Arc::new(Semaphore::new(LIMIT));
    vec![
        Contender::new(FLOOR, floor),
        Contender::new(OURS, move || limit.try_acquire().is_ok()),
        Contender::new(TOKIO, move || semaphore.try_acquire().is_ok()),
        Contender::new("ConcurrencyLimit, blocking", move || blocking.acquire_blocking().is_ok()),
        Contender::new("ConcurrencyLimit, owned", move || owned.try_acquire_owned().is_ok()),
        Contender::new("tokio Semaphore, owned", move || shared.clone().try_acquire_owned().is_ok()),
        Contender::new("KeyedConcurrencyLimit, one key", move || keyed.try_acquire(&7).is_ok()),
    ]
}

pub(super) fn section(scale: &Scale, report: &mut Report) -> io::Result<()> {
    for threads in [1, 2] {
        let name = format!("permits: taken and given back, by {threads} on one limit");
        if !scale.wants(&name) {
            continue;
        }
        let contenders = contenders();
        let timings = match threads {
            1 => alone(&contenders, scale.runs, scale.operations),
            _ => together(&contenders, threads, scale.runs, scale.operations),
        };
        let names: Vec<&str> = contenders.iter().map(|contender| contender.name.as_str()).collect();
        report.timings(&name, &names, &timings);
        let ratio = report.ratio(&name, OURS, TOKIO);
        report.bar(&format!("{name}: {OURS} / {TOKIO}"), Bar::AtMost(1.0), ratio);
    }
    Ok(())
}
