//! Full tables of a keyed composite: what they evict and refuse is reported to the hook, when no lock is held.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::Duration;

use brimful::{
    AllOf, Charge, FullEvent, KeyedCompositeLimiter, KeyedCompositeLimiterBuilder, KeyedRateLimiter, MockClock, OnFull,
    Quota, Quotas, RateLimiter,
};

use crate::waiting::poll;

fn builder(quotas: &str) -> KeyedCompositeLimiterBuilder<u64, MockClock> {
    let quotas: Quotas = quotas.parse().expect("a list of quotas");
    KeyedCompositeLimiter::builder().quotas(quotas).clock(MockClock::new()).max_keys(4)
}

/// The hook is called as often as the limiter counts, for what each table did.
#[test]
fn the_hook_is_called_for_each_table() {
    for on_full in [OnFull::Deny, OnFull::EvictLeastDebt] {
        let events = Arc::new(Mutex::new(Vec::new()));
        let hook = events.clone();
        let clients = builder("a: 10/h; b: 10/day; c: 100/h").on_full(on_full);
        let clients = clients.on_full_hook(move |event| hook.lock().unwrap().push(event)).build().expect("a limiter");
        let reported = |event| events.lock().unwrap().iter().filter(|&&reported| reported == event).count() as u64;
        assert!((0..4).all(|key| clients.allow(&key)));
        assert_eq!(events.lock().unwrap().len(), 0, "nothing is full");
        for key in 10..20 {
            let before = (clients.evictions(), clients.refusals());
            match key % 5 {
                0 => _ = clients.allow(&key),
                1 => _ = clients.decide(&key, 1),
                2 => _ = clients.key(&key).try_reserve_n(1).map(|reserved| reserved.commit(2)),
                3 => _ = poll(&mut clients.acquire(&key)),
                _ => clients.key(&key).at(1).add_tokens(1),
            }
            let after = (clients.evictions(), clients.refusals());
            assert!(key % 5 == 4 || after > before, "{key}: the tables are full");
            assert_eq!((reported(FullEvent::Evicted), reported(FullEvent::Refused)), after, "{key}");
        }
        let is_denied = matches!(on_full, OnFull::Deny);
        assert_eq!((clients.evictions() == 0, clients.refusals() == 0), (is_denied, !is_denied));
    }
}

/// The decision is complete when the hook is called: it stands if the hook panics.
#[test]
fn a_hook_that_panics_changes_nothing() {
    let calls = Arc::new(AtomicU64::new(0));
    let hook = calls.clone();
    let clients = builder("a: 10/h; b: 20/h").on_full_hook(move |_| {
        hook.fetch_add(1, Ordering::Relaxed);
        panic!("on purpose");
    });
    let clients = clients.build().expect("a limiter");
    assert!((0..4).all(|key| clients.key(&key).try_acquire_n(5).is_ok()));
    let panics = (0..3).filter(|_| catch_unwind(AssertUnwindSafe(|| clients.allow(&9))).is_err()).count();
    assert_eq!((panics, calls.load(Ordering::Relaxed), clients.evictions()), (2, 2, 2), "one for each table");
    let taken = clients.decide(&9, 0);
    let left: Vec<_> = taken.limits().map(|(_, decision)| decision.limit() - decision.remaining()).collect();
    assert_eq!(left[0], left[1], "each table was charged for the same calls");
}

/// A waiter's key was evicted, and finds a place when the timer serves the waiter, under the lock of its queue. The
/// hook asks that very queue.
#[test]
fn the_hook_may_call_the_limiter_while_waiters_are_served() {
    type Clients = KeyedCompositeLimiter<u64, MockClock>;
    let (place, seen) = (Arc::new(OnceLock::<Weak<Clients>>::new()), Arc::new(Mutex::new(Vec::new())));
    let (asked, events) = (place.clone(), seen.clone());
    let clients = builder("a: 10/s; b: 10/s").on_full_hook(move |_| {
        let clients = asked.get().and_then(Weak::upgrade).expect("the limiter");
        let found = (clients.key(&0).waiters(), clients.allow(&0));
        events.lock().unwrap().push(found);
    });
    let clients = Arc::new(clients.build().expect("a limiter"));
    place.set(Arc::downgrade(&clients)).expect("once");
    assert!(clients.allow(&0));
    let mut waits: Vec<_> = (0..2).map(|_| clients.acquire_n(&0, 10)).collect();
    assert!(waits.iter_mut().all(|wait| poll(wait).is_none()));
    assert!((1..4).all(|key| clients.key(&key).try_acquire_n(10).is_ok()));
    assert!(clients.try_acquire_n(&4, 9).is_ok(), "evicts the waiters' key, which has the least debt");
    assert_eq!(std::mem::take(&mut *seen.lock().unwrap()), [(2, false); 2], "by this call, for each table");
    clients.clock().advance(Duration::from_millis(100));
    assert_eq!(std::mem::take(&mut *seen.lock().unwrap()), [(1, false); 2], "by the timer: the key came again");
    assert!(poll(&mut waits[0]).is_some_and(|answer| answer.is_ok()));
}

/// A call on limits that are joined counts at the full table that refuses it.
#[test]
fn a_joined_call_is_counted_where_it_is_refused() {
    let clock = MockClock::new();
    let keyed = KeyedRateLimiter::<u64>::builder().quota(Quota::per_hour(10)).clock(clock.clone()).max_keys(4);
    let keyed = keyed.on_full(OnFull::Deny).build().expect("a limiter");
    let all = RateLimiter::with_clock(Quota::per_hour(100), clock);
    assert!((0..4).all(|key| keyed.allow(&key)));
    let call = AllOf::new([Charge::new("all", &all, 1), Charge::new("key", keyed.key(&9), 1)]);
    let refused = call.try_acquire().unwrap_err();
    assert_eq!((refused.limit(), keyed.refusals(), all.available_tokens()), ("key", 1, 100.0));
}
