//! Services that reserve something in `poll_ready`.

use std::rc::Rc;
use std::sync::Arc;

use brimful::{KeyedRateLimiter, MockClock, Quota};
use brimful_tower::client::{ByHost, Host, Keyed, Retries, Throttle, ThrottleLayer};
use http::Request;
use tower::limit::ConcurrencyLimit;
use tower::{Layer, Service, ServiceExt};

use super::world::{Client, Reply, Server, World, millis, request};

type Clone = fn(&Request<String>) -> Option<Request<String>>;
type Limiter = KeyedRateLimiter<Host, MockClock>;
type Limited = Throttle<ConcurrencyLimit<Client>, Keyed<ByHost, Limiter>, Retries<Clone>>;

/// Returns a client that has at most this many calls in flight, and repeats them.
fn client(world: &World, quota: &str, most: usize, reply: impl Fn(u64) -> Reply + 'static) -> (Limited, Rc<Server>) {
    let clock = world.clock.clone();
    let server = Server::new(&world.clock, move |_| reply(brimful::Clock::now(&clock) / 1_000_000));
    let limiter = Arc::new(KeyedRateLimiter::with_clock(quota.parse::<Quota>().unwrap(), world.clock.clone()));
    let retries: Retries<Clone> = Retries::new(|request| Some(request.clone()));
    let layer = ThrottleLayer::builder(limiter, ByHost).jitter(0).wait_up_to(millis(60_000)).retries(retries);
    (layer.build().layer(ConcurrencyLimit::new(server.client(), most)), server)
}

/// The slot that a call has reserved is that of this call, also if it waits.
#[test]
fn a_call_that_waits_uses_the_slot_of_its_own() {
    let mut world = World::default();
    let (mut service, server) = client(&world, "10/s burst 1", 1, |_| (200, Vec::new()));
    world.spawn(async move {
        for nth in 0..4 {
            service.ready().await.unwrap().call(request("a.com", nth)).await.unwrap();
        }
    });
    world.run();
    assert_eq!(server.times("a.com"), [0, 100, 200, 300]);
}
