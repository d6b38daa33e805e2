//! A loop of hits for an instruction counter.

use super::clock::{Driven, Step};
use super::contenders::{CONTENDERS, Contender, How, Plan, build};
use super::keys::{keys, passes};
use super::quotas::QUOTAS;

/// Fills a table with `n` keys, and then makes exactly `hits` calls for them. For every contender,
/// the clock is a load of a time that the loop stores, because Valgrind's processor has no counter
/// that quanta trusts. Buckets are in use, and every call is admitted.
///
/// # Errors
///
/// Fails if there is no contender of that name.
pub fn count(name: &str, n: u64, hits: u64) -> Result<(), String> {
    let contender = Contender::named(name).ok_or_else(|| {
        let names = CONTENDERS.map(|contender| contender.name).join(", ");
        format!("no contender is named {name}: choose one of {names}")
    })?;
    let keys = keys::<u64>(n.max(1));
    // The order has the same length in any case, so that two runs differ only in their hits.
    let order = passes(&keys, 100_000);
    // 1/s burst 10^9.
    let table = build::<u64, Driven<false>>(contender, Plan::roomy(&QUOTAS[0], n))?;
    let how = How { cost: 1, serial: false, step: Step::nanos(20.0) };
    table.run(&keys, how);
    let mut left = hits as usize;
    while left > 0 {
        let part = left.min(order.len());
        table.run(&order[..part], how);
        left -= part;
    }
    Ok(())
}
