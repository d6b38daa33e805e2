//! Decisions of a hot key by leases.

use std::io;
use std::time::{Duration, Instant};

use brimful::Quota;
use brimful_redis::{RedisRateLimiter, RedisStore};

use super::server::{Server, runtime};
use crate::bench::Scale;
use crate::report::{Bar, Report};

const SCENARIO: &str = "leased: one hot key at 1000000/s, two tasks";
const CONTENDER: &str = "brimful-redis, leases";

pub(super) fn section(scale: &Scale, report: &mut Report) -> io::Result<()> {
    if !scale.wants(SCENARIO) {
        return Ok(());
    }
    let server = Server::start()?;
    let mut rates: Vec<(f64, f64, f64)> = Vec::new();
    for _ in 0..scale.runs {
        rates.push(run(&server)?);
    }
    let median = |of: fn(&(f64, f64, f64)) -> f64| {
        let mut values: Vec<f64> = rates.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    report.add(SCENARIO, CONTENDER, "decisions/s", median(|rates| rates.0));
    report.add(SCENARIO, CONTENDER, "admitted/s", median(|rates| rates.1));
    report.add(SCENARIO, CONTENDER, "trips per 1000", median(|rates| rates.2));
    println!("\n{SCENARIO}");
    for measure in ["decisions/s", "admitted/s", "trips per 1000"] {
        println!("  {measure:<16} {:>14.3}", report.get(SCENARIO, CONTENDER, measure).unwrap_or_default());
    }
    let decisions = report.get(SCENARIO, CONTENDER, "decisions/s");
    report.bar("leased: decisions in a second", Bar::AtLeast(5e6), decisions);
    let trips = report.get(SCENARIO, CONTENDER, "trips per 1000");
    report.bar("leased: round trips for 1000 admitted calls", Bar::AtMost(1.0), trips);
    Ok(())
}

/// Asks for two seconds, and returns decisions and admitted calls per second, and round trips for 1000 admitted calls.
fn run(server: &Server) -> io::Result<(f64, f64, f64)> {
    runtime(2)?.block_on(async {
        let store = RedisStore::connect(&server.url()).await.map_err(io::Error::other)?;
        let quota = Quota::per_second(1_000_000).burst(1_000_000);
        let limiter = RedisRateLimiter::<str>::builder(quota).leased().max_batch(50_000);
        let limiter = limiter.build(store).map_err(io::Error::other)?;
        let begun = Instant::now();
        let tasks: Vec<_> = (0..2)
            .map(|_| {
                let limiter = limiter.clone();
                tokio::spawn(async move {
                    let (mut admitted, mut all) = (0_u64, 0_u64);
                    while begun.elapsed() < Duration::from_secs(2) {
                        for _ in 0..1_000 {
                            all += 1;
                            admitted += u64::from(limiter.try_acquire("hot").await.is_ok());
                        }
                        tokio::task::yield_now().await;
                    }
                    (admitted, all)
                })
            })
            .collect();
        let (mut admitted, mut all) = (0, 0);
        for task in tasks {
            let (these, calls) = task.await.map_err(io::Error::other)?;
            (admitted, all) = (admitted + these, all + calls);
        }
        let seconds = begun.elapsed().as_secs_f64();
        let trips = limiter.stats().requests as f64 * 1_000.0 / admitted as f64;
        Ok((all as f64 / seconds, admitted as f64 / seconds, trips))
    })
}
