//! Three processes that share one limit of 10 000 tokens per second, on a Redis server.
//!
//! ```text
//! redis-server --port 6379 &
//! cargo run --release -p brimful-redis --example three_processes -- redis://127.0.0.1/ 5 leased
//! ```
//!
//! The first process starts the other two, asks for five seconds (the second argument), and prints what all were granted
//! beside the bound. `direct` in place of `leased` asks the server for each decision.

use std::error::Error;
use std::process::{Command, Stdio};
use std::time::Duration;

use brimful::Quota;
use brimful_redis::{LeasedRateLimiter, RedisRateLimiter, RedisStore, SharedError};
use tokio::time::Instant;

const RATE: u32 = 10_000;
const BURST: u32 = 1_000;
const BATCH: u32 = 200;
const PROCESSES: u64 = 3;

/// A limiter that asks for each decision, or one that takes batches.
enum Limiter {
    Direct(Box<RedisRateLimiter<str>>),
    Leased(LeasedRateLimiter<str>),
}

impl Limiter {
    async fn try_acquire(&self) -> Result<(), SharedError> {
        match self {
            Limiter::Direct(limiter) => limiter.try_acquire("everyone").await,
            Limiter::Leased(limiter) => limiter.try_acquire("everyone").await,
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let argument = |nth: usize, default: &str| arguments.get(nth).cloned().unwrap_or_else(|| default.to_owned());
    let (url, seconds, mode) = (argument(0, "redis://127.0.0.1/"), argument(1, "5"), argument(2, "leased"));
    let time = Duration::from_secs_f64(seconds.parse()?);

    let mut others = Vec::new();
    if argument(3, "first") == "first" {
        for _ in 1..PROCESSES {
            let mut other = Command::new(std::env::current_exe()?);
            others.push(other.args([&url, &seconds, &mode, "another"]).stdout(Stdio::piped()).spawn()?);
        }
    }
    let begun = Instant::now();
    let mut granted = ask(&url, &mode, time).await?;
    if argument(3, "first") != "first" {
        println!("{granted}");
        return Ok(());
    }
    for other in others {
        granted += String::from_utf8(other.wait_with_output()?.stdout)?.trim().parse::<u64>()?;
    }
    let passed = begun.elapsed();
    let earned = f64::from(RATE) * passed.as_secs_f64();
    let batches = if mode == "leased" { PROCESSES * u64::from(BATCH) } else { 0 };
    println!("{PROCESSES} processes, {mode}: {granted} granted in {passed:.2?}");
    println!(
        "burst + rate x T = {:.0}; with {batches} tokens in batches: {:.0}",
        f64::from(BURST) + earned,
        f64::from(BURST) + earned + batches as f64
    );
    Ok(())
}

/// Asks as often as possible, and returns the calls that were granted.
async fn ask(url: &str, mode: &str, time: Duration) -> Result<u64, Box<dyn Error>> {
    let builder = RedisRateLimiter::<str>::builder(Quota::per_second(RATE).burst(BURST)).prefix("three-processes");
    let store = RedisStore::connect(url).await?;
    let limiter = match mode {
        "direct" => Limiter::Direct(Box::new(builder.build(store)?)),
        "leased" => Limiter::Leased(builder.leased().max_batch(BATCH).build(store)?),
        other => return Err(format!("`{other}` is no mode: `direct` or `leased`").into()),
    };
    let (mut granted, until) = (0, Instant::now() + time);
    while Instant::now() < until {
        match limiter.try_acquire().await {
            Ok(()) => granted += 1,
            // A process that is refused need not ask before the store has a token.
            Err(refused) => tokio::time::sleep(refused.retry_after().unwrap_or(time / 100).min(time)).await,
        }
    }
    if let Limiter::Leased(limiter) = &limiter {
        limiter.give_back().await;
    }
    Ok(granted)
}
