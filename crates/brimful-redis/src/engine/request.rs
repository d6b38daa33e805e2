//! [`Request`]: a decision that an engine makes, and its [`Outcome`].

use std::time::Duration;

use super::limit::Limit;

/// The operation of a [`Request`], on all its buckets at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Takes the amounts if every bucket holds its own; if not, takes nothing.
    Take,
    /// Takes the same whole number of tokens from every bucket: as many as all of them hold, up to the amounts.
    TakeUpTo,
    /// Charges the amounts, into debt if need be, down to the debt limit.
    Charge,
    /// Gives the amounts back, up to full buckets.
    Add,
    /// Fills the buckets.
    Reset,
    /// Looks.
    Peek,
}

/// The identity of a request. A second request with the same key and id does nothing, and its outcome is that of the
/// first, if the first changed something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RequestId(pub u128);

/// A decision on the buckets of one key.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The key of the buckets, with the limiter's prefix.
    pub key: &'a str,
    /// The operation.
    pub operation: Operation,
    /// The limits, in the order in which the buckets are stored, and the amount for each, in units.
    pub limits: &'a [(Limit, u64)],
    /// The id of a request that may be repeated, and the time for which it is remembered.
    pub id: Option<(RequestId, Duration)>,
    /// The time after which the caller drops the request.
    pub patience: Duration,
}

/// The outcome of a [`Request`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Whether the amounts were taken. `true` for all operations but [`Operation::Take`].
    pub admitted: bool,
    /// The instant of the decision, in microseconds of the server's clock, or the mark of the buckets if that is later.
    pub at: u64,
    /// The microseconds by which `at` is ahead of the server's clock: for so long, the buckets earn nothing.
    pub ahead: u64,
    /// For each bucket, the units that are missing in it, and those that were taken or given back.
    pub buckets: Vec<(u64, u64)>,
}

impl Outcome {
    /// Returns the time after the decision until a bucket with this deficit holds an amount, if no call comes between.
    pub(crate) fn time_until(&self, limit: &Limit, deficit: u64, amount: u64) -> Duration {
        match (deficit + amount).saturating_sub(limit.capacity()) {
            0 => Duration::ZERO,
            missing => Duration::from_micros(self.ahead) + limit.time(missing),
        }
    }
}
