//! A limiter made without a clock, with fewer tokens than its burst: it is started once, by the
//! first call. Its clock is the process's, so these models give the times.

use brimful::{Quota, RateLimiter};
use brimful_loom_tests::{Hand, Model, T, quota};

/// No clock is read.
const BLIND: Hand = Hand::Script(&[]);

fn unborn(quota: Quota) -> Model<RateLimiter> {
    Model::on(quota, |quota, _| RateLimiter::new(quota))
}

#[test]
fn two_first_calls() {
    unborn(quota(2).initial(1))
        .thread(BLIND, |actor| _ = actor.take_at(4 * T, 1))
        .thread(BLIND, |actor| _ = actor.take_at(4 * T, 1))
        .explore(&["+|-", "-|+"]);
}

/// With readings apart: the bucket earns from the reading that started it.
#[test]
fn two_first_calls_that_disagree() {
    unborn(quota(3).initial(1))
        .thread(BLIND, |actor| _ = actor.take_at(4 * T, 1))
        .thread(BLIND, |actor| _ = actor.take_at(6 * T, 2))
        .thread(BLIND, |actor| _ = actor.take_at(5 * T, 1))
        .explore(&["+|+|-", "+|-|+", "-|-|+", "-|-|-"]);
}

/// A denied first call starts the bucket too, or it would never earn anything.
#[test]
fn denied_first_calls() {
    unborn(quota(1).initial(0))
        .thread(BLIND, |actor| {
            actor.take_at(4 * T, 1);
            actor.take_at(5 * T, 1);
        })
        .thread(BLIND, |actor| _ = actor.take_at(4 * T, 1))
        .explore(&["-+|-"]);
}
