//! `set_quota` against calls that wait.

use std::task::Poll;
use std::time::Duration;

use brimful::AcquireError;
use brimful_loom_tests::{T, quota};

use super::{Lone, explore, lone, poll};

fn emptied() -> Lone {
    let limiter = lone(quota(2), 0);
    assert!(limiter.try_acquire_n(2).is_ok());
    limiter
}

/// A waiter that needs more than the new burst is refused, whenever it came.
///
/// Seen red: waiters are not notified of the change.
#[test]
fn a_waiter_above_the_new_burst_is_refused() {
    explore(
        emptied,
        [
            |limiter: &Lone| limiter.set_quota(quota(1)).unwrap(),
            |limiter: &Lone| {
                let mut wait = limiter.acquire_n(2);
                for _ in 0..2 {
                    match poll(&mut wait) {
                        Poll::Ready(Err(AcquireError::ExceedsBurst(_))) => return,
                        // The change has not come, or has not notified the queue.
                        Poll::Pending => {}
                        other => panic!("{other:?}"),
                    }
                    loom::thread::yield_now();
                }
                // Kept for the check, in the one place that outlives the thread.
                std::mem::forget(wait);
            },
        ],
        // A waiter that is left was not refused.
        |limiter: &Lone| assert_eq!(limiter.waiters(), 0),
        Some(3),
    );
}

/// A waiter with a deadline is refused if it cannot be met after the change.
#[test]
fn a_waiter_that_is_too_late_is_refused() {
    explore(
        emptied,
        [
            |limiter: &Lone| limiter.pause_for(Duration::from_nanos(4 * T)),
            |limiter: &Lone| {
                let mut wait = limiter.acquire().within(Duration::from_nanos(2 * T));
                match poll(&mut wait) {
                    Poll::Ready(Err(AcquireError::TooLate(_))) => {}
                    Poll::Pending => std::mem::forget(wait),
                    other => panic!("{other:?}"),
                }
            },
        ],
        |limiter: &Lone| assert_eq!(limiter.waiters(), 0),
        Some(3),
    );
}

/// The first change moves the word while the last waiter leaves, whose thread hands the word back.
///
/// Seen red: the word is always handed back to the first cell.
#[test]
fn the_word_is_handed_back_to_where_it_is_looked_for() {
    explore(
        emptied,
        [
            |limiter: &Lone| limiter.set_quota(quota(1)).unwrap(),
            |limiter: &Lone| {
                let mut wait = limiter.acquire();
                assert!(poll(&mut wait).is_pending());
                drop(wait);
                assert!(limiter.try_acquire().is_err());
            },
        ],
        |limiter: &Lone| {
            assert_eq!(limiter.at(4 * T).balance(), 0.0);
            // At the old quota there would be two.
            assert!(limiter.at(8 * T).allow());
            assert!(!limiter.at(8 * T).allow());
        },
        Some(3),
    );
}
