//! A program that waits, and its test on a clock that only the test moves: `cargo run --example
//! wait_mock`.

use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use brimful::{AcquireError, Clock, MockClock, QuantaClock, Quota, RateLimiter};

/// A mailer that sends one mail a minute. It is generic over the clock, and the default is the
/// process's clock.
struct Mailer<C = QuantaClock> {
    pace: RateLimiter<C>,
}

impl<C: Clock + Clone + Send + Sync + 'static> Mailer<C> {
    fn with_clock(clock: C) -> Self {
        Mailer { pace: RateLimiter::with_clock(Quota::per_minute(1), clock) }
    }

    /// Waits for the mail's turn, and returns the minute in which the mail went out.
    async fn send(&self, _mail: &str) -> Result<u64, AcquireError> {
        let granted = self.pace.acquire().await?;
        Ok(granted.granted_at() / 60_000_000_000)
    }
}

/// One thread, without a runtime: the test polls the future, and the clock serves it.
fn the_second_mail_waits_for_a_minute() {
    let clock = MockClock::new();
    let mailer = Mailer::with_clock(clock.clone());
    let mut by_hand = Context::from_waker(Waker::noop());
    assert!(pin!(mailer.send("first")).poll(&mut by_hand).is_ready());

    let mut second = pin!(mailer.send("second"));
    assert!(second.as_mut().poll(&mut by_hand).is_pending());
    clock.advance(Duration::from_secs(60) - Duration::from_nanos(1));
    assert!(second.as_mut().poll(&mut by_hand).is_pending());
    clock.advance(Duration::from_nanos(1));
    assert!(second.as_mut().poll(&mut by_hand).is_ready());
}

/// Moves the clock to the next due instant whenever the future is pending.
fn an_hour_of_mails_takes_no_time() -> Result<(), AcquireError> {
    let clock = MockClock::new();
    let mailer = Mailer::with_clock(clock.clone());
    let mut hour = pin!(async {
        let mut minutes = Vec::new();
        for n in 0..=60 {
            minutes.push(mailer.send(&format!("number {n}")).await?);
        }
        Ok(minutes)
    });
    let mut by_hand = Context::from_waker(Waker::noop());
    let minutes = loop {
        match hour.as_mut().poll(&mut by_hand) {
            Poll::Ready(minutes) => break minutes?,
            Poll::Pending => clock.advance(Duration::from_secs(60)),
        }
    };
    assert_eq!(minutes, (0..=60).collect::<Vec<_>>());
    Ok(())
}

/// A blocked thread is served by the clock too, when another thread moves the clock.
fn a_thread_waits_for_a_day() -> Result<(), AcquireError> {
    let clock = MockClock::new();
    let daily = RateLimiter::with_clock(Quota::per_day(1), clock.clone());
    daily.acquire_blocking()?;
    let waited = thread::scope(|threads| {
        let waiter = threads.spawn(|| daily.acquire_blocking());
        while daily.waiters() == 0 {
            thread::yield_now();
        }
        clock.advance(Duration::from_secs(24 * 60 * 60));
        waiter.join().expect("it does not panic")
    });
    assert_eq!(waited?.waited(), Duration::from_secs(24 * 60 * 60));
    Ok(())
}

fn main() -> Result<(), AcquireError> {
    the_second_mail_waits_for_a_minute();
    an_hour_of_mails_takes_no_time()?;
    a_thread_waits_for_a_day()?;
    println!("61 mails, one a minute, and a day: the tests passed");
    Ok(())
}
