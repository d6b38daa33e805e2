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

    /// Executes an operation that is admitted, and returns the units that were taken or given back.
    pub fn execute(&mut self, limit: &Limit, operation: Operation, amount: u64) -> u64 {
        let before = self.deficit;
        self.deficit = match operation {
            Operation::Peek => before,
            Operation::Take => before + amount,
            Operation::TakeUpTo => {
                let there = limit.capacity().saturating_sub(before);
                before + amount.min(there - there % limit.per_token())
            }
            Operation::Charge => before.max((before + amount).min(limit.capacity() + limit.debt())),
            Operation::Add => before.saturating_sub(amount),
            Operation::Reset => 0,
        };
        self.deficit.abs_diff(before)
    }
}
