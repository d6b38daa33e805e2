//! Tasks and threads in one queue, with costs, a deadline, a priority, and a function that is
//! limited:
//! `cargo run --example wait`.

use std::error::Error;
use std::thread;
use std::time::Duration;

use async_io::block_on;
use brimful::{AcquireError, Granted, Quota, RateLimiter};

static API: RateLimiter = RateLimiter::new(Quota::per_second(20).burst(10));

/// Prints the outcome of a wait.
fn show(name: &str, outcome: Result<Granted, AcquireError>) {
    match outcome {
        Ok(granted) => println!("{name:<20} granted after {:?}", granted.waited()),
        Err(refused) => println!("{name:<20} {refused}"),
    }
}

/// Yields until this many callers wait, so that they arrive in the order of this file.
fn until_waiting(waiters: usize) {
    while API.waiters() < waiters {
        thread::yield_now();
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    API.acquire_n_blocking(10)?; // the bucket is empty now

    thread::scope(|threads| {
        // Background work takes tokens only if a fifth of the burst is left, so it is served last.
        threads.spawn(|| show("background, 1", API.background().acquire().wait()));
        until_waiting(1);
        // A call with a cost of 5 is not overtaken by a later call with a cost of 1.
        threads.spawn(|| show("a task, 5", block_on(API.acquire_n(5))));
        until_waiting(2);
        threads.spawn(|| show("a thread, 1", API.acquire_blocking()));
        until_waiting(3);
        // With the two calls ahead of it, this call needs 10 tokens, which take half a second. So
        // it is refused at once.
        show("4 within 300 ms", block_on(API.acquire_n(4).within(Duration::from_millis(300))));
        // A call that does not wait does not overtake a waiter of its class either. Its error
        // counts all waiters ahead of it.
        match API.try_acquire() {
            Ok(()) => println!("at once              admitted"),
            Err(refused) => println!("at once              {refused}"),
        }
        show("4 within a second", block_on(API.acquire_n(4).within(Duration::from_secs(1))));
    });

    // Each call of `square` waits for a token first.
    let square = API.wrap(|n: u64| async move { n * n });
    println!("7² = {}", block_on(square(7))?);
    Ok(())
}
