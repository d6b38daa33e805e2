//! Calls that are repeated.

use std::rc::Rc;
use std::sync::Arc;

use brimful::{KeyedCompositeLimiter, KeyedRateLimiter, MockClock, Quota};
use brimful_tower::client::{ByHost, Host, HostLimits, Retries, ThrottleLayer};
use http::Request;
use tower::{Layer, ServiceExt};

use super::world::{Reply, Server, World, millis, request};

type Clone = fn(&Request<String>) -> Option<Request<String>>;

fn all() -> Retries<Clone> {
    Retries::new(|request| Some(request.clone()))
}

fn refusal(status: u16, retry_after: &str) -> Reply {
    (status, vec![("retry-after-ms", retry_after.to_owned())])
}

/// Makes calls at once, and returns their statuses in the order of their bodies, and the limiter.
fn run(
    quota: &str,
    retries: Retries<Clone>,
    within: u64,
    calls: usize,
    reply: impl Fn(u64, &Request<String>) -> Reply + 'static,
) -> (Vec<u16>, Rc<Server>, Arc<KeyedRateLimiter<Host, MockClock>>) {
    let mut world = World::default();
    let clock = world.clock.clone();
    let server = Server::new(&world.clock, move |request| reply(brimful::Clock::now(&clock) / 1_000_000, request));
    let limiter = Arc::new(KeyedRateLimiter::with_clock(quota.parse::<Quota>().unwrap(), world.clock.clone()));
    let layer = ThrottleLayer::builder(limiter.clone(), ByHost).jitter(0).wait_up_to(millis(within)).retries(retries);
    let service = layer.build().layer(server.client());
    let calls: Vec<_> = (0..calls).map(|nth| world.spawn(service.clone().oneshot(request("a.com", nth)))).collect();
    world.run();
    let status = |response: http::Response<String>| response.status().as_u16();
    let statuses = calls.iter().map(|call| call.take().unwrap().map_or(0, status)).collect();
    (statuses, server, limiter)
}

/// A refused call is repeated after the pause, takes a token, and has the same body.
#[test]
fn a_refused_call_is_repeated_after_the_pause() {
    let reply = |now, _: &_| if now < 1_000 { refusal(429, "2000") } else { (200, Vec::new()) };
    let (statuses, server, limiter) = run("1/h burst 10", all(), 9_000_000, 1, reply);
    assert_eq!(statuses, [200]);
    let log = server.log();
    assert_eq!(log.iter().map(|call| (call.left, &*call.body)).collect::<Vec<_>>(), [(0, "0"), (2_040, "0")]);
    assert_eq!(limiter.key(&"a.com".parse().unwrap()).available_tokens().floor(), 8.0);
}

#[test]
fn a_call_is_repeated_a_few_times() {
    for times in [0, 1, 3] {
        let reply = |_, _: &_| refusal(429, "100");
        let (statuses, server, _) = run("100/s", all().at_most(times), 60_000, 1, reply);
        assert_eq!((statuses, server.log().len()), (vec![429], times as usize + 1), "the refusal is the answer");
    }
}

#[test]
fn only_refusals_are_repeated() {
    for (status, retry_after, on_unavailable, calls) in [
        (429, "100", false, 4),
        (429, "soon", false, 4),
        (403, "100", false, 4),
        (403, "soon", false, 1),
        (503, "100", false, 1),
        (503, "100", true, 4),
        (503, "soon", true, 1),
        (500, "100", true, 1),
        (200, "100", true, 1),
    ] {
        let retries = if on_unavailable { all().on_unavailable() } else { all() };
        let (_, server, _) = run("100/s", retries, 60_000, 1, move |_, _| refusal(status, retry_after));
        assert_eq!(server.log().len(), calls, "{status} {retry_after} {on_unavailable}");
    }
}

#[test]
fn a_request_that_is_not_cloned_is_not_repeated() {
    let some: Clone = |request| (request.body() != "1").then(|| request.clone());
    let reply = |now, _: &_| if now < 1_000 { refusal(429, "2000") } else { (200, Vec::new()) };
    let (statuses, ..) = run("100/s", Retries::new(some), 60_000, 3, reply);
    assert_eq!(statuses, [200, 429, 200]);
}

/// If the pause ends after the deadline, the call ends with the refusal, and at once.
#[test]
fn no_call_is_repeated_after_its_deadline() {
    let reply = |now, _: &_| if now < 1_000 { refusal(429, "5000") } else { (200, Vec::new()) };
    for (within, expected) in [(5_039, 429), (5_040, 200)] {
        let (statuses, server, _) = run("100/s", all(), within, 1, reply);
        assert_eq!(statuses, [expected], "{within}");
        assert_eq!(server.log()[0].back, 40);
    }
    let mut world = World::default();
    let server = Server::new(&world.clock, |_| refusal(429, "5000"));
    let limiter = Arc::new(KeyedRateLimiter::with_clock(Quota::per_second(100), world.clock.clone()));
    let layer = ThrottleLayer::builder(limiter, ByHost).jitter(0).wait_up_to(millis(5_000)).retries(all()).build();
    world.spawn(layer.layer(server.client()).oneshot(request("a.com", 0)));
    world.run();
    assert_eq!(world.now(), 40, "it does not wait in vain");
}

/// Of a thousand calls that are all refused, a share is repeated, and as many as the floor permits.
#[test]
fn retries_do_not_multiply_the_load() {
    let floor = |burst| Quota::per_day(1).burst(burst).initial(10);
    for (retries, most) in [
        (all().share(0).floor(floor(1_000)), 10),
        (all().share(10).floor(floor(1_000)), 110),
        (all().share(20).floor(floor(1_000)), 210),
        (all().share(100).floor(floor(1_000)), 1_000),
        (all().share(250).floor(floor(5_000)).at_most(9), 1_010),
        (all().share(100).floor(floor(50)), 50),
    ] {
        let (statuses, server, _) = run("1000/s burst 1000", retries, 3_600_000, 1_000, |_, _| refusal(429, "1000"));
        assert_eq!(statuses, [429; 1_000]);
        assert_eq!(server.log().len(), 1_000 + most);
    }
}

/// A retry that does not leave is there for another call.
#[test]
fn a_retry_that_does_not_leave_is_given_back() {
    let floor = Quota::per_day(1).burst(9).initial(1);
    // The first ones are refused for longer than they wait.
    let reply = |_, request: &Request<String>| refusal(429, if request.body() == "2" { "100" } else { "5000" });
    let mut world = World::default();
    let server = Server::new(&world.clock, move |request| reply(0, request));
    let limiter = Arc::new(KeyedRateLimiter::with_clock(Quota::per_second(100), world.clock.clone()));
    let layer = ThrottleLayer::builder(limiter, ByHost).jitter(0).wait_up_to(millis(1_000));
    let layer = layer.retries(all().share(0).floor(floor)).build();
    for (nth, host) in ["a.com", "b.com", "c.com"].into_iter().enumerate() {
        world.spawn(layer.layer(server.client()).oneshot(request(host, nth)));
        world.run();
    }
    assert_eq!(server.times("c.com").len(), 2, "the retry of the others did not leave");
}

/// A call that does not leave adds nothing to the budget.
#[test]
fn a_call_that_does_not_leave_adds_no_retry() {
    let floor = Quota::per_day(1).burst(9).initial(0);
    let mut world = World::default();
    let server = Server::new(&world.clock, |_| refusal(429, "10"));
    let others = KeyedCompositeLimiter::builder().quotas("100/s".parse().unwrap()).clock(world.clock.clone());
    let limits = HostLimits::of_others(others.build().unwrap());
    let limits = limits.host("a.com".parse().unwrap(), "1/h burst 1".parse().unwrap());
    let layer = ThrottleLayer::builder(Arc::new(limits), ByHost).jitter(0).wait_up_to(millis(1_000));
    let layer = layer.retries(all().share(10).floor(floor)).build();
    for nth in 0..20 {
        world.spawn(layer.layer(server.client()).oneshot(request("a.com", nth)));
    }
    world.run();
    assert_eq!(server.times("a.com").len(), 1);
    for nth in 0..2 {
        let limited = world.spawn(layer.layer(server.client()).oneshot(request(&format!("{nth}.com"), nth)));
        world.run();
        assert!(limited.take().is_some());
    }
    assert_eq!(server.log().len(), 3, "three calls have left, and so none is repeated");
}
