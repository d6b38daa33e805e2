//! The statistics of concurrency limits: each call is counted once.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::thread;
use std::time::Duration;

use brimful::{ConcurrencyLimit, KeyedConcurrencyLimit, MockClock, PermitStats};

/// The outcomes: admitted, without a permit, timed out, without a place, closed, abandoned, waited, in flight.
fn outcomes(stats: Option<PermitStats>) -> [u64; 8] {
    let stats = stats.unwrap();
    let PermitStats { admitted, no_permit, timed_out, queue_full, closed, abandoned, waited, in_flight, .. } = stats;
    assert_eq!(stats.refused(), no_permit + timed_out + queue_full + closed);
    [admitted, no_permit, timed_out, queue_full, closed, abandoned, waited, in_flight]
}

#[test]
fn without_the_option_there_are_none() {
    static LIMIT: ConcurrencyLimit = ConcurrencyLimit::new(1);
    assert!(LIMIT.try_acquire().is_ok());
    assert_eq!((LIMIT.stats(), LIMIT.take_stats()), (None, None));
    let keyed = KeyedConcurrencyLimit::<u64>::new(1);
    assert!(keyed.try_acquire(&1).is_ok());
    assert_eq!((keyed.stats(), keyed.take_stats()), (None, None));
}

/// Every outcome of each verb, on a limit of one permit.
macro_rules! each_outcome {
    ($limit:expr, $clock:expr, ($($key:expr)?)) => {{
        let limit = $limit;
        let mut context = Context::from_waker(Waker::noop());
        let held = limit.try_acquire($($key)?).unwrap();
        assert!(limit.try_acquire($($key)?).is_err() && limit.try_acquire_owned($($key)?).is_err());
        assert_eq!(outcomes(limit.take_stats()), [1, 2, 0, 0, 0, 0, 0, 1]);
        let mut wait = pin!(limit.acquire($($key)?));
        assert!(wait.as_mut().poll(&mut context).is_pending());
        assert!(limit.acquire($($key)?).wait().is_err(), "the queue has one place");
        drop(held);
        let std::task::Poll::Ready(Ok(held)) = wait.as_mut().poll(&mut context) else { panic!("granted") };
        assert_eq!(outcomes(limit.take_stats()), [1, 0, 0, 1, 0, 0, 1, 1]);
        assert!(limit.acquire($($key)?).within(Duration::ZERO).wait().is_err());
        {
            let mut late = pin!(limit.acquire($($key)?).within(Duration::from_secs(1)));
            assert!(late.as_mut().poll(&mut context).is_pending());
            $clock.advance(Duration::from_secs(1));
            assert!(late.as_mut().poll(&mut context).is_ready());
            let mut dropped = pin!(limit.acquire_owned($($key)?));
            assert!(dropped.as_mut().poll(&mut context).is_pending());
        }
        assert_eq!(outcomes(limit.take_stats()), [0, 0, 2, 0, 0, 1, 0, 1]);
        drop(held);
        // At once, by every form of a wait.
        assert!(limit.acquire_blocking($($key)?).is_ok() && limit.acquire_owned($($key)?).wait().is_ok());
        assert!(limit.acquire($($key)?).within(Duration::from_secs(1)).wait().is_ok());
        assert!(limit.acquire($($key)?).until(u64::MAX).wait().is_ok());
        assert!(limit.try_acquire_owned($($key)?).is_ok());
        assert_eq!(outcomes(limit.take_stats()), [5, 0, 0, 0, 0, 0, 0, 0]);
        limit.close();
        assert!(limit.try_acquire($($key)?).is_err() && limit.acquire($($key)?).wait().is_err());
        assert_eq!(outcomes(limit.take_stats()), [0, 0, 0, 0, 2, 0, 0, 0]);
        assert_eq!(limit.stats(), Some(PermitStats::default()));
    }};
}

#[test]
fn every_outcome_counts_once() {
    let clock = MockClock::new();
    let limit = ConcurrencyLimit::builder(1).clock(clock.clone()).max_waiters(1).stats().build();
    each_outcome!(Arc::new(limit), clock, ());
}

#[test]
fn every_outcome_on_a_key_counts_once() {
    let clock = MockClock::new();
    let limit = KeyedConcurrencyLimit::<str>::builder(1).clock(clock.clone()).max_waiters(1).stats().build();
    each_outcome!(limit, clock, ("a"));
}

#[test]
fn no_call_of_many_threads_is_lost_or_read_twice() {
    const CALLS: u64 = 5_000;
    let limit = ConcurrencyLimit::builder(2).stats().build();
    let mut sums = [0; 2];
    let mut add = |stats: Option<PermitStats>| {
        let stats = stats.unwrap();
        sums = [sums[0] + stats.admitted, sums[1] + stats.refused()];
    };
    let admitted = thread::scope(|scope| {
        let call = || (0..CALLS).filter(|_| limit.try_acquire().is_ok()).count() as u64;
        let workers: Vec<_> = (0..12).map(|_| scope.spawn(call)).collect();
        while !workers.iter().all(thread::ScopedJoinHandle::is_finished) {
            add(limit.take_stats());
        }
        workers.into_iter().map(|worker| worker.join().unwrap()).sum::<u64>()
    });
    add(limit.take_stats());
    assert_eq!(sums, [admitted, 12 * CALLS - admitted]);
}

#[test]
fn the_text_leaves_zeros_out() {
    let limit = ConcurrencyLimit::builder(1).stats().build();
    let _held = limit.try_acquire().unwrap();
    assert!(limit.try_acquire().is_err());
    assert_eq!(
        limit.stats().unwrap().to_string(),
        "admitted                    1\n\
         refused                     1\n  \
           no permit                 1\n\
         in flight                   1"
    );
}
