//! Leases: tokens that a process takes from the store in batches, and grants by itself.

mod builder;
mod lease;
mod limiter;
mod renewal;

pub use builder::LeasedRateLimiterBuilder;
pub use limiter::LeasedRateLimiter;
