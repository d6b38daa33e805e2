//! Shows the tokens of a bucket for five seconds: `cargo run --example demo`.

use std::error::Error;
use std::thread::sleep;
use std::time::Duration;

use brimful::{Quota, RateLimiter};

fn main() -> Result<(), Box<dyn Error>> {
    let limiter = RateLimiter::new(Quota::per_second(2).burst(10));
    println!("{}: full, with {:.1} tokens\n", limiter.quota(), limiter.available_tokens());

    println!("twelve calls at once:");
    for call in 1..=12 {
        match limiter.try_acquire() {
            Ok(()) => println!("  {call:>2}  admitted, {:.1} left", limiter.available_tokens()),
            Err(refused) => println!("  {call:>2}  {refused}"),
        }
    }

    println!("\na call that waits:");
    let granted = limiter.acquire_blocking()?;
    println!("  granted after {:?}", granted.waited());

    println!("\nhalf a second earns a token:");
    for _ in 0..4 {
        sleep(Duration::from_millis(500));
        println!("  {:.1} tokens", limiter.available_tokens());
    }

    println!("\nfive at a time:");
    match limiter.try_acquire_n(5) {
        Ok(()) => println!("  admitted"),
        Err(refused) => println!("  {refused}"),
    }
    println!("  granted after {:?}", limiter.acquire_n_blocking(5)?.waited());
    match limiter.acquire_n(5).within(Duration::from_secs(1)).wait() {
        Ok(granted) => println!("  granted after {:?}", granted.waited()),
        Err(refused) => println!("  within a second: refused at once, {refused}"),
    }
    println!("  granted after {:?}", limiter.acquire_n_blocking(5)?.waited());

    println!("\neleven at a time:");
    if let Err(refused) = limiter.acquire_n_blocking(11) {
        println!("  refused at once, {refused}");
    }
    Ok(())
}
