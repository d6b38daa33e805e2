//! Waits on several limits in unusual conditions: quotas change, timers are late, user code panics.

use std::time::Duration;

use brimful::{
    AcquireCause, AcquireError, CompositeAcquireError, CompositeLimiter, KeyedCompositeLimiter, MockClock, Quota,
    Quotas,
};

use crate::waiting::poll;

fn quotas(text: &str) -> Quotas {
    text.parse().expect("a list of quotas")
}

fn cause(error: CompositeAcquireError) -> AcquireError {
    let AcquireCause::Tokens(error) = error.cause() else { panic!("{error}: a limit of tokens refuses") };
    error
}

/// The waiters that need more than the new burst end at once, wherever they are in the queue. The others stay.
#[test]
fn a_lower_burst_ends_the_waits_that_need_more() {
    const TOKEN: u64 = 86_400 / 10;
    let limiter = CompositeLimiter::with_clock(quotas("a: 100/s burst 100; d: 10/day"), MockClock::new());
    let clients = KeyedCompositeLimiter::<u8>::builder().quotas(quotas("a: 100/s burst 100; d: 10/day"));
    let clients = clients.clock(limiter.clock().clone()).build().expect("a limiter");
    for bucket in [limiter.leaving(0), clients.key(&1)] {
        assert!(bucket.try_acquire_n(10).is_ok());
        let mut first = bucket.acquire();
        let mut above = bucket.acquire_n(8);
        let mut last = bucket.leaving(1).acquire_n(4);
        let mut leaves_too_much = bucket.leaving(2).acquire_n(4);
        assert!(poll(&mut first).is_none() && poll(&mut above).is_none());
        assert!(poll(&mut last).is_none() && poll(&mut leaves_too_much).is_none());
        limiter.set_quota("d", Quota::per_day(10).burst(5)).expect("a lower one");
        clients.set_quota("d", Quota::per_day(10).burst(5)).expect("a lower one");
        for wait in [&mut above, &mut leaves_too_much] {
            let refused = poll(wait).expect("it can never be served").unwrap_err();
            assert!(matches!(cause(refused), AcquireError::ExceedsBurst(_)), "{refused}");
            assert_eq!(refused.limit(), Some("d"));
        }
        assert_eq!(bucket.waiters(), 2);
        // Behind one token and four.
        let refused = bucket.leaving(1).try_acquire().unwrap_err();
        assert_eq!(refused.retry_after(), Some(Duration::from_secs(7 * TOKEN)));
        limiter.clock().advance(Duration::from_secs(6 * TOKEN));
        assert!(poll(&mut first).is_some_and(|answer| answer.is_ok()));
        assert!(poll(&mut last).is_some_and(|answer| answer.is_ok()));
        limiter.set_quota("d", Quota::per_day(10)).expect("its own");
        clients.set_quota("d", Quota::per_day(10)).expect("its own");
        bucket.reset();
    }
}
