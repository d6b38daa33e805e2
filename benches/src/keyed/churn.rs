//! Churn: keys that ask once and do not come back.

use std::io;
use std::time::Duration;

use brimful::{Quota, SipState};

use super::contenders::brimful_of;
use super::keys::Numbers;
use crate::bench::Scale;
use crate::report::{Bar, Report};

/// Buckets that are not full at any time: a key's is full again after one token's time, and so
/// many new ones come within it.
const LIVE: u64 = 2_500;

const MAX_KEYS: u64 = 10_000;

pub(super) fn section(scale: &Scale, report: &mut Report) -> io::Result<()> {
    const SCENARIO: &str = "churn: keys that ask once";
    if !scale.wants(SCENARIO) {
        return Ok(());
    }
    println!("\n{SCENARIO}, so many that {LIVE} buckets are not full; room for {MAX_KEYS}");
    println!(
        "  {:<24} {:>9} {:>9} {:>9} {:>13} {:>9} {:>9} {:>9}",
        "", "arrivals", "live", "len()", "greatest len()", "refused", "refusals", "evictions"
    );
    let arrivals = if scale.quick { 200_000 } else { 5_000_000 };
    let hour = Duration::from_secs(3_600);
    let quotas = [
        ("5000/h, burst 5000", Quota::new(5_000, hour).burst(5_000), hour / 5_000),
        ("100/s, burst 200", Quota::per_second(100).burst(200), Duration::from_millis(10)),
        ("1000/day, burst 1000", Quota::per_day(1_000).burst(1_000), 24 * hour / 1_000),
    ];
    for (name, quota, token) in quotas {
        let limiter = brimful_of::<u64, _>(quota, MAX_KEYS, SipState::new());
        let step = token.as_nanos() as u64 / LIVE;
        let (mut numbers, mut now) = (Numbers::new(4), 1_000_000_000);
        let (mut refused, mut most, mut recent) = (0u64, 0, Vec::new());
        for arrival in 0..arrivals {
            let key = numbers.next();
            now += step;
            refused += u64::from(!limiter.allow_at(now, &key));
            most = most.max(limiter.len());
            if arrival + 2 * MAX_KEYS >= arrivals {
                recent.push(key);
            }
        }
        let full = limiter.quota().capacity().as_f64();
        // By the unit that a bucket counts in it may look full a moment earlier.
        let live = recent.iter().filter(|key| limiter.balance_at(now, *key) < full).count() as u64;
        println!(
            "  {name:<24} {arrivals:>9} {live:>9} {:>9} {most:>13} {refused:>9} {:>9} {:>9}",
            limiter.len(),
            limiter.refusals(),
            limiter.evictions()
        );
        let figures = [
            ("live keys", live),
            ("slots in use at the end", limiter.len()),
            ("slots in use at most", most),
            ("refused", refused),
            ("refusals", limiter.refusals()),
            ("evictions", limiter.evictions()),
        ];
        let scenario = format!("{SCENARIO}, {name}");
        for (measure, value) in figures {
            report.add(&scenario, "brimful", measure, value as f64);
        }
        report.bar(&format!("{scenario}: refused"), Bar::AtMost(0.0), Some(refused as f64));
    }
    Ok(())
}
