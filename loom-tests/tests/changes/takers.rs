//! `set_quota` against calls that take.

use brimful::QuotaChange;
use brimful_loom_tests::{T, quota};

use super::{Lone, explore, lone};

/// The first change moves the word. No charge is lost with it, and no call finds the word nowhere.
///
/// Seen red: the word is moved by a store in place of a compare-exchange.
#[test]
fn the_first_change_loses_no_charge() {
    explore(
        || lone(quota(3), 0),
        [
            |limiter: &Lone| limiter.set_quota(quota(2)).unwrap(),
            |limiter: &Lone| {
                assert!(limiter.try_acquire().is_ok());
                assert!(limiter.try_acquire().is_ok());
            },
        ],
        |limiter: &Lone| {
            // Three, less two, is one; but two, less two, is none if the change came first, and two less
            // one is one.
            let left = limiter.at(4 * T).balance();
            assert!(left == 0.0 || left == 1.0, "{left}");
            assert_eq!(limiter.quota(), quota(2));
        },
        None,
    );
}

/// A call that begins after the change has the new quota.
#[test]
fn a_later_call_has_the_new_quota() {
    explore(
        || lone(quota(4), 0),
        [
            |limiter: &Lone| {
                limiter.set_quota(quota(1)).unwrap();
                assert!(limiter.try_acquire_n(2).is_err());
                assert_eq!(limiter.decide(1).limit(), 1);
            },
            |limiter: &Lone| _ = limiter.try_acquire(),
        ],
        |limiter: &Lone| assert!(limiter.try_acquire_n(2).is_err()),
        None,
    );
}

/// Two changes in a row, and a third publication. The slot that a call copies is written again meanwhile,
/// and the call copies again. No call mixes two quotas: at one, two tokens take 4 T, and at the other one
/// token takes T.
///
/// One preemption is enough: the call is held up in the middle of its copy.
///
/// Seen red: the version is not checked after the copy.
#[test]
fn no_call_mixes_two_quotas() {
    explore(
        || {
            let limiter = lone(quota(2), 0);
            limiter.set_quota(slow()).unwrap();
            assert!(limiter.try_acquire_n(2).is_ok());
            limiter
        },
        [
            |limiter: &Lone| {
                limiter.set_quota(quota(1)).unwrap();
                limiter.pause_for(std::time::Duration::ZERO);
            },
            |limiter: &Lone| {
                let decision = limiter.at(4 * T).decide(1);
                let reset = decision.reset_after().unwrap().as_nanos() as u64;
                assert!(matches!((decision.limit(), reset / T), (2, 4) | (1, 1)), "{decision:?}");
            },
        ],
        |limiter: &Lone| assert_eq!(limiter.decide(1).limit(), 1),
        Some(1),
    );
}

fn slow() -> brimful::Quota {
    brimful::Quota::new(1, std::time::Duration::from_nanos(2 * T)).burst(2)
}

/// A bucket is scaled once, with every charge before or after.
///
/// Seen red: no leap at the start of an era; a call whose swap failed goes on with the old terms.
#[test]
fn a_proportional_change_against_takers() {
    explore(
        || lone(quota(4), 0),
        [
            |limiter: &Lone| limiter.set_quota(QuotaChange::proportional(quota(2))).unwrap(),
            |limiter: &Lone| {
                assert!(limiter.try_acquire().is_ok());
                assert!(limiter.try_acquire().is_ok());
            },
        ],
        |limiter: &Lone| {
            // 4 − 2 halved; 4 − 1 halved − 1; 4 halved − 2.
            let left = limiter.at(4 * T).balance();
            assert!([1.0, 0.5, 0.0].contains(&left), "{left}");
        },
        Some(3),
    );
}

/// The burst is raised while a taker takes. The bucket was clipped at the lower burst, and holds no more after.
///
/// Seen red: the bucket is not clipped before the burst is raised.
#[test]
fn a_higher_burst_against_a_taker() {
    explore(
        || {
            let limiter = lone(quota(4), 0);
            limiter.set_quota(quota(2)).unwrap();
            limiter
        },
        [|limiter: &Lone| limiter.set_quota(quota(4)).unwrap(), |limiter: &Lone| assert!(limiter.allow())],
        |limiter: &Lone| assert_eq!(limiter.at(4 * T).balance(), 1.0),
        Some(3),
    );
}
