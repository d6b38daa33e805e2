//! Calls that wait: they ask, and sleep in between.

use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use tokio::time::Instant;

use super::error::SharedError;

/// The time between two attempts if the store failed, and the breaker is closed.
pub(crate) const AFTER_FAILURE: Duration = Duration::from_millis(20);

/// Attempts to take until the cost is taken, can never be, or the next attempt would be after the deadline. Sleeps for the
/// time that a refusal reports, and a random part of up to a tenth more.
pub(crate) async fn until_taken<T, F>(deadline: Option<Instant>, attempt: impl Fn() -> F) -> Result<T, SharedError>
where
    F: Future<Output = Result<T, SharedError>>,
{
    loop {
        let refused = match attempt().await {
            Err(refused) if !matches!(refused, SharedError::ExceedsBurst { .. }) => refused,
            outcome => return outcome,
        };
        let wait = refused.retry_after().unwrap_or(AFTER_FAILURE);
        let next = Instant::now().checked_add(wait + wait.mul_f64(random() / 10.0));
        let Some(next) = next.filter(|&next| deadline.is_none_or(|deadline| next <= deadline)) else {
            return Err(refused);
        };
        tokio::time::sleep_until(next).await;
    }
}

/// Returns a random number from 0 to 1.
pub(crate) fn random() -> f64 {
    // Each of the standard library's hashers has a new key.
    (RandomState::new().hash_one(0) >> 32) as f64 / f64::from(u32::MAX)
}
