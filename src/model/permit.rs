//! [`Permit`]: a call to a model that was admitted.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Clock, QuantaClock};
use crate::queue::in_drop;

use super::amounts::Amounts;
use super::charge::Charge;
use super::hints::ServerHints;
use super::state::Model;
use super::usage::Usage;

/// A call to a model that was admitted: a slot for a request in flight, and the charge of its estimate in every
/// dimension. It owns its share of the model, and may go to another task or thread.
///
/// Keep it for as long as the call is in flight.
///
/// | when | use | effect |
/// |---|---|---|
/// | the usage is known | [`commit`](Permit::commit) | charges it instead of the estimate, input and output apart |
/// | a stream grows | [`progress`](Permit::progress) | charges what goes beyond the charge so far |
/// | the call was not made | [`cancel`](Permit::cancel) | gives everything back, the request too, and frees the slot |
/// | the call is over | drop it | frees the slot |
///
/// A permit that is dropped without a commit, also by a panic or because its task was cancelled, keeps its charge: that
/// of the estimate, or what its progress charged beyond it. The call may have reached the server, which goes on. The slot
/// is free in any case.
///
/// # Examples
///
/// ```
/// use brimful::MockClock;
/// use brimful::model::{ModelLimiter, ModelQuota};
///
/// let limiter = ModelLimiter::builder()
///     .model("gpt-4", ModelQuota::new().tpm(10_000).max_parallel_requests(1))
///     .clock(MockClock::new())
///     .build()?;
/// let mut permit = limiter.try_acquire("gpt-4", (4_000, 6_000))?; // input and output
/// assert!(limiter.try_acquire("gpt-4", 0).is_err(), "one is in flight");
/// permit.commit((4_000, 500));
/// drop(permit);
/// assert!(limiter.try_acquire("gpt-4", 5_500).is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "dropping a permit frees its slot at once, and keeps the charge"]
pub struct Permit<C: Clock + Send + Sync + 'static = QuantaClock> {
    model: Arc<Model<C>>,
    estimate: Usage,
    charge: Charge,
    /// The usage of the last commit.
    actual: Option<Usage>,
    waited: Duration,
}

impl<C: Clock + Send + Sync + 'static> Permit<C> {
    #[inline]
    pub(super) fn new(model: Arc<Model<C>>, estimate: Usage, charge: Charge, waited: Duration) -> Self {
        Permit { model, estimate, charge, actual: None, waited }
    }

    /// Returns the name of the model.
    #[must_use]
    pub fn model(&self) -> &str {
        &self.model.name
    }

    /// Returns the estimate, as it was given.
    #[must_use]
    pub fn estimate(&self) -> Usage {
        self.estimate
    }

    /// Returns the time from the first look at the limits to the grant: zero if the call did not wait.
    #[must_use]
    pub fn waited(&self) -> Duration {
        self.waited
    }

    /// Charges the actual usage instead of the estimate, in each dimension apart: gives back the tokens that were not
    /// used, clipped at the burst, or charges those that were missing, which may take a bucket into debt, down to one
    /// burst below zero. The requests are not touched.
    ///
    /// A commit is for the end of a call: it gives back what is reserved for the rest of the answer, and the limiter
    /// [learns](crate::model::Learning) from it. While an answer grows, use [`progress`](Permit::progress).
    ///
    /// The last commit counts, and the same one again changes nothing. All commits together charge exactly the last usage,
    /// but for what was clipped:
    ///
    /// - Tokens beyond the debt limit are not charged. A later commit does not give them back, and charges them if it is
    ///   for another usage that needs them and there is room by then.
    /// - Tokens that a full bucket could not take back are lost, also if a hint corrects the bucket at that moment. They count as charged: a later commit of more charges
    ///   only what is beyond them.
    ///
    /// A call that was admitted before a [pause](crate::model::ModelLimiter::pause_for) pays the debts of the buckets of
    /// minutes, but does not fill them: otherwise, calls that end at once would bring the burst that the pause is against.
    /// Those of days are settled as always.
    ///
    /// The slot is freed when the permit is dropped.
    pub fn commit(&mut self, actual: impl Into<Usage>) {
        let actual = actual.into();
        self.actual = Some(actual);
        self.settle(Amounts::of(actual));
    }

    /// Charges what the usage of a call so far has beyond its charge, in each dimension apart. For an answer that grows, as
    /// a stream does.
    ///
    /// Nothing is given back: the estimate stays reserved for the rest of the answer. So in each dimension the charge is the
    /// higher one of the estimate and the usage so far, also if the permit is dropped then. Nothing is learned before a
    /// [`commit`](Permit::commit), which ends the call as always, and may give tokens back. As with a commit, a bucket may
    /// come into debt, down to one burst below zero, and tokens beyond that are not charged.
    ///
    /// # Examples
    ///
    /// ```
    /// use brimful::MockClock;
    /// use brimful::model::{Dimension, ModelLimiter, ModelQuota};
    ///
    /// let limiter = ModelLimiter::builder()
    ///     .model("gpt-4", ModelQuota::new().output_tpm(8_000))
    ///     .clock(MockClock::new())
    ///     .build()?;
    /// let used = || limiter.stats_of("gpt-4").unwrap().dimension(Dimension::OutputTpm).unwrap().used;
    /// let mut stream = limiter.try_acquire("gpt-4", (1_000, 500))?;
    /// for (tokens, charged) in [(200, 500), (500, 500), (700, 700)] {
    ///     stream.progress((1_000, tokens)); // for each part that arrives
    ///     assert_eq!(used(), charged);
    /// }
    /// stream.commit((1_000, 650)); // the usage by the server, with the last part
    /// assert_eq!(used(), 650);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn progress(&mut self, so_far: impl Into<Usage>) {
        self.settle(self.charge.amounts().max(&Amounts::of(so_far.into())));
    }

    /// Takes over what the server said with the answer, as
    /// [`ModelLimiter::observe`](crate::model::ModelLimiter::observe) does, and knows the call: whether it was begun before
    /// the last refusal.
    ///
    /// Commit first, and then observe: the server's count has the usage, and ours has it after the commit.
    pub fn observe(&self, hints: &ServerHints) {
        self.model.observe(hints, Some(self.charge.epoch()));
    }

    /// Gives everything back, the request too, as a [commit](Permit::commit) does, and frees the slot: for a call that was
    /// not made.
    pub fn cancel(mut self) {
        self.actual = None;
        self.settle(Amounts::NOTHING);
    }

    #[inline]
    fn settle(&mut self, actual: Amounts) {
        if actual != *self.charge.amounts() {
            self.model.settle(&mut self.charge, &actual);
        }
    }
}

impl<C: Clock + Send + Sync + 'static> Drop for Permit<C> {
    #[inline]
    fn drop(&mut self) {
        if let Some(actual) = self.actual {
            self.model.learn(self.estimate, actual);
        }
        // Waiters may be served, by the clock and the timer of the user.
        in_drop(|| self.model.free_slot());
    }
}

impl<C: Clock + Send + Sync + 'static> fmt::Debug for Permit<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").field("model", &self.model()).field("estimate", &self.estimate).finish_non_exhaustive()
    }
}
