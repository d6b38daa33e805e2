//! The bound of a bucket: never more than a burst and what is earned in the time.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use brimful::{Clock, KeyedRateLimiter, Quota};
use brimful_tower::RateLimitLayer;
use http::HeaderMap;
use tokio::task::JoinSet;

use super::client::{Client, Version};
use super::server::{Server, by_address, soon};

const BURST: u32 = 50;
const RATE: u32 = 10;

/// The clients. Each has an address of its own, if the whole loopback network is the machine's.
const CLIENTS: u8 = if cfg!(target_os = "linux") { 40 } else { 1 };

/// Each client opens `connections`, and sends `requests` on each: on HTTP/2 all at once, on HTTP/1.1 one by one.
async fn load(version: Version, connections: u32, requests: u32) {
    // A connection has two ends here.
    let _ = rlimit::increase_nofile_limit(u64::from(connections) * u64::from(CLIENTS) * 2 + 500);
    let limiter =
        Arc::new(KeyedRateLimiter::builder().quota(Quota::per_second(RATE).burst(BURST)).stats().build().unwrap());
    let layer = RateLimitLayer::new(limiter.clone(), by_address());
    let mut server = Server::start(Router::new().route("/", get(async || "hello")).layer(layer)).await;
    let address = server.address;
    let begun = limiter.clock().now();
    let mut tasks = JoinSet::new();
    let sources = (1..=CLIENTS).map(|n| IpAddr::from(Ipv4Addr::new(127, 0, 0, n)));
    for (client, source) in sources.enumerate() {
        for _ in 0..connections {
            tasks.spawn(async move {
                let mut connection = Client::connect_from(source, version, address).await;
                let mut admitted = 0;
                match version {
                    Version::Http1 => {
                        for _ in 0..requests {
                            admitted += u64::from(is_admitted(connection.status(HeaderMap::new()).await));
                        }
                    }
                    Version::Http2 => {
                        let streams: Vec<_> = (0..requests).map(|_| connection.get(HeaderMap::new())).collect();
                        for response in streams {
                            admitted += u64::from(is_admitted(response.await.unwrap().status().as_u16()));
                        }
                    }
                }
                // The connection stays open, so that all are open at once.
                (client, admitted, connection)
            });
        }
    }
    let finished = soon(tasks.join_all()).await;
    let nanos = limiter.clock().now() - begun;
    let mut of_clients = vec![0; CLIENTS.into()];
    finished.iter().for_each(|(client, admitted, _)| of_clients[*client] += admitted);
    for admitted in &of_clients {
        assert!(*admitted >= u64::from(BURST), "{admitted} of {version:?}: the bucket was full at the beginning");
        let earned = u128::from(admitted - u64::from(BURST)) * 1_000_000_000;
        assert!(earned <= u128::from(RATE) * u128::from(nanos), "{admitted} of {version:?} in {nanos} ns");
    }
    let stats = limiter.stats().unwrap();
    let sent = u64::from(connections) * u64::from(requests) * u64::from(CLIENTS);
    let admitted: u64 = of_clients.iter().sum();
    assert_eq!((stats.admitted, stats.denied()), (admitted, sent - admitted));
    drop(finished);
    server.begin_shutdown();
    server.ended().await;
}

fn is_admitted(status: u16) -> bool {
    assert!(matches!(status, 200 | 429), "{status}");
    status == 200
}

/// 2 000 connections.
#[tokio::test(flavor = "multi_thread")]
async fn http1_never_gets_more_than_the_bound() {
    load(Version::Http1, 50, 10).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn http2_never_gets_more_than_the_bound() {
    load(Version::Http2, 5, 100).await;
}
