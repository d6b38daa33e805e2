//! Sliding windows: the script against exact sums, on a clock that the tests drive, and the verbs on a real server.

use std::sync::Arc;
use std::time::Duration;

use brimful::Tokens;
use brimful_redis::{
    BuildError, FailurePolicy, RedisSlidingWindowLimiter, RedisSlidingWindowLimiterBuilder, RedisStore, SharedError,
    Source,
};
use redis::Cmd;
use redis::aio::MultiplexedConnection;

use crate::proxy::{Mode, Proxy};
use crate::script::{Random, START, operations};
use crate::server::{Server, server};

const SOURCE: &str = include_str!("../../src/window/sliding_window.lua");

const HOUR: Duration = Duration::from_secs(3_600);

/// Loads the script, with the time from its last argument, and returns its hash. Its keys do not expire, because they
/// would by the server's clock.
async fn load(connection: &mut MultiplexedConnection) -> String {
    let replaced = |source: String, old: &str, new: &str| {
        assert_eq!(source.matches(old).count(), 1, "{old}");
        source.replace(old, new)
    };
    let at = "(function() local at = ARGV[8]; return { string.sub(at, 1, -7), string.sub(at, -6) } end)()";
    let source = replaced(SOURCE.to_owned(), "redis.call('TIME')", at);
    let (from, to) = (source.find("redis.call('PSETEX'").unwrap(), source.find("cmsgpack.pack(log))").unwrap());
    let source = format!("{}redis.call('SET', KEYS[1], {}", &source[..from], &source[to..]);
    redis::cmd("SCRIPT").arg("LOAD").arg(source).query_async(connection).await.unwrap()
}

/// At most `limit` tokens in `length` microseconds, with sub-windows.
#[derive(Clone, Copy, Debug)]
struct Window {
    limit: u64,
    length: u64,
    parts: u64,
}

const WINDOWS: [Window; 9] = [
    Window { limit: 1, length: 1, parts: 1 },
    Window { limit: 3, length: 1_000, parts: 1 },
    Window { limit: 10, length: 1_000_000, parts: 64 },
    Window { limit: 100, length: 60_000_000, parts: 7 },
    Window { limit: 1_000, length: 60_000_000, parts: 64 },
    Window { limit: 1_000_000, length: 3_600_000_000, parts: 10 },
    Window { limit: 4_000_000_000, length: 86_400_000_000, parts: 64 },
    Window { limit: 50, length: 999_983, parts: 13 },
    Window { limit: 20, length: 5, parts: 64 },
];

impl Window {
    fn part(self) -> u64 {
        self.length.div_ceil(self.parts)
    }

    fn command(self, script: &str, operation: &str, key: u64, cost: u64, at: u64) -> Cmd {
        let mut command = redis::cmd("EVALSHA");
        command.arg(script).arg(1).arg(format!("{{{key}}}:window")).arg(operation).arg(0).arg(self.limit);
        command.arg(self.length).arg(self.part()).arg(self.parts).arg(cost).arg(at);
        command
    }
}

/// The grants of a key: the latest instant, and each instant with its tokens, since the last reset.
#[derive(Clone, Debug, Default)]
struct Grants {
    mark: u64,
    all: Vec<(u64, u64)>,
}

impl Grants {
    /// Returns the tokens that were granted later than `age` before an instant.
    fn within(&self, now: u64, age: u64) -> u64 {
        self.all.iter().rev().take_while(|grant| grant.0 + age > now).map(|grant| grant.1).sum()
    }

    fn number_within(&self, now: u64, age: u64) -> usize {
        self.all.iter().rev().take_while(|grant| grant.0 + age > now).count()
    }
}

/// In every window at most the limit, and a call is refused only if the limit and the sub-window demand it. If a window has
/// few grants, the decision is that of an exact log.
#[tokio::test]
async fn no_window_has_more_than_its_limit() {
    let server = server!();
    let mut connection = server.connection().await;
    let script = load(&mut connection).await;
    let mut exact = 0;
    for (nth, &window) in WINDOWS.iter().enumerate() {
        let mut random = Random(0x9e37_79b9 + nth as u64);
        let (mut at, mut steps) = (START, Vec::new());
        for _ in 0..operations() {
            at = match random.below(12) {
                0..5 => at + random.of_any_size(window.length / window.parts.min(20) / 4 + 1),
                5..9 => at + random.of_any_size(2 * window.part()),
                9 => at + random.of_any_size(window.length + window.part() + 2),
                10 => at,
                _ => at - random.of_any_size(window.length),
            };
            let operation = match random.below(200) {
                0 => "reset",
                1..8 => "peek",
                _ => "take",
            };
            let cost = match random.below(4) {
                0 => 1,
                1 => random.of_any_size(window.limit + 1),
                2 => random.of_any_size(window.limit / window.parts.min(window.limit) + 1),
                _ => random.below(3),
            };
            steps.push((operation, random.below(3), cost, at));
        }
        let mut replies: Vec<[u64; 5]> = Vec::new();
        for batch in steps.chunks(500) {
            let mut pipe = redis::pipe();
            for &(operation, key, cost, at) in batch {
                pipe.add_command(window.command(&script, operation, key, cost, at));
            }
            replies.extend(pipe.query_async::<Vec<[u64; 5]>>(&mut connection).await.unwrap());
        }
        let mut keys = [const { Grants { mark: 0, all: Vec::new() } }; 3];
        let (mut admitted, mut refused) = (0, 0);
        for (&(operation, key, cost, at), &[decision, ahead, used, _, empty]) in steps.iter().zip(&replies) {
            let grants = &mut keys[key as usize];
            if operation == "reset" {
                *grants = Grants::default();
                continue;
            }
            // The clock stands still at the last grant that counts.
            let now = at.max(grants.mark);
            assert_eq!(ahead, now - at, "{window:?}: {grants:?}");
            let (counts, late) =
                (grants.within(now, window.length), grants.within(now, window.length + window.part() - 1));
            let state = format!("{window:?}: {operation} {cost} at {now}: {decision}, {used} used, {counts} to {late}");
            if decision == 1 {
                assert!(cost == 0 || counts + cost <= window.limit, "{state}");
                admitted += 1;
            } else {
                assert!(late + cost > window.limit, "{state}");
                refused += 1;
            }
            if grants.number_within(now, 2 * window.length) as u64 <= window.parts {
                exact += 1;
                assert_eq!(decision == 1, cost == 0 || counts + cost <= window.limit, "{state}");
            }
            let taken = if decision == 1 && operation == "take" { cost } else { 0 };
            assert!(used >= counts + taken && used <= late + taken, "{state}");
            if taken > 0 {
                grants.mark = now;
                grants.all.push((now, taken));
            }
            assert_eq!(empty > 0, used > 0, "{state}");
        }
        println!("{window:?}: {admitted} admitted, {refused} refused");
        assert!(admitted > steps.len() / 100 && refused > steps.len() / 100, "{admitted}, {refused}");
        let _: () = redis::cmd("FLUSHALL").query_async(&mut connection).await.unwrap();
    }
    assert!(exact > operations());
}

/// At the microsecond that a refusal reports, the call is admitted; a microsecond before, it is not.
#[tokio::test]
async fn the_wait_of_a_refusal_is_exact() {
    let server = server!();
    let mut connection = server.connection().await;
    let script = load(&mut connection).await;
    for (nth, &window) in WINDOWS.iter().enumerate() {
        let (mut random, mut at, mut refused) = (Random(77 + nth as u64), START, 0);
        while refused < 300 {
            at += random.of_any_size(window.length / window.parts.min(20) / 4 + 1);
            let cost = 1 + random.of_any_size(window.limit - 1);
            let command = window.command(&script, "take", 0, cost, at);
            let [decision, ahead, _, wait, _]: [u64; 5] = command.query_async(&mut connection).await.unwrap();
            if decision == 1 {
                continue;
            }
            refused += 1;
            let now = at + ahead;
            let mut later = async |at| -> u64 {
                let command = window.command(&script, "peek", 0, cost, at);
                let [decision, ..]: [u64; 5] = command.query_async(&mut connection).await.unwrap();
                decision
            };
            assert!(wait > 0 && wait <= window.length, "{window:?}: {wait}");
            assert_eq!(later(now + wait).await, 1, "{window:?}: {cost} after {wait}");
            assert_eq!(later(now + wait - 1).await, 0, "{window:?}: {cost} before {wait}");
        }
    }
}

/// A key has at most one entry for each sub-window and one more, whatever was granted.
#[tokio::test]
async fn a_window_takes_bounded_memory() {
    let server = server!();
    let mut connection = server.connection().await;
    let script = load(&mut connection).await;
    let (day, minute) = (86_400_000_000, 60_000_000);
    for (limit, length, parts, most) in [
        (1, minute, 64, 104),
        (100, minute, 64, 700),
        (4_000_000_000, minute, 64, 900),
        (4_000_000_000, 30 * day, 64, 1300),
    ] {
        let (window, mut random, mut at) = (Window { limit, length, parts }, Random(5), START);
        let mut largest = 0;
        for _ in 0..2_000 {
            at += random.below(length / 200);
            let command = window.command(&script, "take", 0, (limit / 100).max(1), at);
            let _: [u64; 5] = command.query_async(&mut connection).await.unwrap();
            let bytes: u64 =
                redis::cmd("MEMORY").arg("USAGE").arg("{0}:window").query_async(&mut connection).await.unwrap();
            largest = largest.max(bytes);
        }
        println!("{window:?}: {largest} bytes");
        assert!(largest <= most, "{window:?}: {largest} bytes");
        let _: () = redis::cmd("FLUSHALL").query_async(&mut connection).await.unwrap();
    }
}

/// A limiter whose decisions are not hurried, also on a busy machine.
fn builder(n: u32, length: Duration) -> RedisSlidingWindowLimiterBuilder<str> {
    RedisSlidingWindowLimiter::<str>::builder(n, length).deadline(Duration::from_secs(20))
}

async fn limiter(server: &Server, n: u32, length: Duration) -> RedisSlidingWindowLimiter<str> {
    builder(n, length).build(server.store().await).unwrap()
}

#[tokio::test]
async fn many_grants_become_few_entries() {
    let server = server!();
    let limiter = builder(1_000, HOUR).sub_windows(4).build(server.store().await).unwrap();
    for _ in 0..300 {
        limiter.try_acquire("k").await.unwrap();
    }
    let log: u64 =
        redis::cmd("STRLEN").arg("{brimful:k}:window").query_async(&mut server.connection().await).await.unwrap();
    assert!(log <= 9 + 5 * 10, "{log} bytes");
    assert_eq!(limiter.peek("k").await.unwrap().limits()[0].remaining, 700);
}

#[tokio::test]
async fn takes_peeks_and_resets() {
    let server = server!();
    let limiter = limiter(&server, 5, HOUR).await;
    limiter.try_acquire_n("alice", 2).await.unwrap();
    let refused = limiter.try_acquire_n("alice", 4).await.unwrap_err();
    assert!(refused.retry_after().is_some_and(|after| after <= HOUR && after > HOUR / 2), "{refused}");
    assert!(refused.to_string().starts_with("limit \"at most 5 in 3600s\": rate limited"), "{refused}");
    let decision = limiter.decide("alice", 3).await;
    assert!(decision.allowed() && decision.source() == Source::Store);
    assert_eq!((decision.limits()[0].remaining, decision.limits()[0].burst), (0, Tokens::new(5)));
    assert!(limiter.try_acquire("alice").await.is_err());
    limiter.try_acquire_n("alice", 0).await.unwrap();
    limiter.try_acquire("bob").await.unwrap();
    let never = limiter.try_acquire_n("bob", 6).await.unwrap_err();
    assert!(matches!(&never, SharedError::ExceedsBurst { .. }), "{never}");
    // Half a token counts as one.
    limiter.try_acquire_n("bob", Tokens::from_parts(0, 500_000_000_000).unwrap()).await.unwrap();
    assert_eq!(limiter.peek("bob").await.unwrap().limits()[0].remaining, 3);
    assert!(limiter.peek("bob").await.unwrap().limits()[0].reset_after > Some(HOUR / 2));
    limiter.reset("alice").await.unwrap();
    limiter.try_acquire_n("alice", 5).await.unwrap();
    assert_eq!(limiter.stats().denied, 3);
}

#[tokio::test]
async fn processes_share_a_window_exactly() {
    let server = server!();
    let mut tasks = Vec::new();
    for _ in 0..4 {
        // A connection of its own, as another process has.
        let limiter = limiter(&server, 500, HOUR).await;
        tasks.push(tokio::spawn(async move {
            let mut admitted = 0;
            for _ in 0..250 {
                admitted += u32::from(limiter.try_acquire("shared").await.is_ok());
            }
            admitted
        }));
    }
    let mut admitted = 0;
    for task in tasks {
        admitted += task.await.unwrap();
    }
    assert_eq!(admitted, 500);
}

/// By the server's real clock: grants at their instants, which the log of the server shows.
#[tokio::test(flavor = "multi_thread")]
async fn the_bound_holds_for_tasks_that_wait() {
    let server = server!();
    let (n, length) = (20, Duration::from_millis(100));
    let limiter = Arc::new(limiter(&server, n, length).await);
    let time = async || -> u64 {
        let (seconds, micros): (u64, u64) =
            redis::cmd("TIME").query_async(&mut server.connection().await).await.unwrap();
        seconds * 1_000_000 + micros
    };
    let begun = time().await;
    let tasks: Vec<_> = (0..100)
        .map(|_| {
            let limiter = limiter.clone();
            tokio::spawn(async move { limiter.acquire("k").await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    let passed = time().await - begun;
    // 100 calls need more than four whole windows.
    assert!(passed >= 4 * length.as_micros() as u64, "{passed} us");
    let late = limiter.acquire_n_within("k", n, Duration::ZERO).await;
    assert!(late.is_err());
}

#[tokio::test]
async fn a_window_is_forgotten_when_it_is_empty_and_not_before() {
    let server = server!();
    let mut connection = server.connection().await;
    let limiter = limiter(&server, 5, Duration::from_secs(30)).await;
    limiter.try_acquire_n("alice", 3).await.unwrap();
    let expires: i64 = redis::cmd("PTTL").arg("{brimful:alice}:window").query_async(&mut connection).await.unwrap();
    assert!(expires > 25_000 && expires <= 30_002, "{expires}");
    // A call that is refused, and a look, store nothing.
    assert!(limiter.try_acquire_n("bob", 6).await.is_err());
    limiter.peek("bob").await.unwrap();
    limiter.reset("alice").await.unwrap();
    let keys: u64 = redis::cmd("DBSIZE").query_async(&mut connection).await.unwrap();
    assert_eq!(keys, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_is_charged_once_if_a_reply_is_lost() {
    let server = server!();
    let proxy = Proxy::to(server.port()).await;
    let store = RedisStore::connect(&proxy.url()).await.unwrap();
    let limiter = builder(100, HOUR).repeat_lost(Duration::from_secs(60)).build(store.clone()).unwrap();
    limiter.try_acquire("k").await.unwrap();
    proxy.set(Mode::LoseReply);
    limiter.try_acquire_n("k", 10).await.unwrap();
    assert_eq!(limiter.peek("k").await.unwrap().limits()[0].remaining, 89);
    // Without ids, the call fails, and was charged.
    let limiter = builder(100, HOUR).build(store).unwrap();
    proxy.set(Mode::LoseReply);
    limiter.try_acquire_n("k", 10).await.unwrap_err();
    assert_eq!(limiter.peek("k").await.unwrap().limits()[0].remaining, 79);
}

#[tokio::test]
async fn shares_of_a_window_while_the_server_is_away() {
    let mut server = server!();
    let limiter = RedisSlidingWindowLimiter::<str>::builder(90, HOUR)
        .on_failure(FailurePolicy::LocalShare(3))
        .build(server.store().await)
        .unwrap();
    limiter.try_acquire("k").await.unwrap();
    server.kill();
    for _ in 0..100 {
        let refused = limiter.try_acquire("k").await.unwrap_err();
        assert!(
            matches!(&refused, SharedError::RateLimited { limit, .. } if limit == "at most 90 in 3600s"),
            "{refused}"
        );
    }
    assert_eq!(limiter.stats().denied_by_policy, 100, "a share starts empty");
}

#[tokio::test]
async fn windows_that_cannot_be() {
    let server = server!();
    let store = server.store().await;
    let build = |n, length| builder(n, length).build(store.clone()).err();
    assert_eq!(build(0, HOUR), Some(BuildError::NoTokens));
    assert_eq!(build(1, Duration::ZERO), Some(BuildError::Window(Duration::ZERO)));
    assert_eq!(build(1, Duration::MAX), Some(BuildError::Window(Duration::MAX)));
    assert!(build(1, Duration::from_nanos(1)).is_none());
    let none = builder(1, HOUR).on_failure(FailurePolicy::LocalShare(0)).build(store).err();
    assert!(matches!(none, Some(BuildError::LocalShare(0, _))), "{none:?}");
}
