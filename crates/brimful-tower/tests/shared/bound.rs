//! Two servers of axum on one Redis hold one bound.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use brimful::Quota;
use brimful_redis::RedisRateLimiter;
use brimful_tower::{Limiter, RateLimitLayer};
use http::HeaderMap;
use tokio::task::JoinSet;

use crate::http_client::{Client, Version};
use crate::http_server::{Server as HttpServer, by_address, soon};
use crate::server::{Server, server};
use crate::support::{bound, time};

const QUOTA: Quota = Quota::per_second(200).burst(50);
const CLIENTS: u64 = 8;
const REQUESTS: u64 = 100;

/// Sends the requests of eight clients to two servers with these limiters. Returns those that were admitted, and the time
/// on Redis's clock.
async fn load<L: Limiter<IpAddr>>(redis: &Server, limiters: [Arc<L>; 2]) -> (u64, u64) {
    let layers = limiters.map(|limiter| RateLimitLayer::new(limiter, by_address()));
    let begun = time(redis).await;
    let [one, other] = layers;
    let servers = [HttpServer::limited(one).await, HttpServer::limited(other).await];
    let mut tasks = JoinSet::new();
    for client in 0..CLIENTS {
        let address = servers[(client % 2) as usize].address;
        tasks.spawn(async move {
            let mut client = Client::connect(Version::Http1, address).await;
            let mut admitted = 0;
            for _ in 0..REQUESTS {
                let status = client.status(HeaderMap::new()).await;
                assert!(matches!(status, 200 | 429), "{status}");
                admitted += u64::from(status == 200);
            }
            admitted
        });
    }
    let admitted = soon(tasks.join_all()).await.iter().sum();
    (admitted, time(redis).await - begun)
}

#[tokio::test(flavor = "multi_thread")]
async fn two_servers_hold_one_bound() {
    let server = server!();
    let mut limiters = Vec::new();
    for _ in 0..2 {
        let builder = RedisRateLimiter::<IpAddr>::builder(QUOTA).deadline(Duration::from_secs(20));
        limiters.push(Arc::new(builder.build(server.store().await).unwrap()));
    }
    let [one, other] = <[_; 2]>::try_from(limiters).unwrap();
    let (admitted, micros) = load(&server, [one.clone(), other.clone()]).await;
    let most = bound(&QUOTA, micros);
    let trips = one.stats().requests + other.stats().requests;
    println!("{admitted} of {} admitted in {micros} us, bound {most}, {trips} trips", CLIENTS * REQUESTS);
    assert!(admitted >= 50 && admitted <= most, "{admitted} in {micros} us");
    assert_eq!(trips, CLIENTS * REQUESTS);
}

/// The bound of leases has a batch for each process.
#[tokio::test(flavor = "multi_thread")]
async fn two_servers_with_leases_hold_one_bound() {
    const BATCH: u32 = 10;
    let server = server!();
    let mut limiters = Vec::new();
    for _ in 0..2 {
        let builder = RedisRateLimiter::<IpAddr>::builder(QUOTA).deadline(Duration::from_secs(20)).leased();
        limiters.push(Arc::new(builder.max_batch(BATCH).build(server.store().await).unwrap()));
    }
    let [one, other] = <[_; 2]>::try_from(limiters).unwrap();
    let (admitted, micros) = load(&server, [one.clone(), other.clone()]).await;
    let most = bound(&QUOTA, micros) + 2 * u64::from(BATCH);
    let trips = one.stats().requests + other.stats().requests;
    println!("{admitted} of {} admitted in {micros} us, bound {most}, {trips} trips", CLIENTS * REQUESTS);
    assert!(admitted >= 50 - 2 * u64::from(BATCH) && admitted <= most, "{admitted} in {micros} us");
    assert!(trips < CLIENTS * REQUESTS, "{trips}");
}
