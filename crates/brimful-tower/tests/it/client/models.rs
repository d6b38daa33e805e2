//! Turns by the limits of LLM APIs.

use std::rc::Rc;
use std::sync::Arc;

use brimful::model::{Dimension, ModelLimiter, ModelQuota, ServerHints, Usage};
use brimful::{MockClock, Quota, RateLimiter, Tokens};
use brimful_tower::client::{ModelCall, Models, Retries, ThrottleError, ThrottleLayer, ThrottleLayerBuilder};
use http::{HeaderMap, Request, StatusCode};
use tower::{Layer, Service, ServiceExt};

use super::world::{Server, World, millis, request};

type Limiter = ModelLimiter<MockClock>;
type Estimate = fn(&Request<String>) -> (&'static str, Usage);

fn limiter(clock: &MockClock, quota: ModelQuota) -> Arc<Limiter> {
    Arc::new(ModelLimiter::builder().model("large", quota).clock(clock.clone()).build().unwrap())
}

/// The body is the usage of a call: the estimate of it is exact.
fn usage(body: &str) -> Usage {
    let (input, output) = body.split_once(' ').unwrap();
    Usage { input: input.parse().unwrap(), output: output.parse().unwrap() }
}

fn builder(limiter: &Arc<Limiter>) -> ThrottleLayerBuilder<Models<Estimate, MockClock>> {
    let estimate: Estimate = |request| ("large", usage(request.body()));
    ThrottleLayer::of_models(limiter.clone(), estimate).jitter(0).wait_up_to(millis(3_600_000))
}

fn used(limiter: &Limiter, dimension: Dimension) -> u64 {
    limiter.stats_of("large").unwrap().dimension(dimension).unwrap().used
}

/// A server that counts requests and tokens in buckets as large as the client's.
fn server(clock: &MockClock, rpm: u32, tpm: u32) -> Rc<Server> {
    let bucket = |per_minute| RateLimiter::with_clock(Quota::per_minute(per_minute), clock.clone());
    let (requests, tokens) = (bucket(rpm), bucket(tpm));
    Server::new(clock, move |request| {
        let n = Tokens::try_from(usage(request.body()).total()).unwrap();
        let wait = requests.time_until(1).max(tokens.time_until(n)).unwrap();
        if wait.is_zero() {
            assert!(requests.allow() && tokens.try_acquire_n(n).is_ok());
            let left = |bucket: &RateLimiter<MockClock>| (bucket.available_tokens() as u64).to_string();
            let headers = vec![
                ("x-ratelimit-remaining-requests", left(&requests)),
                ("x-ratelimit-remaining-tokens", left(&tokens)),
            ];
            return (200, headers);
        }
        (429, vec![("retry-after-ms", wait.as_millis().to_string())])
    })
}

/// The limits bind in requests, or in tokens. The usage is charged by the caller, after the answer.
#[test]
fn an_honest_server_refuses_none() {
    for (rpm, tpm) in [(600, 1_000_000), (100_000, 60_000)] {
        let mut world = World::default();
        let server = server(&world.clock, rpm, tpm);
        let limiter = limiter(&world.clock, ModelQuota::new().rpm(rpm.into()).tpm(tpm.into()));
        let service = builder(&limiter).build().layer(server.client());
        for client in 0..50u64 {
            let mut service = service.clone();
            world.spawn(async move {
                for call in 0..30u64 {
                    let body = format!("{} {}", 50 + (client * 31 + call * 7) % 60, 10 + (call * 13) % 40);
                    let ready = service.ready().await.unwrap();
                    let mut response = ready.call(request("a.com", &body)).await.unwrap();
                    let call = response.extensions_mut().remove::<ModelCall<MockClock>>();
                    if let Some(call) = call {
                        call.commit(usage(&body));
                    }
                }
            });
        }
        world.run();
        assert_eq!((server.count(200), server.count(429)), (1_500, 0));
        let stats = limiter.stats_of("large").unwrap();
        assert!(world.now() < 190_000, "{} ms {stats:?}", world.now());
    }
}

#[test]
fn after_a_refusal_no_call_leaves_before_the_pause_is_over() {
    let mut world = World::default();
    let clock = world.clock.clone();
    let server = Server::new(&world.clock, move |_| match brimful::Clock::now(&clock) {
        0..=99_999_999 => (429, vec![("retry-after", "5".to_owned())]),
        _ => (200, Vec::new()),
    });
    let limiter = limiter(&world.clock, ModelQuota::new().rpm(600));
    let service = builder(&limiter).jitter(20).random(|| 1 << 63).build().layer(server.client());
    for _ in 0..3 {
        world.spawn(service.clone().oneshot(request("a.com", "1 1")));
    }
    world.run();
    for _ in 0..3 {
        world.spawn(service.clone().oneshot(request("a.com", "1 1")));
    }
    world.run();
    // The answers came at 40 ms, the pause is longer by 10 %, and after it the bucket is empty.
    assert_eq!(server.times("a.com"), [0, 0, 0, 5_640, 5_740, 5_840]);
}

#[test]
fn the_usage_is_charged_with_the_headers_or_by_the_caller() {
    let mut world = World::default();
    let server = Server::new(&world.clock, |_| (200, vec![("x-usage", "30 4".to_owned())]));
    let limiter = limiter(&world.clock, ModelQuota::new().input_tpm(1_000).output_tpm(1_000).max_parallel_requests(1));
    let counted = || (used(&limiter, Dimension::InputTpm), used(&limiter, Dimension::OutputTpm));
    let layer = builder(&limiter).usage(|_, headers| Some(usage(headers.get("x-usage")?.to_str().ok()?)));
    let first = world.spawn(layer.build().layer(server.client()).oneshot(request("a.com", "100 100")));
    world.settle();
    assert_eq!(counted(), (100, 100));
    while first.take().is_none() {
        world.clock.advance(millis(1));
        world.settle();
    }
    // Less what was earned in 40 ms: 1000 tokens in a minute.
    assert_eq!(counted(), (30, 4));

    limiter.set_model("large", ModelQuota::new().input_tpm(2_000).output_tpm(2_000).max_parallel_requests(1)).unwrap();
    world.clock.advance(millis(60_000));
    let call = world.spawn(builder(&limiter).build().layer(server.client()).oneshot(request("a.com", "100 100")));
    world.run();
    let mut response = call.take().unwrap().unwrap();
    let call = response.extensions_mut().remove::<ModelCall<MockClock>>().unwrap();
    assert!(limiter.try_acquire("large", 0).is_err(), "it is in flight");
    call.progress((100, 150));
    assert_eq!(counted(), (99, 149));
    call.commit((30, 4));
    assert_eq!(counted(), (29, 3));
    assert!(limiter.try_acquire("large", 0).is_err(), "it is in flight");
    drop(call);
    assert!(limiter.try_acquire("large", 0).is_ok());
}

/// The count of the server is compared with ours when ours has the usage.
#[test]
fn the_limits_of_a_server_are_taken_over_after_the_usage_is_known() {
    let mut world = World::default();
    let server = Server::new(&world.clock, |_| (200, vec![("x-ratelimit-remaining-tokens", "600".to_owned())]));
    let limiter = limiter(&world.clock, ModelQuota::new().tpm(1_000));
    let call = world.spawn(builder(&limiter).build().layer(server.client()).oneshot(request("a.com", "100 100")));
    world.run();
    assert_eq!(used(&limiter, Dimension::Tpm), 200);
    let call = call.take().unwrap().unwrap().extensions_mut().remove::<ModelCall<MockClock>>().unwrap();
    call.commit((150, 150));
    assert_eq!(used(&limiter, Dimension::Tpm), 400, "600 are left, and no token is charged twice");
    call.commit((150, 150));
    assert_eq!(used(&limiter, Dimension::Tpm), 400);
}

/// At the end of a stream, what its head said about tokens is old.
#[test]
fn the_head_of_a_long_stream_does_not_empty_the_bucket() {
    let mut world = World::default();
    let headers =
        || [("x-ratelimit-remaining-tokens", "600".to_owned()), ("x-ratelimit-remaining-requests", "9".to_owned())];
    let server = Server::new(&world.clock, move |_| (200, headers().into()));
    let limiter = limiter(&world.clock, ModelQuota::new().tpm(1_000).rpm(60));
    let mut call = || {
        let call = world.spawn(builder(&limiter).build().layer(server.client()).oneshot(request("a.com", "100 100")));
        world.run();
        call.take().unwrap().unwrap().extensions_mut().remove::<ModelCall<MockClock>>().unwrap()
    };
    let [first, second] = [call(), call()];
    assert_eq!(used(&limiter, Dimension::Rpm), 52, "what it said about requests is heeded at once");
    world.clock.advance(millis(12_000));
    first.commit((100, 100));
    assert_eq!(used(&limiter, Dimension::Tpm), 199, "of 400, 201 were earned since");
    world.clock.advance(millis(60_000));
    second.commit((100, 100));
    assert_eq!(used(&limiter, Dimension::Tpm), 0);
}

/// A row of refusals ends with an answer, also if its usage is never known.
#[test]
fn a_row_of_refusals_ends_with_the_head_of_an_answer() {
    let mut world = World::default();
    let (clock, from) = (world.clock.clone(), 3_000_000_000);
    let server = Server::new(&world.clock, move |_| match brimful::Clock::now(&clock) {
        time if time < from || time > 9_000_000_000 => (429, Vec::new()),
        _ => (200, Vec::new()),
    });
    let limiter = limiter(&world.clock, ModelQuota::new().rpm(60_000));
    let service = builder(&limiter).build().layer(server.client());
    for at in [0, 1_100, 3_200, 10_000, 10_900, 11_050] {
        world.run_until(at);
        world.spawn(service.clone().oneshot(request("a.com", "1 1")));
    }
    world.run();
    // Pauses of 1 s and of 2 s; and then, after an answer, of 1 s again.
    assert_eq!(server.times("a.com"), [0, 1_100, 3_200, 10_000, 11_041, 11_050]);
}

/// An error of the server is an answer too.
#[test]
fn every_response_but_a_refusal_has_the_call() {
    for (status, has_call) in [(200, true), (404, true), (500, true), (429, false)] {
        let mut world = World::default();
        let server = Server::new(&world.clock, move |_| (status, Vec::new()));
        let limiter = limiter(&world.clock, ModelQuota::new().tpm(1_000));
        let asked = |status: StatusCode, _: &HeaderMap| (status == StatusCode::NOT_FOUND).then(Usage::default);
        for (reads, has_call) in [(false, has_call), (true, has_call && status != 404)] {
            let layer = if reads { builder(&limiter).usage(asked) } else { builder(&limiter) };
            let call = world.spawn(layer.build().layer(server.client()).oneshot(request("a.com", "1 1")));
            world.run();
            let response = call.take().unwrap().unwrap();
            let found = response.extensions().get::<ModelCall<MockClock>>();
            assert_eq!(found.is_some(), has_call, "{status} {reads}");
        }
    }
}

/// A response after which the call is repeated holds no slot, and has no call.
#[test]
fn a_retry_does_not_wait_for_the_slot_of_its_own_call() {
    let mut world = World::default();
    let clock = world.clock.clone();
    let server = Server::new(&world.clock, move |_| match brimful::Clock::now(&clock) {
        0..30_000_000 => (503, vec![("retry-after-ms", "100".to_owned())]),
        _ => (200, Vec::new()),
    });
    let limiter = limiter(&world.clock, ModelQuota::new().rpm(60_000).max_parallel_requests(1));
    let retries = Retries::new(|request: &Request<String>| Some(request.clone())).on_unavailable();
    let layer = builder(&limiter).retries(retries).build();
    let call = world.spawn(layer.layer(server.client()).oneshot(request("a.com", "1 1")));
    world.run();
    let response = call.take().unwrap().unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert!(response.extensions().get::<ModelCall<MockClock>>().is_some());
    // After the pause, the first call is there in a millisecond.
    assert_eq!(server.times("a.com"), [0, 141]);
}

/// The turn of a call has come, and a pause begins before it leaves.
#[test]
fn a_call_that_has_its_turn_does_not_leave_in_a_pause() {
    let mut world = World::default();
    let server = Server::new(&world.clock, |_| (200, Vec::new()));
    let limiter = limiter(&world.clock, ModelQuota::new().rpm(600).rpd(1_000));
    while limiter.try_acquire("large", 0).is_ok() {}
    let taken = used(&limiter, Dimension::Rpd);
    let call = world.spawn(builder(&limiter).build().layer(server.client()).oneshot(request("a.com", "1 1")));
    world.settle();
    world.clock.advance(millis(150));
    limiter.observe("large", &ServerHints::new().refused().retry_after(millis(5_000)));
    world.run();
    assert_eq!(server.times("a.com"), [5_250]);
    assert!(call.take().unwrap().is_ok());
    assert_eq!(used(&limiter, Dimension::Rpd), taken + 1, "it is charged once");
}

/// The calls of a client that are refused together have one part of the share.
#[test]
fn a_client_with_many_calls_in_flight_returns_at_one_random_time() {
    let mut world = World::default();
    let server = Server::new(&world.clock, |_| (429, vec![("retry-after", "100".to_owned())]));
    let limiter = limiter(&world.clock, ModelQuota::new().rpm(60_000_000));
    let drawn = std::sync::atomic::AtomicU64::new(1);
    // 5 %, and then more and more.
    let random = move || (drawn.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 7) << 60;
    let layer = builder(&limiter).jitter(10).random(random).build();
    let pause = || limiter.try_acquire("large", 0).unwrap_err().retry_after().unwrap().as_millis();
    let flight = |world: &mut World| {
        for _ in 0..5 {
            world.spawn(layer.layer(server.client()).oneshot(request("a.com", "1 1")));
        }
        world.run();
    };
    flight(&mut world);
    assert_eq!(pause(), 105_000);
    world.clock.advance(millis(105_010));
    flight(&mut world);
    assert_eq!(pause(), 105_625, "the next flight has another one");
}

#[test]
fn a_model_that_is_unknown_is_refused() {
    let mut world = World::default();
    let server = Server::new(&world.clock, |_| (200, Vec::new()));
    let limiter = limiter(&world.clock, ModelQuota::new().rpm(600));
    let layer = ThrottleLayer::of_models(limiter, |_: &Request<String>| ("small".to_owned(), Usage::default())).build();
    let call = world.spawn(layer.layer(server.client()).oneshot(request("a.com", "")));
    world.run();
    let error = call.take().unwrap().unwrap_err();
    assert!(matches!(error.downcast_ref(), Some(ThrottleError::Model(error)) if error.model() == "small"), "{error}");
}
