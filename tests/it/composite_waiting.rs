//! Waits on several limits: first come, first served; charged at the grant and not before.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use brimful::{
    AcquireCause, AcquireError, CompositeAcquire, CompositeAcquireError, CompositeLimiter, KeyedCompositeLimiter,
    MockClock, OwnedCompositeAcquire, OwnedCompositeReservation, OwnedCompositeReserve, QueueLimit, Quota, Quotas,
    Tokens,
};
use proptest::prelude::*;

use crate::support::Random;
use crate::waiting::{WakeCount, poll, poll_by};

const MILLISECOND: u64 = 1_000_000;

fn quotas(text: &str) -> Quotas {
    text.parse().expect("a list of quotas")
}

/// An empty limiter.
fn drained(text: &str) -> CompositeLimiter<MockClock> {
    let limiter = CompositeLimiter::with_clock(quotas(text), MockClock::new());
    while limiter.allow() {}
    limiter
}

fn cause(error: CompositeAcquireError) -> AcquireError {
    let AcquireCause::Tokens(error) = error.cause() else { panic!("{error}: a limit of tokens refuses") };
    error
}

fn left(limiter: &CompositeLimiter<MockClock>) -> Vec<u32> {
    limiter.decide(0).limits().map(|(_, decision)| decision.remaining()).collect()
}

fn advance(limiter: &CompositeLimiter<MockClock>, milliseconds: u64) {
    limiter.clock().advance(Duration::from_millis(milliseconds));
}

fn granted_at(wait: &mut CompositeAcquire<'_, MockClock>) -> Option<u64> {
    poll(wait).map(|granted| granted.expect("it is granted").granted_at() / MILLISECOND)
}

#[test]
fn waiters_are_served_in_order_and_charged_when_all_limits_admit_them() {
    let limiter = drained("fast: 10/s burst 3; slow: 5/s burst 1");
    assert_eq!(left(&limiter), [2, 0]);
    let mut waits: Vec<_> = (0..3).map(|_| limiter.acquire()).collect();
    assert!(waits.iter_mut().all(|wait| poll(wait).is_none()));
    assert_eq!((limiter.waiters(), left(&limiter)), (3, vec![2, 0]));
    advance(&limiter, 199);
    assert!(waits.iter_mut().all(|wait| poll(wait).is_none()));
    advance(&limiter, 1);
    // The last is asked first, and is not served for it.
    assert_eq!(granted_at(&mut waits[2]), None);
    assert_eq!((granted_at(&mut waits[0]), limiter.waiters()), (Some(200), 2));
    advance(&limiter, 1_000);
    assert_eq!((granted_at(&mut waits[1]), granted_at(&mut waits[2])), (Some(400), Some(600)));
    assert_eq!(left(&limiter), [3, 1]);
    assert!(limiter.allow());
}

#[test]
fn a_wait_that_cannot_end_in_time_is_refused_at_once_by_name() {
    let limiter = drained("fast: 10/s burst 3; slow: 5/s burst 1");
    let mut first = limiter.acquire();
    assert!(poll(&mut first).is_none());
    let refused = poll(&mut limiter.acquire().within(Duration::from_millis(399))).expect("at once").unwrap_err();
    assert_eq!((refused.limit(), refused.retry_after()), (Some("slow"), Some(Duration::from_millis(400))));
    assert!(matches!(cause(refused), AcquireError::TooLate(_)), "{refused}");
    let mut second = limiter.acquire().within(Duration::from_millis(400));
    assert!(poll(&mut second).is_none());
    let refused = poll(&mut limiter.acquire_n(2)).expect("at once").unwrap_err();
    assert!(matches!((refused.limit(), cause(refused)), (Some("slow"), AcquireError::ExceedsBurst(_))), "{refused}");
    assert_eq!(refused.index(), Some(1));
    // A call that does not wait is refused behind those that do.
    assert_eq!(limiter.try_acquire().unwrap_err().retry_after(), Some(Duration::from_millis(600)));
    advance(&limiter, 200);
    assert_eq!(limiter.try_acquire().unwrap_err().retry_after(), Some(Duration::from_millis(400)));
    assert_eq!(granted_at(&mut first), Some(200));
    // A later charge makes the second miss its deadline.
    limiter.clock().set(200 * MILLISECOND);
    limiter.try_reserve_n(0).expect("it costs nothing").commit(1);
    let refused = poll(&mut second).expect("it is over").unwrap_err();
    assert!(matches!(cause(refused), AcquireError::TooLate(_)), "{refused}");
    assert_eq!(limiter.waiters(), 0);
    let mut late = limiter.acquire().until(100 * MILLISECOND);
    assert!(matches!(poll(&mut late), Some(Err(error)) if matches!(cause(error), AcquireError::TooLate(_))));
}

#[test]
fn a_wait_that_is_dropped_has_charged_nothing() {
    let limiter = drained("a: 10/s burst 100; b: 20/s burst 50; c: 1/s burst 1");
    let before = left(&limiter);
    for nth in 0..100_000 {
        let mut wait = limiter.acquire();
        assert!(poll(&mut wait).is_none());
        let mut behind = limiter.acquire();
        if nth % 3 == 0 {
            assert!(poll(&mut behind).is_none());
        }
        drop(wait);
    }
    assert_eq!((left(&limiter), limiter.waiters()), (before, 0));
    // Granted, and dropped before it was observed: it comes back.
    let (mut first, mut second) = (limiter.acquire(), limiter.acquire());
    assert!(poll(&mut first).is_none() && poll(&mut second).is_none());
    advance(&limiter, 1_000);
    drop(first);
    assert_eq!(granted_at(&mut second), Some(1_000));
    assert_eq!(left(&limiter)[2], 0);
}

#[test]
fn tokens_that_are_given_back_serve_the_first_waiter() {
    let limiter = CompositeLimiter::with_clock(quotas("a: 1/h burst 5; b: 1/h burst 9"), MockClock::new());
    let reserved = limiter.try_reserve_n(4).expect("it is full");
    let mut wait = limiter.acquire_n(3);
    assert!(poll(&mut wait).is_none());
    reserved.commit(2);
    assert!(matches!(poll(&mut wait), Some(Ok(_))));
    assert_eq!(left(&limiter), [0, 4]);
    let mut wait = limiter.reserve_n(2);
    assert!(poll(&mut wait).is_none());
    limiter.add_tokens(2);
    let Some(Ok(reserved)) = poll(&mut wait) else { panic!("the tokens are there") };
    assert_eq!(reserved.tokens(), Tokens::new(2));
    drop(reserved);
    assert_eq!(left(&limiter), [2, 6]);
    let mut wait = limiter.acquire_n(5);
    assert!(poll(&mut wait).is_none());
    limiter.reset();
    assert!(matches!(poll(&mut wait), Some(Ok(_))));
}

#[test]
fn waiters_that_leave_less_come_first_and_take_places() {
    let limiter = CompositeLimiter::builder().quotas(quotas("10/s burst 4; 10/s burst 8")).max_waiters(2);
    let limiter = limiter.clock(MockClock::new()).build().expect("a limiter");
    while limiter.allow() {}
    let mut background = limiter.leaving(2).acquire();
    let mut last = limiter.leaving(3).acquire();
    assert!(poll(&mut background).is_none() && poll(&mut last).is_none());
    let mut first = limiter.acquire();
    assert!(poll(&mut first).is_none());
    let refused = poll(&mut last).expect("it is over").unwrap_err();
    assert!(matches!(cause(refused), AcquireError::QueueFull(full) if full.limit() == QueueLimit::Displaced));
    assert!(matches!(poll(&mut limiter.leaving(2).acquire()), Some(Err(error))
        if matches!(cause(error), AcquireError::QueueFull(full) if full.limit() == QueueLimit::Waiters(2))));
    advance(&limiter, 100);
    assert_eq!((granted_at(&mut first), granted_at(&mut background)), (Some(100), None));
    // It needs one and leaves two.
    advance(&limiter, 300);
    assert_eq!(granted_at(&mut background), Some(400));
}

#[test]
fn a_closed_composite_refuses_waits_and_nothing_else() {
    let limiter = drained("10/s burst 2; 1000/h");
    let (mut wait, woken) = (limiter.acquire(), Arc::<WakeCount>::default());
    assert!(poll_by(&mut wait, &woken.clone().into()).is_none());
    limiter.close();
    assert_eq!(woken.woken(), 1);
    assert!(matches!(poll(&mut wait), Some(Err(error)) if matches!(cause(error), AcquireError::LimiterClosed(_))));
    advance(&limiter, 1_000);
    let error = limiter.acquire_blocking().unwrap_err();
    assert_eq!(
        (error.to_string(), error.limit()),
        ("the limiter was closed: nothing can wait on it any more".into(), None)
    );
    assert!(limiter.allow() && limiter.decide(1).allowed() && !limiter.allow());
    // Nobody has waited here, and the tokens are there.
    let limiter = CompositeLimiter::with_clock(quotas("10/s burst 2; 1000/h"), MockClock::new());
    limiter.close();
    assert!(matches!(limiter.acquire_blocking(), Err(error) if matches!(cause(error), AcquireError::LimiterClosed(_))));
    assert!(limiter.allow() && limiter.allow() && !limiter.allow());
}

#[test]
fn keys_have_queues_of_their_own_while_callers_wait() {
    let clients = KeyedCompositeLimiter::<u8>::builder().quotas(quotas("a: 10/s burst 1; b: 100/h"));
    let clients = clients.clock(MockClock::new()).max_keys(100).max_waiting_keys(2).build().expect("a limiter");
    assert!(clients.allow(&1) && clients.allow(&2));
    let mut waits: Vec<_> = [1, 2, 1].iter().map(|key| clients.acquire(key)).collect();
    assert!(waits.iter_mut().all(|wait| poll(wait).is_none()));
    assert!(clients.allow(&3));
    assert_eq!((clients.waiting_keys(), clients.key(&1).waiters(), clients.key(&3).waiters()), (2, 2, 0));
    let refused = poll(&mut clients.acquire(&3)).expect("at once").unwrap_err();
    assert!(
        matches!(cause(refused), AcquireError::QueueFull(full) if full.limit() == QueueLimit::Keys(2)),
        "{refused}"
    );
    assert_eq!(clients.try_acquire(&1).unwrap_err().retry_after(), Some(Duration::from_millis(300)));
    clients.clock().advance(Duration::from_millis(100));
    assert!(matches!(poll(&mut waits[0]), Some(Ok(_))) && matches!(poll(&mut waits[1]), Some(Ok(_))));
    assert_eq!(clients.waiting_keys(), 1, "of the second key, no caller waits");
    assert!(clients.remove(&1));
    assert!(matches!(poll(&mut waits[2]), Some(Err(error)) if matches!(cause(error), AcquireError::KeyRemoved(_))));
    assert_eq!(clients.waiting_keys(), 0);
    assert!(clients.allow(&1));
}

/// Threads wait, give up, take without waiting, and give back. In the end all of it is accounted for.
#[test]
fn threads_that_wait_and_give_up_are_charged_for_their_grants_only() {
    let limiter = Arc::new(CompositeLimiter::new(quotas("2000/s burst 3; 3000/s burst 2; 1000000/h burst 1000000")));
    let threads: Vec<_> = (0..4)
        .map(|seed| {
            let limiter = limiter.clone();
            thread::spawn(move || {
                let mut random = Random::new(seed);
                let mut taken = 0;
                for _ in 0..100 {
                    taken += match random.below(4) {
                        0 => u32::from(limiter.allow()),
                        1 => u32::from(limiter.acquire().within(Duration::from_millis(2)).wait().is_ok()),
                        2 => limiter.reserve_n(2).wait().map_or(0, |reserved| {
                            reserved.commit(1);
                            1
                        }),
                        _ => limiter.acquire_blocking().map_or(0, |_| 1),
                    };
                }
                taken
            })
        })
        .collect();
    let taken: u32 = threads.into_iter().map(|thread| thread.join().expect("no panic")).sum();
    let left = limiter.decide(0).limits().last().map(|(_, decision)| decision.remaining());
    let earned = 1_000_000 - taken..=1_000_000;
    assert!(left.is_some_and(|left| earned.contains(&left)), "{left:?} after {taken}");
    assert_eq!(limiter.waiters(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// Waits of any costs, on limits of any rates, are granted in order, each at the first instant at which every
    /// limit admits it.
    #[test]
    fn each_waiter_is_granted_at_the_first_instant_at_which_all_limits_admit_it(
        rates in proptest::collection::vec((1..2_000u32, 1..20u32), 1..4),
        costs in proptest::collection::vec(1..20u32, 1..12),
    ) {
        let bursts = rates.iter().map(|&(_, burst)| burst).min().unwrap_or(1);
        let list: Vec<_> = rates.iter().enumerate().map(|(nth, &(rate, burst))| format!("q{nth}: {rate}/s burst {burst}")).collect();
        let limiter = CompositeLimiter::with_clock(quotas(&list.join("; ")), MockClock::new());
        let apart: Vec<_> = limiter.quotas().iter().map(|(_, quota)| brimful::RateLimiter::new(quota)).collect();
        let costs: Vec<u32> = costs.into_iter().map(|cost| 1 + cost % bursts).collect();
        let mut waits: Vec<_> = costs.iter().map(|&cost| limiter.acquire_n(cost)).collect();
        waits.iter_mut().for_each(|wait| _ = poll(wait));
        limiter.clock().advance(Duration::from_secs(3_600));
        let mut now = 0;
        // A wait that was granted at its first poll is over, and is not polled again.
        for (&cost, wait) in costs.iter().zip(&mut waits) {
            let wait_for = |limiter: &brimful::RateLimiter| limiter.at(now).time_until(cost).map(|wait| wait.as_nanos() as u64);
            let longest = apart.iter().map(wait_for).max().flatten();
            now += longest.expect("the cost is within each burst");
            apart.iter().for_each(|limiter| assert!(limiter.at(now).try_acquire_n(cost).is_ok()));
            if let Some(granted) = poll(wait) {
                prop_assert_eq!(granted.expect("it is granted").granted_at(), now);
            } else {
                prop_assert_eq!(now, 0);
            }
        }
    }
}

/// The quota of one limit changes, and all are paused: waiters are served at the new instants.
#[test]
fn waiters_are_timed_anew_when_a_limit_changes_or_pauses() {
    let limiter = drained("fast: 100/s burst 5; slow: 10/s burst 2");
    let mut waits: Vec<_> = (0..3).map(|_| limiter.acquire()).collect();
    assert!(waits.iter_mut().all(|wait| poll(wait).is_none()));
    let mut hopeful = limiter.acquire().within(Duration::from_millis(500));
    assert!(poll(&mut hopeful).is_none());
    limiter.set_quota("slow", Quota::per_second(5).burst(1)).expect("a lower one");
    assert_eq!(limiter.quota("slow"), Some(Quota::per_second(5).burst(1)));
    let refused = poll(&mut hopeful).expect("it cannot be served in time now").unwrap_err();
    assert!(matches!(cause(refused), AcquireError::TooLate(_)) && refused.limit() == Some("slow"), "{refused}");
    advance(&limiter, 199);
    assert_eq!(granted_at(&mut waits[0]), None);
    advance(&limiter, 1);
    assert_eq!(granted_at(&mut waits[0]), Some(200));
    limiter.pause_for(Duration::from_secs(1));
    assert!(limiter.try_acquire().unwrap_err().retry_after() >= Some(Duration::from_secs(1)));
    advance(&limiter, 999);
    assert_eq!(granted_at(&mut waits[1]), None);
    advance(&limiter, 1);
    assert_eq!(granted_at(&mut waits[1]), Some(1_200));
    limiter.set_quota("slow", Quota::per_second(10).burst(2)).expect("its own");
    advance(&limiter, 100);
    assert_eq!(granted_at(&mut waits[2]), Some(1_300));
    let error = limiter.set_quota("slower", Quota::per_second(1)).unwrap_err().to_string();
    assert_eq!(error, "no limit has the name \"slower\": the names are those of `quotas`");
    assert!(limiter.set_quota("slow", Quota::per_second(11)).is_err());
}

#[test]
fn a_quota_that_changes_counts_in_every_form_of_decision() {
    let clock = MockClock::new();
    let clients = KeyedCompositeLimiter::<u8>::builder().quotas(quotas("a: 100/s; b: 50/s; c: 60/s"));
    let clients = clients.clock(clock.clone()).max_keys(100).build().expect("a limiter");
    let lone = CompositeLimiter::with_clock(quotas("a: 100/s; b: 50/s; c: 60/s"), clock.clone());
    for key in 0..50 {
        assert!(clients.allow(&key));
    }
    assert!(lone.allow());
    clients.set_quota("b", Quota::per_second(5)).expect("a lower one");
    lone.set_quota("b", Quota::per_second(5)).expect("a lower one");
    for key in 0..50 {
        assert!(clients.try_acquire_n(&key, 5).is_ok());
        assert_eq!(clients.decide(&key, 1).refusal().map(|refusal| refusal.index()), Some(1));
        assert_eq!(clients.try_acquire(&key).unwrap_err().retry_after(), Some(Duration::from_millis(200)));
    }
    assert!(lone.try_acquire_n(5).is_ok());
    assert_eq!(lone.try_acquire().unwrap_err().retry_after(), Some(Duration::from_millis(200)));
    clock.advance(Duration::from_millis(200));
    clients.pause_for(Duration::from_secs(2));
    lone.pause_for(Duration::from_secs(2));
    assert_eq!(clients.try_acquire(&7).unwrap_err().retry_after(), Some(Duration::from_secs(2)));
    assert_eq!(lone.decide(1).retry_after(), Some(Duration::from_secs(2)));
    clock.advance(Duration::from_secs(2));
    assert!(clients.allow(&7) && lone.allow());
}

/// A given time counts also while callers wait, and after the limiter was closed.
#[test]
fn given_times_count_behind_waiters_and_after_the_end() {
    let limiter = drained("a: 10/s burst 1; b: 20/s burst 5");
    let mut wait = limiter.leaving(0).acquire();
    assert!(poll(&mut wait).is_none());
    let refused = limiter.at(0).try_acquire().unwrap_err();
    assert_eq!(refused.retry_after(), Some(Duration::from_millis(200)));
    let decision = limiter.at(0).decide(1);
    let shown: Vec<bool> = decision.limits().map(|(_, decision)| decision.allowed()).collect();
    assert_eq!((decision.allowed(), shown), (false, vec![false, true]));
    limiter.close();
    assert!(poll(&mut wait).is_some());
    assert!(limiter.at(0).try_acquire().is_err());
    assert!(limiter.at(100 * MILLISECOND).try_acquire().is_ok());
    assert!(limiter.try_acquire().is_err());
}

/// Those that are granted together are woken at different times.
#[test]
fn jitter_spreads_the_wakes() {
    let limiter = CompositeLimiter::with_clock(quotas("a: 1000/s burst 100; b: 1000/s burst 50"), MockClock::new());
    assert!(limiter.try_acquire_n(50).is_ok());
    let mut waits: Vec<_> = (0..40).map(|_| limiter.acquire().jitter(Duration::from_secs(1))).collect();
    assert!(waits.iter_mut().all(|wait| poll(wait).is_none()));
    advance(&limiter, 40);
    let over = |waits: &mut Vec<CompositeAcquire<'_, MockClock>>| {
        waits.retain_mut(|wait| poll(wait).is_none());
        waits.len()
    };
    advance(&limiter, 500);
    let left = over(&mut waits);
    assert!((1..40).contains(&left), "{left} of 40 are held back for more than half a second");
    advance(&limiter, 500);
    assert_eq!(over(&mut waits), 0);
}

type Owned = (
    OwnedCompositeReservation<MockClock>,
    OwnedCompositeAcquire<MockClock>,
    OwnedCompositeAcquire<MockClock>,
    OwnedCompositeReserve<MockClock>,
);

/// Settles a reservation of all tokens, and waits for one token, for two, and for a reservation of two, on other
/// threads.
fn go_elsewhere((reserved, mut one, mut two, mut reserve): Owned, clock: &MockClock) {
    assert!(poll(&mut one).is_none() && poll(&mut two).is_none() && poll(&mut reserve).is_none());
    assert_eq!(thread::spawn(move || reserved.commit(1)).join().unwrap(), Tokens::ZERO);
    assert_eq!(poll(&mut one).expect("a token came back").unwrap().granted_at(), 0);
    let two = thread::spawn(move || two.wait());
    clock.advance(Duration::from_millis(799));
    assert_eq!(two.join().unwrap().unwrap().waited(), Duration::from_millis(400));
    assert!(poll(&mut reserve).is_none());
    clock.advance(Duration::from_millis(1));
    let reserved = poll(&mut reserve).expect("it is due").unwrap();
    assert_eq!(reserved.tokens(), Tokens::new(2));
    thread::spawn(move || drop(reserved)).join().unwrap();
}

#[test]
fn owned_waits_go_to_other_threads_and_keep_their_limits_alive() {
    let quotas = quotas("a: 10/s burst 4; b: 5/s burst 2");
    let clock = MockClock::new();
    let limiter = Arc::new(CompositeLimiter::with_clock(quotas.clone(), clock.clone()));
    let reserved = limiter.try_reserve_n_owned(2).expect("it is full");
    let owned = (reserved, limiter.acquire_owned(), limiter.acquire_n_owned(2), limiter.reserve_n_owned(2));
    let last = limiter.acquire_n_owned(2);
    let weak = Arc::downgrade(&limiter);
    drop(limiter);
    go_elsewhere(owned, &clock);
    assert!(last.wait().is_ok(), "the reservation was given back");
    assert!(weak.upgrade().is_none(), "no wait is left, and the limiter is");

    let clock = MockClock::new();
    let clients = KeyedCompositeLimiter::<u8>::builder().quotas(quotas).clock(clock.clone()).max_keys(100);
    let clients = clients.build().expect("a limiter");
    let reserved = clients.try_reserve_n_owned(&1, 2).expect("it is full");
    let owned = (reserved, clients.acquire_owned(&1), clients.acquire_n_owned(&1, 2), clients.reserve_n_owned(&1, 2));
    let (last, other) = (clients.acquire_n_owned(&1, 2), clients.acquire_n_owned(&2, 2));
    drop(clients);
    assert!(other.wait().is_ok(), "another key");
    go_elsewhere(owned, &clock);
    assert!(last.wait().is_ok(), "the reservation was given back");
}

/// The queues of all keys are found by a change of all keys: they are under many locks.
#[test]
fn a_change_of_all_keys_finds_the_waiters_on_each() {
    const KEYS: u64 = 300;
    let clients = KeyedCompositeLimiter::<u64>::builder().quotas(quotas("a: 10/s burst 1; b: 100/h"));
    let clients = clients.clock(MockClock::new()).max_keys(1_000).max_waiting_keys(KEYS as usize).build();
    let clients = clients.expect("a limiter");
    assert!((0..=KEYS).all(|key| clients.allow(&key)));
    let mut waits: Vec<_> = (0..KEYS).map(|key| clients.acquire(&key).within(Duration::from_millis(500))).collect();
    assert!(waits.iter_mut().all(|wait| poll(wait).is_none()));
    let refused = poll(&mut clients.acquire(&KEYS)).expect("at once").unwrap_err();
    assert!(matches!(cause(refused), AcquireError::QueueFull(_)), "{refused}");
    assert_eq!(clients.waiting_keys(), KEYS as usize);
    clients.set_quota("a", Quota::per_second(1)).expect("a lower one");
    for wait in &mut waits {
        assert!(matches!(cause(poll(wait).expect("it is too late now").unwrap_err()), AcquireError::TooLate(_)));
    }
    assert_eq!(clients.waiting_keys(), 0);
    let mut waits: Vec<_> = (0..KEYS).map(|key| clients.acquire(&key)).collect();
    assert!(waits.iter_mut().all(|wait| poll(wait).is_none()));
    clients.clear();
    assert_eq!(clients.waiting_keys(), 0);
    for wait in &mut waits {
        assert!(matches!(cause(poll(wait).expect("it ends").unwrap_err()), AcquireError::KeyRemoved(_)));
    }
}
