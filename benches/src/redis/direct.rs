//! Decisions by the script, with so many on their way at a time.

use std::io;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use brimful::Quota;
use brimful_redis::{RedisRateLimiter, RedisStore};
use tokio::task::JoinSet;

use super::server::{Server, runtime};
use crate::bench::Scale;
use crate::harness::{Contender, alone};
use crate::report::{Bar, Report};

/// The requests on their way at a time, and whether that is the bar's.
const PIPELINED: [(u64, bool); 3] = [(1, false), (50, true), (500, false)];

const TRIVIAL: &str = "redis-benchmark, a script that returns 1";
const TOUCH: &str = "redis-benchmark, a script of TIME, GET and SET PX";
const SAME: &str = "brimful-redis, one key";
const MANY: &str = "brimful-redis, 10 000 keys";

/// Runs `redis-benchmark` of a script on one connection, and returns the nanoseconds of an operation.
fn benchmark(port: u16, script: &str, pipelined: u64, operations: u64) -> io::Result<f64> {
    let hash = Command::new("redis-cli").args(["-p", &port.to_string(), "SCRIPT", "LOAD", script]).output()?;
    let hash = String::from_utf8_lossy(&hash.stdout).trim().to_owned();
    let (port, operations, pipelined) = (port.to_string(), operations.to_string(), pipelined.to_string());
    let output = Command::new("redis-benchmark")
        .args(["-p", &port, "-c", "1", "-P", &pipelined, "-n", &operations, "--csv", "EVALSHA", &hash, "1", "{k}"])
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    // The last line is `"test","rps",…`.
    let rate =
        text.lines().last().and_then(|line| line.split("\",\"").nth(1)).and_then(|rate| rate.parse::<f64>().ok());
    rate.map(|rate| 1e9 / rate).ok_or_else(|| io::Error::other(format!("redis-benchmark printed {text}")))
}

/// Makes decisions on keys in turn, and returns the nanoseconds of all.
fn decide(url: &str, keys: u64, pipelined: u64, operations: u64) -> io::Result<f64> {
    runtime(1)?.block_on(async {
        let store = RedisStore::connect(url).await.map_err(io::Error::other)?;
        let quota = Quota::per_second(1_000_000).burst(100_000_000);
        let limiter = RedisRateLimiter::<u64>::builder(quota).deadline(Duration::from_secs(60));
        let limiter = Arc::new(limiter.build(store).map_err(io::Error::other)?);
        let (begun, each) = (Instant::now(), operations.div_ceil(pipelined));
        let mut tasks = JoinSet::new();
        for task in 0..pipelined {
            let limiter = limiter.clone();
            tasks.spawn(async move {
                for call in 0..each {
                    limiter.try_acquire(&((task + call * pipelined) % keys)).await.map_err(io::Error::other)?;
                }
                Ok::<(), io::Error>(())
            });
        }
        for result in tasks.join_all().await {
            result?;
        }
        Ok(begun.elapsed().as_nanos() as f64 * operations as f64 / (each * pipelined) as f64)
    })
}

pub(super) fn section(scale: &Scale, report: &mut Report) -> io::Result<()> {
    let touch = "local t = redis.call('TIME') local s = redis.call('GET', KEYS[1]) \
                 redis.call('SET', KEYS[1], 'abcdefghijklmnopqrstu', 'PX', 1000) return 1";
    for (pipelined, has_bar) in PIPELINED {
        let scenario = format!("direct: a decision of the server, {pipelined} on their way at a time");
        if !scale.wants(&scenario) {
            continue;
        }
        let server = Server::start()?;
        let (port, url) = (server.port, server.url());
        let theirs = |name: &'static str, script: &'static str| {
            Contender::timed(name, move |operations| {
                let nanos = benchmark(port, script, pipelined, operations);
                nanos.unwrap_or_else(|error| panic!("{name}: {error}")) * operations as f64
            })
        };
        let ours = |name: &'static str, keys: u64| {
            let url = url.clone();
            Contender::timed(name, move |operations| {
                decide(&url, keys, pipelined, operations).unwrap_or_else(|error| panic!("{name}: {error}"))
            })
        };
        let contenders = [theirs(TRIVIAL, "return 1"), theirs(TOUCH, touch), ours(SAME, 1), ours(MANY, 10_000)];
        let names = contenders.each_ref().map(|contender| contender.name.as_str());
        // One at a time, an operation takes long.
        let timings =
            alone(&contenders, scale.runs, if pipelined == 1 { scale.operations / 10 } else { scale.operations });
        report.timings(&scenario, &names, &timings);
        for nth in [2, 3] {
            let ratio = timings[0].ratio_to(&timings[nth]);
            if has_bar {
                report.bar(&format!("direct: throughput of {} / {TRIVIAL}", names[nth]), Bar::AtLeast(0.8), ratio);
            } else {
                println!("  {} / {TRIVIAL}: {:.2}", names[nth], ratio.unwrap_or_default());
            }
        }
    }
    Ok(())
}
