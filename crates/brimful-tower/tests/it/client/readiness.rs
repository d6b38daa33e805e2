//! Services that reserve something in `poll_ready`.

use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use brimful::{KeyedRateLimiter, MockClock, Quota};
use brimful_tower::client::{BoxError, ByHost, Host, Keyed, Retries, Throttle, ThrottleLayer};
use http::Request;
use tower::limit::ConcurrencyLimit;
use tower::{Layer, Service, ServiceExt};

use super::world::{Client, Reply, Server, World, millis, request, sleep};

type Clone = fn(&Request<String>) -> Option<Request<String>>;
type Limiter = KeyedRateLimiter<Host, MockClock>;
type Limited = Throttle<ConcurrencyLimit<Client>, Keyed<ByHost, Limiter>, Retries<Clone>>;

/// A client with a limiter, and the server that it calls.
struct Called {
    service: Limited,
    limiter: Arc<Limiter>,
    server: Rc<Server>,
}

/// Returns a client that has at most this many calls in flight, and repeats them.
fn client(world: &World, quota: &str, most: usize, reply: impl Fn(u64) -> Reply + 'static) -> Called {
    client_within(world, 60_000, quota, most, reply)
}

fn client_within(
    world: &World,
    within: u64,
    quota: &str,
    most: usize,
    reply: impl Fn(u64) -> Reply + 'static,
) -> Called {
    let clock = world.clock.clone();
    let server = Server::new(&world.clock, move |_| reply(brimful::Clock::now(&clock) / 1_000_000));
    let limiter = Arc::new(KeyedRateLimiter::with_clock(quota.parse::<Quota>().unwrap(), world.clock.clone()));
    let retries: Retries<Clone> = Retries::new(|request| Some(request.clone()));
    let layer = ThrottleLayer::builder(limiter.clone(), ByHost).jitter(0).wait_up_to(millis(within)).retries(retries);
    Called { service: layer.build().layer(ConcurrencyLimit::new(server.client(), most)), limiter, server }
}

/// The slot that a call has reserved is that of this call, also if it waits.
#[test]
fn a_call_that_waits_uses_the_slot_of_its_own() {
    let mut world = World::default();
    let Called { mut service, server, .. } = client(&world, "10/s burst 1", 1, |_| (200, Vec::new()));
    world.spawn(async move {
        for nth in 0..4 {
            service.ready().await.unwrap().call(request("a.com", nth)).await.unwrap();
        }
    });
    world.run();
    assert_eq!(server.times("a.com"), [0, 100, 200, 300]);
}

/// A retry waits for its slot before it takes its turn: then no pause begins between the turn and the call.
#[test]
fn a_retry_that_waits_for_its_slot_does_not_leave_in_a_pause() {
    for within in [60_000, u64::MAX] {
        let mut world = World::default();
        let reply = |now| match now {
            0..100 => (429, vec![("retry-after-ms", "100".to_owned())]),
            100..200 => (503, vec![("retry-after-ms", "1000".to_owned())]),
            _ => (200, Vec::new()),
        };
        let Called { service, server, .. } = client_within(&world, within, "100/s burst 9", 1, reply);
        // The second one gets the slot when the first one is refused. It leaves at 140, and begins the pause at 180.
        for nth in 0..2 {
            world.spawn(service.clone().oneshot(request("a.com", nth)));
        }
        world.run();
        assert_eq!(server.times("a.com"), [0, 140, 1_180], "{within}");
    }
}

/// A retry that is dropped while it waits for its slot has no token.
#[test]
fn a_retry_that_is_dropped_while_it_waits_for_its_slot_costs_nothing() {
    let mut world = World::default();
    let reply = |_| (429, vec![("retry-after-ms", "10".to_owned())]);
    let Called { service, limiter, .. } = client(&world, "1/h burst 9", 1, reply);
    world.spawn(service.clone().oneshot(request("a.com", 0)));
    world.spawn(service.clone().oneshot(request("b.com", 1)));
    // The pause has ended at 50. The other call has the slot from 40 to 80.
    world.run_until(60);
    world.abort(0);
    assert_eq!(limiter.key(&"a.com".parse().unwrap()).available_tokens().floor(), 8.0);
}

#[test]
fn a_retry_whose_slot_comes_after_the_deadline_is_not_made() {
    for (within, calls) in [(79, 1), (80, 2)] {
        let mut world = World::default();
        let reply = |now| if now < 30 { (429, vec![("retry-after-ms", "1".to_owned())]) } else { (200, Vec::new()) };
        let Called { service, server, .. } = client_within(&world, within, "1000/s burst 9", 1, reply);
        let first = world.spawn(service.clone().oneshot(request("a.com", 0)));
        // It has the slot from 40 to 80.
        world.spawn(service.clone().oneshot(request("b.com", 1)));
        world.run();
        assert_eq!(server.times("a.com").len(), calls);
        assert_eq!(first.take().unwrap().unwrap().status(), if calls == 1 { 429 } else { 200 });
    }
}

/// A service that is ready again when the body of the refusal is gone, which the retry keeps.
#[test]
fn a_retry_whose_service_is_not_ready_ends_with_the_refusal_at_the_deadline() {
    #[derive(Clone)]
    struct OneBody {
        clock: MockClock,
        body: std::rc::Weak<()>,
    }
    impl Service<Request<String>> for OneBody {
        type Response = http::Response<Rc<()>>;
        type Error = BoxError;
        type Future = std::pin::Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>>>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
            if self.body.strong_count() == 0 { Poll::Ready(Ok(())) } else { Poll::Pending }
        }

        fn call(&mut self, _: Request<String>) -> Self::Future {
            let (clock, body) = (self.clock.clone(), self.body.upgrade().expect("the body"));
            Box::pin(async move {
                sleep(clock, millis(40)).await;
                Ok(http::Response::builder().status(429).header("retry-after-ms", "50").body(body)?)
            })
        }
    }
    let mut world = World::default();
    let body = Rc::new(());
    let service = OneBody { clock: world.clock.clone(), body: Rc::downgrade(&body) };
    let limiter = Arc::new(Limiter::with_clock(Quota::per_second(100), world.clock.clone()));
    let retries: Retries<Clone> = Retries::new(|request| Some(request.clone()));
    let layer = ThrottleLayer::builder(limiter, ByHost).jitter(0).wait_up_to(millis(1_000)).retries(retries).build();
    let call = world.spawn(layer.layer(service).call(request("a.com", 0)));
    drop(body);
    world.run();
    assert_eq!((call.take().unwrap().unwrap().status().as_u16(), world.now()), (429, 1_001), "after the deadline");
}

/// The worker of a buffer makes the calls, in their order.
#[tokio::test]
async fn calls_through_a_buffer_have_their_turn() {
    let limiter = Arc::new(KeyedRateLimiter::new(Quota::per_second(1_000).burst(1)));
    let answer =
        tower::service_fn(async |request: Request<String>| Ok::<_, BoxError>(http::Response::new(request.into_body())));
    let buffer = tower::buffer::Buffer::new(ConcurrencyLimit::new(answer, 1), 1);
    let mut service = ThrottleLayer::new(limiter, ByHost).layer(buffer);
    for nth in 0..20 {
        let response = service.ready().await.unwrap().call(request("a.com", nth)).await.unwrap();
        assert_eq!(response.into_body(), nth.to_string());
    }
}
