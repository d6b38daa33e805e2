//! Code that waits, and its test on a clock that only the test moves: `cargo run --example wait_mock`.

use std::error::Error;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::thread;
use std::time::Duration;

use brimful::{AcquireError, Clock, MockClock, QuantaClock, Quota, RateLimiter};

/// Sends one mail a minute. Generic over the clock, with the process's as the default.
struct Mailer<C = QuantaClock> {
    pace: RateLimiter<C>,
}

impl<C: Clock + Clone + Send + Sync + 'static> Mailer<C> {
    fn with_clock(clock: C) -> Self {
        Mailer { pace: RateLimiter::with_clock(Quota::per_minute(1), clock) }
    }

    /// Waits for its turn, and returns the minute in which the mail went out.
    async fn send(&self, _mail: &str) -> Result<u64, AcquireError> {
        let granted = self.pace.acquire().await?;
        Ok(granted.granted_at() / 60_000_000_000)
    }
}

/// In one thread, without a runtime: the future is polled by hand, and the clock serves it.
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

/// With threads, as the code runs in earnest: the test moves the clock whenever somebody waits.
fn an_hour_of_mails_takes_no_time() -> Result<(), Box<dyn Error>> {
    let clock = MockClock::new();
    let mailer = Arc::new(Mailer::with_clock(clock.clone()));
    let sender = {
        let mailer = mailer.clone();
        thread::spawn(move || {
            async_io::block_on(async {
                let mut minutes = Vec::new();
                for n in 0..=60 {
                    minutes.push(mailer.send(&format!("number {n}")).await?);
                }
                Ok::<_, AcquireError>(minutes)
            })
        })
    };
    while !sender.is_finished() {
        if mailer.pace.waiters() > 0 {
            // It stops where the mail is due, to the nanosecond, and wakes the sender there.
            clock.advance(Duration::from_secs(60));
        }
        thread::yield_now();
    }
    let minutes = sender.join().map_err(|_| "the sender panicked")??;
    assert_eq!(minutes, (0..=60).collect::<Vec<_>>());
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    the_second_mail_waits_for_a_minute();
    an_hour_of_mails_takes_no_time()?;
    println!("61 mails, one a minute: the tests passed");
    Ok(())
}
