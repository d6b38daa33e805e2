//! [`Bucket`]: the arithmetic of a bucket, which every engine repeats in its own language.

use super::limit::Limit;
use super::request::Operation;

/// A bucket as an engine stores it: the units that are missing in it, as of an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// In microseconds of the server's clock: the latest reading at which the bucket was changed.
    pub mark: u64,
    /// The units that are missing in a full bucket: more than the capacity if the bucket is in debt.
    pub deficit: u64,
}

impl Bucket {
    /// Returns the bucket of a key that is new at this reading.
    #[must_use]
    pub fn new(limit: &Limit, now: u64) -> Self {
        Bucket { mark: now, deficit: limit.initial_deficit() }
    }

    /// Returns the bucket as of a reading: one before its mark counts as the mark.
    #[must_use]
    pub fn at(self, limit: &Limit, now: u64) -> Self {
        let now = now.max(self.mark);
        let deficit = self.deficit.min(limit.capacity() + limit.debt());
        let passed = now - self.mark;
        let deficit = match passed.checked_mul(limit.per_micro()) {
            Some(earned) => deficit.saturating_sub(earned),
            None => 0,
        };
        Bucket { mark: now, deficit }
    }

    /// Returns whether the bucket holds this amount.
    #[must_use]
    pub fn holds(&self, limit: &Limit, amount: u64) -> bool {
        amount == 0 || self.deficit + amount <= limit.capacity()
    }

    /// Returns the whole tokens that the bucket holds, of these units at most.
    fn tokens(&self, limit: &Limit, amount: u64) -> u64 {
        limit.capacity().saturating_sub(self.deficit).min(amount) / limit.per_token()
    }
}

/// Executes an operation on buckets as of its instant, each with its limit and its amount: the semantics that every engine
/// has to implement.
///
/// Returns whether it was admitted, and for each bucket the units that were taken or given back.
pub fn execute(operation: Operation, buckets: &mut [Bucket], limits: &[(Limit, u64)]) -> (bool, Vec<u64>) {
    let pairs = || limits.iter();
    let admitted = operation != Operation::Take
        || buckets.iter().zip(pairs()).all(|(bucket, (limit, amount))| bucket.holds(limit, *amount));
    let tokens = buckets.iter().zip(pairs()).map(|(bucket, (limit, amount))| bucket.tokens(limit, *amount)).min();
    let done = buckets.iter_mut().zip(pairs()).map(|(bucket, (limit, amount))| {
        let (before, most) = (bucket.deficit, limit.capacity() + limit.debt());
        bucket.deficit = match operation {
            Operation::Take if admitted => before + amount,
            Operation::Take | Operation::Peek => before,
            Operation::TakeUpTo => before + tokens.unwrap_or(0) * limit.per_token(),
            Operation::Charge => before.max((before + amount).min(most)),
            Operation::Add => before.saturating_sub(*amount),
            Operation::Reset => 0,
        };
        bucket.deficit.abs_diff(before)
    });
    (admitted, done.collect())
}
