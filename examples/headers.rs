//! Response headers from one decision: `cargo run --example headers`.

use std::time::Duration;

use brimful::{Decision, Quota, RateLimiter};

static API: RateLimiter = RateLimiter::new(Quota::per_minute(60).burst(3));

fn main() {
    // The last request costs more than the burst. No wait would help, so it gets no `Retry-After`.
    for (request, cost) in (1..).zip([1, 1, 1, 1, 4]) {
        let decision = API.decide(cost);
        println!("request {request} of cost {cost}: {}", if decision.allowed() { 200 } else { 429 });
        for (name, value) in headers(&decision) {
            println!("  {name}: {value}");
        }
    }
}

fn headers(decision: &Decision) -> Vec<(&'static str, u64)> {
    let mut headers = vec![
        ("X-RateLimit-Limit", u64::from(decision.limit())),
        ("X-RateLimit-Remaining", u64::from(decision.remaining())),
    ];
    headers.extend(decision.reset_after().map(|wait| ("X-RateLimit-Reset", seconds(wait))));
    if !decision.allowed() {
        // At least a second: `Retry-After: 0` asks a client not to wait at all.
        headers.extend(decision.retry_after().map(|wait| ("Retry-After", seconds(wait).max(1))));
    }
    headers
}

/// Rounds up to whole seconds. If it rounded down, a client would come back too early.
fn seconds(wait: Duration) -> u64 {
    wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0))
}
