//! A limit that makes callers wait until the service is ready.

use std::convert::Infallible;
use std::future::{Ready, poll_fn, ready};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use brimful::{AcquireError, CompositeLimiter, ConcurrencyLimit, MockClock, RateLimiter};
use brimful_tower::{BackPressure, BackPressureLayer, Limiter};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};

use crate::support::poll;

fn limiter(quota: &str) -> Arc<RateLimiter<MockClock>> {
    Arc::new(RateLimiter::with_clock(quota.parse().unwrap(), MockClock::new()))
}

/// A service that adds one, and is ready for as many calls as its number says.
#[derive(Clone)]
struct AddOne(u32);

impl Service<u32> for AddOne {
    type Response = u32;
    type Error = Infallible;
    type Future = Ready<Result<u32, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        if self.0 == 0 { Poll::Pending } else { Poll::Ready(Ok(())) }
    }

    fn call(&mut self, number: u32) -> Self::Future {
        self.0 -= 1;
        ready(Ok(number + 1))
    }
}

fn is_ready<L: Limiter<()>>(service: &mut BackPressure<AddOne, L>) -> bool {
    match service.poll_ready(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(ready) => {
            ready.expect("it does not fail");
            true
        }
        Poll::Pending => false,
    }
}

#[test]
fn the_service_is_ready_when_a_token_is_there() {
    let limiter = limiter("1/s burst 2");
    let mut service = BackPressureLayer::new(limiter.clone()).layer(AddOne(9));
    assert!((0..10).all(|_| is_ready(&mut service)));
    assert_eq!(limiter.available_tokens(), 1.0, "it holds one token, however often it is asked");
    let mut first = pin!(service.call(1));
    assert!(matches!(poll(first.as_mut()), Poll::Ready(Ok(2))));
    assert_eq!(limiter.available_tokens(), 1.0);
    assert!(is_ready(&mut service));
    drop(service.call(2));
    assert!((0..10).all(|_| !is_ready(&mut service)));
    assert_eq!(limiter.waiters(), 1);
    limiter.clock().advance(Duration::from_nanos(999_999_999));
    assert!(!is_ready(&mut service));
    limiter.clock().advance(Duration::from_nanos(1));
    assert!(is_ready(&mut service));
    assert_eq!(limiter.balance(), 0.0);
}

#[test]
fn a_token_that_is_not_spent_is_given_back() {
    let limiter = limiter("1/h burst 2");
    let layer = BackPressureLayer::new(limiter.clone());
    let mut service = layer.layer(AddOne(9));
    assert!(is_ready(&mut service));
    let mut clone = service.clone();
    drop(service);
    assert_eq!(limiter.available_tokens(), 2.0);
    assert!(is_ready(&mut clone));
    assert_eq!(limiter.available_tokens(), 1.0, "the clone has waited for itself");
    drop(clone.call(1));
    drop(clone);
    assert_eq!(limiter.available_tokens(), 1.0, "it was spent");
    // A service that is not ready keeps the token for when it is.
    let mut not_ready = layer.layer(AddOne(0));
    assert!(!is_ready(&mut not_ready) && !is_ready(&mut not_ready));
    assert_eq!(limiter.available_tokens(), 0.0);
    drop(not_ready);
    assert_eq!(limiter.available_tokens(), 1.0);
}

#[test]
fn clones_are_served_in_order_of_arrival() {
    let limiter = limiter("1/s burst 1");
    let layer = BackPressureLayer::new(limiter.clone());
    let mut services: Vec<_> = (0..4).map(|_| layer.layer(AddOne(1))).collect();
    assert_eq!(services.iter_mut().map(is_ready).collect::<Vec<_>>(), [true, false, false, false]);
    drop(services.remove(1));
    assert_eq!(limiter.waiters(), 2, "the dropped one gave up its place");
    limiter.clock().advance(Duration::from_secs(1));
    assert_eq!(services.iter_mut().rev().map(is_ready).collect::<Vec<_>>(), [false, true, true]);
    // A token that is given back is for the next waiter.
    drop(services.remove(1));
    assert!(is_ready(&mut services[1]));
}

#[test]
fn a_closed_limiter_is_an_error() {
    let limiter = limiter("1/h burst 1");
    let mut service = BackPressureLayer::new(limiter.clone()).layer(AddOne(9));
    assert!(is_ready(&mut service));
    drop(service.call(1));
    assert!(!is_ready(&mut service));
    limiter.close();
    for _ in 0..2 {
        let Poll::Ready(Err(error)) = service.poll_ready(&mut Context::from_waker(Waker::noop())) else {
            panic!("the limiter is closed")
        };
        assert!(matches!(error.downcast_ref(), Some(AcquireError::LimiterClosed(_))), "{error}");
    }
}

/// An error of `poll_ready` would say that the service has ended for good.
#[test]
fn a_full_queue_refuses_one_call() {
    let quota = "1/s burst 1".parse().unwrap();
    let limiter = RateLimiter::builder().quota(quota).max_waiters(1).clock(MockClock::new()).build();
    let limiter = Arc::new(limiter.unwrap());
    let layer = BackPressureLayer::new(limiter.clone());
    let mut services: Vec<_> = (0..3).map(|_| layer.layer(AddOne(1))).collect();
    assert_eq!(services.iter_mut().map(is_ready).collect::<Vec<_>>(), [true, false, true]);
    let mut late = services.pop().unwrap();
    assert!(is_ready(&mut late), "until it is called");
    let Poll::Ready(Err(error)) = poll(Box::pin(late.call(1)).as_mut()) else { panic!("the queue is full") };
    assert!(matches!(error.downcast_ref(), Some(AcquireError::QueueFull(_))), "{error}");
    limiter.clock().advance(Duration::from_secs(1));
    assert!(is_ready(&mut services[1]));
    drop(services);
    limiter.clock().advance(Duration::from_secs(1));
    assert!(is_ready(&mut late), "it goes on");
    assert!(matches!(poll(Box::pin(late.call(1)).as_mut()), Poll::Ready(Ok(2))));
}

#[test]
#[should_panic(expected = "call `poll_ready` before each `call`")]
fn a_call_without_a_token_panics() {
    let mut service = BackPressureLayer::new(limiter("9/s")).layer(AddOne(9));
    assert!(is_ready(&mut service));
    drop(service.call(1));
    drop(service.call(2));
}

#[test]
fn several_quotas_and_permits_make_callers_wait() {
    let several = Arc::new(CompositeLimiter::with_clock("a: 9/s; b: 1/h".parse().unwrap(), MockClock::new()));
    let layer = BackPressureLayer::new(several.clone());
    let (mut first, mut second) = (layer.layer(AddOne(1)), layer.layer(AddOne(1)));
    assert_eq!([is_ready(&mut first), is_ready(&mut second)], [true, false]);
    drop(first);
    assert!(is_ready(&mut second));

    let permits = Arc::new(ConcurrencyLimit::with_clock(1, MockClock::new()));
    let layer = BackPressureLayer::new(permits.clone());
    let (mut first, mut second) = (layer.layer(AddOne(2)), layer.layer(AddOne(1)));
    assert_eq!([is_ready(&mut first), is_ready(&mut second)], [true, false]);
    let mut response = Box::pin(first.call(1));
    assert!(!is_ready(&mut second), "the permit is held until the response");
    assert!(matches!(poll(response.as_mut()), Poll::Ready(Ok(2))));
    assert!(is_ready(&mut second) && !is_ready(&mut first));
    drop(second.call(1));
    assert!(is_ready(&mut first), "it was given back with the response");
}

/// Requests are refused while no token is there.
#[tokio::test]
async fn load_is_shed() {
    let limiter = limiter("1/s burst 1");
    let mut service =
        ServiceBuilder::new().load_shed().layer(BackPressureLayer::new(limiter.clone())).service(AddOne(9));
    assert_eq!(service.ready().await.unwrap().call(1).await.unwrap(), 2);
    let shed = service.ready().await.unwrap().call(2).await.unwrap_err();
    assert!(shed.is::<tower::load_shed::error::Overloaded>(), "{shed}");
    limiter.clock().advance(Duration::from_secs(1));
    assert_eq!(service.ready().await.unwrap().call(3).await.unwrap(), 4);
}

/// A buffer waits in its own task, for all of its clones.
#[tokio::test]
async fn a_buffer_waits() {
    let limiter = limiter("1/s burst 1");
    let echo = service_fn(|number: u32| ready(Ok::<_, Infallible>(number)));
    let service = ServiceBuilder::new().buffer(8).layer(BackPressureLayer::new(limiter.clone())).service(echo);
    let calls: Vec<_> = (0..4).map(|number| tokio::spawn(service.clone().oneshot(number))).collect();
    for (number, call) in (0..).zip(calls) {
        if number > 0 {
            // Until the worker waits for its token, which takes it a few polls.
            let mut polls = 0;
            poll_fn(|context| {
                polls += 1;
                assert!(polls < 10_000, "the worker does not wait");
                context.waker().wake_by_ref();
                if limiter.waiters() == 1 { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
            assert!(!call.is_finished());
            limiter.clock().advance(Duration::from_secs(1));
        }
        assert_eq!(call.await.unwrap().unwrap(), number);
    }
}
