//! The statistics: each call is counted once, exactly, by every verb, and a read that begins anew loses nothing.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use brimful::{AllOf, Charge, KeyedRateLimiter, MockClock, OnFull, Quota, RateLimiter, Stats, Tokens};

use super::support::tokens;

fn limiter(quota: Quota) -> (Arc<RateLimiter<MockClock>>, MockClock) {
    let clock = MockClock::new();
    let limiter = RateLimiter::builder().quota(quota).clock(clock.clone()).stats().build().unwrap();
    (Arc::new(limiter), clock)
}

fn keyed(quota: Quota) -> (KeyedRateLimiter<str, MockClock>, MockClock) {
    let clock = MockClock::new();
    let limiter = KeyedRateLimiter::builder().quota(quota).clock(clock.clone()).max_keys(100).stats().build().unwrap();
    (limiter, clock)
}

/// The calls of each outcome: admitted, rate limited, beyond the burst, and all that were denied.
fn calls(stats: Option<Stats>) -> [u64; 4] {
    let stats = stats.unwrap();
    [stats.admitted, stats.rate_limited, stats.exceeds_burst, stats.denied()]
}

fn poll<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn without_the_option_there_are_none() {
    static LIMITER: RateLimiter = RateLimiter::new(Quota::per_hour(1));
    assert!(LIMITER.allow());
    assert_eq!((LIMITER.stats(), LIMITER.take_stats()), (None, None));
    let keyed = KeyedRateLimiter::<u64>::new(Quota::per_hour(1));
    assert!(keyed.allow(&1));
    assert_eq!((keyed.stats(), keyed.take_stats()), (None, None));
}

#[test]
fn every_verb_that_does_not_wait_counts_once() {
    let (limiter, _) = limiter(Quota::per_hour(4));
    let verbs: [&dyn Fn(Tokens) -> bool; 8] = [
        &|n| limiter.try_acquire_n(n).is_ok(),
        &|n| limiter.decide(n).allowed(),
        &|n| limiter.try_reserve_n(n).map(|reservation| reservation.commit(n)).is_ok(),
        &|n| limiter.try_reserve_n_owned(n).map(|reservation| reservation.commit(n)).is_ok(),
        &|n| limiter.at(0).try_acquire_n(n).is_ok(),
        &|n| limiter.leaving(0).decide(n).allowed(),
        &|n| limiter.leaving(0).try_reserve_n(n).map(|reservation| reservation.commit(n)).is_ok(),
        &|n| AllOf::new([Charge::new("a", &*limiter, n)]).try_acquire().is_ok(),
    ];
    for (nth, verb) in verbs.into_iter().enumerate() {
        // One call per outcome, and one that costs nothing.
        limiter.reset();
        let outcomes = [tokens("2.5"), tokens("2"), tokens("9"), Tokens::ZERO].map(verb);
        assert_eq!(outcomes, [true, false, false, true], "verb {nth}");
        let stats = limiter.take_stats();
        assert_eq!(calls(stats), [1, 1, 1, 2], "verb {nth}");
        let stats = stats.unwrap();
        assert_eq!((stats.tokens_admitted, stats.tokens_denied, stats.refunds), (2.5, 11.0, 0), "verb {nth}");
    }
}

#[test]
fn the_verbs_of_keys_count_once() {
    let (limiter, _) = keyed(Quota::per_hour(2));
    assert!(limiter.allow("a"));
    assert!(limiter.decide("a", 1).allowed());
    assert!(!limiter.key("a").allow());
    assert!(!limiter.decide("a", 1).allowed());
    limiter.try_reserve_n_owned("b", 2).unwrap().commit(2);
    assert!(limiter.try_acquire_n("b", 3).is_err());
    assert_eq!(calls(limiter.take_stats()), [3, 2, 1, 3]);
    let keys = limiter.stats().unwrap().keys.unwrap();
    assert_eq!((keys.known, keys.forgotten, keys.evicted), (2, 0, 0));
}

#[test]
fn the_calls_of_a_batch_count_once_each() {
    let builder = KeyedRateLimiter::<u64>::builder().quota(Quota::per_hour(1)).clock(MockClock::new());
    let limiter = builder.max_keys(100).stats().build().unwrap();
    let mut out = Vec::new();
    limiter.try_acquire_many(&[1, 2, 1, 3], &mut out);
    assert_eq!(calls(limiter.take_stats()), [3, 1, 0, 1]);
    limiter.try_acquire_many_n(&[(4, Tokens::ONE), (4, Tokens::ZERO), (5, Tokens::new(2))], &mut out);
    assert_eq!(calls(limiter.take_stats()), [1, 0, 1, 1]);
}

#[test]
fn limits_that_are_charged_together_count_once_each() {
    let (first, _) = limiter(Quota::per_hour(5));
    let (second, _) = limiter(Quota::per_hour(2));
    let call = || AllOf::new([Charge::new("first", &*first, 1), Charge::new("second", &*second, 2)]);
    assert!(call().try_acquire().is_ok());
    assert!(call().try_acquire().is_err());
    assert!(!call().decide().allowed());
    assert_eq!(calls(first.stats()), [1, 0, 0, 0]);
    assert_eq!(calls(second.stats()), [1, 2, 0, 2]);
    call().give_back();
    assert!(call().decide().allowed());
    let stats = second.stats().unwrap();
    assert_eq!((stats.admitted, stats.refunds, stats.tokens_refunded), (2, 1, 2.0));
}

#[test]
fn waits_count_by_their_outcome() {
    let (limiter, clock) = limiter(Quota::per_second(10).burst(2));
    let wait = |n: u32| limiter.acquire_n_owned(n);
    // At once.
    assert!(wait(2).wait().is_ok());
    assert_eq!(limiter.stats().unwrap().waited, 0);
    // After a time.
    let mut short = pin!(wait(1));
    let mut long = pin!(wait(2));
    assert!(poll(short.as_mut()).is_pending() && poll(long.as_mut()).is_pending());
    clock.advance(Duration::from_millis(100));
    assert!(poll(short.as_mut()).is_ready());
    clock.advance(Duration::from_millis(200));
    assert!(poll(long.as_mut()).is_ready());
    // Too late at once, beyond the burst, and dropped.
    assert!(wait(1).within(Duration::from_millis(50)).wait().is_err());
    assert!(wait(1).until(0).wait().is_err());
    assert!(wait(3).wait().is_err());
    {
        let mut dropped = pin!(wait(1));
        assert!(poll(dropped.as_mut()).is_pending());
    }
    // Without a cost.
    assert!(wait(0).wait().is_ok());
    // Ended.
    let mut ended = pin!(wait(1));
    assert!(poll(ended.as_mut()).is_pending());
    limiter.close();
    assert!(poll(ended.as_mut()).is_ready());
    let stats = limiter.take_stats().unwrap();
    assert_eq!((stats.admitted, stats.tokens_admitted, stats.waited), (3, 5.0, 2));
    assert_eq!((stats.too_late, stats.exceeds_burst, stats.ended, stats.abandoned), (2, 1, 1, 1));
    assert_eq!((stats.denied(), stats.refunds), (4, 0));
    assert_eq!(stats.total_wait, Duration::from_millis(400));
    assert_eq!((stats.mean_wait(), stats.longest_wait), (Duration::from_millis(200), Duration::from_millis(300)));
    assert_eq!(limiter.stats(), Some(Stats::default()));
}

#[test]
fn refunds_late_charges_changes_and_pauses_count() {
    let (limiter, _) = limiter(Quota::per_hour(10));
    let _ = limiter.try_reserve_n(4).unwrap().commit(1);
    limiter.try_reserve_n(2).unwrap().cancel();
    let _ = limiter.try_reserve_n(1).unwrap().commit(3);
    assert_eq!(limiter.add_tokens(100), Tokens::new(4));
    limiter.set_quota(Quota::per_hour(5)).unwrap();
    assert!(limiter.set_quota(Quota::per_hour(50)).is_err());
    limiter.pause_for(Duration::from_secs(1));
    let stats = limiter.stats().unwrap();
    assert_eq!((stats.admitted, stats.tokens_admitted), (3, 9.0));
    assert_eq!((stats.refunds, stats.tokens_refunded), (3, 9.0));
    assert_eq!((stats.quota_changes, stats.pauses), (1, 1));
    // After the change, the cold path.
    assert!(!limiter.allow());
    assert!(limiter.try_acquire_n(6).is_err());
    assert_eq!(calls(limiter.stats()), [3, 1, 1, 2]);
}

#[test]
fn a_full_table_counts_what_it_forgets_and_refuses() {
    let clock = MockClock::new();
    let limiter = KeyedRateLimiter::<u64>::builder()
        .quota(Quota::per_second(2))
        .clock(clock.clone())
        .max_keys(1)
        .on_full(OnFull::Deny)
        .stats()
        .build()
        .unwrap();
    assert!(limiter.allow(&1));
    assert!(!limiter.allow(&2));
    let stats = limiter.take_stats().unwrap();
    assert_eq!((stats.admitted, stats.table_full, stats.denied()), (1, 1, 1));
    clock.advance(Duration::from_secs(60));
    assert!(limiter.allow(&2));
    let keys = limiter.take_stats().unwrap().keys.unwrap();
    assert_eq!((keys.known, keys.forgotten, keys.evicted), (1, 1, 0));
    let keys = limiter.take_stats().unwrap().keys.unwrap();
    assert_eq!((keys.known, keys.forgotten), (1, 0));
}

/// More threads than have counters of their own, and threads that come after others have gone.
#[test]
fn no_call_of_many_threads_is_lost_or_read_twice() {
    const THREADS: u64 = 24;
    const CALLS: u64 = 5_000;
    let (limiter, _) = limiter(Quota::per_hour(1_000_000));
    let (keyed, _) = keyed(Quota::per_hour(1_000));
    let mut sums = [Stats::default(); 2];
    let mut add = |read: [Option<Stats>; 2]| {
        for (sum, stats) in sums.iter_mut().zip(read) {
            let stats = stats.unwrap();
            sum.admitted += stats.admitted;
            sum.rate_limited += stats.rate_limited;
            sum.tokens_admitted += stats.tokens_admitted;
            sum.tokens_denied += stats.tokens_denied;
        }
    };
    for _ in 0..3 {
        thread::scope(|scope| {
            let workers: Vec<_> = (0..THREADS)
                .map(|thread| {
                    let (limiter, keyed) = (&limiter, &keyed);
                    scope.spawn(move || {
                        for call in 0..CALLS {
                            let _ = limiter.try_acquire_n(Tokens::new(1 + (call % 2) as u32));
                            let _ = keyed.allow(if thread % 2 == 0 { "even" } else { "odd" });
                        }
                    })
                })
                .collect();
            while !workers.iter().all(thread::ScopedJoinHandle::is_finished) {
                add([limiter.take_stats(), keyed.take_stats()]);
            }
        });
    }
    add([limiter.take_stats(), keyed.take_stats()]);
    let all = 3 * THREADS * CALLS;
    assert_eq!((sums[0].admitted, sums[0].rate_limited), (all, 0));
    assert_eq!(sums[0].tokens_admitted, (all / 2 * 3) as f64);
    assert_eq!((sums[1].admitted, sums[1].rate_limited), (2_000, all - 2_000));
    assert_eq!(sums[1].tokens_denied, (all - 2_000) as f64);
}

#[test]
fn the_text_is_aligned_and_leaves_zeros_out() {
    let (limiter, clock) = keyed(Quota::per_second(2));
    assert_eq!(
        limiter.stats().unwrap().to_string(),
        "admitted                    0  0 tokens\n\
         denied                      0  0 tokens\n\
         keys                        0"
    );
    assert!(limiter.try_acquire_n("a", tokens("1.5")).is_ok());
    assert!(!limiter.allow("a"));
    assert!(limiter.try_acquire_n("a", 3).is_err());
    let mut wait = pin!(limiter.acquire_n_owned("a", 2));
    assert!(poll(wait.as_mut()).is_pending());
    clock.advance(Duration::from_millis(750));
    assert!(poll(wait.as_mut()).is_ready());
    limiter.pause_for(Duration::from_secs(1));
    assert_eq!(
        limiter.stats().unwrap().to_string(),
        "admitted                    2  3.5 tokens\n\
         denied                      2  4 tokens\n  \
           rate limited              1\n  \
           exceeds burst             1\n\
         waited                      1  mean 750ms, longest 750ms\n\
         pauses                      1\n\
         keys                        1"
    );
}

/// Each charge of a call counts as one call on its limit, however often the limit is joined, with and without a wait.
/// A round that is given back does not count.
#[test]
fn charges_of_joined_waits_count_once_each() {
    let clock = MockClock::new();
    let of = |burst| {
        let builder = RateLimiter::builder().quota(Quota::per_second(1).burst(burst)).clock(clock.clone());
        builder.stats().build().unwrap()
    };
    let (first, second) = (of(2), of(1));
    let call = || {
        AllOf::new([
            Charge::new("first", &first, 1),
            Charge::new("second", &second, 1),
            Charge::new("first again", &first, 1),
        ])
    };
    let counted = |stats: Option<Stats>| {
        let stats = stats.unwrap();
        assert_eq!((stats.refunds, stats.denied(), stats.abandoned), (0, 0, 0), "{stats}");
        (stats.admitted, stats.tokens_admitted, stats.waited, stats.total_wait)
    };
    // Without a wait, and by a wait that ends at once.
    for wait in [false, true] {
        assert!(if wait { call().acquire().wait().is_ok() } else { call().try_acquire().is_ok() });
        assert_eq!(counted(first.take_stats()), (2, 2.0, 0, Duration::ZERO));
        assert_eq!(counted(second.take_stats()), (1, 1.0, 0, Duration::ZERO));
        clock.advance(Duration::from_secs(2));
    }
    // It waits for the first limit, gives that back, and waits for the second one.
    assert!(first.try_acquire_n(2).is_ok() && second.try_acquire().is_ok());
    let _ = (first.take_stats(), second.take_stats());
    let mut wait = pin!(call().acquire());
    assert!(poll(wait.as_mut()).is_pending());
    clock.advance(Duration::from_secs(2) - Duration::from_nanos(1));
    assert!(poll(wait.as_mut()).is_pending());
    let reserved = second.try_reserve_n(1).unwrap();
    clock.advance(Duration::from_nanos(1));
    assert!(poll(wait.as_mut()).is_pending());
    assert_eq!((first.balance(), second.waiters()), (2.0, 1), "given back");
    let _ = second.take_stats();
    clock.advance(Duration::from_secs(1));
    assert!(poll(wait.as_mut()).is_ready());
    let _ = reserved.commit(1);
    assert_eq!(counted(first.take_stats()), (2, 2.0, 0, Duration::ZERO));
    assert_eq!(counted(second.take_stats()), (1, 1.0, 1, Duration::from_secs(1)));
    // It waits for the first limit alone: both charges wait there.
    clock.advance(Duration::from_secs(1));
    assert_eq!(first.balance(), 1.0);
    let mut wait = pin!(call().acquire());
    assert!(poll(wait.as_mut()).is_pending());
    clock.advance(Duration::from_secs(1));
    assert!(poll(wait.as_mut()).is_ready());
    assert_eq!(counted(first.take_stats()), (2, 2.0, 2, Duration::from_secs(2)));
    assert_eq!(counted(second.take_stats()), (1, 1.0, 0, Duration::ZERO));
    // It is refused, or dropped.
    assert!(call().acquire().within(Duration::from_millis(1)).wait().is_err());
    assert_eq!(first.take_stats().map(|stats| (stats.too_late, stats.tokens_denied)), Some((1, 1.0)));
    {
        let mut dropped = pin!(call().acquire());
        assert!(poll(dropped.as_mut()).is_pending());
    }
    assert_eq!(first.take_stats().map(|stats| (stats.abandoned, stats.admitted, stats.denied())), Some((1, 0, 0)));
}
