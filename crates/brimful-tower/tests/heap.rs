//! The memory that a request takes from the allocator. A separate binary, because the counter replaces the allocator of
//! the whole binary.

use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use allocation_counter::measure;
use brimful::{ConcurrencyLimit, KeyedRateLimiter, MockClock, Quota};
use brimful_tower::key::{ClientAddress, KeyFn, MissingKey, RequestHead};
use brimful_tower::{
    AnswerForm, Classes, Limiter, RateLimit, RateLimitLayer, RateLimitLayerBuilder, ResponseHead, Settlement,
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::Body;
use http_body_util::{Empty, Full};
use tower::{Layer, Service, service_fn};

type ByAddress = KeyedRateLimiter<IpAddr, MockClock>;

fn serve(_: Request<()>) -> Ready<Result<Response<Empty<Bytes>>, Infallible>> {
    ready(Ok(Response::new(Empty::new())))
}

fn status<S>(service: &mut RateLimit<S, ClientAddress, ByAddress>, request: Request<()>) -> u16
where
    S: Service<Request<()>, Response = Response<Empty<Bytes>>, Error = Infallible> + Clone,
{
    let Poll::Ready(Ok(response)) = pin!(service.call(request)).poll(&mut Context::from_waker(Waker::noop())) else {
        panic!("the request waits");
    };
    response.status().as_u16()
}

#[test]
fn an_admitted_request_allocates_nothing() {
    let limiter = Arc::new(KeyedRateLimiter::with_clock(Quota::per_hour(2), MockClock::new()));
    let mut service = RateLimitLayer::new(limiter, ClientAddress::new()).layer(service_fn(serve));
    let request = || {
        let peer: SocketAddr = "192.0.2.7:4711".parse().expect("an address");
        Request::builder().extension(peer).body(()).expect("a request")
    };
    // The first request of a key may make the table grow.
    assert_eq!(status(&mut service, request()), 200);
    let second = request();
    let heap = measure(|| assert_eq!(status(&mut service, second), 200));
    // The extensions of the request are freed, and nothing is allocated.
    assert_eq!((heap.count_total, heap.bytes_total), (0, 0));
}

/// Each request after the first one, whose key may make the table grow, allocates nothing: settled by the head or by the end
/// of its response, by class, with a permit, or with a share that is looked for.
#[test]
fn further_settings_allocate_nothing() {
    fn measured<L>(builder: RateLimitLayerBuilder<Key, L>) -> u64
    where
        L: Limiter<(bool, IpAddr)>,
    {
        let mut service = builder.build().layer(service_fn(serve_text));
        let mut call = || {
            let peer: SocketAddr = "192.0.2.7:4711".parse().expect("an address");
            let request = Request::builder().extension(peer).body(()).expect("a request");
            measure(|| {
                let mut response = pin!(service.call(request));
                let context = &mut Context::from_waker(Waker::noop());
                let Poll::Ready(Ok(response)) = response.as_mut().poll(context) else { panic!("the request waits") };
                assert_eq!(response.status(), 200);
                // The body is read to its end.
                let mut body = pin!(response.into_body());
                while let Poll::Ready(Some(frame)) = body.as_mut().poll_frame(context) {
                    assert_eq!(frame.expect("a frame").into_data().expect("data").len(), 4);
                }
            })
        };
        let _ = call();
        call().count_total
    }
    let rate = || Arc::new(KeyedRateLimiter::with_clock(Quota::per_hour(10), MockClock::new()));
    let layer = || RateLimitLayer::builder(rate(), (KeyFn(IS_PRO), ClientAddress::new()));
    assert_eq!(measured(layer().settle(|response| Settlement::now(response.cost))), 0);
    assert_eq!(measured(layer().settle(|_| Settlement::at_end(|end| end.cost)).charge_later()), 0);
    // A function that captures a value is stored in an allocation.
    let captures = |response: &ResponseHead<'_>| {
        let cost = response.cost;
        Settlement::at_end(move |_| cost)
    };
    assert_eq!(measured(layer().settle(captures)), 1);
    assert_eq!(
        measured(layer().share_used(0.5).on_event(|event| panic!("{event:?}")).server_timeout(Duration::MAX)),
        0
    );
    let keyed = || Arc::new(KeyedRateLimiter::<IpAddr, _>::with_clock(Quota::per_hour(10), MockClock::new()));
    let classes = Arc::new(Classes::new(false, "free", keyed()).and(true, "pro", keyed()));
    assert_eq!(measured(RateLimitLayer::builder(classes, (KeyFn(IS_PRO), ClientAddress::new()))), 0);
    let permits = Arc::new(ConcurrencyLimit::with_clock(1, MockClock::new()));
    assert_eq!(measured(RateLimitLayer::builder(permits, (KeyFn(IS_PRO), ClientAddress::new()))), 0);
}

type Key = (KeyFn<fn(&RequestHead<'_>) -> Result<bool, MissingKey>>, ClientAddress);

const IS_PRO: fn(&RequestHead<'_>) -> Result<bool, MissingKey> = |head| Ok(head.method == http::Method::GET);

fn serve_text(_: Request<()>) -> Ready<Result<Response<Full<Bytes>>, Infallible>> {
    ready(Ok(Response::new(Full::new(Bytes::from_static(b"text")))))
}

/// The values of all headers take one allocation, and the problem details two. The map of the answer is that of the request,
/// which a server gives at least `Host`; a new one would take two, however few headers it has.
#[test]
fn a_refused_request_takes_one_allocation() {
    let request = |headers: &[&'static str]| {
        let peer: SocketAddr = "192.0.2.7:4711".parse().expect("an address");
        let mut request = Request::builder().extension(peer).body(()).expect("a request");
        for name in headers {
            request.headers_mut().append(*name, HeaderValue::from_static("of the client"));
        }
        request
    };
    let limiter = Arc::new(KeyedRateLimiter::with_clock(Quota::per_hour(1), MockClock::new()));
    let builder = || RateLimitLayer::builder(limiter.clone(), ClientAddress::new());
    let few = ["ratelimit", "ratelimit-policy", "retry-after"];
    let more = [
        "ratelimit",
        "ratelimit-policy",
        "retry-after",
        "x-ratelimit-limit",
        "x-ratelimit-remaining",
        "x-ratelimit-reset",
    ];
    let problem = ["content-type", "ratelimit", "ratelimit-policy", "retry-after"];
    for (builder, allocations, names) in [
        (builder().answer(AnswerForm::HeadersOnly), 1, &few[..]),
        (builder().answer(AnswerForm::HeadersOnly).x_rate_limit(), 1, &more),
        (builder().answer(AnswerForm::HeadersOnly).ietf(None), 1, &["retry-after"]),
        (builder(), 3, &problem),
    ] {
        let mut service = builder.build().layer(service_fn(serve));
        let _ = status(&mut service, request(&[]));
        for (headers, for_the_map) in
            [(&["host"][..], 0), (&["host", "cookie", "cookie", "cookie", "retry-after", "content-type"], 0), (&[], 2)]
        {
            let (refused, mut found) = (request(headers), None);
            let heap = measure(|| {
                let mut response = pin!(service.call(refused));
                let Poll::Ready(Ok(response)) = response.as_mut().poll(&mut Context::from_waker(Waker::noop())) else {
                    panic!("the request waits");
                };
                found = Some(response);
            });
            let found = found.expect("a response");
            assert_eq!(found.status(), 429);
            assert_eq!(heap.count_total, allocations + for_the_map, "{headers:?}");
            // Nothing of the client is sent back.
            let mut sent: Vec<_> = found.headers().keys().map(|name| name.as_str()).collect();
            sent.sort_unstable();
            assert_eq!(sent, names);
            assert!(found.headers().values().all(|value| value != "of the client"));
        }
    }
    let one = measure(|| drop(std::hint::black_box(HeaderMap::<HeaderValue>::with_capacity(1))));
    assert_eq!(one.count_total, 2, "the map of `http` has changed");
}

/// However many hops a client sends, they are read in place.
#[test]
fn the_hops_of_a_client_are_read_in_place() {
    use brimful_tower::address::TrustedProxies;

    let mut headers = HeaderMap::new();
    let hops = HeaderValue::from_str(&["10.0.0.1"; 5_000].join(", ")).expect("a value");
    headers.insert("x-forwarded-for", hops);
    let proxies = TrustedProxies::networks(["10.0.0.0/8".parse().expect("a network")]);
    let peer = "10.0.0.2".parse().expect("an address");
    let heap = measure(|| assert_eq!(proxies.client(peer, &headers).to_string().len(), 8));
    // The text of the result.
    assert!(heap.count_total <= 2, "{} allocations", heap.count_total);
}

/// The state of a request whose decision is on its way is in a box, and a limiter in this process has none: so the future
/// is as large as without such limiters.
#[test]
#[cfg(target_pointer_width = "64")]
fn the_future_of_a_request_has_no_place_for_a_decision() {
    let limiter = Arc::new(KeyedRateLimiter::<IpAddr, _>::with_clock(Quota::per_hour(2), MockClock::new()));
    let mut service = RateLimitLayer::new(limiter, ClientAddress::new()).layer(service_fn(serve));
    let peer: SocketAddr = "192.0.2.7:4711".parse().expect("an address");
    let request = Request::builder().extension(peer).body(()).expect("a request");
    let future = service.call(request);
    assert!(size_of_val(&future) <= 280, "{} bytes", size_of_val(&future));
}
