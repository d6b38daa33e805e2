//! Clients that go away while their requests wait.

use std::sync::Arc;
use std::time::Duration;

use brimful::{MockClock, Quota, RateLimiter};
use brimful_tower::RateLimitLayer;
use brimful_tower::key::Everyone;
use http::HeaderMap;

use super::client::{Client, VERSIONS, Version};
use super::server::{Server, soon, until};

const WAITING: usize = 20;

/// They cost no tokens and no places: the next client that waits is served first.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_costs_nothing() {
    for version in VERSIONS {
        let limiter = Arc::new(RateLimiter::with_clock(Quota::per_minute(1).burst(3), MockClock::new()));
        let layer = RateLimitLayer::builder(limiter.clone(), Everyone).wait_up_to(Duration::from_secs(36_000)).build();
        let server = Server::limited(layer).await;
        let mut client = Client::connect(version, server.address).await;
        for _ in 0..3 {
            assert_eq!(client.status(HeaderMap::new()).await, 200);
        }
        let waiters = || limiter.waiters();
        let mut gone = Vec::new();
        for _ in 0..WAITING {
            let mut waiting = Client::connect(version, server.address).await;
            let response = tokio::spawn(waiting.get(HeaderMap::new()));
            gone.push((waiting, response));
        }
        until("all wait", || waiters() == WAITING).await;
        let last = tokio::spawn(client.get(HeaderMap::new()));
        until("the last one waits", || waiters() == WAITING + 1).await;
        // The connections are closed.
        for (client, response) in gone {
            drop(client);
            assert!(soon(response).await.unwrap().is_err(), "the connection is closed");
        }
        until("only the last one waits", || waiters() == 1).await;
        limiter.clock().advance(Duration::from_secs(60));
        assert_eq!(soon(last).await.unwrap().unwrap().status(), 200, "{version:?}");
        assert_eq!(limiter.available_tokens(), 0.0);
        limiter.clock().advance(Duration::from_secs(180));
        assert_eq!((waiters(), limiter.available_tokens()), (0, 3.0), "the bucket is full: nothing is owed");
    }
}

/// A stream that is reset costs nothing, and the connection goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_reset_costs_nothing() {
    let limiter = Arc::new(RateLimiter::with_clock(Quota::per_minute(1), MockClock::new()));
    let layer = RateLimitLayer::builder(limiter.clone(), Everyone).wait_up_to(Duration::from_secs(36_000)).build();
    let server = Server::limited(layer).await;
    let mut client = Client::connect(Version::Http2, server.address).await;
    assert_eq!(client.status(HeaderMap::new()).await, 200);
    let waiters = || limiter.waiters();
    let streams: Vec<_> = (0..WAITING).map(|_| tokio::spawn(client.get(HeaderMap::new()))).collect();
    until("all wait", || waiters() == WAITING).await;
    let (last, reset) = streams.split_last().unwrap();
    reset.iter().for_each(|stream| stream.abort());
    until("only one waits", || waiters() == 1).await;
    assert!(!last.is_finished());
    limiter.clock().advance(Duration::from_secs(60));
    until("it is served", || last.is_finished()).await;
    limiter.clock().advance(Duration::from_secs(60));
    assert_eq!((waiters(), limiter.available_tokens()), (0, 1.0));
}
