//! Turns by the quota of each host.

use std::rc::Rc;
use std::sync::Arc;

use brimful::{KeyedCompositeLimiter, KeyedRateLimiter, MockClock, Quota};
use brimful_tower::client::{ByHost, Host, HostLimits, Keyed, ThrottleError, ThrottleLayer, ThrottleLayerBuilder};
use http::{Request, StatusCode};
use tower::{Layer, Service, ServiceExt};

use super::world::{Server, World, millis, request, sleep};

type Limits = HostLimits<MockClock>;

fn limits(clock: &MockClock, quotas: &str) -> Limits {
    let others = KeyedCompositeLimiter::builder().quotas(quotas.parse().unwrap()).clock(clock.clone());
    HostLimits::of_others(others.build().unwrap())
}

/// Without jitter.
fn builder(limits: Limits) -> ThrottleLayerBuilder<Keyed<ByHost, Limits>> {
    ThrottleLayer::builder(Arc::new(limits), ByHost).jitter(0).wait_up_to(millis(3_600_000))
}

/// Calls a server with many clients, each of which makes calls one after the other.
fn run(quotas: &str, server: &str, clients: usize, calls: usize) -> (World, Rc<Server>) {
    let mut world = World::default();
    let server = Server::of_bucket(&world.clock, server);
    let service = builder(limits(&world.clock, quotas)).build().layer(server.client());
    for _ in 0..clients {
        let mut service = service.clone();
        world.spawn(async move {
            for call in 0..calls {
                service.ready().await.unwrap().call(request("a.com", call)).await.unwrap();
            }
        });
    }
    world.run();
    (world, server)
}

#[test]
fn an_honest_server_refuses_none() {
    for (quotas, server, rate, burst) in [
        ("10/s burst 5", "10/s burst 5", 10, 5),
        ("100/s burst 1", "100/s burst 1", 100, 1),
        ("20/s burst 3; minute: 300/min burst 50", "20/s burst 3", 5, 50),
        ("20/s burst 30; minute: 300/min burst 50", "300/min burst 50", 5, 50),
    ] {
        let (world, server) = run(quotas, server, 100, 10);
        assert_eq!((server.count(429), server.log().len()), (0, 1_000), "{quotas}");
        // And no token is wasted: 1000 calls at the lowest rate, less the burst.
        let longest = (1_000 - burst) * 1_000 / rate + 40;
        assert!((longest..longest + 50).contains(&world.now()), "{quotas}: {} ms, not {longest}", world.now());
    }
}

/// The rate comes near to that of the server.
#[test]
fn a_server_with_half_of_the_limit_refuses_few() {
    let (world, server) = run("100/s burst 10", "50/s burst 10", 40, 50);
    let (served, refused, all) = (server.count(200) as u64, server.count(429), server.log().len());
    assert!(refused * 50 <= all, "{refused} of {all} refused");
    assert!(served * 1_000 >= world.now() * 45, "{served} served in {} ms", world.now());
}

/// Refuses the calls that arrive in a time, with headers.
fn refusing(
    world: &World,
    times: std::ops::Range<u64>,
    status: u16,
    headers: &'static [(&'static str, &'static str)],
) -> Rc<Server> {
    let clock = world.clock.clone();
    Server::new(&world.clock, move |request| {
        let now = brimful::Clock::now(&clock) / 1_000_000;
        if times.contains(&now) && request.uri().host() == Some("a.com") {
            (status, headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect())
        } else {
            (200, Vec::new())
        }
    })
}

/// Sends a call for each host every 10 ms, for a time.
fn send(world: &mut World, layer: &ThrottleLayer<Keyed<ByHost, Limits>>, server: &Rc<Server>, until: u64) {
    let service = layer.layer(server.client());
    for host in ["a.com", "b.com"] {
        for nth in 0..until / 10 {
            let (service, clock) = (service.clone(), world.clock.clone());
            world.spawn(async move {
                sleep(clock, millis(nth * 10)).await;
                service.oneshot(request(host, nth)).await.unwrap();
            });
        }
    }
}

#[test]
fn after_a_refusal_no_call_leaves_before_the_pause_is_over() {
    for (status, headers) in [
        (429, &[("retry-after", "5")][..]),
        (503, &[("retry-after", "5")]),
        (429, &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "5")]),
        (403, &[("retry-after-ms", "5000")]),
    ] {
        let mut world = World::default();
        // The call that leaves at 500 is the only one that arrives then.
        let server = refusing(&world, 520..525, status, headers);
        let layer = builder(limits(&world.clock, "20/s burst 1")).build();
        send(&mut world, &layer, &server, 1_000);
        world.run();
        let (paused, other) = (server.times("a.com"), server.times("b.com"));
        // Its answer comes at 540, so none but the call of 500 is in flight.
        let expected: Vec<u64> = (0..=10).map(|nth| nth * 50).collect();
        assert_eq!(paused.iter().copied().filter(|time| *time < 5_540).collect::<Vec<_>>(), expected, "{status}");
        assert_eq!(paused[11], 5_540, "{status}");
        // Not as one burst, but at half the rate, and then a little more.
        let half = if status == 503 { 50 } else { 100 };
        assert_eq!(
            paused[12..15].iter().map(|time| time - 5_540).collect::<Vec<_>>(),
            [half, 2 * half, 3 * half],
            "{status}"
        );
        assert_eq!(paused.len(), 100, "{status}: none is lost");
        let expected: Vec<u64> = (0..100).map(|nth| nth * 50).collect();
        assert_eq!(other, expected, "the other host does not pause");
    }
}

/// The answer that begins a second pause comes at the instant at which the gate lets the next call out.
#[test]
fn a_call_that_has_its_turn_does_not_leave_in_a_pause() {
    let mut world = World::default();
    let server = refusing(&world, 0..1_100, 429, &[("retry-after", "1")]);
    let service = builder(limits(&world.clock, "50/s burst 1")).build().layer(server.client());
    world.spawn(service.clone().oneshot(request("a.com", 0)));
    world.run();
    for nth in 1..3 {
        world.spawn(service.clone().oneshot(request("a.com", nth)));
    }
    world.run();
    // The second one is back at 1080. By then, at half of the rate, the third one has its turn.
    assert_eq!(server.times("a.com"), [0, 1_040, 2_080]);
}

/// A pause is as long as the server says, but for a bound, and can be ended.
#[test]
fn a_pause_has_a_bound_and_can_be_ended() {
    let (hour, day) = (3_600_000, 86_400_000);
    let seven_days = &[("retry-after", "604800")][..];
    for (status, headers, longest, expected) in [
        (429, seven_days, None, day),
        (429, seven_days, Some(hour), hour),
        (503, seven_days, None, 300_000),
        (503, seven_days, Some(hour), hour),
        (200, &[("ratelimit", "\"default\";r=0;t=80000")], None, 300_000),
        (423, seven_days, None, 0),
        (500, seven_days, None, 0),
    ] {
        let mut world = World::default();
        let server = refusing(&world, 20..21, status, headers);
        let builder = builder(limits(&world.clock, "20/s burst 1")).wait_up_to(millis(2 * day));
        let builder = if let Some(longest) = longest { builder.longest_pause(millis(longest)) } else { builder };
        let layer = builder.build();
        world.spawn(layer.layer(server.client()).oneshot(request("a.com", 0)));
        world.run();
        let host: Host = "a.com".parse().unwrap();
        assert_eq!(layer.paused(&host), millis(expected), "{status} {longest:?}");
        assert_eq!(layer.paused(&"b.com".parse().unwrap()), millis(0));
        world.spawn(layer.layer(server.client()).oneshot(request("a.com", 1)));
        world.run_until(1_000);
        layer.resume(&host);
        assert_eq!(layer.paused(&host), millis(0));
        world.run();
        assert_eq!(server.times("a.com"), [0, if expected == 0 { 50 } else { 1_000 }], "{status}");
    }
}

/// As after its end, whatever the clock reads.
#[test]
fn after_a_pause_that_was_ended_the_calls_come_one_by_one() {
    for start in [0, 1_000_000] {
        let mut world = World::default();
        world.clock.advance(millis(start));
        let server = refusing(&world, start..start + 30, 429, &[("retry-after", "60")]);
        let layer = builder(limits(&world.clock, "20/s burst 10")).build();
        let service = layer.layer(server.client());
        world.spawn(service.clone().oneshot(request("a.com", 0)));
        world.run();
        for nth in 1..9 {
            world.spawn(service.clone().oneshot(request("a.com", nth)));
        }
        world.run_until(start + 1_000);
        layer.resume(&"a.com".parse().unwrap());
        world.run();
        let times: Vec<u64> = server.times("a.com").iter().map(|time| time - start).collect();
        assert_eq!(times[..4], [0, 1_000, 1_100, 1_200]);
    }
}

/// A quota that is set while calls wait for the end of a pause is the one by which they leave then.
#[test]
fn a_quota_that_is_set_paces_the_calls_that_wait() {
    let mut world = World::default();
    let server = refusing(&world, 0..30, 429, &[("retry-after", "1")]);
    let limiter = KeyedRateLimiter::builder().quota(Quota::per_second(10).burst(100)).up_to(Quota::per_second(100));
    let limiter = Arc::new(limiter.clock(world.clock.clone()).build().unwrap());
    let layer = ThrottleLayer::builder(limiter.clone(), ByHost).jitter(0).wait_up_to(millis(3_600_000)).build();
    let service = layer.layer(server.client());
    world.spawn(service.clone().oneshot(request("a.com", 0)));
    world.run();
    for nth in 1..50 {
        world.spawn(service.clone().oneshot(request("a.com", nth)));
    }
    world.settle();
    limiter.set_quota(Quota::per_second(100).burst(100)).unwrap();
    world.run();
    let times = server.times("a.com");
    // The first answer comes at 1080. After it, calls leave at half of the new rate, and no longer every 200 ms.
    assert_eq!(times[1], 1_040);
    assert!(times[10] < 1_300 && times[49] < 2_200, "{times:?}");
    let order: Vec<u64> = server.log().iter().map(|call| call.body.parse().unwrap()).collect();
    assert!(order.is_sorted(), "{order:?}");
}

/// A gate that is open again stops no burst.
#[test]
fn ten_minutes_after_a_pause_all_is_as_before() {
    let mut world = World::default();
    let server = refusing(&world, 20..21, 429, &[("retry-after", "1")]);
    let service = builder(limits(&world.clock, "20/s burst 3")).build().layer(server.client());
    for (from, nths) in [(0, 0..1), (1_500, 1..5), (601_040, 5..9)] {
        for nth in nths {
            let (service, clock) = (service.clone(), world.clock.clone());
            world.spawn(async move {
                sleep(clock, millis(from)).await;
                service.oneshot(request("a.com", nth)).await.unwrap();
            });
        }
    }
    world.run();
    let times = server.times("a.com");
    assert_eq!(times[1..5], [1_500, 1_600, 1_700, 1_800]);
    assert_eq!(times[5..], [601_040, 601_040, 601_040, 601_090]);
}

/// Of several quotas, that of a short time paces the calls after a pause.
#[test]
fn after_a_pause_the_fastest_quota_paces_the_calls() {
    let mut world = World::default();
    let server = refusing(&world, 20..21, 429, &[("retry-after", "1")]);
    let service = builder(limits(&world.clock, "20/s burst 1; 1/min burst 9")).build().layer(server.client());
    world.spawn(service.clone().oneshot(request("a.com", 0)));
    world.run();
    for nth in 1..4 {
        world.spawn(service.clone().oneshot(request("a.com", nth)));
    }
    world.run();
    assert_eq!(server.times("a.com"), [0, 1_040, 1_140, 1_240]);
}

/// Calls that wait in the queue of the limiter, and those that come later, keep their order.
#[test]
fn calls_leave_in_order_of_arrival() {
    let mut world = World::default();
    let server = refusing(&world, 520..525, 429, &[("retry-after", "5")]);
    let layer = builder(limits(&world.clock, "20/s burst 1")).build();
    send(&mut world, &layer, &server, 1_000);
    world.run();
    let log = server.log();
    let order: Vec<u64> =
        log.iter().filter(|call| call.host == "a.com").map(|call| call.body.parse().unwrap()).collect();
    assert!(order.is_sorted(), "{order:?}");
}

#[test]
fn a_limit_with_none_left_pauses_before_it_refuses() {
    for (ignores, expected) in [(false, [0, 2_040, 2_090]), (true, [0, 50, 100])] {
        let mut world = World::default();
        let headers = &[("ratelimit", "\"default\";r=0;t=2")];
        let server = refusing(&world, 20..21, 200, headers);
        let layer = builder(limits(&world.clock, "20/s burst 1"));
        let layer = if ignores { layer.ignore_remaining() } else { layer }.build();
        let service = layer.layer(server.client());
        // The others come after its answer.
        for (at, nth) in [(0, 0), (45, 1), (46, 2)] {
            let (service, clock) = (service.clone(), world.clock.clone());
            world.spawn(async move {
                sleep(clock, millis(at)).await;
                service.oneshot(request("a.com", nth)).await.unwrap();
            });
        }
        world.run();
        assert_eq!(server.times("a.com"), expected);
    }
}

/// Each pause is longer by its own part of the share.
#[test]
fn clients_that_were_refused_together_do_not_return_together() {
    let mut world = World::default();
    let server = refusing(&world, 20..21, 429, &[("retry-after", "10")]);
    for client in 0..100u64 {
        let layer = builder(limits(&world.clock, "20/s")).jitter(50).random(move || u64::MAX / 100 * client).build();
        let service = layer.layer(server.client());
        world.spawn(async move {
            service.clone().oneshot(request("a.com", client)).await.unwrap();
            service.clone().oneshot(request("a.com", client)).await.unwrap();
        });
    }
    world.run();
    let returned = server.times("a.com").split_off(100);
    let expected: Vec<u64> = (0..100).map(|client| 10_040 + client * 50).collect();
    // Rounded up to the steps of the world.
    let near = |(time, expected): (&u64, &u64)| *time == *expected || *time == *expected + 1;
    assert!(returned.iter().zip(&expected).all(near), "{returned:?}");
}

/// The calls of a client that are refused together have one part of the share, and not the longest of their parts.
#[test]
fn a_client_with_many_calls_in_flight_returns_at_one_random_time() {
    let mut world = World::default();
    let server = refusing(&world, 20..21, 429, &[("retry-after", "100")]);
    let layers: Vec<_> = (0..60u64)
        .map(|client| {
            let drawn = std::sync::atomic::AtomicU64::new(client);
            let random = move || {
                // As splitmix64.
                let seed =
                    drawn.fetch_add(60, std::sync::atomic::Ordering::Relaxed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                let mixed = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb)
            };
            builder(limits(&world.clock, "1000/s")).jitter(10).random(random).build()
        })
        .collect();
    for layer in &layers {
        for nth in 0..50 {
            world.spawn(layer.layer(server.client()).oneshot(request("a.com", nth)));
        }
    }
    world.run();
    let host = "a.com".parse().unwrap();
    let mut pauses: Vec<_> = layers.iter().map(|layer| layer.paused(&host)).collect();
    pauses.sort();
    assert!(pauses[6] < millis(102_500) && pauses[30] < millis(107_000) && pauses[53] > millis(107_500), "{pauses:?}");
}

/// The refusal of a call that left before the pause does not count, also if it comes after another call was served.
#[test]
fn a_late_refusal_does_not_count_again() {
    let mut world = World::default();
    let clock = world.clock.clone();
    // The answers come at 40, 1140, and 1500.
    let service = tower::service_fn(move |request: Request<String>| {
        let clock = clock.clone();
        async move {
            let (time, status) = match &**request.body() {
                "0" => (40, 429),
                "1" => (1_500, 429),
                _ => (40, 200),
            };
            sleep(clock, millis(time)).await;
            http::Response::builder().status(status).body(String::new())
        }
    });
    let layer = builder(limits(&world.clock, "100/s burst 10")).build();
    for nth in 0..2 {
        world.spawn(layer.layer(service.clone()).oneshot(request("a.com", nth)));
    }
    world.run_until(1_100);
    world.spawn(layer.layer(service).oneshot(request("a.com", 2)));
    world.run_until(1_501);
    assert_eq!(layer.paused(&"a.com".parse().unwrap()), millis(0));
}

/// The bound is also one of the pauses of our own.
#[test]
fn a_pause_without_a_time_has_the_bound() {
    let mut world = World::default();
    let server = refusing(&world, 0..30_000, 429, &[]);
    let layer = builder(limits(&world.clock, "20/s burst 3")).longest_pause(millis(2_000)).build();
    for nth in 0..5 {
        world.spawn(layer.layer(server.client()).oneshot(request("a.com", nth)));
        world.run();
    }
    assert_eq!(server.times("a.com"), [0, 1_040, 3_080, 5_120, 7_160]);
}

/// Without a time, the pause is a second, and is doubled by each refusal in a row. Those of calls in flight together are one.
#[test]
fn refusals_without_a_time_pause_for_longer_and_longer() {
    let mut world = World::default();
    let server = refusing(&world, 0..10_000, 429, &[]);
    let service = builder(limits(&world.clock, "20/s burst 3")).build().layer(server.client());
    for nth in 0..9 {
        let service = service.clone();
        world.spawn(async move { service.oneshot(request("a.com", nth)).await.unwrap() });
    }
    world.run();
    let times = server.times("a.com");
    // Three at once. Then one after each pause, of 1, 2, 4 and 8 s; and then the others, at a sixteenth of the rate.
    assert_eq!(times, [0, 0, 0, 1_040, 3_080, 7_120, 15_160, 15_960, 16_760]);
}

#[test]
fn absurd_and_malformed_hints_do_little() {
    let mut world = World::default();
    let hour = 3_600_000;
    for (headers, pause) in [
        (&[("retry-after", "99999999999999999999")][..], 24 * hour),
        (&[("retry-after", "-5")], 1_000),
        (&[("retry-after", "soon"), ("x-ratelimit-reset", "NaN")], 1_000),
    ] {
        let from = world.now();
        let server = refusing(&world, from..from + 21, 429, headers);
        let layer = builder(limits(&world.clock, "20/s burst 2")).wait_up_to(millis(100)).build();
        let service = layer.layer(server.client());
        let first = world.spawn(service.clone().oneshot(request("a.com", 0)));
        world.run();
        assert_eq!(first.take().unwrap().unwrap().status(), StatusCode::TOO_MANY_REQUESTS);
        let second = world.spawn(service.clone().oneshot(request("a.com", 1)));
        world.settle();
        let error = second.take().expect("it fails at once").unwrap_err();
        let error = error.downcast_ref::<ThrottleError>().expect("a refusal by the client");
        assert!(matches!(error, ThrottleError::Paused(_)), "{error}");
        assert_eq!(error.retry_after(), Some(millis(pause)), "{headers:?}");
        assert!(error.to_string().starts_with("the call did not leave: the server has asked for a pause"), "{error}");
    }
}

#[test]
fn a_call_that_cannot_leave_in_time_fails_at_once() {
    let mut world = World::default();
    let server = Server::of_bucket(&world.clock, "1000/s");
    let layer = builder(limits(&world.clock, "1/s burst 1")).wait_up_to(millis(2_500)).build();
    let service = layer.layer(server.client());
    let calls: Vec<_> = (0..4).map(|nth| world.spawn(service.clone().oneshot(request("a.com", nth)))).collect();
    world.settle();
    let error = calls[3].take().expect("it fails at once").unwrap_err();
    let error = error.downcast_ref::<ThrottleError>().unwrap();
    assert!(matches!(error, ThrottleError::Rates(_)));
    assert_eq!(error.retry_after(), Some(millis(3_000)));
    world.run();
    assert_eq!(server.times("a.com"), [0, 1_000, 2_000]);
    let error = world.spawn(service.oneshot(Request::new(String::new())));
    world.run();
    let text = error.take().unwrap().unwrap_err().to_string();
    assert_eq!(text, "the call did not leave: the request has no host: give it an absolute URI, or a header `host`");
}

/// A call that is dropped while it waits costs nothing: neither in the queue, nor behind the gate.
#[test]
fn a_call_that_is_dropped_costs_nothing() {
    let mut world = World::default();
    let server = refusing(&world, 20..21, 429, &[("retry-after", "1")]);
    let all = Arc::new(limits(&world.clock, "1/min burst 4"));
    let layer = ThrottleLayer::builder(all.clone(), ByHost).jitter(0).wait_up_to(millis(3_600_000)).build();
    let service = layer.layer(server.client());
    let host: Host = "a.com".parse().unwrap();
    let left = || all.others().key(&host).available_tokens().floor();
    // One that is refused; two that take their tokens and wait behind the gate; then one behind the queue.
    world.spawn(service.clone().oneshot(request("a.com", 0)));
    world.run();
    for nth in 1..5 {
        world.spawn(service.clone().oneshot(request("a.com", nth)));
    }
    world.settle();
    assert_eq!((left(), all.others().key(&host).waiters()), (0.0, 1));
    world.abort(4);
    assert_eq!((left(), all.others().key(&host).waiters()), (0.0, 0));
    world.abort(1);
    world.abort(2);
    assert_eq!(left(), 2.0);
    world.run();
    assert_eq!(server.log().len(), 2);
    assert_eq!(server.log()[1].body, "3");
}

/// Each host of the table has its quotas, and the others have the default.
#[test]
fn hosts_have_their_quotas() {
    let mut world = World::default();
    let server = Server::of_bucket(&world.clock, "1000/s");
    let limits = limits(&world.clock, "1/s burst 1")
        .host("a.com".parse().unwrap(), "10/s burst 2".parse().unwrap())
        .host("b.com".parse().unwrap(), "10/s burst 1; 3/s burst 3".parse().unwrap());
    assert!(limits.get(&"A.com".parse().unwrap()).is_some() && limits.get(&"c.com".parse().unwrap()).is_none());
    let service = builder(limits).build().layer(server.client());
    for nth in 0..5 {
        for host in ["a.com", "b.com", "c.com", "d.com"] {
            world.spawn(service.clone().oneshot(request(host, nth)));
        }
    }
    world.run();
    assert_eq!(server.times("a.com"), [0, 0, 100, 200, 300]);
    assert_eq!(server.times("b.com"), [0, 100, 200, 334, 667]);
    for host in ["c.com", "d.com"] {
        assert_eq!(server.times(host), [0, 1_000, 2_000, 3_000, 4_000]);
    }
}

/// A limiter of one quota, and a key of another kind.
#[test]
fn any_key_of_a_request_has_its_quota() {
    use brimful_tower::key::{HeaderKey, PathKey};

    let mut world = World::default();
    let server = Server::of_bucket(&world.clock, "1000/s");
    let limiter = Arc::new(KeyedRateLimiter::with_clock(Quota::per_second(2).burst(1), world.clock.clone()));
    let layer = ThrottleLayer::new(limiter, (PathKey, HeaderKey::new(http::HeaderName::from_static("token"))));
    let service = layer.layer(server.client());
    for nth in 0..6 {
        let mut request = request("a.com", nth);
        request.headers_mut().insert("token", if nth % 2 == 0 { "x" } else { "y" }.parse().unwrap());
        world.spawn(service.clone().oneshot(request));
    }
    world.run();
    assert_eq!(server.times("a.com"), [0, 0, 500, 500, 1_000, 1_000]);
}
