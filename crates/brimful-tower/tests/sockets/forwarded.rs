//! Forwarding headers that a client makes up.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use brimful::{KeyedRateLimiter, MockClock, Quota};
use brimful_tower::RateLimitLayer;
use brimful_tower::address::{ForwardingHeader, TrustedProxies};
use http::HeaderMap;

use super::client::{Client, VERSIONS, Version, header};
use super::server::{Server, by_address};

const REQUESTS: u32 = 10_000;
const BURST: u32 = 7;

/// The claims of a client, and what a proxy makes of them.
struct Spoof {
    proxies: TrustedProxies,
    name: &'static str,
    claim: fn(u32) -> String,
}

/// An address for each number, of IPv4 or of IPv6.
fn claimed(n: u32) -> IpAddr {
    if n.is_multiple_of(2) {
        Ipv4Addr::from_bits(0x0100_0000 + n * 65_537).into()
    } else {
        Ipv6Addr::from_bits((0x2001_0db8 << 96) | (u128::from(n) << 64) | 1).into()
    }
}

/// Sends requests of one client, each with another claim. Only the burst is admitted.
async fn is_one_client(version: Version, spoof: Spoof) {
    let limiter = Arc::new(KeyedRateLimiter::with_clock(Quota::per_hour(1).burst(BURST), MockClock::new()));
    let server = Server::limited(RateLimitLayer::new(limiter.clone(), by_address().behind(spoof.proxies))).await;
    let mut client = Client::connect(version, server.address).await;
    let mut admitted = 0;
    for n in 0..REQUESTS {
        let headers = header(spoof.name, (spoof.claim)(n).as_bytes());
        match client.status(headers).await {
            200 => admitted += 1,
            status => assert_eq!(status, 429),
        }
    }
    assert_eq!((admitted, limiter.len()), (BURST, 1), "{version:?} {}", spoof.name);
}

/// The server is reached directly: what clients claim is not read.
#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_spoofed_headers_are_one_client() {
    for version in VERSIONS {
        let claim = |n| claimed(n).to_string();
        is_one_client(version, Spoof { proxies: TrustedProxies::none(), name: "x-forwarded-for", claim }).await;
    }
}

/// The test is the proxy, and adds the true address to the claim.
#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_spoofed_headers_through_a_proxy_are_one_client() {
    let loopback = || TrustedProxies::networks(["127.0.0.0/8".parse().unwrap()]);
    for version in VERSIONS {
        let claim = |n| format!("{}, 203.0.113.9", claimed(n));
        is_one_client(version, Spoof { proxies: loopback(), name: "x-forwarded-for", claim }).await;
    }
    let claim = |n| format!("for=\"[{}]\";by=\"\\\", for=203.0.113.9:{}", claimed(n), n % 65_536);
    let proxies = TrustedProxies::hops(1).header(ForwardingHeader::Forwarded);
    is_one_client(Version::Http1, Spoof { proxies, name: "forwarded", claim }).await;
}

/// Behind a proxy, clients have buckets of their own.
#[tokio::test(flavor = "multi_thread")]
async fn clients_behind_a_proxy_are_told_apart() {
    let limiter = Arc::new(KeyedRateLimiter::with_clock(Quota::per_hour(1), MockClock::new()));
    let key = by_address().behind(TrustedProxies::hops(1));
    let server = Server::limited(RateLimitLayer::new(limiter.clone(), key)).await;
    for version in VERSIONS {
        let mut client = Client::connect(version, server.address).await;
        for n in 0..1_000 {
            let n = n + if version == Version::Http1 { 0 } else { 1_000 };
            let headers = || header("x-forwarded-for", claimed(n).to_string().as_bytes());
            assert_eq!([client.status(headers()).await, client.status(headers()).await], [200, 429], "{n}");
        }
    }
    let mut client = Client::connect(Version::Http1, server.address).await;
    assert_eq!(client.status(HeaderMap::new()).await, 200, "the proxy itself");
    assert_eq!(limiter.len(), 2_001);
}
