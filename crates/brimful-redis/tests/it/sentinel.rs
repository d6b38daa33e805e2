//! A primary that sentinels watch: when they name another one, its decisions follow.

use std::sync::Arc;
use std::time::Duration;

use brimful_redis::RedisStore;

use crate::failover::{Load, builder, charged, recovers};
use crate::sentinels::{PRIMARY, Sentinel};
use crate::server::{Server, execute, until};

/// Returns whether a server is a replica. One that becomes a replica closes its connections.
async fn is_replica(server: &Server) -> bool {
    let client = redis::Client::open(server.url()).unwrap();
    let Ok(mut connection) = client.get_multiplexed_async_connection().await else { return false };
    let info: Result<String, _> = redis::cmd("INFO").arg("replication").query_async(&mut connection).await;
    info.is_ok_and(|info| info.contains("role:slave"))
}

/// The servers of a sentinel: the primary, the replica, and the sentinel.
async fn watched() -> Option<(Server, Server, Sentinel)> {
    let primary = Server::start(&[])?;
    let replica = Server::start_replica(primary.port()).await?;
    let sentinel = Sentinel::start(&primary).await?;
    Some((primary, replica, sentinel))
}

/// Waits until the sentinel names the replica.
async fn named(sentinel: &Sentinel, replica: &Server) -> Duration {
    until("a new primary", async || sentinel.primary().await == replica.port()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_is_killed_under_a_sentinel() {
    let Some((mut primary, replica, sentinel)) = watched().await else { return };
    let limiter = Arc::new(builder().build(sentinel.store().await).unwrap());
    let load = Load::start(limiter.clone());
    tokio::time::sleep(Duration::from_millis(300)).await;
    primary.kill();
    let named = named(&sentinel, &replica).await;
    let since = charged(&replica).await;
    let time = until("a decision of the new primary", async || charged(&replica).await > since).await;
    let outcomes = load.stop().await;
    let charged = charged(&replica).await;
    println!("killed: the sentinel names the replica after {named:?}, which decides {time:?} later: {outcomes:?}");
    assert!(outcomes.denied > 0, "the policy decided while no server did");
    // The primary's last decisions may not have reached the replica; what did is charged once.
    let lost = (outcomes.admitted + outcomes.perhaps_charged).saturating_sub(charged);
    println!("of {} admitted, {charged} are charged: {lost} at most are granted once more", outcomes.admitted);
    assert!(charged <= outcomes.admitted + outcomes.perhaps_charged);
}

/// A primary that hangs keeps its connections. When it goes on, it is a replica soon, and is not asked again.
#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_hangs_under_a_sentinel() {
    let Some((primary, replica, sentinel)) = watched().await else { return };
    let limiter = Arc::new(builder().build(sentinel.store().await).unwrap());
    let load = Load::start(limiter.clone());
    tokio::time::sleep(Duration::from_millis(300)).await;
    primary.signal("-STOP");
    let named = named(&sentinel, &replica).await;
    let since = charged(&replica).await;
    let time = until("a decision of the new primary", async || charged(&replica).await > since).await;
    primary.signal("-CONT");
    until("a replica", async || is_replica(&primary).await).await;
    let before = charged(&replica).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    recovers(&limiter).await;
    assert!(charged(&replica).await > before);
    let outcomes = load.stop().await;
    println!("stopped: the sentinel names the replica after {named:?}, which decides {time:?} later: {outcomes:?}");
    assert!(outcomes.denied > 0);
}

/// The old primary is alive, and becomes a replica: `READONLY`, or a connection that is closed.
#[tokio::test(flavor = "multi_thread")]
async fn a_failover_that_a_sentinel_is_told_to_make() {
    let Some((primary, replica, sentinel)) = watched().await else { return };
    let limiter = Arc::new(builder().build(sentinel.store().await).unwrap());
    let load = Load::start(limiter.clone());
    tokio::time::sleep(Duration::from_millis(300)).await;
    let _: () = execute(&sentinel.server, &format!("SENTINEL FAILOVER {}", PRIMARY)).await;
    let named = named(&sentinel, &replica).await;
    let since = charged(&replica).await;
    let time = until("a decision of the new primary", async || charged(&replica).await > since).await;
    until("a replica", async || is_replica(&primary).await).await;
    let before = charged(&replica).await;
    recovers(&limiter).await;
    assert!(charged(&replica).await > before);
    let outcomes = load.stop().await;
    let twice = outcomes.admitted.saturating_sub(charged(&replica).await);
    println!(
        "told: the sentinel names the replica after {named:?}, which decides {time:?} later: {outcomes:?}; the old primary \
         granted {twice} at most that may be granted once more"
    );
}

/// A server that a sentinel names while it is a replica still is not taken, and neither is a name that none knows.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_primary_is_an_error() {
    let Some((primary, replica, sentinel)) = watched().await else { return };
    let url = sentinel.server.url();
    let unknown = RedisStore::sentinel(&[&url], "another").await.unwrap_err();
    assert!(unknown.to_string().contains("knows no primary \"another\""), "{unknown}");
    let _: () = execute(&primary, &format!("REPLICAOF 127.0.0.1 {}", replica.port())).await;
    let replica = RedisStore::sentinel(&[&url], PRIMARY).await.unwrap_err();
    assert!(replica.to_string().contains("is no primary"), "{replica}");
    for sentinels in [&[][..], &["redis://127.0.0.1:1/"]] {
        println!("{sentinels:?}: {}", RedisStore::sentinel(sentinels, "another").await.unwrap_err());
    }
}
