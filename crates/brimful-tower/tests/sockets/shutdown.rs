//! A graceful shutdown while requests wait.

use std::sync::Arc;
use std::time::Duration;

use brimful::{MockClock, Quota, RateLimiter};
use brimful_tower::RateLimitLayer;
use brimful_tower::key::Everyone;
use http::HeaderMap;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::client::{Client, VERSIONS, Version};
use super::server::{Server, soon, until};

const WAITING: usize = 10;

struct Waiting {
    limiter: Arc<RateLimiter<MockClock>>,
    server: Server,
    /// Each on a connection of its own, in order of arrival.
    requests: Vec<(Client, JoinHandle<u16>)>,
}

/// Starts a server with requests that wait for a token a minute, and begins its shutdown.
async fn waiting(version: Version) -> Waiting {
    let limiter = Arc::new(RateLimiter::with_clock(Quota::per_minute(1), MockClock::new()));
    let layer = RateLimitLayer::builder(limiter.clone(), Everyone).wait_up_to(Duration::from_secs(36_000)).build();
    let mut server = Server::limited(layer).await;
    assert_eq!(Client::connect(version, server.address).await.status(HeaderMap::new()).await, 200);
    let mut requests = Vec::new();
    for waiting in 1..=WAITING {
        let mut client = Client::connect(version, server.address).await;
        let response = client.get(HeaderMap::new());
        let status = tokio::spawn(async { response.await.expect("a response").status().as_u16() });
        requests.push((client, status));
        until("it waits", || limiter.waiters() == waiting).await;
    }
    server.begin_shutdown();
    let address = server.address;
    let refused = async {
        while TcpStream::connect(address).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    soon(refused).await;
    Waiting { limiter, server, requests }
}

async fn statuses(requests: Vec<(Client, JoinHandle<u16>)>) -> Vec<u16> {
    let mut statuses = Vec::new();
    for (_client, status) in requests {
        statuses.push(soon(status).await.expect("a status"));
    }
    statuses
}

/// The server ends when the last one is served.
#[tokio::test(flavor = "multi_thread")]
async fn waiting_requests_are_served_before_the_server_ends() {
    for version in VERSIONS {
        let Waiting { limiter, mut server, requests } = waiting(version).await;
        limiter.clock().advance(Duration::from_secs(60 * WAITING as u64));
        assert_eq!(statuses(requests).await, [200; WAITING], "{version:?}");
        server.ended().await;
    }
}

/// A program that does not want to wait closes the limiter.
#[tokio::test(flavor = "multi_thread")]
async fn a_limiter_that_is_closed_refuses_waiting_requests() {
    for version in VERSIONS {
        let Waiting { limiter, mut server, requests } = waiting(version).await;
        limiter.clock().advance(Duration::from_secs(120));
        limiter.close();
        let statuses = statuses(requests).await;
        assert_eq!(statuses[..2], [200; 2], "{version:?}");
        assert_eq!(statuses[2..], [503; WAITING - 2], "{version:?}");
        server.ended().await;
        assert_eq!(limiter.waiters(), 0);
    }
}
