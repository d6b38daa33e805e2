//! Three limits for each key, in one decision: beside one limit, and beside three limiters in turn.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};

use brimful::{KeyedCompositeLimiter, KeyedRateLimiter, Quotas};

use super::keys::Numbers;
use super::quotas::sizes;
use crate::bench::Scale;
use crate::harness::{Contender, alone};
use crate::report::{Bar, Report, count};

/// High enough that every call is admitted, also if there are few keys.
const QUOTAS: &str = "1000000/s; 50000000/h; 1000000000/day";

const NAMES: [&str; 3] = ["one limit", "composite of three", "three limiters in turn"];

/// Measures hits on known keys, in random order, on the real clock.
pub(super) fn section(scale: &Scale, report: &mut Report) -> io::Result<()> {
    for keys in sizes(scale, &[1_000, 100_000, 1_000_000]) {
        let name = format!("composite: hit, {} u64 keys, {QUOTAS}", count(keys));
        if !scale.wants(&name) {
            continue;
        }
        let quotas: Quotas = QUOTAS.parse().map_err(io::Error::other)?;
        let one = |quota| KeyedRateLimiter::<u64>::builder().quota(quota).max_keys(keys as usize).build();
        let apart: Result<Vec<_>, _> = quotas.iter().map(|(_, quota)| one(quota)).collect();
        let (apart, single) = (apart.map_err(io::Error::other)?, one(quotas.as_slice()[0]).map_err(io::Error::other)?);
        let composite = KeyedCompositeLimiter::<u64>::builder().quotas(quotas).max_keys(keys as usize).build();
        let composite = composite.map_err(io::Error::other)?;
        let mut numbers = Numbers::new(11);
        let known: Vec<u64> = (0..keys).map(|_| numbers.next()).collect();
        for key in &known {
            _ = (single.allow(key), composite.allow(key));
            apart.iter().for_each(|limiter| _ = limiter.allow(key));
        }
        let order: Vec<u64> = (0..1 << 20).map(|_| known[(numbers.next() % keys) as usize]).collect();
        // Each contender goes through the same calls.
        let places = [const { AtomicUsize::new(0) }; 3];
        let next = |contender: usize| {
            let place = places[contender].load(Ordering::Relaxed);
            places[contender].store((place + 1) % order.len(), Ordering::Relaxed);
            &order[place]
        };
        let contenders = [
            Contender::new(NAMES[0], || single.try_acquire(next(0)).is_ok()),
            Contender::new(NAMES[1], || composite.try_acquire(next(1)).is_ok()),
            Contender::new(NAMES[2], || {
                let key = next(2);
                apart.iter().all(|limiter| limiter.try_acquire(key).is_ok())
            }),
        ];
        let timings = alone(&contenders, scale.runs, scale.operations);
        report.timings(&name, &NAMES, &timings);
        if keys == 1_000_000 {
            report.bar(&format!("{name}: three / one"), Bar::AtMost(1.5), timings[1].ratio_to(&timings[0]));
        }
    }
    Ok(())
}
