//! The pauses after refusals that name no time: calls that are refused together count once.

use std::time::Duration;

use brimful::MockClock;
use brimful::model::{ModelQuota, Permit, ServerHints};

use crate::model::{Limiter, advance, limiter};
use crate::model_hints::{seconds, wait};

/// The first request after a pause comes within a millisecond.
const QUOTA: ModelQuota = ModelQuota::new().rpm(60_000_000);

const REFUSED: ServerHints = ServerHints::new().refused();

/// Returns the pause that is left, to the millisecond.
fn pause(limiter: &Limiter) -> Duration {
    Duration::from_millis(wait(limiter).as_millis() as u64)
}

fn begun(limiter: &Limiter, count: usize) -> Vec<Permit<MockClock>> {
    (0..count).map(|_| limiter.try_acquire("m", 1).expect("it is there")).collect()
}

#[test]
fn refusals_of_calls_in_flight_together_count_once() {
    let limiter = limiter(QUOTA);
    let calls = begun(&limiter, 100);
    calls[..50].iter().for_each(|call| call.observe(&REFUSED));
    assert_eq!(pause(&limiter), seconds(1));
    // In the pause, which is not made longer.
    advance(&limiter, 600);
    calls[50..75].iter().for_each(|call| call.observe(&REFUSED));
    limiter.observe("m", &REFUSED);
    assert_eq!(pause(&limiter), Duration::from_millis(400));
    // After it: these calls were begun before.
    advance(&limiter, 600);
    calls[75..].iter().for_each(|call| call.observe(&REFUSED));
    assert_eq!(pause(&limiter), Duration::ZERO);
    assert_eq!(limiter.stats_of("m").expect("it is listed").rate_limited, 101);
    // The next ones were begun after it.
    begun(&limiter, 20).iter().for_each(|call| call.observe(&REFUSED));
    assert_eq!(pause(&limiter), seconds(2));
    advance(&limiter, 2_100);
    limiter.observe("m", &REFUSED);
    limiter.observe("m", &REFUSED);
    assert_eq!(pause(&limiter), seconds(4));
}

#[test]
fn a_server_that_names_a_time_is_believed_in_a_pause_too() {
    let limiter = limiter(QUOTA);
    let calls = begun(&limiter, 3);
    calls[0].observe(&REFUSED.retry_after(seconds(2)));
    calls[1].observe(&REFUSED.retry_after(seconds(7)));
    calls[2].observe(&REFUSED.retry_after(seconds(3)));
    assert_eq!(pause(&limiter), seconds(7));
    advance(&limiter, 7_100);
    begun(&limiter, 1)[0].observe(&REFUSED);
    assert_eq!(pause(&limiter), seconds(2), "the second refusal in a row");
}

#[test]
fn an_answer_to_a_call_from_before_a_refusal_does_not_end_the_row() {
    let limiter = limiter(QUOTA);
    let calls = begun(&limiter, 2);
    calls[0].observe(&REFUSED);
    calls[1].observe(&ServerHints::new());
    limiter.observe("m", &ServerHints::new());
    advance(&limiter, 1_100);
    let next = begun(&limiter, 2);
    next[0].observe(&REFUSED);
    assert_eq!(pause(&limiter), seconds(2));
    advance(&limiter, 2_100);
    next[1].observe(&ServerHints::new());
    begun(&limiter, 1)[0].observe(&REFUSED);
    assert_eq!(pause(&limiter), seconds(4));
    advance(&limiter, 4_100);
    // One from after it does.
    begun(&limiter, 1)[0].observe(&ServerHints::new());
    begun(&limiter, 1)[0].observe(&REFUSED);
    assert_eq!(pause(&limiter), seconds(1));
}

/// It was in flight together with the one that has counted.
#[test]
fn a_refusal_of_a_call_from_before_does_not_count_after_the_row_has_ended() {
    let limiter = limiter(QUOTA);
    let calls = begun(&limiter, 2);
    calls[0].observe(&REFUSED);
    advance(&limiter, 1_100);
    begun(&limiter, 1)[0].observe(&ServerHints::new());
    calls[1].observe(&REFUSED);
    assert_eq!(pause(&limiter), Duration::ZERO);
    begun(&limiter, 1)[0].observe(&REFUSED);
    assert_eq!(pause(&limiter), seconds(1));
}

/// Threads that are refused at the same moment.
#[test]
fn refusals_in_one_moment_count_once() {
    for _ in 0..200 {
        let limiter = limiter(QUOTA);
        let calls = begun(&limiter, 4);
        std::thread::scope(|scope| {
            for call in &calls {
                scope.spawn(|| call.observe(&REFUSED));
            }
        });
        drop(calls);
        assert_eq!(pause(&limiter), seconds(1));
        advance(&limiter, 1_100);
        begun(&limiter, 1)[0].observe(&REFUSED);
        assert_eq!(pause(&limiter), seconds(2));
    }
}
