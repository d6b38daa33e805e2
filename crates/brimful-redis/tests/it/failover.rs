//! A replica that takes over: what it had not received is granted once more, and no more than that.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use brimful::Quota;
use brimful_redis::{RedisRateLimiter, RedisStore, SharedError};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::proxy::{Mode, Proxy};
use crate::server::{Server, execute, server, until};

/// More than any test takes, also on a busy machine.
const BURST: u32 = 50_000;
const DEADLINE: Duration = Duration::from_millis(100);

pub(crate) fn builder() -> brimful_redis::RedisRateLimiterBuilder<str> {
    // It earns nothing while a test runs.
    RedisRateLimiter::<str>::builder(Quota::per_day(1).burst(BURST)).deadline(DEADLINE)
}

/// The tokens that a server has charged.
pub(crate) async fn charged(server: &Server) -> u64 {
    let direct = builder().deadline(Duration::from_secs(20)).build(server.store().await).unwrap();
    u64::from(BURST - direct.peek("k").await.unwrap().limits()[0].remaining)
}

/// Calls every few milliseconds, until they are stopped.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    calls: JoinHandle<Outcomes>,
}

#[derive(Debug, Default)]
pub(crate) struct Outcomes {
    pub(crate) admitted: u64,
    /// Refused by the policy.
    pub(crate) denied: u64,
    /// Of these, the calls that may have been charged all the same.
    pub(crate) perhaps_charged: u64,
    /// By how much the decisions were later than the deadline, at most.
    pub(crate) lateness: Duration,
}

impl Load {
    pub(crate) fn start(limiter: Arc<RedisRateLimiter<str>>) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let calls = tokio::spawn(async move {
            let mut outcomes = Outcomes::default();
            while !stopped.load(Ordering::Relaxed) {
                let begun = Instant::now();
                match limiter.try_acquire("k").await {
                    Ok(()) => outcomes.admitted += 1,
                    Err(SharedError::Unavailable(why)) => {
                        outcomes.denied += 1;
                        outcomes.perhaps_charged += u64::from(why.may_be_done());
                    }
                    Err(other) => panic!("{other}"),
                }
                outcomes.lateness = outcomes.lateness.max(begun.elapsed().saturating_sub(DEADLINE));
                tokio::time::sleep(Duration::from_millis(4)).await;
            }
            outcomes
        });
        Load { stop, calls }
    }

    pub(crate) async fn stop(self) -> Outcomes {
        self.stop.store(true, Ordering::Relaxed);
        self.calls.await.unwrap()
    }
}

/// Asks until the store has admitted a call, and returns the time.
pub(crate) async fn recovers(limiter: &RedisRateLimiter<str>) -> Duration {
    until("a decision of the store", async || limiter.try_acquire("k").await.is_ok()).await
}

/// All that a limiter is granted before and after a failover is its burst, and what the replica had not received.
#[tokio::test(flavor = "multi_thread")]
async fn a_failover_grants_once_more_what_the_replica_had_not_received() {
    for lag in [Mode::Pass, Mode::Slow] {
        let mut primary = server!();
        let to_primary = Proxy::to(primary.port()).await;
        let Some(replica) = Server::start_replica(to_primary.port).await else { return };
        to_primary.set(lag);
        let proxy = Proxy::to(primary.port()).await;
        let limiter = Arc::new(builder().build(RedisStore::connect(&proxy.url()).await.unwrap()).unwrap());
        let load = Load::start(limiter.clone());
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        let before = load.stop().await;
        let lost = {
            let granted = charged(&primary).await;
            primary.kill();
            let _: () = execute(&replica, "REPLICAOF NO ONE").await;
            let received = charged(&replica).await;
            granted - received
        };
        proxy.lead_to(replica.port());
        let time = recovers(&limiter).await;
        // All that is left.
        let mut after = 1;
        while !matches!(limiter.try_acquire("k").await, Err(SharedError::RateLimited { .. })) {
            after += 1;
        }
        let (all, bound) = (before.admitted + after, u64::from(BURST) + lost);
        println!(
            "replication {lag:?}: the replica had not received {lost} of {} decisions; {all} admitted, at most {bound}; \
             decides after {time:?}",
            before.admitted
        );
        assert!(all <= bound, "{all} > {bound}");
        assert!(matches!(lag, Mode::Pass) || lost > 0, "half a second of decisions was on its way");
    }
}
