//! Response headers from one decision: `cargo run --example headers`.

use std::time::Duration;

use brimful::{Decision, Quota, RateLimiter};

static API: RateLimiter = RateLimiter::new(Quota::per_minute(60).burst(3));

fn main() {
    for request in 1..=4 {
        let decision = API.decide(1);
        println!("request {request}: {}", if decision.allowed() { 200 } else { 429 });
        for (name, value) in headers(&decision) {
            println!("  {name}: {value}");
        }
    }
}

fn headers(decision: &Decision) -> Vec<(&'static str, u64)> {
    let mut headers = vec![
        ("X-RateLimit-Limit", u64::from(decision.limit())),
        ("X-RateLimit-Remaining", u64::from(decision.remaining())),
        ("X-RateLimit-Reset", seconds(decision.reset_after())),
    ];
    if !decision.allowed() {
        headers.push(("Retry-After", seconds(decision.retry_after())));
    }
    headers
}

/// Rounded up: rounded down, a client would come back too early, and `Retry-After: 0` would
/// tell it not to wait at all.
fn seconds(wait: Duration) -> u64 {
    wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0))
}
