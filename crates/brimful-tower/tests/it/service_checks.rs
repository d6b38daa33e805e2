//! Findings: settings that probably limit less than was meant.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use brimful::{ConcurrencyLimit, KeyedRateLimiter, MockClock, Quota, RateLimiter};
use brimful_tower::address::{ForwardingHeader, TrustedProxies};
use brimful_tower::checks::{Check, Finding};
use brimful_tower::key::{ClientAddress, Everyone, PathKey};
use brimful_tower::{Event, RateLimitLayer, Settlement};
use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::Empty;
use tower::Layer;

use crate::support::{answers, keyed, status};

fn codes(findings: &[Finding]) -> Vec<&'static str> {
    findings.iter().map(|finding| finding.check().code()).collect()
}

fn empty(_: &Request<()>) -> Response<Empty<Bytes>> {
    Response::new(Empty::new())
}

fn limiter() -> Arc<RateLimiter<MockClock>> {
    Arc::new(RateLimiter::with_clock(Quota::per_hour(1_000_000), MockClock::new()))
}

fn from_peer(header: Option<&str>) -> Request<()> {
    let peer: SocketAddr = "10.0.0.2:4711".parse().unwrap();
    let request = Request::builder().extension(peer);
    header.into_iter().fold(request, |request, header| request.header(header, "192.0.2.7")).body(()).unwrap()
}

#[test]
fn a_proxy_that_is_not_trusted_is_found() {
    for header in ["X-Forwarded-For", "forwarded", "x-real-ip"] {
        let events = Arc::new(Mutex::new(Vec::new()));
        let reported = events.clone();
        let layer = RateLimitLayer::builder(limiter(), (PathKey, ClientAddress::new())).on_event(move |event| {
            if let Event::Found { finding, .. } = event {
                reported.lock().unwrap().push(finding.to_string());
            }
        });
        let layer = layer.build();
        let service = layer.layer(answers(empty));
        assert!((0..100).all(|_| status(&service, from_peer(None)) == 200));
        assert_eq!(layer.checks(), []);
        assert!((0..100).all(|_| status(&service, from_peer(Some(header))) == 200));
        assert_eq!(codes(&layer.checks()), ["BT001"]);
        assert_eq!(layer.handle().checks(), layer.checks());
        let events = events.lock().unwrap();
        assert_eq!(events.len(), 1, "it is reported once");
        assert!(events[0].starts_with("BT001: ") && events[0].contains("`ClientAddress::behind`"), "{}", events[0]);
    }
}

/// The proxies have new addresses, or there is a further one.
#[test]
fn a_proxy_that_is_not_among_the_trusted_ones_is_found() {
    let behind = |network: &str| {
        let proxies = TrustedProxies::networks([network.parse().unwrap()]);
        let layer = RateLimitLayer::new(limiter(), (PathKey, ClientAddress::new().behind(proxies)));
        assert_eq!(status(&layer.layer(answers(empty)), from_peer(Some("x-forwarded-for"))), 200);
        codes(&layer.checks())
    };
    assert_eq!([behind("10.0.0.0/30"), behind("10.0.1.0/30")], [vec![], vec!["BT001"]]);
}

/// The proxies are trusted, and write another header than the one that is read.
#[test]
fn a_proxy_that_writes_another_header_is_found() {
    let networks = TrustedProxies::networks(["10.0.0.0/8".parse().unwrap()]);
    for proxies in [networks, TrustedProxies::hops(1)] {
        for (header, value, expected) in [
            ("x-forwarded-for", "192.0.2.7", None),
            ("x-real-ip", "192.0.2.7", Some("BT001")),
            ("forwarded", "for=192.0.2.7", Some("BT001")),
            ("x-forwarded-for", "unknown, nonsense", Some("BT001")),
        ] {
            let layer = RateLimitLayer::new(limiter(), ClientAddress::new().behind(proxies.clone()));
            let mut request = from_peer(None);
            request.headers_mut().insert(header, value.parse().unwrap());
            assert_eq!(status(&layer.layer(answers(empty)), request), 200);
            assert_eq!(codes(&layer.checks()), Vec::from_iter(expected), "{proxies:?} {header}");
        }
    }
    let proxies = TrustedProxies::hops(1).header(ForwardingHeader::Forwarded);
    let layer = RateLimitLayer::new(limiter(), ClientAddress::new().behind(proxies));
    assert_eq!(status(&layer.layer(answers(empty)), from_peer(Some("x-forwarded-for"))), 200);
    assert_eq!(layer.checks()[0].to_string().matches("`TrustedProxies::header`").count(), 1);
}

#[test]
fn a_proxy_is_looked_for_in_the_first_requests_only() {
    let layer = RateLimitLayer::new(limiter(), ClientAddress::new());
    let service = layer.layer(answers(empty));
    assert!((0..1_000).all(|_| status(&service, from_peer(None)) == 200));
    assert_eq!(status(&service, from_peer(Some("forwarded"))), 200);
    assert_eq!(layer.checks(), []);
}

/// Of a key that reads the header, that is said to need none, or that is no address.
#[test]
fn a_key_that_needs_no_proxy_is_no_finding() {
    let of = |key: ClientAddress| {
        let layer = RateLimitLayer::new(limiter(), key);
        assert_eq!(status(&layer.layer(answers(empty)), from_peer(Some("x-forwarded-for"))), 200);
        layer.checks()
    };
    assert_eq!(of(ClientAddress::new().behind(TrustedProxies::hops(1))), []);
    assert_eq!(of(ClientAddress::new().behind(TrustedProxies::none())), []);
    let layer = RateLimitLayer::new(limiter(), Everyone);
    assert_eq!(status(&layer.layer(answers(empty)), from_peer(Some("x-forwarded-for"))), 200);
    assert_eq!(layer.checks(), []);
}

#[test]
fn a_layer_for_each_connection_is_found() {
    let of_connection = || RateLimitLayer::new(limiter(), Everyone);
    let layers: Vec<_> = (0..64).map(|_| of_connection()).collect();
    assert!(layers.iter().all(|layer| layer.checks().is_empty()));
    let findings = of_connection().checks();
    assert_eq!(findings[0].check(), Check::StateNotShared);
    assert!(findings[0].text().starts_with("65 layers were built at "), "{}", findings[0]);
    assert!(findings[0].text().contains("service_checks.rs:"), "{}", findings[0]);
}

/// Also if each layer is dropped before the next one, so that memory is used again.
#[test]
fn a_layer_for_each_request_is_found() {
    let of_request = || RateLimitLayer::builder(keyed::<()>("1/h"), Everyone).build().checks();
    assert_eq!((0..200).map(|_| of_request()).filter(|findings| codes(findings) == ["BT002"]).count(), 1);
    let shared: Arc<KeyedRateLimiter<(), MockClock>> = keyed("1/h");
    let of_shared = || RateLimitLayer::new(shared.clone(), Everyone).checks();
    assert!((0..1_000).all(|_| of_shared().is_empty()), "they share their limiter");
    let (reads, writes): ([Arc<KeyedRateLimiter<(), MockClock>>; 2], _) = ([keyed("1/h"), keyed("2/h")], keyed("3/h"));
    let in_turn = reads.iter().chain([&writes]).cycle().take(1_000);
    let of_several =
        |limiter: &Arc<KeyedRateLimiter<(), MockClock>>| RateLimitLayer::new(limiter.clone(), Everyone).checks();
    assert!(in_turn.map(of_several).all(|findings| findings.is_empty()), "they share three limiters");
}

#[test]
fn exemptions_of_all_requests_are_found() {
    let of_paths =
        |path: &str| codes(&RateLimitLayer::builder(limiter(), Everyone).exempt_paths([path]).build().checks());
    assert_eq!(
        [of_paths("*"), of_paths("/*"), of_paths("/a*"), of_paths("/")],
        [vec!["BT003"], vec!["BT003"], vec![], vec![]]
    );
    let mut methods = vec![Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
    let of_methods = |methods: &[Method]| {
        codes(&RateLimitLayer::builder(limiter(), Everyone).exempt_methods(methods.to_vec()).build().checks())
    };
    assert_eq!(of_methods(&methods), ["BT003"]);
    methods.remove(2);
    assert_eq!(of_methods(&methods), [""; 0]);
    let layer = RateLimitLayer::new(limiter(), Everyone);
    layer.handle().set_exempt([], ["/*"]);
    assert_eq!(codes(&layer.checks()), ["BT003"], "of the current settings");
}

#[test]
fn a_wait_that_the_server_does_not_await_is_found() {
    let of = |wait: u64, timeout: Option<u64>| {
        let mut builder = RateLimitLayer::builder(limiter(), Everyone).wait_up_to(Duration::from_secs(wait));
        if let Some(timeout) = timeout {
            builder = builder.server_timeout(Duration::from_secs(timeout));
        }
        builder.build().checks()
    };
    assert_eq!([of(30, None), of(29, Some(30))], [vec![], vec![]]);
    assert_eq!(
        of(30, Some(30))[0].to_string(),
        "BT004: a request can wait for 30s, and the server's timeout is 30s: give `wait_up_to` less than that"
    );
}

/// A change by the handle reports what it has brought, once.
#[test]
fn findings_after_a_change_are_reported() {
    let reported = Arc::new(Mutex::new(Vec::new()));
    let events = reported.clone();
    let layer = RateLimitLayer::builder(limiter(), Everyone)
        .server_timeout(Duration::from_secs(30))
        .on_event(move |event| {
            if let Event::Found { finding, .. } = event {
                events.lock().unwrap().push(finding.check().code());
            }
        })
        .build();
    let (handle, taken) = (layer.handle(), || std::mem::take(&mut *reported.lock().unwrap()));
    handle.set_longest_wait(Duration::from_secs(29));
    handle.set_exempt([], ["/a"]);
    assert_eq!(taken(), [""; 0]);
    handle.set_longest_wait(Duration::from_secs(30));
    handle.set_longest_wait(Duration::from_secs(30));
    assert_eq!(taken(), ["BT004"]);
    handle.set_exempt([], ["*"]);
    handle.set_exempt([], ["/*"]);
    assert_eq!(taken(), ["BT003"]);
    handle.set_exempt([], []);
    handle.set_exempt([], ["*"]);
    assert_eq!(taken(), ["BT003"], "it had gone");
}

/// A permit has no numbers.
#[test]
fn settings_without_an_effect_on_permits_are_found() {
    let limit = Arc::new(ConcurrencyLimit::with_clock(1, MockClock::new()));
    let builder = || RateLimitLayer::builder(limit.clone(), Everyone).on_event(|_| {});
    assert_eq!(builder().build().checks(), []);
    for (builder, name) in [
        (builder().share_used(0.5), "`share_used`"),
        (builder().headers_on_admitted(), "`headers_on_admitted`"),
        (builder().x_rate_limit(), "`x_rate_limit`"),
    ] {
        let findings = builder.build().checks();
        assert_eq!(codes(&findings), ["BT005"], "{name}");
        assert!(findings[0].text().contains(name), "{}", findings[0]);
    }
    let rate = RateLimitLayer::builder(limiter(), Everyone).on_event(|_| {});
    assert_eq!(rate.share_used(0.5).headers_on_admitted().x_rate_limit().build().checks(), []);
}

#[test]
fn settings_without_an_effect_are_found() {
    let builder = || RateLimitLayer::builder(limiter(), Everyone);
    let settle = |_: &brimful_tower::ResponseHead<'_>| Settlement::now(1);
    assert_eq!(codes(&builder().charge_later().build().checks()), ["BT005"]);
    assert_eq!(codes(&builder().charge_later().settle(settle).build().checks()), [""; 0]);
    assert_eq!(codes(&builder().share_used(0.5).build().checks()), ["BT005"]);
    let events = Arc::new(Mutex::new(Vec::new()));
    let reported = events.clone();
    let limit = Arc::new(ConcurrencyLimit::with_clock(1, MockClock::new()));
    let builder = RateLimitLayer::builder(limit, Everyone).settle(settle).exempt_paths(["*"]);
    let layer = builder.on_event(move |event| reported.lock().unwrap().push(format!("{event:?}"))).build();
    assert_eq!(codes(&layer.checks()), ["BT003", "BT005"]);
    let events = events.lock().unwrap();
    assert_eq!(events.len(), 2, "they are reported when the layer is built: {events:?}");
}
