//! Concurrency limits: the bound, the order, resizing, deadlines and closing, on a mock clock.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::task::{Wake, Waker};
use std::thread;
use std::time::Duration;

use brimful::{
    AcquirePermitError, ConcurrencyLimit, KeyedConcurrencyLimit, MockClock, OwnedPermit, Permit, QueueLimit,
    TryAcquirePermitError,
};

use crate::waiting::{WakeCount, on_wake, poll, poll_by};

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

type Answer<'a> = Option<Result<Permit<'a>, AcquirePermitError>>;

#[track_caller]
fn granted(answer: Answer<'_>) -> Permit<'_> {
    answer.expect("ready").expect("granted")
}

fn timed_out(answer: &Answer<'_>) -> bool {
    matches!(answer, Some(Err(AcquirePermitError::TimedOut(_))))
}

fn closed(answer: &Answer<'_>) -> bool {
    matches!(answer, Some(Err(AcquirePermitError::LimiterClosed(_))))
}

#[test]
fn at_most_the_limit_is_in_flight() {
    static LIMIT: ConcurrencyLimit = ConcurrencyLimit::new(2);
    let permits = [LIMIT.try_acquire().unwrap(), LIMIT.acquire_blocking().unwrap()];
    let Err(TryAcquirePermitError::NoPermit(none)) = LIMIT.try_acquire() else { panic!("a third permit") };
    assert_eq!((none.in_flight(), none.limit()), (2, 2));
    assert_eq!(
        none.to_string(),
        "no permit is free (2 in flight, a limit of 2): retry later, wait by `acquire`, or raise the limit"
    );
    assert_eq!((LIMIT.in_flight(), LIMIT.limit()), (2, 2));
    drop(permits);
    assert_eq!(LIMIT.in_flight(), 0);
    assert_eq!(ConcurrencyLimit::new(usize::MAX).limit(), ConcurrencyLimit::MAX_LIMIT);
}

#[test]
fn waiters_are_granted_in_order_and_no_call_overtakes_them() {
    let limit = ConcurrencyLimit::new(1);
    let held = limit.try_acquire().unwrap();
    let wakes: Vec<Arc<WakeCount>> = (0..3).map(|_| Arc::default()).collect();
    let mut waits: Vec<_> = (0..3).map(|_| limit.acquire()).collect();
    for (wait, count) in waits.iter_mut().zip(&wakes) {
        assert!(poll_by(wait, &count.clone().into()).is_none());
    }
    assert_eq!(limit.waiters(), 3);
    drop(held);
    assert_eq!((limit.in_flight(), limit.waiters()), (1, 2), "the permit has gone to the first waiter");
    assert_eq!(wakes.iter().map(|count| count.woken()).collect::<Vec<_>>(), [1, 0, 0]);
    assert!(limit.try_acquire().is_err() && poll(&mut limit.acquire()).is_none());
    assert!(poll_by(&mut waits[1], &wakes[1].clone().into()).is_none());
    for (next, wait) in (1..).zip(&mut waits) {
        drop(granted(poll(wait)));
        assert!(wakes.iter().take(next + 1).all(|count| count.woken() == 1));
    }
    assert_eq!((limit.in_flight(), limit.waiters()), (0, 0));
    assert!(limit.try_acquire().is_ok());
}

/// A call is refused while a permit is on its way to a waiter: the waker runs when the permit is granted, and finds
/// the next permit kept for the next waiter.
#[test]
fn a_refusal_behind_waiters_is_no_matter_of_count() {
    let limit = Arc::new(ConcurrencyLimit::new(1));
    let held = limit.try_acquire().unwrap();
    let mut first = limit.acquire();
    let refused = Arc::new(Mutex::new(None));
    let (seen, inner) = (refused.clone(), limit.clone());
    let waker = on_wake(move || *seen.lock().unwrap() = Some(inner.try_acquire().is_err()));
    assert!(poll_by(&mut first, &waker).is_none());
    drop(held);
    assert_eq!(*refused.lock().unwrap(), Some(true));
    drop(granted(poll(&mut first)));
}

#[test]
fn a_cancelled_wait_gives_up_its_place_or_its_permit() {
    let limit = ConcurrencyLimit::new(1);
    let held = limit.try_acquire().unwrap();
    let mut waits: Vec<_> = (0..4).map(|_| limit.acquire()).collect();
    waits.iter_mut().for_each(|wait| assert!(poll(wait).is_none()));
    let mut waits = waits.into_iter();
    let (first, second, third, mut fourth) = (waits.next(), waits.next(), waits.next(), waits.next().unwrap());
    drop(second);
    assert_eq!(limit.waiters(), 3);
    drop(held);
    drop(first); // granted, but not observed
    assert_eq!((limit.in_flight(), limit.waiters()), (1, 1));
    drop(third);
    let permit = granted(poll(&mut fourth));
    drop(fourth);
    assert_eq!((limit.in_flight(), limit.waiters()), (1, 0));
    drop(permit);
    assert_eq!(limit.in_flight(), 0);
}

#[test]
fn a_lower_limit_takes_effect_as_permits_return() {
    let limit = ConcurrencyLimit::new(3);
    let mut permits: Vec<_> = (0..3).map(|_| limit.try_acquire().unwrap()).collect();
    let mut wait = limit.acquire();
    assert!(poll(&mut wait).is_none());
    limit.resize(1);
    assert_eq!((limit.in_flight(), limit.limit()), (3, 1));
    for in_flight in [2, 1] {
        permits.pop();
        assert_eq!(limit.in_flight(), in_flight);
        assert!(poll(&mut wait).is_none() && limit.try_acquire().is_err());
    }
    permits.pop();
    let _permit = granted(poll(&mut wait));
    assert_eq!((limit.in_flight(), limit.limit(), limit.waiters()), (1, 1, 0));
}

#[test]
fn a_higher_limit_serves_waiters_at_once_and_zero_pauses() {
    let limit = ConcurrencyLimit::new(0);
    let wakes: Vec<Arc<WakeCount>> = (0..3).map(|_| Arc::default()).collect();
    let mut waits: Vec<_> = (0..3).map(|_| limit.acquire()).collect();
    for (wait, count) in waits.iter_mut().zip(&wakes) {
        assert!(poll_by(wait, &count.clone().into()).is_none());
    }
    limit.resize(2);
    assert_eq!(wakes.iter().map(|count| count.woken()).collect::<Vec<_>>(), [1, 1, 0]);
    assert_eq!((limit.in_flight(), limit.waiters()), (2, 1));
    let permits: Vec<_> = waits[..2].iter_mut().map(|wait| granted(poll(wait))).collect();
    limit.resize(0);
    drop(permits);
    assert_eq!((limit.in_flight(), limit.waiters()), (0, 1), "the waiter keeps its place");
    assert!(limit.try_acquire().is_err());
    limit.resize(usize::MAX);
    assert_eq!(limit.in_flight(), 1);
    drop(granted(poll(&mut waits[2])));
}

#[test]
fn a_wait_with_a_deadline_fails_at_the_deadline() {
    let clock = MockClock::new();
    let limit = ConcurrencyLimit::with_clock(1, clock.clone());
    let held = limit.try_acquire().unwrap();
    let (count, never) = (Arc::<WakeCount>::default(), Arc::<WakeCount>::default());
    let (mut short, mut long, mut endless) =
        (limit.acquire().within(ms(10)), limit.acquire().until(20_000_000), limit.acquire());
    assert!(poll_by(&mut endless, &never.clone().into()).is_none());
    assert!(poll_by(&mut long, &count.clone().into()).is_none());
    assert!(poll_by(&mut short, &count.clone().into()).is_none());
    clock.advance(Duration::from_nanos(9_999_999));
    assert_eq!((count.woken(), limit.waiters()), (0, 3));
    clock.advance(Duration::from_nanos(1));
    assert_eq!((count.woken(), limit.waiters()), (1, 2));
    assert!(timed_out(&poll(&mut short)) && poll(&mut long).is_none());
    clock.advance(ms(10));
    assert!(timed_out(&poll(&mut long)));
    assert_eq!((limit.waiters(), never.woken()), (1, 0));
    drop(held);
    drop(granted(poll(&mut endless)));
}

#[test]
fn a_permit_before_the_deadline_is_kept_after_it() {
    let clock = MockClock::new();
    let limit = ConcurrencyLimit::with_clock(1, clock.clone());
    let held = limit.try_acquire().unwrap();
    let mut wait = limit.acquire().within(ms(10));
    assert!(poll(&mut wait).is_none());
    drop(held);
    clock.advance(ms(100));
    drop(granted(poll(&mut wait)));
    assert_eq!(limit.in_flight(), 0);
}

/// No permit is free, and the deadline is not ahead.
#[test]
fn a_deadline_that_leaves_no_time_does_not_wait() {
    let clock = MockClock::new();
    clock.set(1_000);
    let limit = ConcurrencyLimit::with_clock(1, clock.clone());
    let held = granted(poll(&mut limit.acquire().within(Duration::ZERO)));
    assert!(timed_out(&poll(&mut limit.acquire().within(Duration::ZERO))));
    assert!(timed_out(&poll(&mut limit.acquire().until(1_000))));
    assert!(limit.acquire().until(999).wait().is_err());
    drop(held);
    assert!(timed_out(&poll(&mut limit.acquire().until(999))), "after the deadline, a free permit is no reason");
    drop(granted(poll(&mut limit.acquire().until(1_000))));
    assert_eq!((limit.in_flight(), limit.waiters()), (0, 0));
}

/// A timer refuses the last waiter, and cannot change the word. The permit that is given back next does.
#[test]
fn a_call_after_the_last_waiter_timed_out_is_admitted() {
    let clock = MockClock::new();
    let limit = ConcurrencyLimit::with_clock(1, clock.clone());
    for keep in [true, false] {
        let held = limit.try_acquire().unwrap();
        let mut wait = limit.acquire().within(ms(1));
        assert!(poll(&mut wait).is_none());
        clock.advance(ms(1));
        drop(held);
        if !keep {
            assert!(timed_out(&poll(&mut wait)));
        }
        let permit = limit.try_acquire().expect("no caller waits");
        assert!(limit.try_acquire().is_err());
        drop(permit);
    }
}

#[test]
fn a_closed_limit_refuses_every_call_and_permits_stay_valid() {
    let limit = ConcurrencyLimit::new(2);
    let permit = limit.try_acquire().unwrap();
    let unobserved = limit.try_acquire().unwrap();
    let (mut first, mut second) = (limit.acquire(), limit.acquire());
    assert!(poll(&mut first).is_none() && poll(&mut second).is_none());
    drop(unobserved);
    limit.close();
    assert!(limit.is_closed());
    let granted_before = granted(poll(&mut first));
    assert!(closed(&poll(&mut second)) && closed(&poll(&mut limit.acquire())));
    assert_eq!((limit.in_flight(), limit.waiters()), (2, 0));
    drop((permit, granted_before));
    limit.resize(10);
    assert!(matches!(limit.try_acquire(), Err(TryAcquirePermitError::LimiterClosed(_))));
    assert!(matches!(limit.acquire_blocking(), Err(AcquirePermitError::LimiterClosed(_))));
    assert!(closed(&poll(&mut limit.acquire().within(Duration::ZERO))));
    assert_eq!(limit.in_flight(), 0);
    limit.close();
}

#[test]
fn a_full_queue_refuses() {
    let limit = ConcurrencyLimit::builder(1).max_waiters(1).clock(MockClock::new()).build();
    let held = limit.try_acquire().unwrap();
    let mut first = limit.acquire();
    assert!(poll(&mut first).is_none());
    let Some(Err(AcquirePermitError::QueueFull(full))) = poll(&mut limit.acquire()) else { panic!("a second waiter") };
    assert_eq!(full.limit(), QueueLimit::Waiters(1));
    drop(held);
    drop(granted(poll(&mut first)));
    let none = ConcurrencyLimit::builder(0).max_waiters(0).build();
    assert!(matches!(poll(&mut none.acquire()), Some(Err(AcquirePermitError::QueueFull(_)))));
    none.resize(1);
    assert!(none.try_acquire().is_ok());
}

#[test]
fn owned_permits_go_to_other_threads() {
    let limit = Arc::new(ConcurrencyLimit::new(1));
    let permit: OwnedPermit = limit.try_acquire_owned().unwrap();
    let next = limit.acquire_owned();
    let waiter = thread::spawn(move || next.wait().map(drop));
    thread::spawn(move || drop(permit)).join().unwrap();
    assert!(waiter.join().unwrap().is_ok());
    assert_eq!((limit.in_flight(), Arc::strong_count(&limit)), (0, 1));
}

#[test]
fn a_panic_gives_the_permit_back() {
    let limit = ConcurrencyLimit::new(1);
    let work = || {
        let _permit = limit.try_acquire().unwrap();
        std::panic::resume_unwind(Box::new("the work fails"));
    };
    assert!(catch_unwind(AssertUnwindSafe(work)).is_err());
    assert_eq!(limit.in_flight(), 0);
}

/// Panics in every way that a waker can.
struct Panics;

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        std::panic::resume_unwind(Box::new("a waker panics"));
    }
}

impl Drop for Panics {
    fn drop(&mut self) {
        if !thread::panicking() {
            std::panic::resume_unwind(Box::new("a waker panics"));
        }
    }
}

#[test]
fn a_waker_that_panics_loses_no_permit() {
    let limit = ConcurrencyLimit::new(2);
    let held = [limit.try_acquire().unwrap(), limit.try_acquire().unwrap()];
    let count = Arc::<WakeCount>::default();
    let (mut first, mut second, mut third) = (limit.acquire(), limit.acquire(), limit.acquire());
    assert!(poll_by(&mut first, &Waker::from(Arc::new(Panics))).is_none());
    assert!(poll_by(&mut second, &Waker::from(Arc::new(Panics))).is_none());
    assert!(poll_by(&mut third, &count.clone().into()).is_none());
    drop(second);
    drop(held);
    assert_eq!((limit.in_flight(), count.woken()), (2, 1));
    let permits = (granted(poll(&mut first)), granted(poll(&mut third)));
    drop(permits);
    assert_eq!((limit.in_flight(), limit.waiters()), (0, 0));
}

/// A waker may call the limit from within each of its methods.
#[test]
fn a_waker_may_call_the_limit() {
    let limit = Arc::new(ConcurrencyLimit::new(1));
    let keyed = Arc::new(KeyedConcurrencyLimit::<u32>::new(1));
    let held = (limit.try_acquire().unwrap(), keyed.try_acquire(&7).unwrap());
    let (mut wait, mut of_key) = (limit.acquire(), keyed.acquire(&7));
    let calls = {
        let (limit, keyed) = (limit.clone(), keyed.clone());
        on_wake(move || {
            limit.resize(limit.limit() + 1);
            keyed.resize(keyed.limit() + 1);
            assert!(limit.try_acquire().is_ok() && keyed.try_acquire(&7).is_ok() && keyed.try_acquire(&8).is_ok());
        })
    };
    assert!(poll_by(&mut wait, &calls).is_none() && poll_by(&mut of_key, &calls).is_none());
    drop(held);
    drop((granted(poll(&mut wait)), granted(poll(&mut of_key))));
    assert_eq!((limit.in_flight(), limit.limit(), keyed.len(), keyed.limit()), (0, 3, 0, 3));
}

#[test]
fn keys_have_limits_of_their_own_and_go_with_their_last_permit() {
    let clock = MockClock::new();
    let limit = KeyedConcurrencyLimit::<str, _>::with_clock(2, clock.clone());
    let permits = [limit.try_acquire("ann").unwrap(), limit.try_acquire("ann").unwrap()];
    assert!(limit.try_acquire("ann").is_err());
    let bob = limit.try_acquire_owned("bob").unwrap();
    assert_eq!((limit.in_flight("ann"), limit.in_flight("bob"), limit.in_flight("eve")), (2, 1, 0));
    assert_eq!((limit.len(), limit.limit()), (2, 2));
    let (mut wait, mut late) = (limit.acquire("ann"), limit.acquire("ann").within(ms(5)));
    assert!(poll(&mut wait).is_none() && poll(&mut late).is_none());
    assert_eq!((limit.waiters("ann"), limit.waiters("bob")), (2, 0));
    clock.advance(ms(5));
    assert!(timed_out(&poll(&mut late)));
    drop(permits);
    assert_eq!(limit.in_flight("ann"), 1, "the waiter was granted one");
    drop(granted(poll(&mut wait)));
    assert_eq!(limit.len(), 1);
    drop(bob);
    assert!(limit.is_empty());
}

#[test]
fn a_resize_is_for_all_keys_known_and_new() {
    let limit = KeyedConcurrencyLimit::<u32>::new(1);
    let _held = limit.try_acquire(&1).unwrap();
    let mut wait = limit.acquire(&1);
    assert!(poll(&mut wait).is_none());
    limit.resize(2);
    drop(granted(poll(&mut wait)));
    let _two = [limit.try_acquire(&2).unwrap(), limit.try_acquire(&2).unwrap()];
    assert!(limit.try_acquire(&2).is_err());
    limit.resize(0);
    assert!(limit.try_acquire(&1).is_err() && limit.try_acquire(&3).is_err());
    assert_eq!(limit.len(), 2, "a refused key takes no memory");
    let (mut paused, mut cancelled) = (limit.acquire(&3), limit.acquire(&4));
    assert!(poll(&mut paused).is_none() && poll(&mut cancelled).is_none());
    assert_eq!(limit.len(), 4);
    drop(cancelled);
    assert_eq!(limit.len(), 3, "a key goes with its last waiter");
    limit.close();
    assert!(closed(&poll(&mut paused)) && limit.try_acquire(&9).is_err() && limit.acquire_blocking(&9).is_err());
    assert!(limit.is_closed() && closed(&poll(&mut limit.acquire(&1))));
    assert_eq!(limit.len(), 2);
}

#[test]
fn waits_of_a_key_may_go_to_another_task_without_the_limit() {
    let limit = KeyedConcurrencyLimit::<String>::new(1);
    let permit = limit.try_acquire_owned("ann").unwrap();
    let wait = limit.acquire_owned("ann");
    drop(limit);
    let waiter = thread::spawn(move || wait.wait().map(drop));
    drop(permit);
    assert!(waiter.join().unwrap().is_ok());
}

#[test]
fn permits_and_waits_can_be_sent_and_shared() {
    fn check<T: Send + Sync + std::panic::UnwindSafe + std::panic::RefUnwindSafe>(_: &T) {}
    let limit = Arc::new(ConcurrencyLimit::new(4));
    let keyed = KeyedConcurrencyLimit::<str>::new(1);
    check(&limit);
    check(&keyed);
    check(&limit.try_acquire().unwrap());
    check(&limit.try_acquire_owned().unwrap());
    check(&keyed.try_acquire("ann").unwrap());
    fn send<T: Send>(_: &T) {}
    send(&limit.acquire());
    send(&limit.acquire_owned());
    send(&keyed.acquire("ann"));
}
