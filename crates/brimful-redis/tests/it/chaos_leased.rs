//! Failures of the server and of the network while processes hold leases.
//!
//! Each loss of the server's data adds a burst, as it does without leases: what a process holds was taken before, and what it
//! gives back fills the bucket at most.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use brimful::Quota;
use brimful_redis::{LeasedRateLimiter, RedisRateLimiter, RedisRateLimiterBuilder, RedisStore, SharedError};
use tokio::time::Instant;

use crate::proxy::{Mode, Proxy};
use crate::server::{Server, server, until};

const BURST: u32 = 2_000;
const BATCH: u32 = 100;
const DEADLINE: Duration = Duration::from_millis(100);

fn builder(deadline: Duration) -> RedisRateLimiterBuilder<str> {
    RedisRateLimiter::<str>::builder(Quota::per_day(1).burst(BURST)).deadline(deadline)
}

async fn leased(server: &Server, deadline: Duration) -> LeasedRateLimiter<str> {
    builder(deadline).leased().max_batch(BATCH).build(server.store().await).unwrap()
}

/// The tokens that the store has left.
async fn left(server: &Server) -> u32 {
    let direct = builder(Duration::from_secs(20)).build(server.store().await).unwrap();
    direct.peek("k").await.unwrap().limits()[0].remaining
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_and_started_again_while_leases_are_out() {
    let mut server = server!();
    let mut nodes = Vec::new();
    for _ in 0..3 {
        nodes.push(leased(&server, DEADLINE).await);
    }
    let mut admitted = 0;
    for node in &nodes {
        for _ in 0..300 {
            admitted += u32::from(node.try_acquire("k").await.is_ok());
        }
    }
    server.kill();
    let (mut by_credit, mut denied, mut late) = (0, 0, Duration::ZERO);
    for node in &nodes {
        for _ in 0..2 * BATCH {
            let begun = Instant::now();
            match node.try_acquire("k").await {
                Ok(()) => by_credit += 1,
                Err(SharedError::Unavailable(_)) => denied += 1,
                Err(other) => panic!("{other}"),
            }
            late = late.max(begun.elapsed().saturating_sub(DEADLINE));
        }
    }
    // No process has more than a batch.
    assert!(by_credit > 0 && by_credit <= 3 * BATCH, "{by_credit}");
    assert_eq!(by_credit + denied, 6 * BATCH);
    server.restart();
    let mut after = 0;
    for node in &nodes {
        let decides = until("a decision of the store", async || node.try_acquire("k").await.is_ok()).await;
        after += 1;
        println!("started again: decides after {decides:?}");
    }
    while let Some(more) = take_some(&nodes).await {
        after += more;
    }
    let all = admitted + by_credit + after;
    println!(
        "{admitted} before, {by_credit} from credits while it was away, {denied} denied, late by {late:?} at most, {after} \
         afterwards: {all}, at most {}",
        2 * BURST
    );
    assert!(all <= 2 * BURST, "{all}");
}

/// Takes from all nodes; `None` if there is nothing left.
async fn take_some(nodes: &[LeasedRateLimiter<str>]) -> Option<u32> {
    let mut admitted = 0;
    for node in nodes {
        for _ in 0..BATCH {
            admitted += u32::from(node.try_acquire("k").await.is_ok());
        }
    }
    (admitted > 0).then_some(admitted)
}

#[tokio::test(flavor = "multi_thread")]
async fn flushed_while_leases_are_out() {
    let server = server!();
    let stop = Arc::new(AtomicBool::new(false));
    let (mut nodes, mut tasks) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        nodes.push(leased(&server, Duration::from_secs(20)).await);
    }
    for nth in 0..6 {
        let (node, stop) = (nodes[nth % 3].clone(), stop.clone());
        tasks.push(tokio::spawn(async move {
            let mut admitted = 0;
            while !stop.load(Ordering::Relaxed) {
                admitted += u32::from(node.try_acquire("k").await.is_ok());
                tokio::task::yield_now().await;
            }
            admitted
        }));
    }
    let mut connection = server.connection().await;
    for nth in 0..10 {
        tokio::time::sleep(Duration::from_millis(30)).await;
        let _: () = redis::cmd("FLUSHALL").query_async(&mut connection).await.unwrap();
        let _: () = redis::cmd("SCRIPT").arg("FLUSH").query_async(&mut connection).await.unwrap();
        // Credits of a bucket that is gone come to the new one.
        nodes[nth % 3].give_back().await;
    }
    tokio::time::sleep(Duration::from_millis(30)).await;
    stop.store(true, Ordering::Relaxed);
    let mut admitted = 0;
    for task in tasks {
        admitted += task.await.unwrap();
    }
    println!("{admitted} admitted with ten flushes: at most {}", 11 * BURST);
    assert!((BURST..=11 * BURST).contains(&admitted), "{admitted}");
    assert!(nodes.iter().all(|node| node.stats().failures == 0));
}

/// Many calls wait for one batch, which does not come.
#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_calls_wait_for_a_batch_of_a_server_that_hangs() {
    let server = server!();
    let limiter = leased(&server, DEADLINE).await;
    limiter.try_acquire("k").await.unwrap();
    limiter.give_back().await;
    server.signal("-STOP");
    let tasks: Vec<_> = (0..1000)
        .map(|_| {
            let limiter = limiter.clone();
            tokio::spawn(async move {
                let begun = Instant::now();
                let answer = limiter.try_acquire("k").await;
                (answer, begun.elapsed().saturating_sub(DEADLINE))
            })
        })
        .collect();
    let mut late = Duration::ZERO;
    for task in tasks {
        // None waits for ever.
        let (answer, by) = task.await.unwrap();
        assert!(matches!(answer, Err(SharedError::Unavailable(_))), "{answer:?}");
        late = late.max(by);
    }
    println!("stopped: a thousand calls are late by {late:?} at most, {:?}", limiter.stats());
    assert_eq!(limiter.stats().denied_by_policy, 1000);
    server.signal("-CONT");
    let time = until("a decision of the store", async || limiter.try_acquire("k").await.is_ok()).await;
    println!("going on: decides after {time:?}");
}

/// A batch whose reply is lost is charged, and never granted; with ids, none is lost.
#[tokio::test(flavor = "multi_thread")]
async fn the_reply_to_a_batch_is_lost() {
    for repeats in [false, true] {
        let server = server!();
        let proxy = Proxy::to(server.port()).await;
        let mut builder = builder(DEADLINE);
        if repeats {
            builder = builder.deadline(Duration::from_secs(20)).repeat_lost(Duration::from_secs(60));
        }
        let store = RedisStore::connect(&proxy.url()).await.unwrap();
        let limiter = builder.leased().max_batch(BATCH).build(store).unwrap();
        let mut admitted = 0;
        for nth in 0..1_000 {
            if nth % 200 == 100 {
                proxy.set(Mode::LoseReply);
            }
            admitted += u32::from(limiter.try_acquire("k").await.is_ok());
        }
        proxy.set(Mode::Pass);
        until("a decision of the store", async || limiter.try_acquire("k").await.is_ok()).await;
        admitted += 1;
        limiter.give_back().await;
        until("a credit that is given back", async || limiter.leases() == 0).await;
        let left = left(&server).await;
        println!("repeats: {repeats}: {admitted} admitted, {left} left of {BURST}");
        assert!(admitted + left <= BURST, "{admitted} + {left}");
        assert!(!repeats || admitted + left == BURST, "{admitted} + {left}: a batch was lost or given twice");
        assert_eq!(limiter.stats().failures == 0, repeats);
    }
}
