//! Waiting: order, instants, deadlines, cancellation and priorities, on a mock clock.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use brimful::{AcquireError, Clock, Granted, KeyedRateLimiter, MockClock, Quota, RateLimiter, Timer, TryAcquireError};

/// Counts how many times it is woken.
#[derive(Default)]
pub(crate) struct WakeCount(AtomicUsize);

impl Wake for WakeCount {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl WakeCount {
    pub(crate) fn woken(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

/// Runs a closure when it is woken.
struct OnWake<F>(F);

impl<F: Fn() + Send + Sync> Wake for OnWake<F> {
    fn wake(self: Arc<Self>) {
        (self.0)();
    }
}

pub(crate) fn on_wake(f: impl Fn() + Send + Sync + 'static) -> Waker {
    Waker::from(Arc::new(OnWake(f)))
}

pub(crate) type Outcome = Result<Granted, AcquireError>;

pub(crate) fn poll<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    poll_by(future, Waker::noop())
}

pub(crate) fn poll_by<F: Future + Unpin>(future: &mut F, waker: &Waker) -> Option<F::Output> {
    match Pin::new(future).poll(&mut Context::from_waker(waker)) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

#[track_caller]
fn at(outcome: Option<Outcome>) -> u64 {
    outcome.expect("ready").expect("granted").granted_at()
}

const MS: u64 = 1_000_000;

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// A limiter of 10/s with burst 2.
fn limiter() -> (RateLimiter<MockClock>, MockClock) {
    let clock = MockClock::new();
    (RateLimiter::with_clock(Quota::per_second(10).burst(2), clock.clone()), clock)
}

#[test]
fn go_scenario_of_waits() {
    let (limiter, clock) = limiter();
    assert_eq!(at(poll(&mut limiter.acquire_n(2))), 0);
    let mut second = limiter.acquire_n(2);
    assert!(poll(&mut second).is_none());
    clock.advance(ms(300));
    let second = poll(&mut second).unwrap().unwrap();
    assert_eq!((second.granted_at(), second.waited()), (200 * MS, ms(200)));
    let mut third = limiter.acquire_n(2);
    assert!(poll(&mut third).is_none());
    clock.advance(ms(100));
    assert_eq!(at(poll(&mut third)), 400 * MS);
}

#[test]
fn go_scenario_of_a_cancelled_wait() {
    let (limiter, clock) = limiter();
    assert_eq!(at(poll(&mut limiter.acquire_n(2))), 0);
    let mut cancelled = limiter.acquire_n(2);
    assert!(poll(&mut cancelled).is_none());
    clock.advance(ms(100));
    drop(cancelled);
    let mut next = limiter.acquire_n(2);
    assert!(poll(&mut next).is_none());
    clock.advance(ms(100));
    let next_at = at(poll(&mut next));
    assert_eq!(next_at, 200 * MS);
    drop(next);
    assert_eq!(limiter.available_tokens(), 0.0, "a served wait gives nothing back");
}

#[test]
fn who_came_first_is_served_first_whatever_it_costs() {
    let (limiter, clock) = limiter();
    assert!(limiter.try_acquire_n(2).is_ok());
    let wakers: Vec<Arc<WakeCount>> = (0..3).map(|_| Arc::default()).collect();
    let mut waits: Vec<_> = [2, 1, 1].into_iter().map(|n| limiter.acquire_n(n)).collect();
    for (wait, count) in waits.iter_mut().zip(&wakers) {
        assert!(poll_by(wait, &count.clone().into()).is_none());
    }
    assert_eq!(limiter.waiters(), 3);
    clock.advance(ms(150));
    assert!(!limiter.allow(), "a token is there, but a waiter needs two");
    let refused = limiter.try_acquire().unwrap_err();
    assert_eq!(refused.retry_after(), Some(ms(350)), "after all waiters");
    assert_eq!(limiter.time_until(1), Some(ms(350)));
    assert_eq!((limiter.available_tokens(), limiter.balance()), (0.0, 1.5), "the tokens belong to the waiters");
    let peek = limiter.decide(0);
    assert_eq!((peek.remaining(), peek.reset_after()), (0, Some(ms(450))), "a peek counts the waiters");
    assert_eq!((limiter.decide(1).remaining(), limiter.decide(1).reset_after()), (0, Some(ms(450))));
    clock.advance(ms(250));
    let woken: Vec<_> = wakers.iter().map(|count| count.woken()).collect();
    assert_eq!(woken, [1, 1, 1]);
    let instants: Vec<_> = waits.iter_mut().map(|wait| at(poll(wait))).collect();
    assert_eq!(instants, [200 * MS, 300 * MS, 400 * MS]);
    assert_eq!(limiter.waiters(), 0);
    clock.advance(ms(100));
    assert!(limiter.allow());
}

#[test]
fn what_cannot_end_in_time_is_refused_at_once() {
    let (limiter, clock) = limiter();
    assert!(matches!(poll(&mut limiter.acquire_n(3)), Some(Err(AcquireError::ExceedsBurst(_)))));
    assert!(limiter.try_acquire_n(2).is_ok());
    let mut first = limiter.acquire();
    assert!(poll(&mut first).is_none());
    let Some(Err(AcquireError::TooLate(late))) = poll(&mut limiter.acquire().within(ms(200) - Duration::from_nanos(1)))
    else {
        panic!("the first waiter was not served")
    };
    assert_eq!(late.retry_after(), Some(ms(200)));
    let mut second = limiter.acquire().until(200 * MS);
    assert!(poll(&mut second).is_none());
    clock.advance(ms(200));
    assert_eq!(at(poll(&mut first)), 100 * MS);
    assert_eq!(at(poll(&mut second)), 200 * MS);
    assert_eq!(limiter.available_tokens(), 0.0);
}

#[test]
fn what_becomes_hopeless_is_refused_at_the_next_look() {
    let clock = MockClock::new();
    let limiter = RateLimiter::with_clock(Quota::per_second(10).burst(10), clock.clone());
    let reservation = limiter.try_reserve_n(10).unwrap();
    let mut patient = limiter.acquire();
    let mut hurried = limiter.acquire().within(ms(250));
    let mut later = limiter.acquire().within(ms(900));
    assert!(poll(&mut patient).is_none() && poll(&mut hurried).is_none() && poll(&mut later).is_none());
    // 5 more than was reserved, so the wait is 500 ms longer.
    let _ = reservation.commit(15);
    assert!(matches!(poll(&mut hurried), Some(Err(AcquireError::TooLate(_)))));
    assert!(poll(&mut patient).is_none());
    clock.advance(ms(1000));
    assert_eq!(at(poll(&mut patient)), 600 * MS);
    assert_eq!(at(poll(&mut later)), 700 * MS);
}

#[test]
fn a_higher_class_passes_a_lower_one() {
    let clock = MockClock::new();
    let limiter = RateLimiter::builder().quota(Quota::per_second(10).burst(10)).clock(clock.clone()).build().unwrap();
    let background = limiter.background();
    assert_eq!(background.available_tokens(), 8.0);
    assert!(matches!(background.try_acquire_n(9), Err(TryAcquireError::ExceedsBurst(e)) if e.leaving() == 2.into()));
    drop(background.try_reserve_n(3).unwrap());
    assert!(background.try_acquire_n(8).is_ok());
    assert!(background.try_reserve_n(1).is_err());
    assert!(!background.allow() && limiter.try_acquire().is_ok());
    // One token is left, and background work must leave three.
    let (mut low, mut low_too) = (background.acquire(), background.acquire());
    assert!(poll(&mut low).is_none() && poll(&mut low_too).is_none());
    assert!(limiter.allow(), "there is no waiter of its class");
    let mut high = limiter.acquire_n(2);
    assert!(poll(&mut high).is_none());
    assert!(!limiter.allow());
    clock.advance(ms(2000));
    assert_eq!(at(poll(&mut high)), 200 * MS);
    assert_eq!(at(poll(&mut low)), 500 * MS);
    assert_eq!(at(poll(&mut low_too)), 600 * MS);
    let mut timed = background.acquire_n(9);
    assert!(matches!(poll(&mut timed), Some(Err(AcquireError::ExceedsBurst(_)))));
}

#[test]
fn a_lower_class_hears_of_its_deadline() {
    let (limiter, clock) = limiter();
    assert!(limiter.try_acquire_n(2).is_ok());
    let mut low = limiter.acquire().leaving(1).within(ms(200));
    let count = Arc::new(WakeCount::default());
    assert!(poll_by(&mut low, &count.clone().into()).is_none());
    let mut high = limiter.acquire_n(2);
    assert!(poll(&mut high).is_none());
    clock.advance(ms(199));
    assert_eq!(count.woken(), 0);
    clock.advance(ms(1));
    assert_eq!(count.woken(), 1);
    assert!(matches!(poll(&mut low), Some(Err(AcquireError::TooLate(_)))));
    assert_eq!(at(poll(&mut high)), 200 * MS);
}

#[test]
fn dropped_after_its_grant_it_gives_back() {
    let (limiter, clock) = limiter();
    assert!(limiter.try_acquire_n(2).is_ok());
    let (mut granted, mut next) = (limiter.acquire_n(2), limiter.acquire_n(2));
    assert!(poll(&mut granted).is_none() && poll(&mut next).is_none());
    clock.advance(ms(200));
    drop(granted);
    assert_eq!(at(poll(&mut next)), 200 * MS);
    let mut alone = limiter.acquire();
    assert!(poll(&mut alone).is_none());
    clock.advance(ms(100));
    drop(alone);
    assert_eq!(limiter.available_tokens(), 1.0);
}

#[test]
fn a_leaked_wait_costs_its_tokens_once() {
    let (limiter, clock) = limiter();
    assert!(limiter.try_acquire_n(2).is_ok());
    let mut leaked = limiter.acquire_n(2);
    assert!(poll(&mut leaked).is_none());
    std::mem::forget(leaked);
    let mut next = limiter.acquire();
    assert!(poll(&mut next).is_none());
    clock.advance(ms(300));
    assert_eq!(at(poll(&mut next)), 300 * MS);
    clock.advance(ms(200));
    assert_eq!(limiter.available_tokens(), 2.0);
}

#[test]
fn as_many_wait_as_may() {
    let clock = MockClock::new();
    let quota = Quota::per_second(1).burst(1);
    let limiter = RateLimiter::builder().quota(quota).clock(clock.clone()).max_waiters(1).build().unwrap();
    assert!(limiter.allow());
    let mut first = limiter.acquire();
    assert!(poll(&mut first).is_none());
    let Some(Err(error @ AcquireError::QueueFull(_))) = poll(&mut limiter.acquire()) else {
        panic!("the queue accepts a second waiter")
    };
    assert_eq!(error.to_string(), "the wait queue is full (1 waiters): retry later, or raise `max_waiters`");
    drop(first);
    assert!(poll(&mut limiter.acquire()).is_none());
}

#[test]
fn tokens_given_back_serve_who_waits() {
    let (limiter, clock) = limiter();
    let reservation = limiter.try_reserve_n(2).unwrap();
    let (mut first, mut second) = (limiter.acquire(), limiter.acquire());
    assert!(poll(&mut first).is_none() && poll(&mut second).is_none());
    clock.advance(ms(50));
    reservation.commit(1);
    assert_eq!(at(poll(&mut first)), 50 * MS);
    assert!(poll(&mut second).is_none());
    limiter.reset();
    assert_eq!(at(poll(&mut second)), 50 * MS);
    assert_eq!(limiter.available_tokens(), 1.0);
}

#[test]
fn jitter_tells_later_and_charges_at_once() {
    let (limiter, clock) = limiter();
    assert!(limiter.try_acquire_n(2).is_ok());
    let counts: Vec<Arc<WakeCount>> = (0..200).map(|_| Arc::default()).collect();
    let mut waits: Vec<_> = (0..200).map(|_| limiter.acquire().jitter(ms(50))).collect();
    for (wait, count) in waits.iter_mut().zip(&counts) {
        assert!(poll_by(wait, &count.clone().into()).is_none());
    }
    let mut reported = Vec::new();
    for k in 1..=200 {
        clock.set(k * 100 * MS);
        for step in 0..=50 {
            if counts[k as usize - 1].woken() == 1 {
                reported.push(step);
                break;
            }
            assert!(poll_by(&mut waits[k as usize - 1], &counts[k as usize - 1].clone().into()).is_none());
            clock.advance(ms(1));
        }
        assert_eq!(at(poll(&mut waits[k as usize - 1])), k * 100 * MS);
    }
    assert_eq!(reported.len(), 200);
    let distinct: std::collections::BTreeSet<_> = reported.iter().collect();
    assert!(distinct.len() > 25, "{distinct:?}");
}

#[test]
fn a_limiter_without_a_limit_does_not_wait() {
    let limiter = RateLimiter::unlimited();
    assert!(poll(&mut limiter.acquire_n(1_000_000)).unwrap().is_ok());
    assert!(limiter.acquire_n_blocking(u32::MAX).unwrap().waited().is_zero());
    assert!(poll(&mut limiter.acquire_n(0)).unwrap().is_ok());
}

#[test]
fn an_hour_of_waiting_takes_no_time() {
    let clock = MockClock::new();
    let limiter = Arc::new(RateLimiter::with_clock(Quota::per_minute(1), clock.clone()));
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let limiter = limiter.clone();
            std::thread::spawn(move || (0..15).map(|_| limiter.acquire_blocking().unwrap().granted_at()).collect())
        })
        .collect();
    while threads.iter().any(|thread| !thread.is_finished()) {
        if limiter.waiters() > 0 {
            clock.advance(Duration::from_secs(60));
        }
        std::thread::yield_now();
    }
    let mut all: Vec<u64> = threads.into_iter().flat_map(|thread| -> Vec<u64> { thread.join().unwrap() }).collect();
    all.sort_unstable();
    let minutes: Vec<u64> = all.iter().map(|at| at / 60_000_000_000).collect();
    assert_eq!(minutes, (0..60).collect::<Vec<_>>(), "one a minute");
    assert!(all.iter().all(|at| at % 60_000_000_000 == 0), "exact to the nanosecond");
}

#[test]
fn a_static_limiter_is_waited_on_in_real_time() {
    static LIMITER: RateLimiter = RateLimiter::new(Quota::per_second(1000).burst(2).initial(0));
    let threads: Vec<_> = (0..4)
        .map(|_| std::thread::spawn(|| (0..10).map(|_| LIMITER.acquire_blocking().unwrap().granted_at()).collect()))
        .collect();
    let mut all: Vec<u64> = threads.into_iter().flat_map(|thread| -> Vec<u64> { thread.join().unwrap() }).collect();
    all.sort_unstable();
    for (first, last) in (0..all.len()).flat_map(|first| (first..all.len()).map(move |last| (first, last))) {
        let granted = (last - first + 1) as u64;
        assert!((granted - 2.min(granted)) * MS <= all[last] - all[first], "{granted} in {}", all[last] - all[first]);
    }
}

#[test]
fn keys_are_waited_on_one_by_one() {
    let clock = MockClock::new();
    let limiter = KeyedRateLimiter::<str, _>::with_clock(Quota::per_second(10).burst(2), clock.clone());
    assert!(limiter.try_acquire_n("a", 2).is_ok() && limiter.try_acquire_n("b", 2).is_ok());
    let (mut a1, mut a2, mut b) = (limiter.acquire_n("a", 2), limiter.acquire("a"), limiter.acquire("b"));
    assert!(poll(&mut a1).is_none() && poll(&mut a2).is_none() && poll(&mut b).is_none());
    assert_eq!((limiter.waiting_keys(), limiter.len()), (2, 2));
    assert_eq!((limiter.key("a").waiters(), limiter.key("b").waiters(), limiter.key("c").waiters()), (2, 1, 0));
    clock.advance(ms(150));
    assert_eq!(at(poll(&mut b)), 100 * MS);
    assert_eq!(limiter.waiting_keys(), 1, "its word is handed back");
    assert!(!limiter.allow("a") && limiter.allow("c"));
    assert_eq!(limiter.try_acquire("a").unwrap_err().retry_after(), Some(ms(250)));
    assert_eq!(limiter.key("a").time_until(1), Some(ms(250)));
    clock.advance(ms(150));
    assert_eq!(at(poll(&mut a1)), 200 * MS);
    assert_eq!(at(poll(&mut a2)), 300 * MS);
    assert_eq!((limiter.waiting_keys(), limiter.len()), (0, 3));
    clock.advance(ms(100));
    assert!(limiter.allow("a"));
}

#[test]
fn a_key_that_is_removed_ends_the_waits() {
    let clock = MockClock::new();
    let limiter = KeyedRateLimiter::<u32, _>::with_clock(Quota::per_second(10).burst(2), clock.clone());
    type End = fn(&KeyedRateLimiter<u32, MockClock>);
    let ends: [End; 2] = [|limiter| assert!(limiter.remove(&7)), |limiter| limiter.clear()];
    for end in ends {
        assert!(limiter.try_acquire_n(&7, 2).is_ok());
        let mut wait = limiter.acquire(&7);
        let count = Arc::new(WakeCount::default());
        assert!(poll_by(&mut wait, &count.clone().into()).is_none());
        end(&limiter);
        assert_eq!(count.woken(), 1);
        assert!(matches!(poll(&mut wait), Some(Err(AcquireError::KeyRemoved(_)))));
        assert_eq!((limiter.waiting_keys(), limiter.len()), (0, 0));
        assert!(limiter.try_acquire_n(&7, 2).is_ok());
        clock.advance(ms(200));
    }
}

#[test]
fn a_key_that_is_waited_on_is_reset() {
    let clock = MockClock::new();
    let limiter = KeyedRateLimiter::<u32, _>::with_clock(Quota::per_second(10).burst(2), clock.clone());
    assert!(limiter.try_acquire_n(&7, 2).is_ok());
    let mut wait = limiter.acquire(&7);
    assert!(poll(&mut wait).is_none());
    limiter.key(&7).reset();
    assert!(poll(&mut wait).unwrap().is_ok());
    assert_eq!(limiter.key(&7).available_tokens(), 1.0);
}

#[test]
fn a_leaked_wait_does_not_keep_a_key() {
    let clock = MockClock::new();
    let limiter = KeyedRateLimiter::<u32, _>::builder()
        .quota(Quota::per_second(10).burst(2))
        .clock(clock.clone())
        .max_waiting_keys(1)
        .build()
        .unwrap();
    assert!(limiter.try_acquire_n(&7, 2).is_ok() && limiter.try_acquire_n(&8, 2).is_ok());
    let mut leaked = limiter.acquire(&7);
    assert!(poll(&mut leaked).is_none());
    std::mem::forget(leaked);
    let refused = poll(&mut limiter.acquire(&8)).unwrap().unwrap_err();
    assert_eq!(
        refused.to_string(),
        "callers wait on as many keys as permitted (1): retry later, or raise `max_waiting_keys`"
    );
    clock.advance(ms(100));
    assert!(!limiter.allow(&7), "its token was taken");
    assert_eq!(limiter.waiting_keys(), 0);
    clock.advance(ms(1000));
    assert_eq!((limiter.retain_recent(), limiter.len()), (2, 0));
}

#[test]
fn limited_functions_are_futures_that_can_be_sent() {
    static LIMITER: RateLimiter = RateLimiter::new(Quota::per_second(1000).burst(10));
    fn sent<F: Future + Send>(future: F) -> F {
        future
    }
    let double = LIMITER.wrap(|n: u32| async move { 2 * n });
    let mut call = pin!(sent(async move { double(21).await }));
    let Poll::Ready(answer) = call.as_mut().poll(&mut Context::from_waker(Waker::noop())) else {
        panic!("the burst is 10")
    };
    assert_eq!(answer.unwrap(), 42);
    let double = LIMITER.wrap_blocking(|n: u32| 2 * n);
    assert_eq!(double(4).unwrap(), 8);
    drop(sent(LIMITER.acquire()));
}

/// A timer that is as late as one of whole milliseconds can be.
struct MillisecondTimer(Box<dyn Timer>);

impl Timer for MillisecondTimer {
    fn arm(&mut self, now_ns: u64, at_ns: u64, waker: &Waker) {
        self.0.arm(now_ns, at_ns.next_multiple_of(MS) + MS - 1, waker);
    }
}

#[test]
fn a_timer_of_milliseconds_keeps_a_rate_of_one_a_millisecond() {
    let clock = MockClock::new();
    let timers = clock.clone();
    let limiter = RateLimiter::builder()
        .quota(Quota::per_second(1000).burst(3))
        .clock(clock.clone())
        .timer(move || MillisecondTimer(timers.timer().expect("the mock clock has timers")))
        .build()
        .unwrap();
    assert!(limiter.try_acquire_n(3).is_ok());
    let (mut granted, mut wait) = (0, limiter.acquire());
    for _ in 0..10_000 {
        while poll(&mut wait).is_some_and(|outcome| outcome.is_ok()) {
            granted += 1;
            wait = limiter.acquire();
        }
        clock.advance(Duration::from_micros(100));
    }
    assert!((990..=1000).contains(&granted), "{granted} in a second");
}

#[test]
fn many_keys_are_served_in_the_order_of_their_instants() {
    const KEYS: u64 = 10_000;
    let clock = MockClock::new();
    let limiter = KeyedRateLimiter::<u64, _>::with_clock(Quota::per_second(10).burst(2), clock.clone());
    let served = Arc::new(Mutex::new(Vec::new()));
    let mut waits = Vec::new();
    for key in 0..KEYS {
        // Emptied at different times, in another order than that of the keys.
        clock.set(key * 7_919 % KEYS * 1_000);
        assert!(limiter.key(&key).at(clock.now()).try_acquire_n(2).is_ok());
        let mut wait = limiter.acquire(&key);
        let served = served.clone();
        let waker = on_wake(move || served.lock().unwrap().push(key));
        assert!(poll_by(&mut wait, &waker).is_none());
        waits.push(wait);
    }
    assert_eq!(limiter.waiting_keys() as u64, KEYS);
    clock.set(KEYS * 1_000);
    clock.advance(ms(200));
    let served = std::mem::take(&mut *served.lock().unwrap());
    assert_eq!(served.len() as u64, KEYS);
    let instants: Vec<u64> = served.iter().map(|&key| at(poll(&mut waits[key as usize]))).collect();
    assert!(instants.is_sorted());
    for (key, instant) in served.into_iter().zip(instants) {
        assert_eq!(instant, key * 7_919 % KEYS * 1_000 + 100 * MS);
    }
    assert_eq!((limiter.waiting_keys(), limiter.len()), (0, KEYS as usize));
}
