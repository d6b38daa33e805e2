//! Tasks and threads in one queue, with costs, a deadline, a priority, and a call that is limited:
//! `cargo run --example wait`.

use std::error::Error;
use std::thread;
use std::time::Duration;

use async_io::block_on;
use brimful::{AcquireError, Granted, Quota, RateLimiter};

static API: RateLimiter = RateLimiter::new(Quota::per_second(20).burst(10));

/// What became of a wait.
fn show(who: &str, outcome: Result<Granted, AcquireError>) {
    match outcome {
        Ok(granted) => println!("{who:<20} granted after {:?}", granted.waited()),
        Err(refused) => println!("{who:<20} {refused}"),
    }
}

/// Until so many wait; so that the order of arrival is the one that is written here.
fn until_waiting(waiters: u32) {
    while API.waiters() < waiters {
        thread::yield_now();
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    API.acquire_n_blocking(10)?; // there is nothing left

    thread::scope(|threads| {
        // Background work takes only what leaves a fifth of the burst: it is served last.
        threads.spawn(|| show("background, 1", API.background().acquire().wait()));
        until_waiting(1);
        // A cost of 5 is not overtaken by a cost of 1 that comes later.
        threads.spawn(|| show("a task, 5", block_on(API.acquire_n(5))));
        until_waiting(2);
        threads.spawn(|| show("a thread, 1", API.acquire_blocking()));
        until_waiting(3);
        // 4 after those two are there in half a second: this need not wait to know that it is too late.
        show("4 within 300 ms", block_on(API.acquire_n(4).within(Duration::from_millis(300))));
        // A call that does not wait overtakes nobody of its class either: it is told of all who wait.
        match API.try_acquire() {
            Ok(()) => println!("at once              admitted"),
            Err(refused) => println!("at once              {refused}"),
        }
        show("4 within a second", block_on(API.acquire_n(4).within(Duration::from_secs(1))));
    });

    // Each call of this waits for a token first.
    let square = API.wrap(|n: u64| async move { n * n });
    println!("7² = {}", block_on(square(7))?);
    Ok(())
}
