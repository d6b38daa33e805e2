//! The statistics of several limits: each call is counted once, and each refusal for the limit that it names.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Waker};
use std::thread;
use std::time::Duration;

use brimful::{
    CompositeLimiter, CompositeStats, KeyedCompositeLimiter, MockClock, OnFull, Quota, Quotas, Stats, Tokens,
};

use super::support::tokens;

fn quotas() -> Quotas {
    "burst: 10/h burst 5; daily: 20/day burst 8".parse().unwrap()
}

fn lone() -> (CompositeLimiter<MockClock>, MockClock) {
    let clock = MockClock::new();
    let limiter = CompositeLimiter::builder().quotas(quotas()).clock(clock.clone()).stats().build().unwrap();
    (limiter, clock)
}

fn keyed() -> KeyedCompositeLimiter<str, MockClock> {
    let builder = KeyedCompositeLimiter::builder().quotas(quotas()).clock(MockClock::new());
    builder.max_keys(100).stats().build().unwrap()
}

/// The calls: admitted, rate limited, beyond the burst, all that were denied; and the refusals of each limit.
fn calls(stats: Option<CompositeStats>) -> ([u64; 4], [u64; 2]) {
    let CompositeStats { calls, limits, .. } = stats.unwrap();
    let names: Vec<&str> = limits.iter().map(|limit| &*limit.name).collect();
    assert_eq!(names, ["burst", "daily"]);
    let refused = [limits[0].refused, limits[1].refused];
    ([calls.admitted, calls.rate_limited, calls.exceeds_burst, calls.denied()], refused)
}

#[test]
fn without_the_option_there_are_none() {
    let limiter = CompositeLimiter::with_clock(quotas(), MockClock::new());
    assert!(limiter.allow());
    assert_eq!((limiter.stats(), limiter.take_stats()), (None, None));
    let limiter = KeyedCompositeLimiter::<str>::builder().quotas(quotas()).max_keys(10).build().unwrap();
    assert!(limiter.allow("a"));
    assert_eq!((limiter.stats(), limiter.take_stats()), (None, None));
}

/// One call of each outcome by a verb, and one that costs nothing. Five tokens are there later in the bucket of a day
/// than in the other, and six are never there in the other.
fn each_outcome(verb: &dyn Fn(Tokens) -> bool, take: &dyn Fn() -> Option<CompositeStats>) {
    let outcomes = [tokens("4.5"), tokens("5"), tokens("6"), Tokens::ZERO].map(verb);
    assert_eq!(outcomes, [true, false, false, true]);
    let stats = take();
    assert_eq!(calls(stats.clone()), ([1, 1, 1, 2], [1, 1]));
    let counted = stats.unwrap().calls;
    assert_eq!((counted.tokens_admitted, counted.tokens_denied, counted.refunds), (4.5, 11.0, 0));
}

#[test]
fn every_verb_that_does_not_wait_counts_once() {
    let (limiter, _) = lone();
    let verbs: [&dyn Fn(Tokens) -> bool; 5] = [
        &|n| limiter.try_acquire_n(n).is_ok(),
        &|n| limiter.decide(n).allowed(),
        &|n| limiter.try_reserve_n(n).map(|reservation| reservation.commit(n)).is_ok(),
        &|n| limiter.at(0).try_acquire_n(n).is_ok(),
        &|n| limiter.leaving(0).decide(n).allowed(),
    ];
    for verb in verbs {
        limiter.reset();
        each_outcome(verb, &|| limiter.take_stats());
    }
    assert_eq!(limiter.stats().unwrap().calls, Stats::default());
}

#[test]
fn the_verbs_of_keys_count_once() {
    let limiter = keyed();
    let key = limiter.key("a");
    let verbs: [&dyn Fn(Tokens) -> bool; 4] = [
        &|n| limiter.try_acquire_n("a", n).is_ok(),
        &|n| limiter.decide("a", n).allowed(),
        &|n| key.try_reserve_n(n).map(|reservation| reservation.commit(n)).is_ok(),
        &|n| key.at(0).decide(n).allowed(),
    ];
    for verb in verbs {
        key.reset();
        each_outcome(verb, &|| limiter.take_stats());
    }
}

#[test]
fn a_refusal_counts_for_the_limit_that_it_names() {
    let (limiter, clock) = lone();
    assert!(limiter.try_acquire_n(5).is_ok());
    clock.advance(Duration::from_secs(3600));
    // Five in the burst again, and less than four of the day.
    let refused = limiter.try_acquire_n(5).unwrap_err();
    assert_eq!(refused.limit(), "daily");
    assert_eq!(limiter.try_acquire_n(7).unwrap_err().limit(), "burst");
    assert_eq!(calls(limiter.take_stats()), ([1, 1, 1, 2], [1, 1]));
    assert_eq!(calls(limiter.stats()), ([0; 4], [0; 2]));
}

#[test]
fn waits_count_by_their_outcome() {
    let (limiter, clock) = lone();
    let mut context = Context::from_waker(Waker::noop());
    assert!(limiter.acquire_n(5).wait().is_ok());
    // In a tenth of an hour.
    let mut granted = pin!(limiter.acquire());
    assert!(granted.as_mut().poll(&mut context).is_pending());
    // Behind a waiter.
    assert!(!limiter.allow());
    clock.advance(Duration::from_secs(360));
    assert!(granted.as_mut().poll(&mut context).is_ready());
    assert!(limiter.acquire().within(Duration::from_secs(1)).wait().is_err());
    assert!(limiter.acquire_n(6).wait().is_err());
    assert!(limiter.acquire_n(0).wait().is_ok());
    {
        let mut dropped = pin!(limiter.acquire());
        assert!(dropped.as_mut().poll(&mut context).is_pending());
    }
    let mut ended = pin!(limiter.acquire());
    assert!(ended.as_mut().poll(&mut context).is_pending());
    limiter.close();
    assert!(ended.as_mut().poll(&mut context).is_ready());
    let stats = limiter.take_stats().unwrap();
    let counted = stats.calls;
    assert_eq!((counted.admitted, counted.tokens_admitted, counted.waited), (2, 6.0, 1));
    assert_eq!((counted.longest_wait, counted.mean_wait()), (Duration::from_secs(360), Duration::from_secs(360)));
    assert_eq!((counted.rate_limited, counted.too_late, counted.exceeds_burst), (1, 1, 1));
    assert_eq!((counted.ended, counted.abandoned, counted.denied()), (1, 1, 4));
    // All but the one that the close ended.
    assert_eq!((stats.limits[0].refused, stats.limits[1].refused), (3, 0));
}

#[test]
fn refunds_changes_and_pauses_count_once() {
    let (limiter, _) = lone();
    let _ = limiter.try_reserve_n(4).unwrap().commit(1);
    limiter.try_reserve_n(2).unwrap().cancel();
    let _ = limiter.try_reserve_n(1).unwrap().commit(3);
    limiter.add_tokens(1);
    limiter.set_quota("daily", Quota::per_day(5)).unwrap();
    assert!(limiter.set_quota("weekly", Quota::per_day(5)).is_err());
    limiter.pause_for(Duration::from_secs(1));
    let counted = limiter.stats().unwrap().calls;
    assert_eq!((counted.admitted, counted.tokens_admitted), (3, 9.0));
    assert_eq!((counted.refunds, counted.tokens_refunded), (3, 6.0));
    assert_eq!((counted.quota_changes, counted.pauses), (1, 1));

    let limiter = keyed();
    limiter.key("a").try_reserve_n(2).unwrap().cancel();
    limiter.set_quota("burst", Quota::per_hour(2)).unwrap();
    limiter.pause_for(Duration::from_secs(1));
    let counted = limiter.stats().unwrap().calls;
    assert_eq!((counted.admitted, counted.refunds, counted.quota_changes, counted.pauses), (1, 1, 1, 1));
}

#[test]
fn the_keys_of_all_tables_count() {
    let builder = KeyedCompositeLimiter::<str>::builder().quotas(quotas()).clock(MockClock::new());
    let limiter = builder.max_keys(1).on_full(OnFull::Deny).stats().build().unwrap();
    assert!(limiter.allow("a") && !limiter.allow("b"));
    let stats = limiter.take_stats().unwrap();
    assert_eq!((stats.calls.admitted, stats.calls.table_full, stats.calls.denied()), (1, 1, 1));
    assert_eq!(stats.limits.iter().map(|limit| limit.refused).sum::<u64>(), 1);
    let keys = stats.calls.keys.unwrap();
    assert_eq!((keys.known, keys.forgotten, keys.evicted), (1, 0, 0));
}

#[test]
fn no_call_of_many_threads_is_lost_or_read_twice() {
    const CALLS: u64 = 5_000;
    const THREADS: u64 = 12;
    let (limiter, _) = lone();
    let mut sums = [0; 3];
    let mut add = |stats: Option<CompositeStats>| {
        let (calls, refused) = calls(stats);
        sums = [sums[0] + calls[0], sums[1] + calls[3], sums[2] + refused[0] + refused[1]];
    };
    thread::scope(|scope| {
        let call = || (0..CALLS).for_each(|_| _ = limiter.try_acquire());
        let workers: Vec<_> = (0..THREADS).map(|_| scope.spawn(call)).collect();
        while !workers.iter().all(thread::ScopedJoinHandle::is_finished) {
            add(limiter.take_stats());
        }
    });
    add(limiter.take_stats());
    assert_eq!(sums, [5, THREADS * CALLS - 5, THREADS * CALLS - 5]);
}

#[test]
fn the_text_names_the_limits_that_refused() {
    let (limiter, _) = lone();
    assert!(limiter.try_acquire_n(5).is_ok() && !limiter.allow());
    assert_eq!(
        limiter.stats().unwrap().to_string(),
        "admitted                    1  5 tokens\n\
         denied                      1  1 tokens\n  \
           rate limited              1\n\
         refused by                  1  burst"
    );
}

#[cfg(all(feature = "metrics", feature = "tracing"))]
#[test]
fn calls_are_emitted_by_the_name_of_the_policy() {
    use super::emitting::Emitted;

    let emitted = Emitted::default();
    let builder = CompositeLimiter::builder().quotas(quotas()).clock(MockClock::new()).stats();
    let (named, plain) = (builder.clone().name("api").build().unwrap(), builder.build().unwrap());
    assert!(named.try_acquire_n(5).is_ok() && !named.allow() && plain.allow());
    emitted.during(|| {
        named.emit_stats();
        plain.emit_stats();
    });
    assert_eq!(emitted.counters("api", ["admitted", "admitted_tokens", "denied"]), [1, 5, 1]);
    assert_eq!(emitted.counters(&quotas().to_string(), ["admitted", "denied"]), [1, 0]);
    assert_eq!(named.stats().unwrap().calls.admitted, 1, "an emission takes nothing from it");

    let limiter = keyed();
    assert!(limiter.allow("zebra"));
    assert!(emitted.during(|| limiter.emit_stats_every(Duration::from_secs(1))));
    emitted.during(|| limiter.emit_stats());
    assert_eq!(emitted.gauge(&quotas().to_string(), "keys"), 1.0);
    assert!(!format!("{:?}", emitted.events()).contains("zebra"));
}
