//! Tokens that are reserved for a cost that is known later: `cargo run --example reserve`.

use std::time::Duration;

use brimful::{Clock, MockClock, Quota, RateLimiter, TryAcquireError};

fn main() -> Result<(), TryAcquireError> {
    // 1000 model tokens a minute; a commit may take the bucket 200 below zero.
    let quota = Quota::per_minute(1000).max_debt(200);
    let clock = MockClock::new();
    let limiter = RateLimiter::with_clock(quota, clock.clone());

    // The call was cheaper than its estimate: the rest goes back.
    let reservation = limiter.try_reserve_n(600)?;
    reservation.commit(450);
    show("600 reserved, 450 used", &limiter);

    // The call failed: the dropped reservation gives all tokens back.
    drop(limiter.try_reserve_n(500)?);
    show("500 reserved, call failed", &limiter);

    // The call was dearer: the rest is charged, into debt. `commit` returns the part beyond the
    // debt limit, which is not charged.
    let reservation = limiter.try_reserve_n(500)?;
    let uncharged = reservation.commit(800);
    show("500 reserved, 800 used", &limiter);
    println!("  not charged: {uncharged}");

    // No call is admitted until the debt is earned back.
    let wait = limiter.time_until(100).expect("100 are within the burst");
    println!("  100 more in {wait:?}");
    clock.advance(wait - Duration::from_nanos(1));
    assert!(limiter.try_reserve_n(100).is_err());
    clock.advance(Duration::from_nanos(1));
    limiter.try_reserve_n(100)?.commit(100);
    show("that much later, 100 used", &limiter);
    Ok(())
}

fn show<C: Clock>(what: &str, limiter: &RateLimiter<C>) {
    println!("{what}: balance {}", limiter.balance());
}
