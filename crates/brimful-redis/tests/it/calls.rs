//! Requests that share a call of the script: each has its own outcome.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use brimful::{Quota, Tokens};
use brimful_redis::engine::{Limit, Operation, Outcome, Request, RequestId, Store, StoreError};
use brimful_redis::{RedisRateLimiter, RedisStore};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::proxy::{Mode, Proxy};
use crate::server::{Server, server};

const LONG: Duration = Duration::from_secs(20);
const BURST: u64 = 10_000;

/// A quota that earns nothing during a test, and an amount of one token.
fn limits() -> Vec<(Limit, u64)> {
    let limit = Limit::new(&Quota::per_day(1).burst(BURST as u32)).unwrap();
    vec![(limit, limit.cost(Tokens::ONE))]
}

async fn ask(store: RedisStore, operation: Operation, key: String) -> Result<Outcome, StoreError> {
    let limits = limits();
    store.decide(Request { key: &key, operation, limits: &limits, id: None, patience: LONG }).await
}

async fn take(store: RedisStore, key: String) -> Result<Outcome, StoreError> {
    ask(store, Operation::Take, key).await
}

/// Returns the whole tokens that are missing in a bucket. In a test it earns less than one.
async fn charged(server: &Server, key: &str) -> u64 {
    let outcome = ask(server.store().await, Operation::Peek, key.to_owned()).await.unwrap();
    outcome.buckets[0].0.div_ceil(limits()[0].0.per_token())
}

/// Returns the calls of the script by now.
async fn calls(server: &Server) -> u64 {
    let info: String =
        redis::cmd("INFO").arg("commandstats").query_async(&mut server.connection().await).await.unwrap();
    let of = |name: &str| {
        let line = info.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{name}:calls=")));
        line.map_or(0, |line| line.split(',').next().unwrap().parse().unwrap())
    };
    of("evalsha") + of("eval")
}

type Asked = Pin<Box<dyn Future<Output = Result<Outcome, StoreError>>>>;

/// Begins a request: it waits, and no task has run since.
fn begin(store: &RedisStore, key: &str) -> Asked {
    let mut asked: Asked = Box::pin(take(store.clone(), key.to_owned()));
    assert!(matches!(asked.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Pending));
    asked
}

#[tokio::test]
async fn requests_that_wait_together_share_a_call() {
    let server = server!();
    let store = server.store().await;
    take(store.clone(), "k".to_owned()).await.unwrap();
    let before = calls(&server).await;
    let mut tasks = JoinSet::new();
    for nth in 0..500 {
        tasks.spawn(take(store.clone(), format!("key-{}", nth % 7)));
    }
    let mut missing: Vec<u64> = tasks.join_all().await.into_iter().map(|taken| taken.unwrap().buckets[0].0).collect();
    let shared = calls(&server).await - before;
    println!("500 requests in {shared} calls");
    assert!(shared <= 500 / 10, "{shared}");
    // Each key was charged by one request after the other.
    missing.sort_unstable();
    let token = limits()[0].0.per_token();
    assert_eq!(missing[0].div_ceil(token), 1);
    assert_eq!(missing[499].div_ceil(token), 500_u64.div_ceil(7));
    // One after the other, each is a call.
    let before = calls(&server).await;
    for _ in 0..10 {
        take(store.clone(), "k".to_owned()).await.unwrap();
    }
    assert_eq!(calls(&server).await - before, 10);
}

#[tokio::test]
async fn a_store_on_a_given_connection_sends_each_request_alone() {
    let server = server!();
    let store = RedisStore::new(server.connection().await);
    let limits = limits();
    let before = calls(&server).await;
    let mut tasks = JoinSet::new();
    for nth in 0..50 {
        let (store, limits) = (store.clone(), limits.clone());
        tasks.spawn(async move {
            let key = format!("key-{nth}");
            let request = Request { key: &key, operation: Operation::Take, limits: &limits, id: None, patience: LONG };
            store.decide(request).await.unwrap();
        });
    }
    tasks.join_all().await;
    // And those that had to send the script.
    let shared = calls(&server).await - before;
    assert!((50..=100).contains(&shared), "{shared}");
}

#[tokio::test]
async fn a_request_that_is_dropped_before_it_is_sent_charges_nothing() {
    let server = server!();
    let store = server.store().await;
    let mut asked: Vec<Asked> = (0..10).map(|_| begin(&store, "k")).collect();
    // No task has run yet.
    asked.drain(3..8);
    for asked in asked {
        asked.await.unwrap();
    }
    assert_eq!(charged(&server, "k").await, 5);
}

#[cfg(unix)]
#[tokio::test]
async fn a_request_that_is_dropped_after_it_was_sent_leaves_the_others() {
    let server = server!();
    let store = server.store().await;
    take(store.clone(), "k".to_owned()).await.unwrap();
    server.signal("-STOP");
    let mut asked: Vec<Asked> = (0..5).map(|_| begin(&store, "k")).collect();
    // The tasks that make calls run.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    asked.drain(1..4);
    server.signal("-CONT");
    for asked in asked {
        asked.await.unwrap();
    }
    assert_eq!(charged(&server, "k").await, 6);
}

#[tokio::test]
async fn an_error_of_one_key_fails_the_requests_on_it_alone() {
    let server = server!();
    let store = server.store().await;
    let mut connection = server.connection().await;
    let _: () = redis::cmd("SADD").arg("{key-3}").arg("kept").query_async(&mut connection).await.unwrap();
    let mut tasks = JoinSet::new();
    for nth in 0..60 {
        let store = store.clone();
        tasks.spawn(async move { (nth % 6, take(store, format!("key-{}", nth % 6)).await) });
    }
    for (key, taken) in tasks.join_all().await {
        match taken {
            Ok(_) => assert_ne!(key, 3),
            Err(error) => {
                assert_eq!(key, 3, "{error}");
                assert!(!error.may_be_done && error.to_string().contains("WRONGTYPE"), "{error}");
            }
        }
    }
    assert_eq!(charged(&server, "key-2").await, 10);
    let members: Vec<String> = redis::cmd("SMEMBERS").arg("{key-3}").query_async(&mut connection).await.unwrap();
    assert_eq!(members, ["kept"]);
}

#[tokio::test]
async fn an_error_of_a_record_fails_its_request_alone() {
    let server = server!();
    let store = server.store().await;
    let mut connection = server.connection().await;
    let record = format!("{{k}}#{:032x}", 3);
    let _: () = redis::cmd("SADD").arg(record).arg("kept").query_async(&mut connection).await.unwrap();
    let mut tasks = JoinSet::new();
    // Each id twice, in one call.
    for nth in (0..6).chain(0..6) {
        let store = store.clone();
        tasks.spawn(async move {
            let limits = limits();
            let id = Some((RequestId(nth), LONG));
            let request = Request { key: "k", operation: Operation::Take, limits: &limits, id, patience: LONG };
            (nth, store.decide(request).await)
        });
    }
    let mut outcomes: Vec<Vec<Outcome>> = vec![Vec::new(); 6];
    for (nth, taken) in tasks.join_all().await {
        assert_eq!(taken.is_err(), nth == 3, "{taken:?}");
        outcomes[nth as usize].extend(taken);
    }
    assert!(outcomes.iter().all(|both| both.is_empty() || both[0] == both[1]), "{outcomes:?}");
    assert_eq!(charged(&server, "k").await, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_are_flushed_between_calls() {
    let server = server!();
    let store = server.store().await;
    let mut connection = server.connection().await;
    for _ in 0..10 {
        let mut tasks = JoinSet::new();
        for _ in 0..200 {
            tasks.spawn(take(store.clone(), "k".to_owned()));
        }
        let _: () = redis::cmd("SCRIPT").arg("FLUSH").query_async(&mut connection).await.unwrap();
        tasks.join_all().await.into_iter().for_each(|taken| _ = taken.unwrap());
    }
    assert_eq!(charged(&server, "k").await, 2000);
}

#[tokio::test]
async fn a_connection_that_is_lost_in_the_middle_of_calls() {
    let server = server!();
    let proxy = Proxy::to(server.port()).await;
    let store = RedisStore::connect(&proxy.url()).await.unwrap();
    take(store.clone(), "k".to_owned()).await.unwrap();
    proxy.set(Mode::LoseReply);
    let mut tasks = JoinSet::new();
    for _ in 0..100 {
        tasks.spawn(take(store.clone(), "k".to_owned()));
    }
    let outcomes = timeout(LONG, tasks.join_all()).await.unwrap();
    let (taken, lost): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
    let is_open = |lost: &Result<Outcome, StoreError>| lost.as_ref().is_err_and(|error| error.may_be_done);
    let open = lost.iter().filter(|lost| is_open(lost)).count();
    println!("{} taken, {} lost, of which {open} may be done", taken.len(), lost.len());
    assert!(open >= 8, "a whole call was lost");
    // Those that may be done are charged, or not.
    let (charged, least) = (charged(&server, "k").await, 1 + taken.len() as u64);
    assert!(charged >= least && charged <= least + open as u64, "{charged}, {least}");
    take(store, "k".to_owned()).await.unwrap();
}

/// Each caller is answered by its own deadline, also those whose requests wait behind calls that have no answer.
#[cfg(unix)]
#[tokio::test]
async fn a_server_that_does_not_answer() {
    const DEADLINE: Duration = Duration::from_millis(100);
    let server = server!();
    let store = server.store().await;
    let builder = RedisRateLimiter::<str>::builder(Quota::per_day(1).burst(1000)).deadline(DEADLINE);
    let limiter = Arc::new(builder.build(store.clone()).unwrap());
    limiter.try_acquire("k").await.unwrap();
    server.signal("-STOP");
    let mut tasks = JoinSet::new();
    for _ in 0..200 {
        let limiter = limiter.clone();
        tasks.spawn(async move {
            let begun = Instant::now();
            let refused = limiter.try_acquire("k").await;
            (begun.elapsed(), refused.is_err())
        });
    }
    let answers = timeout(LONG, tasks.join_all()).await.unwrap();
    let longest = answers.iter().map(|(time, _)| *time).max().unwrap();
    println!("no answer: the longest decision took {longest:?}");
    assert!(answers.iter().all(|(_, refused)| *refused) && longest < 10 * DEADLINE, "{longest:?}");
    server.signal("-CONT");
    take(store, "other".to_owned()).await.unwrap();
}

/// The first calls wait for a long time for an answer that does not come. Others are sent all the same, and find out that
/// the connection is of no use.
#[tokio::test]
async fn a_patient_request_does_not_hold_up_others() {
    let server = server!();
    let proxy = Proxy::to(server.port()).await;
    let store = RedisStore::connect(&proxy.url()).await.unwrap();
    take(store.clone(), "k".to_owned()).await.unwrap();
    proxy.set(Mode::HalfOpen);
    let mut patient = Vec::new();
    for _ in 0..10 {
        patient.push(begin(&store, "k"));
        tokio::task::yield_now().await;
    }
    let limiter = RedisRateLimiter::<str>::builder(Quota::per_day(1).burst(1000)).deadline(Duration::from_millis(100));
    let limiter = limiter.build(store).unwrap();
    let begun = Instant::now();
    while limiter.try_acquire("other").await.is_err() {
        assert!(begun.elapsed() < LONG / 2, "it is asked again");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    println!("decides after {:?}", begun.elapsed());
}

/// A runtime ends while requests are on their way and while others wait: they fail, and the store serves another runtime.
#[cfg(unix)]
#[test]
fn a_runtime_that_ends_in_the_middle_of_calls() {
    let server = server!();
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let first = runtime();
    let (store, asked) = first.block_on(async {
        let store = server.store().await;
        server.signal("-STOP");
        let mut asked: Vec<Asked> = (0..10).map(|_| begin(&store, "k")).collect();
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        asked.extend((0..10).map(|_| begin(&store, "k")));
        (store, asked)
    });
    drop(first);
    server.signal("-CONT");
    runtime().block_on(async {
        for (nth, asked) in asked.into_iter().enumerate() {
            let error = timeout(LONG, asked).await.unwrap().unwrap_err();
            assert_eq!(error.may_be_done, nth < 10, "{error}");
        }
        let begun = Instant::now();
        while timeout(LONG, take(store.clone(), "other".to_owned())).await.unwrap().is_err() {
            assert!(begun.elapsed() < LONG, "it connects again");
        }
    });
}
