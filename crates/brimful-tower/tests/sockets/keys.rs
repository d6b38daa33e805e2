//! Random bytes in the headers from which keys are made.

use std::collections::HashSet;
use std::sync::Arc;

use brimful::{KeyedRateLimiter, MockClock, Quota};
use brimful_tower::RateLimitLayer;
use brimful_tower::address::{ForwardingHeader, TrustedProxies};
use brimful_tower::key::HeaderKey;
use http::{HeaderName, HeaderValue};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::client::{Client, VERSIONS, header};
use super::raw::Raw;
use super::server::{Server, by_address};

const LINES: u32 = 10_000;

/// Any bytes but those that end a line.
fn any_line() -> impl Strategy<Value = Vec<u8>> {
    let any = any::<u8>().prop_filter("no end of a line", |byte| !b"\r\n".contains(byte));
    let marks = prop::sample::select(b"\",;=\\[]:. for=10_".to_vec());
    prop::collection::vec(prop_oneof![1 => any, 4 => marks], 0..60)
}

fn with_name(name: &str, line: &[u8]) -> Vec<u8> {
    [name.as_bytes(), b": ", line].concat()
}

/// A header of any bytes has a response: of the service, 429, or 400 by the server of HTTP itself if the bytes are no
/// header. All requests are those of one client.
#[tokio::test(flavor = "multi_thread")]
async fn random_forwarding_headers_are_one_client() {
    for (header, name, hop) in [
        (ForwardingHeader::XForwardedFor, "x-forwarded-for", "203.0.113.9"),
        (ForwardingHeader::Forwarded, "forwarded", "for=203.0.113.9"),
    ] {
        let limiter = Arc::new(KeyedRateLimiter::with_clock(Quota::per_hour(5), MockClock::new()));
        let proxies = TrustedProxies::networks(["127.0.0.0/8".parse().unwrap()]).header(header);
        let server = Server::limited(RateLimitLayer::new(limiter.clone(), by_address().behind(proxies))).await;
        let (mut random, strategy) = (TestRunner::deterministic(), prop::collection::vec(any_line(), 0..3));
        let mut connection = Raw::connect(server.address).await;
        let (mut admitted, mut malformed) = (0, 0);
        for _ in 0..LINES {
            let claims = strategy.new_tree(&mut random).unwrap().current();
            // The proxy adds a line of its own.
            let lines = claims.iter().map(|line| with_name(name, line)).chain([with_name(name, hop.as_bytes())]);
            let (status, is_open) = connection.status(&lines.collect::<Vec<_>>()).await;
            match status {
                200 => admitted += 1,
                400 => malformed += 1,
                status => assert_eq!(status, 429, "{claims:?}"),
            }
            if !is_open {
                connection = Raw::connect(server.address).await;
            }
        }
        assert_eq!((admitted, limiter.len()), (5, 1), "{name}");
        assert!((1..LINES).contains(&malformed), "{malformed} malformed headers of {LINES}");
    }
}

/// Each value of a key is a key of its own, whatever its bytes are.
#[tokio::test(flavor = "multi_thread")]
async fn random_values_are_keys_of_their_own() {
    let value = prop::collection::vec(prop_oneof![Just(b'\t'), 0x20..0x7fu8, 0x80..=0xffu8], 0..40)
        .prop_map(|bytes| [b"k", &bytes[..], b"."].concat());
    for version in VERSIONS {
        let limiter = Arc::new(KeyedRateLimiter::<HeaderValue, _>::with_clock(Quota::per_hour(1), MockClock::new()));
        let key = HeaderKey::new(HeaderName::from_static("x-api-key"));
        let server = Server::limited(RateLimitLayer::new(limiter.clone(), key)).await;
        let mut client = Client::connect(version, server.address).await;
        let (mut random, mut seen) = (TestRunner::deterministic(), HashSet::new());
        for _ in 0..2_000 {
            let value = value.new_tree(&mut random).unwrap().current();
            let expected = if seen.insert(value.clone()) { 200 } else { 429 };
            assert_eq!(client.status(header("x-api-key", &value)).await, expected, "{value:?}");
            assert_eq!(client.status(header("x-api-key", &value)).await, 429, "{value:?}");
        }
        assert_eq!(limiter.len(), seen.len());
    }
}
