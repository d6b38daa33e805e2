//! Decisions in a PostgreSQL database, with so many on their way at a time, beside a statement that only returns.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use brimful::Quota;
use brimful_redis::{PostgresStore, RedisRateLimiter};
use tokio::task::JoinSet;

use super::server::runtime;
use crate::bench::Scale;
use crate::harness::{Contender, alone};
use crate::report::Report;

/// The server of the tests.
#[path = "../../../crates/brimful-redis/tests/it/pg_server.rs"]
#[allow(dead_code, unused_imports, unused_macros, unreachable_pub)]
mod pg_server;

const SCENARIO: &str = "postgres: a decision of the database, 50 on their way at a time";
const TRIVIAL: &str = "tokio-postgres, SELECT 1";
const SAME: &str = "brimful-redis, one key";
const MANY: &str = "brimful-redis, 10 000 keys";
const REFUSED: &str = "brimful-redis, one key, refused";
const PIPELINED: u64 = 50;

/// Makes as many calls on their way at a time as there are tasks, and returns the nanoseconds of all operations.
async fn timed<F>(operations: u64, call: impl Fn(u64) -> F + Clone + Send + 'static) -> io::Result<f64>
where
    F: Future<Output = io::Result<()>> + Send,
{
    let (begun, each) = (Instant::now(), operations / PIPELINED);
    let mut tasks = JoinSet::new();
    for task in 0..PIPELINED {
        let call = call.clone();
        tasks.spawn(async move {
            for nth in 0..each {
                call(task + nth * PIPELINED).await?;
            }
            Ok::<(), io::Error>(())
        });
    }
    for result in tasks.join_all().await {
        result?;
    }
    Ok(begun.elapsed().as_nanos() as f64 * operations as f64 / (each * PIPELINED) as f64)
}

fn select(url: &str, operations: u64) -> io::Result<f64> {
    runtime(1)?.block_on(async {
        let (client, connection) =
            tokio_postgres::connect(url, tokio_postgres::NoTls).await.map_err(io::Error::other)?;
        tokio::spawn(connection);
        let statement = client.prepare("SELECT 1").await.map_err(io::Error::other)?;
        let shared = Arc::new((client, statement));
        timed(operations, move |_| {
            let shared = shared.clone();
            async move { shared.0.query_one(&shared.1, &[]).await.map(drop).map_err(io::Error::other) }
        })
        .await
    })
}

fn decide(url: &str, quota: Quota, keys: u64, operations: u64) -> io::Result<f64> {
    runtime(1)?.block_on(async {
        let store = PostgresStore::connect(url).await.map_err(io::Error::other)?;
        let limiter =
            RedisRateLimiter::<u64>::builder(quota).prefix(quota.to_string()).deadline(Duration::from_secs(60));
        let limiter = Arc::new(limiter.build(store).map_err(io::Error::other)?);
        let nanos = timed(operations, {
            let limiter = limiter.clone();
            move |nth| {
                let limiter = limiter.clone();
                async move {
                    limiter.decide(&(nth % keys), 1).await;
                    Ok(())
                }
            }
        })
        .await?;
        match limiter.stats().failures {
            0 => Ok(nanos),
            failures => Err(io::Error::other(format!("{failures} decisions failed"))),
        }
    })
}

pub(super) fn section(scale: &Scale, report: &mut Report) -> io::Result<()> {
    if !scale.wants(SCENARIO) {
        return Ok(());
    }
    let Some(server) = runtime(1)?.block_on(pg_server::PgServer::start(&[])) else { return Ok(()) };
    let url = server.url();
    let theirs = {
        let url = url.clone();
        Contender::timed(TRIVIAL, move |operations| select(&url, operations).unwrap_or_else(|error| panic!("{error}")))
    };
    let ours = |name: &'static str, quota: Quota, keys: u64| {
        let url = url.clone();
        Contender::timed(name, move |operations| {
            decide(&url, quota, keys, operations).unwrap_or_else(|error| panic!("{name}: {error}"))
        })
    };
    let fast = Quota::per_second(1_000_000).burst(100_000_000);
    let contenders = [theirs, ours(SAME, fast, 1), ours(MANY, fast, 10_000), ours(REFUSED, Quota::per_day(1), 1)];
    let names = contenders.each_ref().map(|contender| contender.name.as_str());
    let timings = alone(&contenders, scale.runs, scale.operations / 10);
    report.timings(SCENARIO, &names, &timings);
    Ok(())
}
