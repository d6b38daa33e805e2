//! A limiter that is made without a clock, with fewer tokens than its burst: the first call starts
//! it, once. Its clock is that of the process, so these models pass the times.

use brimful::{Quota, RateLimiter};
use brimful_loom_tests::{Model, Readings, T, quota};

/// The thread reads no clock.
const NO_CLOCK: Readings = Readings::Script(&[]);

fn not_started(quota: Quota) -> Model<RateLimiter> {
    Model::on(quota, |quota, _| RateLimiter::new(quota))
}

#[test]
fn two_first_calls() {
    not_started(quota(2).initial(1))
        .thread(NO_CLOCK, |actor| _ = actor.take_at(4 * T, 1))
        .thread(NO_CLOCK, |actor| _ = actor.take_at(4 * T, 1))
        .explore(&["+|-", "-|+"]);
}

/// With different readings: the bucket earns from the reading that started it.
#[test]
fn two_first_calls_that_disagree() {
    not_started(quota(3).initial(1))
        .thread(NO_CLOCK, |actor| _ = actor.take_at(4 * T, 1))
        .thread(NO_CLOCK, |actor| _ = actor.take_at(6 * T, 2))
        .thread(NO_CLOCK, |actor| _ = actor.take_at(5 * T, 1))
        .explore(&["+|+|-", "+|-|+", "-|-|+", "-|-|-"]);
}

/// A denied first call starts the bucket too. Otherwise the bucket would never earn a token.
#[test]
fn denied_first_calls() {
    not_started(quota(1).initial(0))
        .thread(NO_CLOCK, |actor| {
            actor.take_at(4 * T, 1);
            actor.take_at(5 * T, 1);
        })
        .thread(NO_CLOCK, |actor| _ = actor.take_at(4 * T, 1))
        .explore(&["-+|-"]);
}
