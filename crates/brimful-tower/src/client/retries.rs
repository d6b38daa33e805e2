//! [`Retries`]: the calls that are repeated after a refusal.

use std::fmt;

use brimful::{Quota, Tokens};
use http::{Request, StatusCode};

use super::answer::{Answer, Outcome};

/// Repeats calls that a server has refused: those whose request can be cloned, a few times each, and at most a share of
/// all calls.
///
/// A retry takes its turn as any call does: behind the others, after the pause, and charged to the same quota. It is made
/// if it leaves before the [deadline](crate::client::ThrottleLayerBuilder::wait_up_to) of its call. If it is not made, the
/// call ends with the refusal. Before its turn, a retry waits for the service to be ready; if it is
/// not ready by the deadline, the retry is not made.
///
/// While a retry waits, the refusal is kept with its body, which is not read. A client that needs the body's end for its
/// next call, because it has one connection for all, is not ready before the deadline then.
///
/// Without a budget, each refused call becomes several, when the server can bear them least. All clones of a layer share a
/// budget, to which each call adds a [share](Retries::share) of a retry, and a [quota](Retries::floor) a few.
///
/// # Examples
///
/// ```
/// use brimful_tower::client::Retries;
/// use bytes::Bytes;
/// use http::{Method, Request};
///
/// // As `clone_request` of tower's `retry::Policy`: only what may be repeated.
/// let retries = Retries::new(|request: &Request<Bytes>| {
///     (request.method() == Method::GET).then(|| request.clone())
/// });
/// let retries = retries.at_most(2).on_unavailable();
/// ```
#[derive(Clone)]
pub struct Retries<F> {
    clone: F,
    pub(super) at_most: u32,
    pub(super) share: Tokens,
    pub(super) floor: Quota,
    on_unavailable: bool,
}

impl<F> Retries<F> {
    /// Returns the default: a call whose request the function clones is repeated at most three times after status 429, or
    /// after another [refusal](crate::FromHeaders) for its rate.
    pub fn new(clone: F) -> Self {
        let floor = Quota::per_minute(10).burst(100).initial(10);
        let share = Tokens::from_parts(0, 200_000_000_000).unwrap_or(Tokens::ZERO);
        Retries { clone, at_most: 3, share, floor, on_unavailable: false }
    }

    /// Sets the most times that a call is repeated.
    #[must_use]
    pub fn at_most(self, times: u32) -> Self {
        Retries { at_most: times, ..self }
    }

    /// Also repeats calls after status 503 with `Retry-After`.
    #[must_use]
    pub fn on_unavailable(self) -> Self {
        Retries { on_unavailable: true, ..self }
    }

    /// Sets the retries that a call adds to the budget, in percent: 20 by default. At most 100: more counts as 100.
    #[must_use]
    pub fn share(self, percent: u8) -> Self {
        // Of a whole token, there are no parts.
        let share = Tokens::from_parts(0, u64::from(percent) * 10_000_000_000);
        Retries { share: share.unwrap_or(Tokens::new(1)), ..self }
    }

    /// Sets the retries that the budget gets in a time, however few calls there are. The burst is the most retries that the
    /// budget holds. By default there are 10 a minute, of which the budget holds 100, and it begins with 10.
    #[must_use]
    pub fn floor(self, quota: Quota) -> Self {
        Retries { floor: quota, ..self }
    }
}

impl<F> fmt::Debug for Retries<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Retries")
            .field("at_most", &self.at_most)
            .field("share", &self.share)
            .field("floor", &self.floor)
            .field("on_unavailable", &self.on_unavailable)
            .finish_non_exhaustive()
    }
}

/// No call is repeated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NoRetries;

/// Which calls are repeated: [`Retries`], or [`NoRetries`].
///
/// It is implemented for these only.
pub trait Repeat<B>: Send + Sync + 'static {
    /// Returns the most times that a call is repeated, and the request for it; `None` if this call is not to be repeated.
    fn clone_request(&self, request: &Request<B>) -> Option<(u32, Request<B>)>;

    /// Returns whether a call is to be repeated after this answer.
    fn wants(&self, answer: &Answer) -> bool;
}

impl<B> Repeat<B> for NoRetries {
    #[inline]
    fn clone_request(&self, _: &Request<B>) -> Option<(u32, Request<B>)> {
        None
    }

    fn wants(&self, _: &Answer) -> bool {
        false
    }
}

impl<B, F> Repeat<B> for Retries<F>
where
    F: Fn(&Request<B>) -> Option<Request<B>> + Send + Sync + 'static,
{
    fn clone_request(&self, request: &Request<B>) -> Option<(u32, Request<B>)> {
        if self.at_most == 0 { None } else { Some((self.at_most, (self.clone)(request)?)) }
    }

    fn wants(&self, answer: &Answer) -> bool {
        match answer.outcome {
            Outcome::Refused(_) => true,
            Outcome::Failed(_) => self.on_unavailable && answer.status == StatusCode::SERVICE_UNAVAILABLE,
            Outcome::Served(_) => false,
        }
    }
}
