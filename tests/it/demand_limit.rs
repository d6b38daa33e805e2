//! A limit that follows demand: the log of the Python original.

use std::time::Duration;

use brimful::adaptive::DemandLimit;
use brimful::{MockClock, Quota};

fn limit() -> (DemandLimit<MockClock>, MockClock) {
    let clock = MockClock::new();
    (DemandLimit::builder().clock(clock.clone()).build().unwrap(), clock)
}

/// The capacity and the refill.
fn numbers(limit: &DemandLimit<MockClock>) -> (u32, u64) {
    let quota = limit.limiter().quota();
    let (tokens, period) = quota.rate();
    (quota.capacity().whole(), tokens * 1_000_000_000 / period.as_nanos() as u64)
}

#[test]
fn the_published_log() {
    let (limit, clock) = limit();
    assert_eq!(numbers(&limit), (10, 5));
    // The requests in each second, of which some are rejected, and the capacity and refill after it.
    let log = [
        (5, 0, (10, 5)),
        (5, 0, (10, 5)),
        (3, 0, (8, 4)),
        (2, 0, (6, 3)),
        (3, 0, (6, 3)),
        (2, 0, (6, 3)),
        (9, 3, (12, 6)),
        (4, 0, (10, 5)),
        (4, 0, (10, 5)),
        (4, 0, (10, 5)),
        (4, 0, (10, 5)),
        (4, 0, (10, 5)),
        (3, 0, (8, 4)),
    ];
    let mut before = (10, 5);
    for (second, &(requests, rejected, after)) in log.iter().enumerate() {
        let mut refused = 0;
        // The nine come at once, the others evenly.
        let gap = if rejected > 0 { 0 } else { 1_000_000_000 / requests };
        for _ in 0..requests {
            refused += u64::from(!limit.allow());
            // The first request ends the second before.
            assert_eq!(numbers(&limit), before, "second {second}");
            clock.advance(Duration::from_nanos(gap));
        }
        assert_eq!(refused, rejected, "second {second}");
        before = after;
        clock.advance(Duration::from_nanos(1_000_000_000 - gap * requests));
    }
    assert!(limit.allow());
    assert_eq!(numbers(&limit), before);
}

#[test]
fn seconds_without_requests_count() {
    let (limit, clock) = limit();
    assert!((0..10).all(|_| limit.allow()));
    clock.advance(Duration::from_secs(1));
    assert!(limit.allow());
    assert_eq!(numbers(&limit), (16, 8), "10 requests at a refill of 5");
    // One request, and then three seconds without: 5, 3, 2, 1.
    clock.advance(Duration::from_secs(4));
    assert!(limit.allow());
    assert_eq!(numbers(&limit), (2, 1));
    clock.advance(Duration::from_secs(1_000_000));
    assert!(limit.allow());
    assert_eq!(numbers(&limit), (2, 1));
}

#[test]
fn every_constant_is_a_parameter() {
    let clock = MockClock::new();
    let limit = DemandLimit::builder()
        .period(Duration::from_secs(60))
        .initial_refill(100)
        .max_refill(300)
        .weight(100)
        .burst_periods(3)
        .max_burst(500)
        .clock(clock.clone())
        .build()
        .unwrap();
    assert_eq!(limit.limiter().quota(), Quota::per_minute(100).burst(300));
    assert!((0..200).all(|_| limit.allow()));
    assert!(limit.try_acquire_n(1_000).is_err());
    clock.advance(Duration::from_secs(60));
    assert!(limit.allow());
    assert_eq!(limit.limiter().quota(), Quota::per_minute(300).burst(500));
    assert!(DemandLimit::builder().initial_refill(11).build().is_err());
    assert!(DemandLimit::builder().initial_refill(0).build().is_err());
    assert!(DemandLimit::builder().max_burst(0).build().is_err());
    assert!(DemandLimit::builder().burst_periods(0).build().is_err());
    assert!(DemandLimit::builder().period(Duration::ZERO).build().is_err());
}
