//! A cluster of three servers: requests find the server of their key, also while slots move and servers are lost, and no
//! decision is lost or made twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use brimful::Quota;
use brimful_redis::redis::Cluster;
use brimful_redis::{
    FailurePolicy, RedisConcurrencyLimit, RedisRateLimiter, RedisSlidingWindowLimiter, RedisStore, SharedError,
    Unavailable,
};
use tokio::time::Instant;

use crate::nodes::Nodes;
use crate::proxy::{Mode, Proxy};
use crate::server::{Server, execute, time, until};

type Limiter = RedisRateLimiter<str, RedisStore<Cluster>>;

const DEADLINE: Duration = Duration::from_millis(100);

fn slow(burst: u32) -> Quota {
    Quota::per_day(1).burst(burst)
}

async fn limiter(nodes: &Nodes, quota: Quota) -> Limiter {
    let builder = RedisRateLimiter::<str>::builder(quota).deadline(Duration::from_secs(20));
    builder.build(nodes.store().await).unwrap()
}

async fn remaining(limiter: &Limiter, key: &str) -> u32 {
    limiter.peek(key).await.unwrap().limits()[0].remaining
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_spread_over_the_servers() {
    let Some(nodes) = Nodes::start(3, 0).await else { return };
    let limiter = limiter(&nodes, slow(2)).await;
    for key in 0..60 {
        let key = format!("{key}}}x{{");
        limiter.try_acquire(&key).await.unwrap();
        limiter.try_acquire(&key).await.unwrap();
        let refused = limiter.try_acquire(&key).await.unwrap_err();
        assert!(matches!(refused, SharedError::RateLimited { .. }), "{refused}");
    }
    for server in &nodes.servers {
        let keys: u32 = execute(server, "DBSIZE").await;
        assert!(keys > 0 && keys < 60, "{keys}");
        // No server was asked for the key of another one.
        let errors: String = execute(server, "INFO errorstats").await;
        assert!(!errors.contains("MOVED"), "{errors}");
    }
}

/// `ASK` while the slot moves, and `MOVED` afterwards.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_follows_a_redirect() {
    let Some(nodes) = Nodes::start(3, 0).await else { return };
    let limiter = limiter(&nodes, slow(1_000)).await;
    let slot = nodes.slot("brimful:k").await;
    let from = nodes.owner(slot);
    let to = (from + 1) % 3;
    let errors = async || execute::<String>(&nodes.servers[from], "INFO errorstats").await;
    limiter.try_acquire("k").await.unwrap();
    nodes.begin_move(slot, from, to).await;
    // The key is still with the old server.
    limiter.try_acquire("k").await.unwrap();
    nodes.move_keys(slot, from, to).await;
    for _ in 0..5 {
        limiter.try_acquire("k").await.unwrap();
    }
    assert!(errors().await.contains("errorstat_ASK:count=5"), "{}", errors().await);
    assert_eq!(remaining(&limiter, "k").await, 993);
    nodes.end_move(slot, to).await;
    for _ in 0..5 {
        limiter.try_acquire("k").await.unwrap();
    }
    assert!(errors().await.contains("errorstat_MOVED:count=1"), "{}", errors().await);
    assert_eq!(remaining(&limiter, "k").await, 988);
    assert_eq!((limiter.stats().failures, limiter.stats().requests), (0, 14));
}

/// The other scripts too: those of windows and of permits.
#[tokio::test(flavor = "multi_thread")]
async fn windows_and_permits_follow_a_redirect() {
    let Some(nodes) = Nodes::start(3, 0).await else { return };
    let store = nodes.store().await;
    let window = RedisSlidingWindowLimiter::<str>::builder(100, Duration::from_secs(3_600));
    let window = window.deadline(Duration::from_secs(20)).build(store.clone()).unwrap();
    let permits = RedisConcurrencyLimit::<str>::builder(100).deadline(Duration::from_secs(3)).build(store).unwrap();
    let mut held = Vec::new();
    for key in ["a", "b", "c", "d"] {
        let slot = nodes.slot(&format!("brimful:{key}")).await;
        let (from, to) = (nodes.owner(slot), (nodes.owner(slot) + 1) % 3);
        for _ in 0..2 {
            window.try_acquire(key).await.unwrap();
        }
        held.push(permits.try_acquire(key).await.unwrap());
        nodes.begin_move(slot, from, to).await;
        nodes.move_keys(slot, from, to).await;
        window.try_acquire(key).await.unwrap();
        nodes.end_move(slot, to).await;
        window.try_acquire(key).await.unwrap();
        held.push(permits.try_acquire(key).await.unwrap());
        assert_eq!(window.peek(key).await.unwrap().limits()[0].remaining, 96);
    }
}

/// A request with an id has two keys. While they are on two servers, none of the two can execute it.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_with_an_id_does_nothing_while_its_keys_are_apart() {
    let Some(nodes) = Nodes::start(3, 0).await else { return };
    let builder = RedisRateLimiter::<str>::builder(slow(1_000)).deadline(Duration::from_secs(20));
    let limiter = builder.repeat_lost(Duration::from_secs(60)).build(nodes.store().await).unwrap();
    let slot = nodes.slot("brimful:k").await;
    let (from, to) = (nodes.owner(slot), (nodes.owner(slot) + 1) % 3);
    limiter.try_acquire("k").await.unwrap();
    nodes.begin_move(slot, from, to).await;
    let refused = limiter.try_acquire("k").await.unwrap_err();
    let is_known = |error: &SharedError| matches!(error, SharedError::Unavailable(Unavailable::Failed(error)) if !error.may_be_done);
    assert!(is_known(&refused) && refused.to_string().contains("nothing was done"), "{refused}");
    nodes.move_keys(slot, from, to).await;
    nodes.end_move(slot, to).await;
    limiter.try_acquire("k").await.unwrap();
    assert_eq!(remaining(&limiter, "k").await, 998);
}

/// No decision is lost or made twice: a bucket that earns nothing grants its burst, and one that does grants at most
/// `burst + rate × T`.
#[tokio::test(flavor = "multi_thread")]
async fn a_slot_that_moves_under_load() {
    const BURST: u32 = 1_000;
    const RATE: u64 = 2_000;
    let Some(nodes) = Nodes::start(3, 0).await else { return };
    let mut connection = nodes.servers[0].connection().await;
    let begun = time(&mut connection).await;
    let stop = Arc::new(AtomicBool::new(false));
    let mut loads = Vec::new();
    for (quota, key) in [(slow(BURST), "a"), (Quota::per_second(RATE as u32).burst(BURST), "b")] {
        let limiter = Arc::new(limiter(&nodes, quota).await);
        let tasks: Vec<_> = (0..4).map(|_| tokio::spawn(load(limiter.clone(), key, stop.clone()))).collect();
        loads.push(tasks);
    }
    let mut moves = 0;
    let until = Instant::now() + Duration::from_secs(2);
    let slots = [nodes.slot("brimful:a").await, nodes.slot("brimful:b").await];
    while Instant::now() < until {
        for slot in slots {
            let from = (nodes.owner(slot) + moves) % 3;
            nodes.begin_move(slot, from, (from + 1) % 3).await;
            nodes.move_keys(slot, from, (from + 1) % 3).await;
            nodes.end_move(slot, (from + 1) % 3).await;
        }
        moves += 1;
    }
    stop.store(true, Ordering::Relaxed);
    let mut sums = Vec::new();
    for tasks in loads {
        let mut sum = Load::default();
        for task in tasks {
            sum.add(&task.await.unwrap());
        }
        sums.push(sum);
    }
    let passed = time(&mut connection).await - begun;
    let bound = u64::from(BURST) + RATE * passed / 1_000_000;
    println!("two slots were moved {moves} times each: {:?}, at most {BURST}", sums[0]);
    println!("{:?} in {passed} us, at most {bound}", sums[1]);
    assert!(moves > 2);
    assert_eq!(sums[0].admitted, u64::from(BURST));
    assert!(sums[1].admitted >= u64::from(BURST) && sums[1].admitted <= bound);
}

/// The outcomes of calls.
#[derive(Debug, Default)]
struct Load {
    calls: u64,
    admitted: u64,
    /// Calls that no server decided. None of them may have been charged.
    undecided: u64,
    longest: Duration,
}

impl Load {
    fn add(&mut self, other: &Load) {
        self.calls += other.calls;
        self.admitted += other.admitted;
        self.undecided += other.undecided;
        self.longest = self.longest.max(other.longest);
    }
}

async fn load(limiter: Arc<Limiter>, key: &'static str, stop: Arc<AtomicBool>) -> Load {
    let mut sum = Load::default();
    while !stop.load(Ordering::Relaxed) {
        let begun = Instant::now();
        match limiter.try_acquire(key).await {
            Ok(()) => sum.admitted += 1,
            Err(SharedError::RateLimited { .. }) => {}
            Err(SharedError::Unavailable(why)) => {
                assert!(!why.may_be_done(), "{why}");
                sum.undecided += 1;
                // While the breaker is open, a call waits for nothing.
                tokio::task::yield_now().await;
            }
            Err(other) => panic!("{other}"),
        }
        sum.calls += 1;
        sum.longest = sum.longest.max(begun.elapsed());
    }
    sum
}

/// The keys of the other servers are decided all the time, and those of the lost one when its replica has its slots.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_of_the_cluster_is_lost() {
    let Some(mut nodes) = Nodes::start(3, 1).await else { return };
    let _: () = execute(&nodes.servers[3], &format!("CLUSTER REPLICATE {}", nodes.id(0).await)).await;
    until("a replica that has the data", async || {
        execute::<String>(&nodes.servers[3], "INFO replication").await.contains("master_link_status:up")
    })
    .await;
    let patient = limiter(&nodes, slow(1_000)).await;
    let builder = RedisRateLimiter::<str>::builder(slow(1_000)).deadline(DEADLINE);
    let limiter = builder.on_failure(FailurePolicy::Deny).build(nodes.store().await).unwrap();
    let (mut lost, mut others) = (Vec::new(), Vec::new());
    for key in (0..30).map(|nth| format!("k{nth}")) {
        patient.try_acquire(&key).await.unwrap();
        let slot = nodes.slot(&format!("brimful:{key}")).await;
        if nodes.owner(slot) == 0 { lost.push(key) } else { others.push(key) }
    }
    let mut connection = nodes.servers[0].connection().await;
    // All that was decided is with the replica too: WAIT waits for the writes of its own connection, and so for all before.
    let mark = format!("{{brimful:{}}}mark", lost[0]);
    let _: () = redis::cmd("SET").arg(mark).arg(1).query_async(&mut connection).await.unwrap();
    until("a replica with all decisions", async || {
        let wait = redis::cmd("WAIT").arg(1).arg(100).to_owned();
        wait.query_async::<u32>(&mut connection.clone()).await.unwrap() == 1
    })
    .await;
    nodes.servers[0].kill();
    let (mut denied, mut decided, mut late) = (0, 0, Duration::ZERO);
    let time = until("a successor", async || {
        for key in &others {
            decided += u32::from(limiter.try_acquire(key).await.is_ok());
        }
        let begun = Instant::now();
        let answer = limiter.try_acquire(&lost[0]).await;
        late = late.max(begun.elapsed().saturating_sub(DEADLINE));
        denied += u32::from(answer.is_err());
        answer.is_ok()
    })
    .await;
    println!(
        "a server was lost: its key was denied {denied} times for {time:?}, late by {late:?} at most; the others' were \
         admitted {decided} times"
    );
    assert!(decided > 0 && denied > 0);
    let charged = async |key: &str| 1_000 - remaining(&patient, key).await;
    // The decisions that the replica had received stay charged. A call that was admitted too late for its deadline is charged too.
    assert!((2..=2 + denied).contains(&charged(&lost[0]).await));
    for key in &lost[1..] {
        assert_eq!(charged(key).await, 1);
    }
}

/// The connection is closed in place of the reply. The request has been executed, and is not sent again.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_whose_reply_is_lost_is_not_repeated() {
    let Some(nodes) = Nodes::start(1, 0).await else { return };
    let proxy = Proxy::to(nodes.servers[0].port()).await;
    // The server says that it is at the proxy.
    let _: () = execute(&nodes.servers[0], &format!("CONFIG SET cluster-announce-port {}", proxy.port)).await;
    let direct = RedisRateLimiter::<str>::builder(slow(1_000)).build(nodes.servers[0].store().await).unwrap();
    let charged = async || 1_000 - direct.peek("k").await.unwrap().limits()[0].remaining;
    for (repeats, expected) in [(false, 2), (true, 4)] {
        let mut builder = RedisRateLimiter::<str>::builder(slow(1_000)).deadline(Duration::from_secs(20));
        if repeats {
            builder = builder.repeat_lost(Duration::from_secs(60));
        }
        let store = RedisStore::cluster(&[&proxy.url()]).await.unwrap();
        let limiter = builder.build(store).unwrap();
        limiter.try_acquire("k").await.unwrap();
        proxy.set(Mode::LoseReply);
        let answer = limiter.try_acquire("k").await;
        match answer {
            Ok(()) => assert!(repeats, "it was sent again without an id"),
            Err(SharedError::Unavailable(why)) => assert!(!repeats && why.may_be_done(), "{why}"),
            Err(other) => panic!("{other}"),
        }
        assert_eq!(charged().await, expected);
    }
}

/// A server that is in no cluster, and none at all.
#[tokio::test]
async fn what_is_no_cluster_is_an_error() {
    let Some(server) = Server::start(&[]) else { return };
    for urls in [vec![], vec!["redis://127.0.0.1:1/".to_owned()], vec![server.url()], vec!["no url".to_owned()]] {
        let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
        let error = RedisStore::cluster(&urls).await.unwrap_err();
        println!("{urls:?}: {error}");
    }
}
