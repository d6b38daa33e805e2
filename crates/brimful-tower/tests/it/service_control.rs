//! The shadow mode, events, and settings that change at run time.

use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use brimful::{CompositeLimiter, ConcurrencyLimit, KeyedRateLimiter, MockClock, Quota};
use brimful_tower::key::{Everyone, HeaderKey};
use brimful_tower::{Event, Handle, RateLimitLayer, RateLimitLayerBuilder, Settlement};
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response};
use http_body_util::Empty;
use tower::{Layer, Service};

use crate::support::{Frames, answers, by_api_key, call, keyed, poll, request, status};

type Keyed = KeyedRateLimiter<HeaderValue, MockClock>;
type Texts = Arc<Mutex<Vec<String>>>;

fn empty(_: &Request<()>) -> Response<Empty<Bytes>> {
    Response::new(Empty::new())
}

/// Writes events as texts.
fn recorded<L>(builder: RateLimitLayerBuilder<HeaderKey, L>) -> (RateLimitLayerBuilder<HeaderKey, L>, Texts) {
    let texts = Texts::default();
    let written = texts.clone();
    let builder = builder.on_event(move |event| {
        written.lock().unwrap().push(match event {
            Event::Refused { head, refusal, .. } => {
                format!("refused {} {} {:?}", head.uri, refusal.status.as_u16(), refusal.violated)
            }
            Event::WouldRefuse { head, refusal, .. } => {
                format!("would refuse {} {} {:?}", head.uri, refusal.status.as_u16(), refusal.retry_after)
            }
            Event::ShareUsed { policy, decision, skipped, .. } => {
                format!("{policy}: {} left, {skipped} skipped", decision.remaining())
            }
            other => format!("{other:?}"),
        });
    });
    (builder, texts)
}

fn taken(texts: &Texts) -> Vec<String> {
    std::mem::take(&mut *texts.lock().unwrap())
}

#[test]
fn the_shadow_mode_counts_and_admits() {
    let limiter: Arc<Keyed> = keyed("1/h");
    let (builder, texts) = recorded(RateLimitLayer::builder(limiter.clone(), by_api_key()));
    let layer = builder.shadow().headers_on_admitted().decision_in_extensions().build();
    let (handle, service) = (
        layer.handle(),
        layer.layer(answers(|request| {
            let allowed = request.extensions().get::<brimful::Decision>().map(brimful::Decision::allowed);
            let mut response = empty(request);
            response.headers_mut().insert("allowed", format!("{allowed:?}").parse().unwrap());
            response
        })),
    );
    let first = call(&service, request("a"));
    assert_eq!((first.headers()["allowed"].as_bytes(), handle.would_refuse()), (&b"Some(true)"[..], 0));
    for n in 1..=3 {
        let response = call(&service, request("a"));
        assert_eq!((response.status().as_u16(), handle.would_refuse()), (200, n));
        assert_eq!(response.headers()["allowed"], "Some(false)");
        assert_eq!(response.headers()["ratelimit"], "\"default\";r=0;t=3600");
        assert_eq!(response.headers().get("retry-after"), None);
    }
    assert_eq!(taken(&texts), ["would refuse / 429 Some(3600s)"; 3]);
    assert_eq!((status(&service, Request::new(())), handle.would_refuse()), (200, 4), "a missing key");
    assert_eq!(taken(&texts), ["would refuse / 400 None"]);
    assert!(handle.is_shadow());
    handle.set_shadow(false);
    assert_eq!((status(&service, request("a")), status(&service, Request::new(()))), (429, 400));
    assert_eq!(taken(&texts), ["refused / 429 [\"default\"]", "refused / 400 []"]);
    limiter.clock().advance(Duration::from_secs(3_600));
    assert_eq!(status(&service, request("a")), 200, "the requests in shadow mode took nothing");
    handle.set_shadow(true);
    assert_eq!((status(&service, request("a")), handle.would_refuse()), (200, 5));
}

/// A request that would have waited is not one that would have been refused.
#[test]
fn no_request_waits_in_shadow_mode() {
    let limiter: Arc<Keyed> = keyed("1/s");
    let layer =
        RateLimitLayer::builder(limiter.clone(), by_api_key()).shadow().wait_up_to(Duration::from_secs(1)).build();
    let (handle, service) = (layer.handle(), layer.layer(answers(empty)));
    assert_eq!([status(&service, request("a")), status(&service, request("a"))], [200, 200]);
    assert_eq!(handle.would_refuse(), 0);
    handle.set_longest_wait(Duration::from_nanos(999_999_999));
    assert_eq!((status(&service, request("a")), handle.would_refuse()), (200, 1));
}

/// As many as would have been refused in the real mode, although no request waits.
#[test]
fn waits_count_in_shadow_mode() {
    let in_mode = |is_shadow: bool| {
        let limiter: Arc<Keyed> = keyed("2/s burst 1");
        let builder = RateLimitLayer::builder(limiter.clone(), by_api_key()).wait_up_to(Duration::from_secs(3));
        let layer = if is_shadow { builder.shadow() } else { builder }.build();
        let service = layer.layer(answers(empty));
        let (mut waiting, mut refused, mut counts) = (Vec::new(), 0, Vec::new());
        for nth in 0..6 {
            for _ in 0..20 {
                let mut call = Box::pin(service.clone().call(request("a")));
                match poll(call.as_mut()) {
                    Poll::Ready(Ok(response)) => refused += u64::from(response.status() == 429),
                    Poll::Pending => waiting.push(call),
                }
            }
            counts.push(if is_shadow { layer.handle().would_refuse() } else { refused });
            limiter.clock().advance(Duration::from_millis(700 * nth));
        }
        // No request waits after the longest wait.
        limiter.clock().advance(Duration::from_secs(3));
        assert_eq!(waiting.is_empty(), is_shadow);
        waiting.retain_mut(|call| poll(call.as_mut()).is_pending());
        assert_eq!((waiting.len(), status(&service, request("a"))), (0, 200));
        counts
    };
    let counts = in_mode(true);
    assert_eq!(counts, in_mode(false));
    assert_eq!((counts[0], counts[1]), (13, 33), "1 is served at once, and 6 wait");
}

/// A queue that is full refuses in either mode.
#[test]
fn a_full_queue_counts_in_shadow_mode() {
    let limiter = KeyedRateLimiter::builder().quota(Quota::per_second(1)).max_waiters(2).clock(MockClock::new());
    let (builder, texts) = recorded(RateLimitLayer::builder(Arc::new(limiter.build().unwrap()), by_api_key()));
    let layer = builder.shadow().wait_up_to(Duration::from_secs(9)).build();
    let service = layer.layer(answers(empty));
    assert!((0..4).all(|_| status(&service, request("a")) == 200));
    assert_eq!((layer.handle().would_refuse(), taken(&texts)), (1, vec!["would refuse / 503 None".to_owned()]));
}

/// The requests that would have waited are not ahead of others when the layer is gone.
#[test]
fn no_place_is_kept_after_the_layer() {
    let limiter: Arc<Keyed> = keyed("1/h burst 1");
    let layer = RateLimitLayer::builder(limiter.clone(), by_api_key()).shadow().wait_up_to(Duration::MAX).build();
    let service = layer.layer(answers(empty));
    assert!((0..9).all(|_| status(&service, request("a")) == 200));
    assert_eq!(limiter.key(&HeaderValue::from_static("a")).waiters(), 8);
    drop((layer, service));
    assert_eq!(limiter.key(&HeaderValue::from_static("a")).waiters(), 0);
}

#[test]
fn permits_in_shadow_mode() {
    let limit = Arc::new(ConcurrencyLimit::with_clock(1, MockClock::new()));
    let layer = RateLimitLayer::builder(limit.clone(), Everyone).shadow().build();
    let (handle, service) = (layer.handle(), layer.layer(answers(|_| Response::new(Frames::new(["ab"])))));
    let responses = [call(&service, request("a")), call(&service, request("a"))];
    assert_eq!(responses.each_ref().map(|response| response.status().as_u16()), [200, 200]);
    assert_eq!((handle.would_refuse(), limit.in_flight()), (1, 1));
}

#[test]
fn the_longest_wait_changes_at_run_time() {
    let limiter: Arc<Keyed> = keyed("1/s");
    let layer = RateLimitLayer::new(limiter.clone(), by_api_key());
    let (handle, service): (Handle, _) = (layer.handle(), layer.layer(answers(empty)));
    assert_eq!([status(&service, request("a")), status(&service, request("a"))], [200, 429]);
    handle.set_longest_wait(Duration::MAX);
    assert_eq!(handle.longest_wait(), Duration::from_nanos(u64::MAX));
    let mut waits = Box::pin(service.clone().call(request("a")));
    assert!(poll(waits.as_mut()).is_pending());
    handle.set_longest_wait(Duration::ZERO);
    assert_eq!(status(&service, request("a")), 429);
    limiter.clock().advance(Duration::from_secs(1));
    assert!(matches!(poll(waits.as_mut()), Poll::Ready(Ok(response)) if response.status() == 200));
}

#[test]
fn exemptions_change_at_run_time() {
    let layer = RateLimitLayer::builder(keyed("1/h"), by_api_key()).exempt_paths(["/a"]).build();
    let (handle, service) = (layer.handle(), layer.layer(answers(empty)));
    assert_eq!(status(&service, request("-")), 200);
    let statuses = || {
        [(Method::GET, "/a"), (Method::GET, "/b"), (Method::OPTIONS, "/c")].map(|(method, uri)| {
            let mut request = request("-");
            *request.uri_mut() = uri.parse().unwrap();
            *request.method_mut() = method;
            status(&service.clone(), request)
        })
    };
    assert_eq!(statuses(), [200, 429, 429]);
    handle.set_exempt([Method::OPTIONS], ["/b"]);
    assert_eq!(statuses(), [429, 200, 200]);
    handle.set_exempt([], []);
    assert_eq!(statuses(), [429, 429, 429]);
}

#[test]
fn a_share_that_is_used_is_reported_once() {
    let limiter: Arc<Keyed> = keyed("10/h");
    let (builder, texts) = recorded(RateLimitLayer::builder(limiter.clone(), by_api_key()));
    let service = builder.share_used(0.75).policy("api").build().layer(answers(empty));
    let texts_of = |requests: usize, key: &str| {
        (0..requests).for_each(|_| drop(call(&service, request(key))));
        taken(&texts)
    };
    assert_eq!(texts_of(7, "a"), [""; 0]);
    assert_eq!(texts_of(1, "a"), ["api: 2 left, 0 skipped"]);
    assert_eq!(texts_of(3, "a"), ["refused / 429 [\"api\"]"], "the last one");
    assert_eq!(texts_of(10, "b"), ["api: 2 left, 0 skipped"], "another key");
    limiter.clock().advance(Duration::from_secs(3 * 360));
    assert_eq!(texts_of(1, "a"), ["api: 2 left, 0 skipped"], "again, when the bucket was above it");
}

/// A request that takes many tokens crosses the share of each limit once.
#[test]
fn the_share_of_each_limit_is_reported() {
    let limiter =
        Arc::new(CompositeLimiter::with_clock("a: 10/s; b: 100/s; c: 1000/s".parse().unwrap(), MockClock::new()));
    let (builder, texts) = recorded(RateLimitLayer::builder(limiter, by_api_key()));
    let service = builder.share_used(0.5).cost(|_| 5.into()).build().layer(answers(empty));
    assert_eq!(status(&service, request("-")), 200);
    assert_eq!(taken(&texts), ["a: 5 left, 0 skipped"]);
    assert_eq!(status(&service, request("-")), 200);
    assert_eq!(taken(&texts), [""; 0]);
    for (share, remaining) in [(0.0, 9), (1.0, 0), (f64::NAN, 9), (7.0, 0)] {
        let (builder, texts) = recorded(RateLimitLayer::builder(keyed("10/h"), by_api_key()));
        let service = builder.share_used(share).build().layer(answers(empty));
        assert!((0..10).all(|_| status(&service, request("-")) == 200));
        assert_eq!(taken(&texts), [format!("default: {remaining} left, 0 skipped")], "{share}");
    }
}

/// What the limit of debt leaves out is not lost without a word, at the head of the response or at the end of its body.
#[test]
fn a_cost_beyond_the_limit_of_debt_is_reported() {
    let uncharged = Arc::new(Mutex::new(Vec::new()));
    for is_late in [false, true] {
        let written = uncharged.clone();
        let layer = RateLimitLayer::builder(keyed::<HeaderValue>("10/h"), by_api_key()).on_event(move |event| {
            let Event::Uncharged { cost, uncharged, .. } = event else { panic!("{event:?}") };
            written.lock().unwrap().push((cost.whole(), uncharged.whole()));
        });
        let layer = layer.settle(move |response| {
            let cost: u32 = response.headers["cost"].to_str().unwrap().parse().unwrap();
            if is_late { Settlement::at_end(move |_| cost.into()) } else { Settlement::now(cost) }
        });
        let service = layer.build().layer(answers(|request| {
            let mut response = Response::new(Frames::new(["ab"]));
            response.headers_mut().insert("cost", request.headers()["x-api-key"].clone());
            response
        }));
        assert_eq!([status(&service, request("20")), status(&service, request("35"))], [200, 200]);
    }
    assert_eq!(*uncharged.lock().unwrap(), [(35, 15), (35, 15)], "ten are there, and ten are the limit of debt");
}

/// A request that is charged by its response has taken nothing yet.
#[test]
fn a_request_that_takes_nothing_uses_no_share() {
    let (builder, texts) = recorded(RateLimitLayer::builder(keyed::<HeaderValue>("4/h"), by_api_key()));
    let layer = builder.share_used(0.5).charge_later().settle(|response| Settlement::now(response.cost)).build();
    let service = layer.layer(answers(empty));
    assert!((0..4).all(|_| status(&service, request("-")) == 200));
    assert_eq!(taken(&texts), [""; 0]);
}

/// However many crossings there are, few of them are reported, and the others are counted.
#[test]
fn the_events_of_shares_are_bounded() {
    let all_skipped = Arc::new(Mutex::new(Vec::new()));
    let written = all_skipped.clone();
    let layer = RateLimitLayer::builder(keyed("1/h"), by_api_key()).share_used(1.0).on_event(move |event| {
        if let Event::ShareUsed { skipped, .. } = event {
            written.lock().unwrap().push(*skipped);
        }
    });
    let service = layer.build().layer(answers(empty));
    let mut requests = 0;
    // Until two events have reported the ones that were left out before them.
    while all_skipped.lock().unwrap().iter().filter(|skipped| **skipped > 0).count() < 2 {
        assert_eq!(status(&service, request(&format!("client {requests}"))), 200);
        requests += 1;
    }
    let all_skipped = all_skipped.lock().unwrap();
    assert_eq!(all_skipped.iter().sum::<u64>() + all_skipped.len() as u64, requests, "each is reported or counted");
}

/// The quota is changed at the limiter, and the handle needs no word for it.
#[test]
fn quotas_change_at_the_limiter() {
    let limiter: Arc<Keyed> = keyed("2/h");
    let service = RateLimitLayer::new(limiter.clone(), by_api_key()).layer(answers(empty));
    limiter.set_quota(Quota::per_hour(1)).expect("a lower one");
    assert_eq!([status(&service, request("a")), status(&service, request("a"))], [200, 429]);
    assert_eq!(call(&service, request("a")).headers()["ratelimit-policy"], "\"default\";q=1;w=3600");
}
