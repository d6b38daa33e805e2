//! Failures of PostgreSQL and of the network to it: the policy decides within the deadline, nothing is granted twice, and
//! each error says whether the request may have been executed.

use std::time::Duration;

use brimful::{Quota, Tokens};
use brimful_redis::engine::{Limit, Operation, Request, Store};
use brimful_redis::{PostgresStore, RedisRateLimiter, SharedError, Unavailable};
use tokio::time::Instant;
use tokio_postgres::NoTls;

use crate::chaos::lost_replies;
use crate::pg_server::{PgServer, pg_server, url};
use crate::proxy::{Mode, Proxy};

const DEADLINE: Duration = Duration::from_millis(100);

fn slow(burst: u32) -> Quota {
    Quota::per_day(1).burst(burst)
}

fn limiter(store: PostgresStore, deadline: Duration) -> RedisRateLimiter<str, PostgresStore> {
    RedisRateLimiter::<str>::builder(slow(1000)).deadline(deadline).build(store).unwrap()
}

/// Asks until the store decides again.
async fn recovers(limiter: &RedisRateLimiter<str, PostgresStore>) -> Duration {
    let begun = Instant::now();
    while limiter.try_acquire("k").await.is_err() {
        assert!(begun.elapsed() < Duration::from_secs(20), "it is asked again");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    begun.elapsed()
}

async fn charged(server: &PgServer) -> u32 {
    let direct = limiter(server.store().await, Duration::from_secs(20));
    1000 - direct.peek("k").await.unwrap().limits()[0].remaining
}

/// With `sync_commits`, no decision is forgotten, up to the last one before the crash. Without, none that is older than
/// three times `wal_writer_delay`.
#[tokio::test]
async fn killed_and_started_again() {
    let mut server = pg_server!("wal_writer_delay=10ms");
    for syncs in [true, false] {
        let builder = PostgresStore::builder(server.url().parse().unwrap());
        let builder = if syncs { builder.sync_commits() } else { builder };
        let limiter = limiter(builder.connect(NoTls).await.unwrap(), DEADLINE);
        let before = charged(&server).await;
        let mut taken = 0;
        for _ in 0..50 {
            taken += u32::from(limiter.try_acquire("k").await.is_ok());
        }
        if !syncs {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        server.kill();
        let (mut longest, begun) = (Duration::ZERO, Instant::now());
        for _ in 0..50 {
            let begun = Instant::now();
            let decision = limiter.try_acquire("k").await;
            assert!(matches!(decision, Err(SharedError::Unavailable(_))), "{decision:?}");
            longest = longest.max(begun.elapsed());
        }
        println!("killed: the longest of 50 decisions in {:?} took {longest:?}", begun.elapsed());
        assert!(longest < 10 * DEADLINE, "{longest:?}");
        server.restart().await;
        // A request whose answer was lost may have been charged too.
        let after = charged(&server).await;
        assert!(taken > 0 && after >= before + taken, "{before} + {taken} became {after}");
        println!("started again: decides after {:?}", recovers(&limiter).await);
    }
}

/// A connection that was closed while no request was on its way is made anew, and no call notices.
#[tokio::test]
async fn a_connection_that_is_lost_while_it_is_idle() {
    let server = pg_server!();
    let session = server.session().await;
    let limiter = limiter(server.store().await, Duration::from_secs(20));
    for _ in 0..3 {
        limiter.try_acquire("k").await.unwrap();
        // The newest: that of the store that made the table may not have ended yet.
        let end = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'brimful' \
                   ORDER BY backend_start DESC LIMIT 1";
        let ended = session.query(end, &[]).await.unwrap();
        assert_eq!(ended.len(), 1);
        // The end of the connection is on its way to the store.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    limiter.try_acquire("k").await.unwrap();
    let stats = limiter.stats();
    assert_eq!((stats.admitted, stats.failures, stats.connections), (4, 0, 4));
}

async fn behind_proxy(server: &PgServer, repeats: bool) -> (Proxy, RedisRateLimiter<str, PostgresStore>) {
    let proxy = Proxy::to(server.port()).await;
    let mut builder = RedisRateLimiter::<str>::builder(slow(1000)).deadline(DEADLINE);
    if repeats {
        builder = builder.repeat_lost(Duration::from_secs(60));
    }
    let limiter = builder.build(PostgresStore::connect(&url(proxy.port)).await.unwrap()).unwrap();
    limiter.try_acquire("k").await.unwrap();
    (proxy, limiter)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_half_open() {
    let server = pg_server!();
    let (proxy, limiter) = behind_proxy(&server, false).await;
    proxy.set(Mode::HalfOpen);
    // The first requests have no answer. Then the connection is made anew.
    for _ in 0..3 {
        let begun = Instant::now();
        let decision = limiter.try_acquire("k").await;
        assert!(matches!(decision, Err(SharedError::Unavailable(Unavailable::TimedOut(_)))), "{decision:?}");
        assert!(begun.elapsed() < 10 * DEADLINE, "{:?}", begun.elapsed());
    }
    println!("connected anew: decides after {:?}", recovers(&limiter).await);
    assert_eq!(limiter.stats().connections, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_that_is_lost_after_the_execution() {
    let server = pg_server!();
    lost_replies(async |repeats| behind_proxy(&server, repeats).await, async || charged(&server).await).await;
}

/// An error that ends the statement rolled its transaction back. One that ends the session leaves that open.
#[tokio::test]
async fn an_error_says_whether_the_request_may_be_done() {
    let server = pg_server!();
    let session = server.session().await;
    let store = server.store().await;
    let limit = Limit::new(&slow(10)).unwrap();
    let limits = [(limit, limit.cost(Tokens::ONE))];
    let patience = Duration::from_secs(20);
    let take = Request { key: "k", operation: Operation::Take, limits: &limits, id: None, patience };
    store.decide(take).await.unwrap();
    let raise = |state: &str| format!("RAISE EXCEPTION 'planned' USING ERRCODE = '{state}'");
    let end = "PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(10)".to_owned();
    for (body, may_be_done) in [
        (raise("40001"), false), // serialization failure
        (raise("40P01"), false), // deadlock
        (raise("57014"), false), // statement timeout
        (raise("53200"), false), // out of memory
        (raise("25006"), false), // a standby
        (raise("40003"), true),  // completion unknown
        (raise("08007"), true),  // resolution unknown
        (end, true),
    ] {
        let body = format!("BEGIN {body}; RETURN NULL; END");
        let arguments = "bytea, text, bytea, bigint, bigint[]";
        let function = format!("CREATE OR REPLACE FUNCTION brimful_decide_v1({arguments})");
        session
            .batch_execute(&format!(
                "DROP FUNCTION brimful_decide_v1; {function} RETURNS bigint[] LANGUAGE plpgsql AS $${body}$$"
            ))
            .await
            .unwrap();
        let error = store.decide(take).await.unwrap_err();
        assert_eq!(error.may_be_done, may_be_done, "{body}: {error}");
    }
    // Nothing of that is left on the connection.
    session.batch_execute("DROP FUNCTION brimful_decide_v1").await.unwrap();
    store.migrate().await.unwrap();
    store.decide(take).await.unwrap();
}

/// A row that another session has locked makes a call wait for a second at most, and the calls behind it on the connection.
#[tokio::test]
async fn a_row_that_another_session_keeps_locked() {
    let server = pg_server!();
    let limiter = limiter(server.store().await, Duration::from_secs(20));
    limiter.try_acquire("k").await.unwrap();
    let session = server.session().await;
    session.batch_execute("BEGIN; SELECT 1 FROM brimful_buckets_v1 FOR UPDATE").await.unwrap();
    let refused = limiter.try_acquire("k").await.unwrap_err();
    let is_undone = |error: &SharedError| matches!(error, SharedError::Unavailable(Unavailable::Failed(error)) if !error.may_be_done);
    assert!(is_undone(&refused), "{refused}");
    // A look takes no lock.
    assert_eq!(limiter.peek("k").await.unwrap().limits()[0].remaining, 999);
    session.batch_execute("COMMIT").await.unwrap();
    limiter.try_acquire("k").await.unwrap();
    assert_eq!(charged(&server).await, 2);
}
