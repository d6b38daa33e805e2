//! Several limits in one decision: all are charged, or none, and the refusal names the one with the longest wait.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use brimful::{
    AcquireCause, AcquireError, AllOf, Charge, CompositeBucketAt, CompositeDecision, CompositeLimiter,
    ConcurrencyLimit, KeyedCompositeLimiter, KeyedConcurrencyLimit, KeyedRateLimiter, LimitCause, LimitError,
    MockClock, PermitCharge, Quota, Quotas, RateLimiter, Reservation, Tokens, TryAcquireError, TryAcquirePermitError,
};
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;

use crate::support::{LAST, Random, SECOND, any_quota, any_size, from_pico, pico};
use crate::waiting::poll;

fn quotas(text: &str) -> Quotas {
    text.parse().expect("a list of quotas")
}

/// One limiter for each quota: they are looked at, and charged if all of them admit the call.
struct Apart(Vec<RateLimiter<MockClock>>);

impl Apart {
    fn new(quotas: &[Quota]) -> Self {
        Apart(quotas.iter().map(|&quota| RateLimiter::with_clock(quota, MockClock::new())).collect())
    }

    /// Takes from all, or returns the limit with the longest wait, and its error.
    fn try_reserve(&self, now: u64, n: Tokens) -> Result<Vec<Reservation<'_, MockClock>>, (usize, TryAcquireError)> {
        let mut refused: Option<(usize, TryAcquireError)> = None;
        for (nth, limiter) in self.0.iter().enumerate() {
            if limiter.at(now).time_until(n) == Some(Duration::ZERO) {
                continue;
            }
            let error = limiter.at(now).try_acquire_n(n).expect_err("the tokens are not there");
            let longer = |(_, before): (usize, TryAcquireError)| match (before.retry_after(), error.retry_after()) {
                (None, _) => false,
                (_, None) => true,
                (Some(before), Some(wait)) => before < wait,
            };
            if refused.is_none_or(longer) {
                refused = Some((nth, error));
            }
        }
        match refused {
            Some(refused) => Err(refused),
            None => {
                Ok(self.0.iter().map(|limiter| limiter.at(now).try_reserve_n(n).expect("they are there")).collect())
            }
        }
    }

    fn try_acquire(&self, now: u64, n: Tokens) -> Result<(), (usize, TryAcquireError)> {
        self.try_reserve(now, n)?.into_iter().for_each(|reserved| _ = reserved.commit(n));
        Ok(())
    }
}

fn tokens(refusal: LimitError) -> TryAcquireError {
    let LimitCause::Tokens(error) = refusal.cause() else { panic!("{refusal}: a limit of tokens refuses") };
    error
}

fn named(refusal: LimitError) -> (usize, TryAcquireError) {
    (refusal.index(), tokens(refusal))
}

/// Runs the same calls on a composite and on limiters apart.
fn same(seed: u64, quotas: &[Quota], bucket: impl Fn(u64) -> CompositeBucketAt<'static, MockClock>) -> TestCaseResult {
    let (mut random, apart) = (Random::new(seed), Apart::new(quotas));
    let mut now = any_size(random.next(), 50);
    for _ in 0..200 {
        let burst = quotas[random.below(quotas.len() as u64) as usize].capacity();
        let n = match random.below(8) {
            0 => Tokens::ZERO,
            1 => burst,
            2 => Tokens::ONE,
            _ => from_pico(pico(burst) / u128::from(1 + random.below(40))),
        };
        let at = bucket(now);
        match random.below(10) {
            0 => {
                at.add_tokens(n);
                apart.0.iter().for_each(|limiter| _ = limiter.at(now).add_tokens(n));
            }
            1 => {
                let actual = from_pico(pico(n) * u128::from(random.below(200)) / 100);
                match (at.try_reserve_n(n), apart.try_reserve(now, n)) {
                    (Ok(reserved), Ok(each)) => {
                        let left = each.into_iter().map(|reserved| reserved.commit(actual)).max();
                        prop_assert_eq!(Some(reserved.commit(actual)), left);
                    }
                    (Err(refusal), Err(expected)) => prop_assert_eq!(named(refusal), expected),
                    (reserved, _) => prop_assert!(false, "{:?}", reserved.map(drop)),
                }
            }
            2 => {
                let decision = at.decide(n);
                let expected = apart.try_acquire(now, n);
                prop_assert_eq!(decision.refusal().map_or(Ok(()), |refusal| Err(named(refusal))), expected);
                prop_assert_eq!(decision.allowed(), expected.is_ok());
                for ((_, shown), limiter) in decision.limits().zip(&apart.0) {
                    let look = limiter.at(now).peek();
                    let refuses = shown.retry_after() != Some(Duration::ZERO);
                    prop_assert!(refuses || shown.remaining() == look.remaining(), "{:?} {:?}", shown, look);
                }
            }
            _ => {
                let expected = apart.try_acquire(now, n);
                prop_assert_eq!(at.try_acquire_n(n).map_err(named), expected, "{} at {}", n, now);
            }
        }
        let least = apart.0.iter().map(|limiter| limiter.at(now).balance()).fold(f64::INFINITY, f64::min);
        prop_assert_eq!(at.balance(), least);
        now = match random.below(6) {
            0 => now,
            1 => now.saturating_sub(random.below(1_000)),
            _ => (now + any_size(random.next(), 40)).min(LAST),
        };
    }
    Ok(())
}

fn any_quotas(genes: &[[u64; 6]]) -> Vec<Quota> {
    let mut all: Vec<Quota> = Vec::new();
    for &gene in genes {
        let [kind, rate, terms, burst, _, debt] = gene;
        let quota = any_quota([kind, rate, terms, burst, 0, debt]);
        if all.iter().all(|other| other.to_string() != quota.to_string()) {
            all.push(quota);
        }
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_composite_decides_as_its_limits_apart(genes in proptest::collection::vec(any::<[u64; 6]>(), 1..8), seed in any::<u64>()) {
        let all = any_quotas(&genes);
        let list = Quotas::new(all.iter().copied()).expect("they are different");
        let limiter: &'static _ = Box::leak(Box::new(CompositeLimiter::with_clock(list.clone(), MockClock::new())));
        same(seed, &all, |now| limiter.at(now))?;
        let keyed = KeyedCompositeLimiter::<u64>::builder().quotas(list).clock(MockClock::new()).max_keys(64);
        let keyed: &'static _ = Box::leak(Box::new(keyed.build().expect("a limiter")));
        // Other keys come, and the table is moved.
        let other = AtomicU64::new(1);
        same(seed, &all, |now| {
            let key = other.fetch_add(1, Ordering::Relaxed);
            _ = keyed.key(&(1 + key % 40)).at(now).try_acquire_n(from_pico(1));
            keyed.key(&0).at(now)
        })?;
    }
}

/// Bursts, and nothing is earned: every token that was taken is missing.
fn standing_still(bursts: &[u32]) -> Quotas {
    Quotas::new(bursts.iter().map(|&burst| Quota::per_day(1).burst(burst))).expect("they are different")
}

#[test]
fn what_threads_take_is_missing_in_every_limit_and_nothing_else() {
    let bursts = [40_000, 50_000, 45_000];
    let limiter = CompositeLimiter::with_clock(standing_still(&bursts), MockClock::new());
    let keyed = KeyedCompositeLimiter::<u8>::builder().quotas(standing_still(&bursts)).clock(MockClock::new());
    let keyed = keyed.build().expect("a limiter");
    let (taken, taken_by_key) = (AtomicU64::new(0), AtomicU64::new(0));
    thread::scope(|scope| {
        for seed in 0..4 {
            let (limiter, keyed, taken, taken_by_key) = (&limiter, &keyed, &taken, &taken_by_key);
            scope.spawn(move || {
                let mut random = Random::new(seed);
                for _ in 0..20_000 {
                    let n = 1 + random.below(5) as u32;
                    if limiter.try_acquire_n(n).is_ok() {
                        taken.fetch_add(n.into(), Ordering::Relaxed);
                    }
                    if keyed.try_acquire_n(&7, n).is_ok() {
                        taken_by_key.fetch_add(n.into(), Ordering::Relaxed);
                    }
                    if let Ok(reserved) = limiter.try_reserve_n(n) {
                        reserved.cancel();
                    }
                }
            });
        }
    });
    for (taken, decision) in [(taken, limiter.decide(0)), (taken_by_key, keyed.decide(&7, 0))] {
        let taken = taken.into_inner() as u32;
        assert!((39_996..=40_000).contains(&taken), "{taken} of the smallest burst");
        let left: Vec<u32> = decision.limits().map(|(_, decision)| decision.remaining()).collect();
        assert_eq!(left, bursts.map(|burst| burst - taken));
    }
}

/// Threads take from the same limits in opposite orders. None waits for another one.
#[test]
fn limits_that_are_joined_in_any_order_are_charged_together() {
    let limits: Vec<_> =
        [30_000, 36_000].map(|burst| RateLimiter::with_clock(Quota::per_day(1).burst(burst), MockClock::new())).into();
    let keyed = KeyedRateLimiter::<u8, _>::with_clock(Quota::per_day(1).burst(50_000), MockClock::new());
    let (taken, work) = (AtomicU64::new(0), AtomicU64::new(0));
    thread::scope(|scope| {
        for seed in 0..4 {
            let (limits, keyed, taken, work) = (&limits, &keyed, &taken, &work);
            scope.spawn(move || {
                let mut random = Random::new(seed);
                for _ in 0..20_000 {
                    let (n, cost) = (1 + random.below(3) as u32, random.below(4) as u32);
                    let mut charges = [
                        Charge::new("first", &limits[0], n),
                        Charge::new("second", &limits[1], n),
                        Charge::new("key", keyed.key(&3), cost),
                    ];
                    if seed % 2 == 1 {
                        charges.reverse();
                    }
                    let call = AllOf::new(charges);
                    if call.try_acquire().is_ok() {
                        if random.below(10) == 0 {
                            call.give_back();
                        } else {
                            taken.fetch_add(n.into(), Ordering::Relaxed);
                            work.fetch_add(cost.into(), Ordering::Relaxed);
                        }
                    }
                }
            });
        }
    });
    let (taken, work) = (f64::from(taken.into_inner() as u32), f64::from(work.into_inner() as u32));
    assert_eq!((limits[0].balance(), limits[1].balance()), (30_000.0 - taken, 36_000.0 - taken));
    assert_eq!(keyed.key(&3).balance(), 50_000.0 - work);
    assert!(taken >= 29_998.0 || work >= 49_997.0, "{taken} {work}");
}

#[test]
fn a_limit_that_is_joined_twice_is_charged_twice() {
    let limiter = RateLimiter::with_clock(Quota::per_second(1).burst(5), MockClock::new());
    let twice = |n: u32| AllOf::new([Charge::new("a", &limiter, n), Charge::new("b", &limiter, n)]);
    assert!(twice(2).try_acquire().is_ok());
    let refused = twice(1).try_acquire().unwrap_err();
    assert_eq!((refused.limit(), refused.retry_after()), ("b", Some(Duration::from_secs(1))));
    assert_eq!(limiter.balance(), 1.0, "the first charge was given back");
    assert!(AllOf::<0, 0, MockClock>::new([]).try_acquire().is_ok());
    // A wait takes both charges at once.
    let mut wait = twice(2).acquire();
    assert!(poll(&mut wait).is_none());
    limiter.clock().advance(Duration::from_secs(2));
    assert!(poll(&mut wait).is_none());
    limiter.clock().advance(Duration::from_secs(1));
    assert!(matches!(poll(&mut wait), Some(Ok(_))));
    assert_eq!(limiter.balance(), 0.0);
    let never = poll(&mut twice(3).acquire()).expect("at once").unwrap_err();
    assert!(matches!(never.cause(), AcquireCause::Tokens(AcquireError::ExceedsBurst(_))), "{never}");
}

#[test]
fn the_refusal_names_the_limit_with_the_longest_wait() {
    let limiter =
        CompositeLimiter::with_clock(quotas("burst: 10/s; daily: 12/day; small: 20/s burst 3"), MockClock::new());
    let refused = limiter.try_acquire_n(4).unwrap_err();
    assert_eq!((refused.limit(), refused.index(), refused.retry_after()), ("small", 2, None));
    assert_eq!(
        refused.to_string(),
        "limit \"small\": a cost of 4 tokens can never be admitted by a burst of 3: ask for less at a time, or raise the burst"
    );
    assert!(matches!(tokens(refused), TryAcquireError::ExceedsBurst(_)));
    for _ in 0..4 {
        assert!(limiter.try_acquire_n(3).is_ok());
        limiter.clock().advance(Duration::from_secs(1));
    }
    let refused = limiter.try_acquire_n(3).unwrap_err();
    assert_eq!(refused.limit(), "daily");
    assert_eq!(refused.retry_after(), limiter.time_until(3));
    assert_eq!(format!("{refused:?}"), format!("LimitError {{ limit: \"daily\", cause: {:?} }}", refused.cause()));
    let decision = limiter.decide(3);
    assert!(!decision.allowed() && decision.retry_after() == refused.retry_after());
    assert_eq!(decision.limit("burst").map(|burst| burst.remaining()), Some(10));
    assert_eq!(decision.tightest().map(|(name, _)| name), Some("daily"));
    limiter.clock().advance(refused.retry_after().expect("an end"));
    assert!(limiter.try_acquire_n(3).is_ok());
}

/// A limit without a name is called by its quota.
#[test]
fn unnamed_limits_are_called_by_their_quotas() {
    let limiter = CompositeLimiter::with_clock(quotas("10/s; 12/day"), MockClock::new());
    let names = |decision: CompositeDecision| decision.limits().map(|(name, _)| name.to_owned()).collect::<Vec<_>>();
    assert_eq!(names(limiter.decide(0)), ["10/s burst 10", "12/day burst 12"]);
}

#[test]
fn a_new_key_at_a_full_table_is_refused_by_name_and_charged_nowhere() {
    let clients = KeyedCompositeLimiter::<u64>::builder().quotas(quotas("fast: 10/s burst 2; slow: 10/day"));
    let clients =
        clients.clock(MockClock::new()).max_keys(4).on_full(brimful::OnFull::Deny).build().expect("a limiter");
    (0..4).for_each(|key| assert!(clients.allow(&key)));
    let refused = clients.try_acquire(&9).unwrap_err();
    assert!(matches!(tokens(refused), TryAcquireError::TableFull(_)), "{refused}");
    assert_eq!(refused.limit(), "slow", "its buckets take longer to be full");
    // The fast buckets are full again, and only the slow table refuses the key.
    clients.clock().advance(Duration::from_secs(1));
    assert_eq!(clients.try_acquire(&9).unwrap_err().limit(), "slow");
    assert_eq!(clients.key(&9).at(SECOND).available_tokens(), 0.0);
    assert!(clients.remove(&0) && !clients.remove(&0));
    assert!(clients.allow(&9) && clients.allow(&9));
    assert_eq!(clients.try_acquire(&9).unwrap_err().limit(), "fast");
    assert_eq!((clients.max_keys(), clients.len()), (4, 4));
}

#[test]
fn views_leave_tokens_in_every_limit() {
    let limiter = CompositeLimiter::builder().quotas(quotas("10/s; 100/h")).background_leaves(50);
    let limiter = limiter.clock(MockClock::new()).build().expect("a limiter");
    let refused = limiter.background().try_acquire_n(6).unwrap_err();
    assert_eq!(refused.index(), 0);
    assert!(limiter.background().try_acquire_n(5).is_ok());
    assert_eq!((limiter.background().available_tokens(), limiter.available_tokens()), (0.0, 5.0));
    assert_eq!(limiter.leaving(4).available_tokens(), 1.0);
    assert_eq!(limiter.leaving(95).try_acquire().unwrap_err().index(), 0);
    limiter.reset();
    assert_eq!(limiter.at(0).leaving(95).try_acquire_n(1).unwrap_err().index(), 0);
    limiter.add_tokens(3);
    assert_eq!(limiter.balance(), 10.0);
}

/// A limit that may go above its first quota is the same as a rate limiter that may.
#[test]
fn limits_go_up_to_their_highest_quotas() {
    let (clock, quota, highest) = (MockClock::new(), Quota::per_second(10).burst(5), Quota::per_second(90).burst(50));
    let list = Quotas::named([("burst", quota), ("daily", Quota::per_day(5_000))]).expect("a list");
    let lone = CompositeLimiter::builder().quotas(list.clone()).clock(clock.clone());
    let lone = lone.up_to("burst", Quota::per_second(11)).up_to("burst", highest).build().expect("a limiter");
    let clients = KeyedCompositeLimiter::<u8>::builder().up_to("burst", highest).quotas(list).clock(clock.clone());
    let clients = clients.max_keys(100).build().expect("a limiter");
    let alone = RateLimiter::builder().quota(quota).up_to(highest).clock(clock.clone()).build().expect("a limiter");
    let keyed = KeyedRateLimiter::<u8>::builder().quota(quota).up_to(highest).clock(clock.clone()).max_keys(100);
    let keyed = keyed.build().expect("a limiter");
    let take = |n: u32| {
        for (is, expected) in [(lone.decide(n), alone.decide(n)), (clients.decide(&1, n), keyed.decide(&1, n))] {
            assert_eq!(format!("{:?}", is.limit("burst")), format!("{:?}", Some(expected)));
        }
    };
    take(6);
    take(4);
    for (changed, pause) in [(Quota::per_second(90).burst(50), 700), (Quota::per_second(7).burst(9), 300), (quota, 1)] {
        lone.set_quota("burst", changed).expect("up to the highest");
        clients.set_quota("burst", changed).expect("up to the highest");
        alone.set_quota(changed).expect("up to the highest");
        keyed.set_quota(changed).expect("up to the highest");
        for n in [1, 3, 50] {
            take(n);
            clock.advance(Duration::from_millis(pause));
        }
    }
    assert!(lone.set_quota("burst", Quota::per_second(91).burst(50)).is_err());
    assert!(lone.set_quota("daily", Quota::per_day(5_001)).is_err());
    assert!(clients.set_quota("daily", Quota::per_day(5_001)).is_err());
}

#[test]
fn a_wrong_highest_quota_is_named() {
    let list = || quotas("burst: 10/s; daily: 5000/day");
    let lone = |limit, highest| CompositeLimiter::builder().quotas(list()).up_to(limit, highest).build().unwrap_err();
    let keyed = |limit, highest| {
        let builder = KeyedCompositeLimiter::<u8>::builder().quotas(list()).max_keys(100);
        builder.up_to(limit, highest).build().unwrap_err()
    };
    for error in [lone("brust", Quota::per_second(20)), keyed("brust", Quota::per_second(20))] {
        let text = "`up_to` names the limit \"brust\", and there is none: the names are those of `quotas`";
        assert_eq!(error.to_string(), text);
    }
    for error in [lone("daily", Quota::per_day(4_999)), keyed("daily", Quota::per_day(4_999))] {
        let text = "limit \"daily\": the first quota: 1 per 17.28s is above the highest rate, 4999 per 86400s: ";
        assert_eq!(error.to_string(), format!("{text}name the highest quota by `up_to` when the limiter is built"));
    }
}

#[test]
fn permits_are_taken_with_the_tokens_or_not_at_all() {
    let clock = MockClock::new();
    let limiter = RateLimiter::with_clock(Quota::per_second(1).burst(3), clock.clone());
    let parallel = ConcurrencyLimit::with_clock(2, clock.clone());
    let of_key = KeyedConcurrencyLimit::<str, _>::with_clock(1, clock.clone());
    let call = |key, n: u32| {
        AllOf::new([Charge::new("tokens", &limiter, n)])
            .permits([PermitCharge::new("parallel", &parallel), PermitCharge::of_key("tenant", &of_key, key)])
    };
    let first = call("a", 1).try_acquire().expect("all is there");
    assert_eq!((limiter.balance(), parallel.in_flight(), of_key.in_flight("a")), (2.0, 1, 1));
    let refused = call("a", 1).try_acquire().unwrap_err();
    assert_eq!((refused.limit(), refused.index(), refused.retry_after()), ("tenant", 2, None));
    assert!(matches!(refused.cause(), LimitCause::Permit(TryAcquirePermitError::NoPermit(_))), "{refused}");
    assert_eq!(call("b", 3).try_acquire().unwrap_err().limit(), "tokens");
    assert_eq!((limiter.balance(), parallel.in_flight(), of_key.len()), (2.0, 1, 1), "nothing was taken");
    let mut permits = call("b", 1).try_acquire().expect("all is there").into_permits();
    drop(first);
    assert_eq!((parallel.in_flight(), of_key.in_flight("b")), (1, 1));
    drop(permits.next());
    assert_eq!((parallel.in_flight(), of_key.in_flight("b")), (0, 1));
    drop(permits);
    assert_eq!(of_key.len(), 0);
}

/// A call waits on the limit that refused it, and holds nothing meanwhile.
#[test]
fn a_joined_wait_holds_nothing_while_it_waits() {
    let clock = MockClock::new();
    let of = |rate, burst| RateLimiter::with_clock(Quota::per_second(rate).burst(burst), clock.clone());
    let (fast, slow, parallel) = (of(10, 2), of(1, 1), ConcurrencyLimit::with_clock(1, clock.clone()));
    let call = || {
        AllOf::new([Charge::new("fast", &fast, 1), Charge::new("slow", &slow, 1)])
            .permits([PermitCharge::new("parallel", &parallel)])
            .acquire()
    };
    let Some(Ok(held)) = poll(&mut call()) else { panic!("all is there") };
    let mut second = call();
    assert!(poll(&mut second).is_none());
    assert_eq!((fast.waiters(), slow.waiters(), parallel.waiters()), (0, 0, 1));
    drop(held);
    // It has the permit in its turn, gives it back, and waits for the slow tokens.
    assert!(poll(&mut second).is_none());
    assert_eq!((slow.waiters(), parallel.in_flight(), fast.balance()), (1, 0, 1.0));
    let permit = parallel.try_acquire().expect("it is free");
    clock.advance(Duration::from_secs(1));
    assert!(poll(&mut second).is_none());
    assert_eq!((slow.balance(), fast.balance(), parallel.waiters()), (1.0, 2.0, 1), "the tokens are given back");
    drop(permit);
    let Some(Ok(held)) = poll(&mut second) else { panic!("all is there") };
    assert_eq!((slow.balance(), fast.balance(), parallel.in_flight()), (0.0, 1.0, 1));
    let refused = poll(&mut call().within(Duration::from_millis(10))).map(|answer| answer.unwrap_err());
    assert!(refused.is_none(), "it waits for a permit until then");
    let mut late = call().within(Duration::from_millis(10));
    assert!(poll(&mut late).is_none());
    drop(held);
    let refused = poll(&mut late).expect("too late for the tokens").unwrap_err();
    assert_eq!(refused.limit(), Some("slow"));
    assert!(matches!(refused.cause(), AcquireCause::Tokens(AcquireError::TooLate(_))), "{refused}");
    assert_eq!((slow.waiters(), fast.waiters(), parallel.in_flight()), (0, 0, 0));
    assert!(call().until(0).wait().is_err());
}

/// Calls that need the same limits in opposite orders, with few permits, all end.
#[test]
fn joined_waits_of_threads_all_end() {
    let (a, b) =
        (RateLimiter::new(Quota::per_second(4_000).burst(2)), RateLimiter::new(Quota::per_second(5_000).burst(3)));
    let parallel = ConcurrencyLimit::new(2);
    let most = AtomicU64::new(0);
    thread::scope(|scope| {
        for thread in 0..4 {
            let (a, b, parallel, most) = (&a, &b, &parallel, &most);
            scope.spawn(move || {
                for _ in 0..50 {
                    let mut charges = [Charge::new("a", a, 1), Charge::new("b", b, 2)];
                    if thread % 2 == 0 {
                        charges.reverse();
                    }
                    let held = AllOf::new(charges).permits([PermitCharge::new("parallel", parallel)]).acquire().wait();
                    most.fetch_max(parallel.in_flight() as u64, Ordering::Relaxed);
                    drop(held.expect("no deadline"));
                }
            });
        }
    });
    assert!(most.into_inner() <= 2);
    assert_eq!((a.waiters(), b.waiters(), parallel.waiters(), parallel.in_flight()), (0, 0, 0, 0));
}
