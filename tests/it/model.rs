//! Limits of models: all dimensions at once, permits, waits in order, and the errors that name them.

use std::time::Duration;

use brimful::model::{Dimension, ModelCause, ModelError, ModelLimiter, ModelQuota, Permit, Usage};
use brimful::{MockClock, QueueLimit};

use crate::waiting::poll;

pub(crate) type Limiter = ModelLimiter<MockClock>;

/// A limiter with one model, "m".
pub(crate) fn limiter(quota: ModelQuota) -> Limiter {
    ModelLimiter::builder().model("m", quota).clock(MockClock::new()).build().expect("a limiter")
}

pub(crate) fn advance(limiter: &Limiter, milliseconds: u64) {
    limiter.clock().advance(Duration::from_millis(milliseconds));
}

fn refused(answer: Result<Permit<MockClock>, ModelError>) -> ModelError {
    answer.map(drop).expect_err("it is refused")
}

/// Returns the calls that are admitted now, each with this estimate, until one is refused. Their slots are freed.
fn admitted(limiter: &Limiter, estimate: impl Into<Usage>) -> usize {
    let estimate = estimate.into();
    std::iter::from_fn(|| limiter.try_acquire("m", estimate).ok()).take(10_000).count()
}

pub(crate) fn used(limiter: &Limiter, dimension: Dimension) -> u64 {
    let stats = limiter.stats_of("m").expect("it is listed");
    stats.dimension(dimension).expect("it has a limit").used
}

pub(crate) fn in_flight(limiter: &Limiter) -> usize {
    limiter.stats_of("m").expect("it is listed").in_flight
}

const ALL: ModelQuota = ModelQuota::new().rpm(60).tpm(6_000).input_tpm(4_000).output_tpm(3_000).rpd(1_000).tpd(50_000);

#[test]
fn every_dimension_is_charged_or_none() {
    for (quota, estimate, dimension, most) in [
        (ModelQuota::new().rpm(60), (0, 0), Dimension::Rpm, 60),
        (ModelQuota::new().rpm(60).tpm(6_000), (100, 100), Dimension::Tpm, 30),
        (ALL, (400, 100), Dimension::InputTpm, 10),
        (ALL, (0, 600), Dimension::OutputTpm, 5),
        (ALL.rpd(7), (1, 1), Dimension::Rpd, 7),
        (ALL.tpd(2_000), (100, 100), Dimension::Tpd, 10),
    ] {
        let limiter = limiter(quota);
        assert_eq!(admitted(&limiter, estimate), most, "{dimension}");
        let error = refused(limiter.try_acquire("m", estimate));
        assert_eq!((error.dimension(), error.model()), (Some(dimension), "m"), "{error}");
        // Nothing was charged by the refusal: the call is admitted at the instant that it was given.
        let wait = error.retry_after().expect("it comes");
        limiter.clock().advance(wait - Duration::from_nanos(1));
        assert!(limiter.try_acquire("m", estimate).is_err());
        limiter.clock().advance(Duration::from_nanos(1));
        assert!(limiter.try_acquire("m", estimate).is_ok(), "{dimension}");
    }
}

#[test]
fn an_estimate_above_a_limit_is_refused_at_once_and_names_the_dimension() {
    let limiter = limiter(ALL.max_parallel_requests(3));
    for (estimate, dimension) in [
        ((4_001, 0), Dimension::InputTpm),
        ((0, 3_001), Dimension::OutputTpm),
        ((3_500, 2_501), Dimension::Tpm),
        ((u64::MAX, u64::MAX), Dimension::Tpm),
    ] {
        let error = refused(limiter.try_acquire("m", estimate));
        assert!(matches!(error.cause(), ModelCause::ExceedsLimit(of, _) if of == dimension), "{error}");
        let waited = refused(poll(&mut limiter.acquire("m", estimate)).expect("at once"));
        assert!(matches!(waited.cause(), ModelCause::ExceedsLimit(of, _) if of == dimension), "{waited}");
    }
    let error = refused(limiter.try_acquire("m", (4_001, 0))).to_string();
    assert_eq!(error, "m.input_tpm: an estimate of 4001 is above the 4000 that are ever admitted at once");
    assert_eq!(in_flight(&limiter), 0);
}

#[test]
fn a_commit_settles_input_and_output_apart() {
    let limiter = limiter(ALL);
    let mut permit = limiter.try_acquire("m", (1_000, 1_000)).expect("all is there");
    assert_eq!((permit.model(), permit.estimate()), ("m", Usage { input: 1_000, output: 1_000 }));
    let all = || Dimension::ALL[..6].iter().map(|&dimension| used(&limiter, dimension)).collect::<Vec<_>>();
    assert_eq!(all(), [1, 2_000, 1_000, 1_000, 1, 2_000]);
    permit.commit((400, 1_700));
    assert_eq!(all(), [1, 2_100, 400, 1_700, 1, 2_100]);
    // The last one counts, and the same one again changes nothing.
    permit.commit((400, 1_700));
    permit.commit((500, 1_800));
    drop(permit);
    assert_eq!(all(), [1, 2_300, 500, 1_800, 1, 2_300]);
    // The estimate stays without a commit; all is given back by a cancellation.
    drop(limiter.try_acquire("m", (100, 100)));
    assert_eq!(all(), [2, 2_500, 600, 1_900, 2, 2_500]);
    limiter.try_acquire("m", (700, 200)).expect("it is there").cancel();
    assert_eq!(all(), [2, 2_500, 600, 1_900, 2, 2_500]);
    // A debt: the next call waits until it is paid.
    limiter.try_acquire("m", (0, 1_000)).expect("it is there").commit((0, 3_000));
    assert_eq!(used(&limiter, Dimension::OutputTpm), 4_900);
    let error = refused(limiter.try_acquire("m", (0, 100)));
    assert_eq!((error.dimension(), error.retry_after()), (Some(Dimension::OutputTpm), Some(Duration::from_secs(40))));
}

#[test]
fn a_strict_quota_bounds_every_minute() {
    for (quota, first_minute) in [(ModelQuota::new().rpm(60), 119), (ModelQuota::new().rpm(60).strict(), 60)] {
        let limiter = limiter(quota);
        let mut total = 0;
        for _ in 0..600 {
            total += admitted(&limiter, 0);
            advance(&limiter, 100);
        }
        assert_eq!(total, first_minute);
    }
    let strict = limiter(ModelQuota::new().tpm(1_000).strict());
    assert_eq!(refused(strict.try_acquire("m", 501)).dimension(), Some(Dimension::Tpm));
    assert!(strict.try_acquire("m", 500).is_ok());
}

#[test]
fn slots_are_held_by_permits() {
    let limiter = limiter(ModelQuota::new().max_parallel_requests(2));
    let (first, second) = (limiter.try_acquire("m", 1), limiter.try_acquire("m", 1));
    let error = refused(limiter.try_acquire("m", 1));
    assert!(matches!(error.cause(), ModelCause::NoSlot(none) if (none.in_flight(), none.limit()) == (2, 2)));
    assert_eq!((error.dimension(), error.retry_after()), (Some(Dimension::MaxParallelRequests), None));
    assert_eq!(error.to_string(), "m: no slot is free (2 of 2 requests in flight): retry later, or wait by `acquire`");
    drop(first);
    let third = limiter.try_acquire("m", 1).expect("one is free");
    third.cancel();
    assert!(limiter.try_acquire("m", 1).is_ok());
    drop(second);
    assert_eq!(in_flight(&limiter), 0);
}

#[test]
fn waiters_are_served_in_order_over_all_dimensions_and_slots() {
    let limiter = limiter(ModelQuota::new().rpm(60).tpm(600).max_parallel_requests(2));
    let held = limiter.try_acquire("m", 600).expect("it is full");
    // The first waits for ten tokens, the second needs none but a slot, and is not served before.
    let mut waits: Vec<_> = [10, 0, 20].into_iter().map(|estimate| limiter.acquire("m", estimate)).collect();
    assert!(waits.iter_mut().all(|wait| poll(wait).is_none()));
    assert!(refused(limiter.try_acquire("m", 0)).dimension().is_some());
    advance(&limiter, 999);
    assert!(waits.iter_mut().all(|wait| poll(wait).is_none()));
    assert_eq!((used(&limiter, Dimension::Rpm), in_flight(&limiter)), (1, 1), "nothing is charged while they wait");
    advance(&limiter, 1);
    let first = poll(&mut waits[0]).expect("it is served").expect("it is granted");
    assert_eq!((first.waited(), in_flight(&limiter)), (Duration::from_secs(1), 2));
    // The slots are gone, and no timer is armed for the second.
    advance(&limiter, 60_000);
    assert!(poll(&mut waits[1]).is_none());
    drop(held);
    let second = poll(&mut waits[1]).expect("a slot is free").expect("it is granted");
    assert!(poll(&mut waits[2]).is_none());
    drop((first, second));
    let third = poll(&mut waits[2]).expect("a slot is free").expect("it is granted");
    assert_eq!(third.waited(), Duration::from_secs(61));
    assert!(limiter.try_acquire("m", 0).is_ok(), "no caller waits");
}

#[test]
fn a_wait_fails_at_once_if_it_cannot_end_in_time_and_at_the_deadline_if_only_a_slot_is_missing() {
    let limiter = limiter(ModelQuota::new().tpm(600).max_parallel_requests(1));
    let held = limiter.try_acquire("m", 600).expect("it is full");
    let error = refused(poll(&mut limiter.acquire("m", 100).within(Duration::from_secs(9))).expect("at once"));
    assert!(matches!(error.cause(), ModelCause::TooLate(Dimension::Tpm, _)), "{error}");
    assert_eq!(error.retry_after(), Some(Duration::from_secs(10)));
    let mut wait = limiter.acquire("m", 100).within(Duration::from_secs(15));
    assert!(poll(&mut wait).is_none());
    advance(&limiter, 14_999);
    assert!(poll(&mut wait).is_none());
    advance(&limiter, 1);
    let error = refused(poll(&mut wait).expect("the deadline has passed"));
    assert_eq!(error.cause(), ModelCause::TimedOut);
    assert_eq!(error.to_string(), "m: no slot came free before the deadline: allow a longer wait");
    let mut late = limiter.acquire("m", 1).until(1);
    assert_eq!(refused(poll(&mut late).expect("at once")).cause(), ModelCause::TimedOut);
    drop(held);
    assert!(limiter.try_acquire("m", 150).is_ok());
}

#[test]
fn waits_that_are_dropped_have_charged_nothing_and_free_their_slots() {
    let limiter = limiter(ModelQuota::new().rpm(100).tpm(1_000).max_parallel_requests(1));
    for nth in 0..1_000 {
        let held = limiter.try_acquire("m", 10).expect("nothing is charged");
        let (mut first, mut second) = (limiter.acquire("m", 900), limiter.acquire("m", 10));
        assert!(poll(&mut first).is_none() && poll(&mut second).is_none());
        if nth % 2 == 0 {
            // It is granted, and dropped before it was seen: the second gets the slot.
            held.cancel();
            drop(first);
            poll(&mut second).expect("the slot is free").expect("it is granted").cancel();
        } else {
            drop(first);
            drop(second);
            held.cancel();
        }
        assert_eq!((in_flight(&limiter), used(&limiter, Dimension::Rpm), used(&limiter, Dimension::Tpm)), (0, 0, 0));
    }
}

#[test]
fn a_blocking_wait_and_a_scoped_call() {
    let limiter = limiter(ModelQuota::new().rpm(1_000).max_parallel_requests(1));
    std::thread::scope(|scope| {
        let held = limiter.acquire_blocking("m", 1).expect("a slot");
        let waits = scope.spawn(|| limiter.acquire_blocking("m", 1).map(drop));
        drop(held);
        assert_eq!(waits.join().expect("no panic"), Ok(()));
    });
    let ran = async_io::block_on(limiter.run("m", 5, |mut permit| async move {
        permit.commit(7);
        permit.model().to_owned()
    }));
    assert_eq!((ran, in_flight(&limiter)), (Ok("m".to_owned()), 0));
    assert_eq!(async_io::block_on(limiter.run("n", 5, async |_| ())).unwrap_err().cause(), ModelCause::UnknownModel);
}

#[test]
fn unlisted_models_have_limits_of_their_own_by_the_default_and_are_bounded() {
    let builder = ModelLimiter::builder().model("m", ModelQuota::new().rpm(5)).default(ModelQuota::new().rpm(1));
    let limiter = builder.max_models(2).clock(MockClock::new()).build().expect("a limiter");
    assert_eq!(limiter.models(), ["m"]);
    assert!(limiter.try_acquire("a", 1).is_ok() && limiter.try_acquire("a", 1).is_err());
    assert!(limiter.try_acquire("b", 1).is_ok());
    let error = refused(limiter.try_acquire("c", 1));
    assert_eq!(error.cause(), ModelCause::TooManyModels(2));
    assert_eq!(
        error.to_string(),
        "model \"c\" is not listed, and 2 such models are in use: retry later, add it, or raise `max_models`"
    );
    assert_eq!(limiter.models(), ["a", "b", "m"]);
    assert!(limiter.remove_model("a") && !limiter.remove_model("a"));
    assert!(limiter.try_acquire("c", 1).is_ok());
    // A model that is listed does not count.
    limiter.set_model("b", ModelQuota::new().rpm(2)).expect("a quota");
    assert!(limiter.try_acquire("d", 1).is_ok() && limiter.try_acquire("e", 1).is_err());
}

#[test]
fn a_queue_has_its_bound() {
    let builder = ModelLimiter::builder().model("m", ModelQuota::new().rpm(1)).max_waiters(1);
    let limiter = builder.clock(MockClock::new()).build().expect("a limiter");
    drop(limiter.try_acquire("m", 1));
    let mut wait = limiter.acquire("m", 1);
    assert!(poll(&mut wait).is_none());
    let error = refused(poll(&mut limiter.acquire("m", 1)).expect("at once"));
    assert!(matches!(error.cause(), ModelCause::QueueFull(full) if full.limit() == QueueLimit::Waiters(1)), "{error}");
}
