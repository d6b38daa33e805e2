//! A program with a limiter, and its test on a clock that only the test moves:
//! `cargo run --example mock_clock`.

use std::time::Duration;

use brimful::{Clock, MockClock, QuantaClock, Quota, RateLimiter};

/// A login that is locked for a while after too many attempts. It is generic over the clock, and
/// the default is the process's clock.
struct Login<C = QuantaClock> {
    attempts: RateLimiter<C>,
}

impl Login {
    fn new() -> Self {
        Login::with_clock(QuantaClock)
    }
}

impl<C: Clock> Login<C> {
    fn with_clock(clock: C) -> Self {
        Login { attempts: RateLimiter::with_clock(Quota::per_minute(1).burst(3), clock) }
    }

    /// Returns whether the password is right. The error is the time for which the login is locked,
    /// or `None` if it is locked for ever.
    fn try_password(&self, password: &str) -> Result<bool, Option<Duration>> {
        self.attempts.try_acquire().map_err(|refused| refused.retry_after())?;
        let right = password == "correct horse";
        if right {
            self.attempts.reset();
        }
        Ok(right)
    }
}

/// The test does not sleep. It moves the clock to the last nanosecond of the wait, and past it.
fn three_wrong_passwords_lock_for_a_minute() {
    let clock = MockClock::new();
    let login = Login::with_clock(clock.clone());
    for _ in 0..3 {
        assert_eq!(login.try_password("hunter2"), Ok(false));
    }
    assert_eq!(login.try_password("correct horse"), Err(Some(Duration::from_secs(60))));

    clock.advance(Duration::from_secs(60) - Duration::from_nanos(1));
    assert_eq!(login.try_password("correct horse"), Err(Some(Duration::from_nanos(1))));
    clock.advance(Duration::from_nanos(1));
    assert_eq!(login.try_password("correct horse"), Ok(true));
}

fn main() {
    three_wrong_passwords_lock_for_a_minute();
    println!("the test passed; on the real clock: {:?}", Login::new().try_password("correct horse"));
}
