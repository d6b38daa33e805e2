//! Calls that wait: they ask, and sleep in between.

use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use tokio::time::Instant;

/// The time between two attempts if the store failed, and the breaker is closed.
pub(crate) const AFTER_FAILURE: Duration = Duration::from_millis(20);

/// A refusal of a call that may wait.
pub(crate) trait Refusal {
    /// Returns whether the same call is never admitted.
    fn is_final(&self) -> bool;

    /// Returns the time until the call may be admitted, if that is known.
    fn retry_after(&self) -> Option<Duration>;
}

/// Asks until the call is admitted: after each refusal, sleeps for the time that it names, and a random part of up to a
/// tenth more. Fails with the last refusal if the next attempt would be later than the deadline. A refusal that the caller
/// has already is the first one.
pub(crate) async fn until_admitted<T, E, F>(
    ask: impl Fn() -> F,
    refused: Option<E>,
    deadline: Option<Instant>,
) -> Result<T, E>
where
    E: Refusal,
    F: Future<Output = Result<T, E>>,
{
    let mut known = refused;
    loop {
        let refused = match known.take() {
            Some(refused) => refused,
            None => match ask().await {
                Ok(admitted) => return Ok(admitted),
                Err(refused) => refused,
            },
        };
        if refused.is_final() {
            return Err(refused);
        }
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
