//! Permits with leases, on a real server.
//!
//! Times are asserted by the numbers of permits, which are instants of the server's clock; or they are bounded by a lease, of
//! which much more is left than a busy machine needs.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use brimful_redis::{
    BuildError, FailurePolicy, RedisConcurrencyLimit, RedisConcurrencyLimitBuilder, RedisStore, SharedPermit,
    SharedPermitError, Source,
};
use tokio::time::Instant;

use crate::proxy::{Mode, Proxy};
use crate::server::{Server, server};

type Limit = RedisConcurrencyLimit<str>;

/// A limit whose decisions are not hurried, also on a busy machine, and whose leases end long after the test.
fn calm(limit: usize) -> RedisConcurrencyLimitBuilder<str> {
    Limit::builder(limit).deadline(Duration::from_secs(20)).lease(Duration::from_secs(100))
}

/// A limit whose leases a test can wait for.
fn brief(limit: usize) -> RedisConcurrencyLimitBuilder<str> {
    Limit::builder(limit).deadline(Duration::from_millis(500)).lease(LEASE)
}

const LEASE: Duration = Duration::from_millis(1_500);

/// Each has a connection of its own, as another process has.
async fn process(server: &Server, builder: RedisConcurrencyLimitBuilder<str>) -> Arc<Limit> {
    Arc::new(builder.build(server.store().await).unwrap())
}

async fn refused(limit: &Limit) -> bool {
    match limit.try_acquire("k").await {
        Ok(_) => false,
        Err(SharedPermitError::NoPermit { .. }) => true,
        Err(error) => panic!("{error}"),
    }
}

/// Takes a permit that is free soon, long before the lease of another would end.
async fn soon(limit: &Limit) -> SharedPermit {
    limit.acquire_within("k", Duration::from_secs(30)).await.unwrap()
}

/// Counts the holders.
#[derive(Default)]
struct Oracle {
    holders: AtomicUsize,
    most: AtomicUsize,
}

impl Oracle {
    async fn hold(&self, permit: SharedPermit) {
        let holders = self.holders.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(holders, Ordering::SeqCst);
        tokio::task::yield_now().await;
        assert!(permit.is_valid());
        self.holders.fetch_sub(1, Ordering::SeqCst);
        drop(permit);
    }
}

#[tokio::test]
async fn as_many_permits_as_the_limit_and_keys_apart() {
    let server = server!();
    let (limit, other) = (process(&server, calm(2)).await, process(&server, calm(2)).await);
    let (first, second) = (limit.try_acquire("k").await.unwrap(), other.try_acquire("k").await.unwrap());
    assert!(first.is_valid() && first.source() == Source::Store && first.fence() < second.fence());
    let none = limit.try_acquire("k").await.unwrap_err();
    assert!(matches!(none, SharedPermitError::NoPermit { in_flight: 2, limit: 2 }), "{none}");
    assert_eq!(other.in_flight("k").await.unwrap(), 2);
    drop(limit.try_acquire("other key").await.unwrap());
    assert!(first.release().await);
    assert_eq!(other.in_flight("k").await.unwrap(), 1);
    drop(second);
    while other.in_flight("k").await.unwrap() > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let stats = limit.stats();
    assert_eq!((stats.admitted, stats.denied, stats.failures), (2, 1, 0));
}

/// A thousand tasks of three processes, and never more than seven at a time.
#[tokio::test(flavor = "multi_thread")]
async fn never_more_holders_than_the_limit() {
    const LIMIT: usize = 7;
    let server = server!();
    let oracle = Arc::new(Oracle::default());
    let mut tasks = Vec::new();
    for process in
        [process(&server, calm(LIMIT)).await, process(&server, calm(LIMIT)).await, process(&server, calm(LIMIT)).await]
    {
        for nth in 0..334 {
            let (process, oracle) = (process.clone(), oracle.clone());
            tasks.push(tokio::spawn(async move {
                // Some do not wait.
                if nth % 10 == 0 {
                    if let Ok(permit) = process.try_acquire("k").await {
                        oracle.hold(permit).await;
                    }
                }
                oracle.hold(process.acquire("k").await.unwrap()).await;
            }));
        }
    }
    for task in tasks {
        task.await.unwrap();
    }
    let most = oracle.most.load(Ordering::SeqCst);
    println!("at most {most} holders of {LIMIT}");
    assert!(most > 1 && most <= LIMIT, "{most}");
}

/// A process that dies without a release: its runtime ends, and its permit is leaked.
#[tokio::test(flavor = "multi_thread")]
async fn the_permit_of_a_dead_process_returns_when_its_lease_ends() {
    let server = server!();
    let url = server.url();
    let dies = move || {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let fence = runtime.block_on(async {
            let limit = brief(1).build(RedisStore::connect(&url).await.unwrap()).unwrap();
            let permit = limit.try_acquire("k").await.unwrap();
            let fence = permit.fence().unwrap();
            std::mem::forget(permit);
            fence
        });
        runtime.shutdown_background();
        fence
    };
    let dead = std::thread::spawn(dies).join().unwrap();
    let limit = process(&server, brief(1)).await;
    let permit = limit.acquire_within("k", Duration::from_secs(20)).await.unwrap();
    let micros = permit.fence().unwrap() - dead;
    println!("granted again after {micros} us of a lease of {LEASE:?}");
    assert!(micros >= LEASE.as_micros() as u64, "{micros}");
}

/// Held for longer than two leases, while another process asks.
#[tokio::test(flavor = "multi_thread")]
async fn a_permit_is_renewed_while_it_is_held() {
    let server = server!();
    let (limit, other) = (process(&server, brief(1)).await, process(&server, brief(1)).await);
    let permit = limit.try_acquire("k").await.unwrap();
    let waiter = tokio::spawn(async move { other.acquire("k").await.unwrap().fence().unwrap() });
    tokio::time::sleep(LEASE * 5 / 2).await;
    assert!(permit.is_valid() && !waiter.is_finished());
    let fence = permit.fence().unwrap();
    drop(permit);
    assert!(waiter.await.unwrap() - fence >= 2 * LEASE.as_micros() as u64);
}

#[tokio::test(flavor = "multi_thread")]
async fn permits_that_are_lost_with_the_data_are_reported() {
    let server = server!();
    let lease = 5 * LEASE;
    let (limit, other) = (process(&server, brief(2).lease(lease)).await, process(&server, brief(2).lease(lease)).await);
    let granted = Instant::now();
    let permits = [limit.acquire("k").await.unwrap(), limit.acquire("k").await.unwrap()];
    let _: () = redis::cmd("FLUSHALL").query_async(&mut server.connection().await).await.unwrap();
    // Those before are not known any longer: up to two more are granted.
    let further = [other.try_acquire("k").await.unwrap(), other.try_acquire("k").await.unwrap()];
    assert!(refused(&other).await);
    let highest = permits.iter().map(|permit| permit.fence()).max().unwrap();
    for permit in &permits {
        permit.lost().await;
        assert!(!permit.is_valid());
    }
    // By the next renewal, when a third of the lease has passed, and not by its end.
    assert!(granted.elapsed() < lease * 3 / 4, "{:?}", granted.elapsed());
    assert!(further.iter().all(|permit| permit.is_valid() && permit.fence() > highest));
    // The lost permits release nothing of others.
    drop(permits);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(refused(&limit).await);
}

/// By the clock of the process, without an answer.
#[tokio::test(flavor = "multi_thread")]
async fn a_permit_is_lost_while_the_server_is_away() {
    let mut server = server!();
    let limit = process(&server, brief(1)).await;
    let permit = limit.try_acquire("k").await.unwrap();
    server.kill();
    permit.lost().await;
    assert!(!permit.is_valid());
    assert!(!permit.release().await, "not confirmed");
    let away = limit.try_acquire("k").await.unwrap_err();
    assert!(matches!(away, SharedPermitError::Unavailable(_)), "{away}");
}

/// A holder whose network is cut knows that its permit is lost before another process is granted it.
#[tokio::test(flavor = "multi_thread")]
async fn a_permit_is_lost_before_another_holds_it() {
    let (mut gone, server) = (server!(), server!());
    let proxy = Proxy::to(server.port()).await;
    let limit = brief(1).build(RedisStore::connect(&proxy.url()).await.unwrap()).unwrap();
    let permit = limit.try_acquire("k").await.unwrap();
    let other = process(&server, brief(1)).await;
    // The connection carries nothing any longer, and new ones lead nowhere.
    gone.kill();
    proxy.lead_to(gone.port());
    proxy.set(Mode::HalfOpen);
    let next = soon(&other).await;
    assert!(!permit.is_valid());
    assert!(next.is_valid() && next.fence() > permit.fence());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_permit_survives_a_server_that_stops_for_a_part_of_the_lease() {
    let server = server!();
    let limit = process(&server, brief(1).lease(Duration::from_secs(6))).await;
    let permit = limit.try_acquire("k").await.unwrap();
    // Over the first renewals.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    server.signal("-STOP");
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    server.signal("-CONT");
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert!(permit.is_valid());
}

#[tokio::test]
async fn the_limit_changes_while_permits_are_held() {
    let server = server!();
    let limit = process(&server, calm(1)).await;
    let first = limit.acquire("k").await.unwrap();
    assert!(refused(&limit).await);
    limit.resize(3);
    let (second, third) = (limit.acquire("k").await.unwrap(), limit.acquire("k").await.unwrap());
    assert!(refused(&limit).await);
    limit.resize(1);
    assert!(second.release().await && refused(&limit).await);
    assert!(third.release().await && refused(&limit).await, "one is held");
    assert!(first.release().await);
    drop(limit.try_acquire("k").await.unwrap());
    limit.resize(0);
    assert!(refused(&limit).await);
    let waiter = {
        let limit = limit.clone();
        tokio::spawn(async move { limit.acquire("k").await })
    };
    let late = limit.acquire_within("k", Duration::from_millis(50)).await.unwrap_err();
    assert!(matches!(late, SharedPermitError::TimedOut), "{late}");
    assert!(!waiter.is_finished());
    limit.resize(1);
    drop(waiter.await.unwrap().unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_holder_that_panics_releases() {
    let server = server!();
    let limit = process(&server, calm(1)).await;
    let holder = limit.clone();
    let panicked = tokio::spawn(async move {
        let _permit = holder.acquire("k").await.unwrap();
        std::panic::resume_unwind(Box::new("the holder panics"));
    });
    assert!(panicked.await.unwrap_err().is_panic());
    drop(soon(&limit).await);
}

/// The permits of the last limit and the last permit are released too, though the task ends.
#[tokio::test(flavor = "multi_thread")]
async fn the_last_permit_is_released_after_its_limit_was_dropped() {
    let server = server!();
    let limit = calm(1).build(server.store().await).unwrap();
    let permit = limit.acquire("k").await.unwrap();
    drop(limit);
    let other = process(&server, calm(1)).await;
    assert!(refused(&other).await);
    drop(permit);
    drop(soon(&other).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_that_is_lost_takes_one_permit() {
    let server = server!();
    let proxy = Proxy::to(server.port()).await;
    let limit = calm(2).build(RedisStore::connect(&proxy.url()).await.unwrap()).unwrap();
    let first = limit.try_acquire("k").await.unwrap();
    proxy.set(Mode::LoseReply);
    let second = limit.try_acquire("k").await.unwrap();
    assert_eq!(limit.in_flight("k").await.unwrap(), 2);
    assert!(refused(&limit).await);
    // A release whose reply is lost is repeated.
    proxy.set(Mode::LoseReply);
    assert!(first.release().await);
    assert_eq!(limit.in_flight("k").await.unwrap(), 1);
    assert!(second.release().await);
    assert_eq!(limit.stats().failures, 0);
}

/// A call that has no answer in time may have a permit in the store, which is released.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_without_an_answer_leaves_no_permit() {
    let server = server!();
    let proxy = Proxy::to(server.port()).await;
    // A reply takes half a second.
    let builder = calm(1).deadline(Duration::from_millis(250));
    let limit = builder.build(RedisStore::connect(&proxy.url()).await.unwrap()).unwrap();
    assert!(limit.try_acquire("k").await.unwrap().release().await);
    proxy.set(Mode::Slow);
    let late = limit.try_acquire("k").await;
    proxy.set(Mode::Pass);
    assert!(matches!(late, Err(SharedPermitError::Unavailable(_))), "{late:?}");
    drop(soon(&*process(&server, calm(1)).await).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiter_that_is_dropped_leaves_neither_place_nor_permit() {
    let server = server!();
    let (limit, other) = (process(&server, calm(1)).await, process(&server, calm(1)).await);
    let permit = limit.acquire("k").await.unwrap();
    let waits = other.clone();
    let waiter = tokio::spawn(async move { waits.acquire("k").await });
    let mut connection = server.connection().await;
    let mut places =
        async || -> u64 { redis::cmd("ZCARD").arg("{brimful:k}:waiters").query_async(&mut connection).await.unwrap() };
    while places().await == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    waiter.abort();
    while places().await > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(permit.release().await);
    drop(limit.try_acquire("k").await.unwrap());
    // Many calls that are dropped at any point.
    for nth in 0..200 {
        let _ = tokio::time::timeout(Duration::from_micros(nth * 7), limit.acquire("k")).await;
    }
    drop(soon(&other).await);
}

/// No call overtakes a waiter with a place, and waiters are served in order.
#[tokio::test(flavor = "multi_thread")]
async fn no_call_overtakes_a_waiter() {
    let server = server!();
    let (limit, other) = (process(&server, calm(1)).await, process(&server, calm(1)).await);
    let mut connection = server.connection().await;
    for _ in 0..20 {
        let permit = limit.acquire("k").await.unwrap();
        let waits = other.clone();
        let waiter = tokio::spawn(async move { waits.acquire("k").await.unwrap() });
        loop {
            let places: u64 =
                redis::cmd("ZCARD").arg("{brimful:k}:waiters").query_async(&mut connection).await.unwrap();
            if places > 0 {
                break;
            }
        }
        assert!(permit.release().await);
        assert!(refused(&limit).await);
        drop(waiter.await.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn waiters_of_a_process_are_served_in_order_and_processes_take_turns() {
    const EACH: usize = 40;
    let server = server!();
    let (limit, others) =
        (process(&server, calm(1)).await, [process(&server, calm(1)).await, process(&server, calm(1)).await]);
    let first = limit.acquire("k").await.unwrap();
    let order = Arc::new(std::sync::Mutex::new(Vec::new()));
    let mut tasks = Vec::new();
    for (process, other) in others.iter().enumerate() {
        for nth in 0..EACH {
            let (other, order) = (other.clone(), order.clone());
            let task = tokio::spawn(async move {
                let _permit = other.acquire("k").await.unwrap();
                order.lock().unwrap().push((process, nth));
            });
            // Until it has joined.
            tokio::time::sleep(Duration::from_millis(2)).await;
            tasks.push(task);
        }
    }
    drop(first);
    for task in tasks {
        task.await.unwrap();
    }
    let order = order.lock().unwrap();
    for process in 0..2 {
        let numbers: Vec<usize> = order.iter().filter(|entry| entry.0 == process).map(|entry| entry.1).collect();
        assert!(numbers.is_sorted(), "{order:?}");
    }
    let turns = order.windows(2).filter(|pair| pair[0].0 != pair[1].0).count();
    println!("{turns} turns of {}", 2 * EACH);
    assert!(turns >= EACH, "{order:?}");
}

#[tokio::test]
async fn numbers_rise_also_if_the_clock_of_the_server_steps_back() {
    let server = server!();
    let mut connection = server.connection().await;
    let limit = process(&server, calm(1)).await;
    let mut last = None;
    for _ in 0..50 {
        let permit = limit.acquire("k").await.unwrap();
        assert!(permit.fence() > last, "{last:?}");
        last = permit.fence();
        assert!(permit.release().await);
    }
    // As if the clock had been an hour ahead.
    let ahead = last.unwrap() + 3_600_000_000;
    let _: () =
        redis::cmd("ZADD").arg("{brimful:k}:permits").arg(ahead).arg("").query_async(&mut connection).await.unwrap();
    for nth in 1..4 {
        let permit = limit.acquire("k").await.unwrap();
        assert_eq!(permit.fence(), Some(ahead + nth));
        assert!(refused(&limit).await);
        assert!(permit.release().await);
    }
}

#[tokio::test]
async fn keys_expire_and_leases_take_bounded_memory() {
    let server = server!();
    let mut connection = server.connection().await;
    let limit = process(&server, calm(2_000)).await;
    let mut permits = Vec::new();
    for holders in [1_u64, 100, 1_000] {
        while (permits.len() as u64) < holders {
            permits.push(limit.try_acquire("k").await.unwrap());
        }
        let bytes: u64 = redis::cmd("MEMORY")
            .arg("USAGE")
            .arg("{brimful:k}:permits")
            .arg("SAMPLES")
            .arg(0)
            .query_async(&mut connection)
            .await
            .unwrap();
        println!("{holders} holders: {bytes} bytes, {} each", bytes / holders);
        let each = if holders <= 128 { 36 } else { 130 };
        assert!(bytes <= 160 + each * holders, "{holders} holders: {bytes} bytes");
    }
    // In one call.
    permits.clear();
    while limit.in_flight("k").await.unwrap() > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let expires: i64 = redis::cmd("PTTL").arg("{brimful:k}:permits").query_async(&mut connection).await.unwrap();
    assert!(expires > 0 && expires <= 100_002, "{expires}");
    // A call that is refused, and a look, store nothing.
    limit.resize(0);
    assert!(limit.try_acquire("other").await.is_err());
    assert_eq!(limit.in_flight("other").await.unwrap(), 0);
    let keys: u64 = redis::cmd("DBSIZE").query_async(&mut connection).await.unwrap();
    assert_eq!(keys, 1);
}

#[tokio::test]
async fn the_policies_of_a_concurrency_limit() {
    let mut server = server!();
    let build = async |policy| {
        let builder = Limit::builder(6).on_failure(policy);
        builder.build(server.store().await).unwrap()
    };
    let (deny, allow) = (build(FailurePolicy::Deny).await, build(FailurePolicy::Allow).await);
    let share = build(FailurePolicy::LocalShare(3)).await;
    let from_store = share.acquire("k").await.unwrap();
    server.kill();
    let denied = deny.try_acquire("k").await.unwrap_err();
    assert!(matches!(denied, SharedPermitError::Unavailable(_)), "{denied}");
    let denied = deny.acquire_within("k", Duration::from_millis(50)).await.unwrap_err();
    assert!(matches!(denied, SharedPermitError::Unavailable(_)), "{denied}");
    let admitted = allow.try_acquire("k").await.unwrap();
    assert!(admitted.source() == Source::Policy && admitted.fence().is_none() && admitted.is_valid());
    assert!(admitted.release().await);
    // A share of two, of which the store has granted one.
    let by_policy = share.acquire("k").await.unwrap();
    assert_eq!(by_policy.source(), Source::Policy);
    let none = share.try_acquire("k").await.unwrap_err();
    assert!(matches!(none, SharedPermitError::NoPermit { in_flight: 2, limit: 2 }), "{none}");
    drop(by_policy);
    drop(share.try_acquire("k").await.unwrap());
    drop(from_store);
    let stats = share.stats();
    assert_eq!((stats.admitted_by_policy, stats.denied_by_policy), (2, 1));
}

#[tokio::test]
async fn limits_that_cannot_be() {
    let server = server!();
    let store = server.store().await;
    let build = |builder: RedisConcurrencyLimitBuilder<str>| builder.build(store.clone()).err();
    let (lease, deadline) = (Duration::from_secs(1), Duration::from_millis(400));
    let short = build(Limit::builder(1).lease(lease).deadline(deadline));
    assert_eq!(short, Some(BuildError::Lease(lease, deadline)));
    assert_eq!(build(Limit::builder(1).deadline(Duration::ZERO)), Some(BuildError::NoDeadline));
    let none = build(Limit::builder(1).on_failure(FailurePolicy::LocalShare(0)));
    assert!(matches!(none, Some(BuildError::LocalShare(0, _))), "{none:?}");
    let builder = Limit::builder(1);
    let outside = std::thread::spawn(move || builder.build(store).err()).join().unwrap();
    assert_eq!(outside, Some(BuildError::NoRuntime));
}
