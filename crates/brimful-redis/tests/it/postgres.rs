//! The engine PostgreSQL, on a real server: the function against the exact arithmetic, the verbs, and its bounds.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use brimful::{Quota, Quotas, Tokens};
use brimful_redis::engine::{Limit, Operation, Request, RequestId, Store};
use brimful_redis::{PostgresStore, RedisRateLimiter, SharedError};
use tokio::sync::Barrier;
use tokio_postgres::Client;

use crate::pg_server::{PgServer, pg_server};
use crate::script::{Step, all_quotas, check, operations_or, random_steps};

/// Slower than any test.
fn slow(burst: u32) -> Quota {
    Quota::per_day(1).burst(burst)
}

/// A limiter whose decisions are not hurried, also on a busy machine.
async fn limiter(server: &PgServer, quotas: impl Into<Quotas>) -> RedisRateLimiter<str, PostgresStore> {
    let builder = RedisRateLimiter::<str>::builder(quotas).deadline(Duration::from_secs(20));
    builder.build(server.store().await).unwrap()
}

async fn rows(session: &Client) -> i64 {
    session.query_one("SELECT count(*) FROM brimful_buckets_v1", &[]).await.unwrap().get(0)
}

/// Runs the steps on the server, many on their way at a time, and returns the replies.
async fn run(session: &Client, steps: &[Step]) -> Vec<Vec<u64>> {
    let statement = session.prepare("SELECT given_time_v1($1, $2, $3, 0, $4)").await.unwrap();
    let reply = async |step: &Step| {
        let numbers = step.limits.iter().flat_map(|(limit, amount)| {
            [limit.per_micro(), limit.per_token(), limit.capacity(), limit.debt(), limit.initial_deficit(), *amount]
        });
        // The time comes last. The function does not count it as a limit.
        let numbers: Vec<i64> = numbers.chain([step.at]).map(|number| number as i64).collect();
        let key = vec![step.key as u8];
        let name = match step.operation {
            Operation::Peek => "peek",
            Operation::Take => "take",
            Operation::TakeUpTo => "take_up_to",
            Operation::Charge => "charge",
            Operation::Add => "add",
            Operation::Reset => "reset",
        };
        let id = step.id.map(|id| id.to_be_bytes().to_vec());
        let row = session.query_one(&statement, &[&key, &name, &id, &numbers]).await.unwrap();
        let mut reply: Vec<u64> = row.get::<_, Vec<i64>>(0).into_iter().map(|number| number as u64).collect();
        // The time by which the mark is ahead of the clock, which the script does not return. That of a repeated request is
        // the first one's.
        let ahead = reply.remove(2);
        assert!(step.id.is_some() || ahead == reply[1] - step.at, "{step:?}: {ahead}");
        reply
    };
    let mut replies = Vec::new();
    for steps in steps.chunks(100) {
        // They are sent in this order.
        replies.extend(join_all(steps.iter().map(&reply).collect()).await);
    }
    replies
}

/// By default 10^5 operations in all; `BRIMFUL_SCRIPT_OPS` sets those of each quota.
#[tokio::test]
async fn the_function_is_the_exact_arithmetic() {
    let server = pg_server!();
    let session = server.session().await;
    // The same function with the time from its last argument.
    let function = PostgresStore::SCHEMA.split_once("CREATE OR REPLACE FUNCTION brimful_decide_v1").unwrap().1;
    let clock = "extract(epoch FROM clock_timestamp()) * 1000000";
    assert_eq!(function.matches(clock).count(), 1);
    let function = function.replace(clock, "limits[cardinality(limits)]");
    session.batch_execute(&format!("CREATE FUNCTION given_time_v1{function}")).await.unwrap();
    session.batch_execute("SET synchronous_commit = off").await.unwrap();
    let all = all_quotas();
    let operations = operations_or(100_000 / all.len());
    for (nth, quotas) in all.iter().enumerate() {
        let steps = random_steps(&all, nth, operations, 2);
        let repeated = check(quotas, &steps, &run(&session, &steps).await);
        assert!(repeated > steps.len() / 100, "{quotas}: {repeated}");
        session.batch_execute("TRUNCATE brimful_buckets_v1").await.unwrap();
    }
}

#[tokio::test]
async fn every_verb_works_on_it() {
    let server = pg_server!();
    let limiter = limiter(&server, slow(10).max_debt(5)).await;
    let remaining = async || limiter.peek("alice").await.unwrap().limits()[0].remaining;
    assert_eq!(remaining().await, 10);
    limiter.try_acquire_n("alice", 6).await.unwrap();
    let refused = limiter.try_acquire_n("alice", 5).await.unwrap_err();
    let day = Duration::from_secs(86_400);
    assert!(refused.retry_after().is_some_and(|after| after <= day && after > day / 2), "{refused}");
    let never = limiter.try_acquire_n("alice", 11).await.unwrap_err();
    assert!(matches!(&never, SharedError::ExceedsBurst { burst, .. } if *burst == Tokens::new(10)), "{never}");
    assert_eq!(remaining().await, 4);
    limiter.try_reserve_n("alice", 3).await.unwrap().commit(1).await.unwrap();
    assert_eq!(remaining().await, 3);
    assert_eq!(limiter.add_tokens("alice", 4).await.unwrap().whole(), 4);
    let uncharged = limiter.try_reserve_n("alice", 1).await.unwrap().commit(21).await.unwrap();
    assert!(uncharged.whole() == 8 || uncharged.whole() == 9, "down to the debt limit: {uncharged}");
    limiter.reset("alice").await.unwrap();
    assert_eq!(remaining().await, 10);
    limiter.acquire_n_within("alice", 2, day).await.unwrap();
    // Other keys have other buckets, also keys that a text of the server or an index would not hold.
    let long = "k".repeat(20_000);
    for key in ["bob", "with\0zero", "", "ключ", long.as_str()] {
        limiter.try_acquire_n(key, 10).await.unwrap();
        assert!(limiter.try_acquire(key).await.is_err(), "{key}");
    }
    assert_eq!(remaining().await, 8);
}

#[tokio::test]
async fn several_quotas_are_charged_together_or_not_at_all() {
    let server = pg_server!();
    let quotas: Quotas = "burst: 1/day burst 2; daily: 1/day burst 10".parse().unwrap();
    let limiter = limiter(&server, quotas).await;
    assert!(limiter.decide("alice", 2).await.allowed());
    for _ in 0..5 {
        let refused = limiter.decide("alice", 1).await;
        assert!(!refused.allowed());
        assert_eq!(refused.limits()[1].remaining, 8, "nothing was charged");
    }
    let refused = limiter.try_acquire("alice").await.unwrap_err();
    assert!(matches!(&refused, SharedError::RateLimited { limit, .. } if limit == "burst"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn leases_work_on_it() {
    let server = pg_server!();
    let builder = RedisRateLimiter::<str>::builder(slow(20_000)).deadline(Duration::from_secs(20)).leased();
    let limiter = builder.max_batch(1_000).build(server.store().await).unwrap();
    let mut admitted = 0;
    for _ in 0..30_000 {
        admitted += u64::from(limiter.try_acquire("hot").await.is_ok());
    }
    let stats = limiter.stats();
    println!("{admitted} admitted by {} requests", stats.requests);
    assert_eq!(admitted, 20_000);
    assert!(stats.requests < 100, "{stats:?}");
    assert!(stats.renewals > 10 && stats.connections == 1, "{stats:?}");
}

/// Each of many sessions finds a key that is new, at the same time. One of them is the first.
///
/// The database's default of *serializable* would fail transactions that meet. The store's sessions have their own.
#[tokio::test(flavor = "multi_thread")]
async fn sessions_that_meet_at_a_new_key_do_not_both_create_it() {
    const SESSIONS: usize = 8;
    const KEYS: usize = 100;
    let server = pg_server!("default_transaction_isolation=serializable");
    let barrier = Arc::new(Barrier::new(SESSIONS));
    let mut tasks = Vec::new();
    for _ in 0..SESSIONS {
        let (limiter, barrier) = (limiter(&server, slow(3)).await, barrier.clone());
        tasks.push(tokio::spawn(async move {
            let mut admitted = vec![0; KEYS];
            for (key, admitted) in admitted.iter_mut().enumerate() {
                barrier.wait().await;
                *admitted += u32::from(limiter.try_acquire(&key.to_string()).await.is_ok());
            }
            assert_eq!(limiter.stats().failures, 0);
            admitted
        }));
    }
    let mut admitted = [0; KEYS];
    for task in tasks {
        task.await.unwrap().into_iter().zip(&mut admitted).for_each(|(n, admitted)| *admitted += n);
    }
    assert_eq!(admitted, [3; KEYS]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bound_holds_for_many_tasks_of_many_processes() {
    let server = pg_server!();
    let session = server.session().await;
    let time = async || {
        let text = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint";
        session.query_one(text, &[]).await.unwrap().get::<_, i64>(0) as u64
    };
    let begun = time().await;
    let mut tasks = Vec::new();
    for _ in 0..4 {
        // A connection of its own, as another process has.
        let limiter = Arc::new(limiter(&server, Quota::per_second(1_000).burst(100)).await);
        for _ in 0..25 {
            let limiter = limiter.clone();
            tasks.push(tokio::spawn(async move {
                let mut admitted = 0;
                for _ in 0..100 {
                    admitted += u64::from(limiter.try_acquire("k").await.is_ok());
                }
                (admitted, limiter.stats().failures)
            }));
        }
    }
    let mut admitted = 0;
    for task in tasks {
        let (these, failures) = task.await.unwrap();
        assert_eq!(failures, 0);
        admitted += these;
    }
    let passed = time().await - begun;
    println!("{admitted} of 10000 admitted in {passed} us");
    assert!(admitted >= 100 && admitted <= 100 + 1_000 * passed / 1_000_000, "{admitted} in {passed} us");
}

/// Also if several sessions send it at the same time.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_with_an_id_is_charged_once() {
    let server = pg_server!();
    let limits = [slow(1000)].map(|quota| Limit::new(&quota).unwrap()).map(|limit| (limit, limit.cost(Tokens::ONE)));
    let lifetime = Duration::from_secs(60);
    let request = |key: &'static str, operation, id| {
        let id = Some((RequestId(id), lifetime));
        Request { key, operation, limits: &limits, id, patience: lifetime }
    };
    let mut stores = Vec::new();
    for _ in 0..8 {
        stores.push(server.store().await);
    }
    // The key is new at the first one, and again after a reset; `add` makes its bucket full, so that the row is deleted.
    let operations = [Operation::Take, Operation::Charge, Operation::Reset, Operation::Take, Operation::Add];
    for (id, operation) in (0..).zip(operations.into_iter().cycle().take(200)) {
        let mut decisions = Vec::new();
        for store in &stores {
            decisions.push(store.decide(request("k", operation, id)));
        }
        let mut outcomes = Vec::new();
        for decision in join_all(decisions).await {
            outcomes.push(decision.unwrap());
        }
        assert!(outcomes.iter().all(|outcome| outcome == &outcomes[0]), "{operation:?}: {outcomes:?}");
    }
    let first = stores[0].decide(request("other", Operation::Take, 1)).await.unwrap();
    assert_eq!(stores[1].decide(request("other", Operation::Take, 1)).await.unwrap(), first);
    assert_ne!(stores[1].decide(request("other", Operation::Take, 2)).await.unwrap().buckets, first.buckets);
}

/// Polls all futures, in their order.
async fn join_all<F: Future>(futures: Vec<F>) -> Vec<F::Output> {
    let mut futures: Vec<_> = futures.into_iter().map(Box::pin).collect();
    let mut outputs: Vec<Option<F::Output>> = futures.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (future, output) in futures.iter_mut().zip(&mut outputs) {
            if output.is_none() {
                if let std::task::Poll::Ready(ready) = future.as_mut().poll(context) {
                    *output = Some(ready);
                }
            }
        }
        if outputs.iter().all(Option::is_some) { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    outputs.into_iter().flatten().collect()
}

#[tokio::test]
async fn a_full_bucket_is_deleted_and_no_other() {
    let server = pg_server!();
    let session = server.session().await;
    let store = server.store().await;
    let quota = Quota::per_second(1000).burst(10);
    let fast = RedisRateLimiter::<u32>::builder(quota).prefix("fast").deadline(Duration::from_secs(20));
    let fast = fast.build(store.clone()).unwrap();
    let slow = RedisRateLimiter::<u32>::builder(slow(10)).prefix("slow").deadline(Duration::from_secs(20));
    let slow = slow.build(store.clone()).unwrap();
    for key in 0..100 {
        fast.try_acquire(&key).await.unwrap();
        slow.try_acquire(&key).await.unwrap();
    }
    // A bucket that is filled is deleted at once. A call that is refused, and a look, store nothing.
    let before = rows(&session).await;
    slow.reset(&0).await.unwrap();
    assert_eq!(rows(&session).await, before - 1);
    assert!(slow.try_acquire_n(&200, 11).await.is_err());
    slow.peek(&201).await.unwrap();
    assert_eq!(rows(&session).await, before - 1);
    // Full after a millisecond.
    tokio::time::sleep(Duration::from_millis(20)).await;
    let (mut deleted, mut sweeps) = (0, 0);
    while rows(&session).await > 99 {
        deleted += store.sweep(30).await.unwrap();
        sweeps += 1;
        assert!(sweeps < 20, "{deleted} deleted");
    }
    assert!(deleted <= 100, "{deleted}");
    for _ in 0..10 {
        assert_eq!(store.sweep(30).await.unwrap(), 0, "the rest is in use");
    }
    assert_eq!(slow.peek(&1).await.unwrap().limits()[0].remaining, 9);
}

/// Decisions sweep. With 50 keys in use and 20 000 others, the table stays small.
#[tokio::test]
async fn the_table_does_not_grow_with_the_keys() {
    let server = pg_server!();
    let session = server.session().await;
    let store = server.store().await;
    let quota = Quota::per_second(10_000).burst(10);
    let fast = RedisRateLimiter::<u32>::builder(quota).prefix("fast").deadline(Duration::from_secs(20));
    let fast = Arc::new(fast.build(store.clone()).unwrap());
    let slow = RedisRateLimiter::<u32>::builder(slow(10)).prefix("slow").build(store.clone()).unwrap();
    for key in 0..50 {
        slow.try_acquire(&key).await.unwrap();
    }
    let mut most = 0;
    for round in 0..20 {
        let calls: Vec<_> = (0..1000)
            .map(|nth| {
                let fast = fast.clone();
                tokio::spawn(async move { fast.try_acquire(&(round * 1000 + nth)).await.unwrap() })
            })
            .collect();
        for call in calls {
            call.await.unwrap();
        }
        most = most.max(rows(&session).await);
    }
    println!("{most} rows at most, with 20050 keys");
    assert!((50..4_000).contains(&most), "{most}");
    let keys = session.query("SELECT key FROM brimful_buckets_v1", &[]).await.unwrap();
    let keys: HashSet<Vec<u8>> = keys.iter().map(|row| row.get(0)).collect();
    assert!((0..50).all(|key| keys.contains(format!("slow:{key}").as_bytes())), "keys in use stay");
}

#[tokio::test]
async fn a_changed_quota_keeps_what_was_taken() {
    let server = pg_server!();
    limiter(&server, slow(100)).await.try_acquire_n("alice", 60).await.unwrap();
    let after = limiter(&server, Quota::per_hour(1).burst(80)).await;
    let remaining = after.peek("alice").await.unwrap().limits()[0].remaining;
    assert!(remaining == 20 || remaining == 19, "{remaining}");
    // Another limit beside it starts full.
    let more: Quotas = "1/h burst 80; 1/day burst 7".parse().unwrap();
    let more = limiter(&server, more).await;
    assert_eq!(more.peek("alice").await.unwrap().limits()[1].remaining, 7);
}

#[tokio::test]
async fn the_clock_of_the_server_does_not_run_backwards_for_a_key() {
    let server = pg_server!();
    let session = server.session().await;
    let limiter = limiter(&server, Quota::per_second(1000).burst(10)).await;
    limiter.try_acquire_n("alice", 10).await.unwrap();
    // As if the server's clock had been an hour ahead when the bucket was changed.
    let ahead = "UPDATE brimful_buckets_v1 SET state[1] = state[1] + 3600000000, expires = expires + 3600000000";
    session.batch_execute(ahead).await.unwrap();
    tokio::time::sleep(Duration::from_millis(20)).await;
    let refused = limiter.try_acquire("alice").await.unwrap_err();
    assert!(refused.retry_after().is_some_and(|after| after > Duration::from_secs(3_500)), "{refused}");
    limiter.add_tokens("alice", 1).await.unwrap();
    limiter.try_acquire("alice").await.unwrap();
    assert!(limiter.try_acquire("alice").await.is_err(), "the clock stands still");
}

/// The bucket earns from its first call on, also if that was refused.
#[tokio::test]
async fn a_bucket_that_starts_below_its_burst() {
    let server = pg_server!();
    let limiter = limiter(&server, Quota::per_second(50).burst(2).initial(0)).await;
    let refused = limiter.try_acquire("alice").await.unwrap_err();
    tokio::time::sleep(refused.retry_after().unwrap()).await;
    limiter.try_acquire("alice").await.unwrap();
    limiter.reset("alice").await.unwrap();
    limiter.try_acquire_n("alice", 2).await.unwrap();
}

/// The function is there once, whoever makes it; and its absence is reported with the remedy.
#[tokio::test(flavor = "multi_thread")]
async fn many_processes_migrate_at_the_same_time() {
    let server = pg_server!();
    let session = server.session().await;
    let drop = "DROP FUNCTION brimful_decide_v1; DROP TABLE brimful_buckets_v1";
    session.batch_execute(drop).await.unwrap();
    let missing = limiter(&server, slow(1)).await.try_acquire("k").await.unwrap_err().to_string();
    assert!(missing.contains("PostgresStore::migrate") && missing.contains("nothing was done"), "{missing}");
    let mut tasks = Vec::new();
    for _ in 0..8 {
        let limiter = limiter(&server, slow(5)).await;
        let store = server.store().await;
        tasks.push(tokio::spawn(async move {
            store.migrate().await.unwrap();
            limiter.try_acquire("k").await.is_ok()
        }));
    }
    let mut admitted = 0;
    for task in tasks {
        admitted += u32::from(task.await.unwrap());
    }
    assert_eq!(admitted, 5);
}
