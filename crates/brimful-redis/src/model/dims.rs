//! [`Dims`]: the dimensions of a model as limits of the store.

use std::time::Duration;

use brimful::model::{Dimension, ModelQuota, Usage};
use brimful::{Quota, QuotaError, Tokens};

use super::error::SharedModelCause;
use super::gate;
use super::slots::Slots;
use crate::engine::{Limit, Outcome};
use crate::shared::BuildError;

/// The amounts of a call, by dimension.
pub(super) type Amounts = [u64; Dimension::ALL.len()];

/// Returns the amounts of a number of requests with this usage.
pub(super) fn amounts(requests: u64, usage: Usage) -> Amounts {
    Dimension::ALL.map(|dimension| match dimension {
        Dimension::Rpm | Dimension::Rpd => requests,
        Dimension::Tpm | Dimension::Tpd => usage.total(),
        Dimension::InputTpm => usage.input,
        Dimension::OutputTpm => usage.output,
        _ => 0,
    })
}

/// The dimensions of a model that have buckets, and its slots. In the store, the gate is the first bucket.
pub(super) struct Dims {
    dims: Vec<Dim>,
    /// `None`: requests in flight have no limit.
    pub(super) slots: Option<Box<dyn Slots>>,
    pub(super) quota: ModelQuota,
}

#[derive(Debug)]
struct Dim {
    dimension: Dimension,
    /// The burst.
    most: Tokens,
    limit: Limit,
}

impl Dims {
    /// Returns the dimensions of a model's quota. `slots` makes as many slots.
    pub(super) fn new(
        model: &str,
        quota: ModelQuota,
        new_slots: impl FnOnce(usize) -> Result<Box<dyn Slots>, BuildError>,
    ) -> Result<Self, BuildError> {
        let slots = quota.max_parallel_requests.map(|most| match usize::try_from(most) {
            Ok(0) => Err(BuildError::Model(
                format!("{model}.{}", Dimension::MaxParallelRequests),
                "no slots admit nothing: at least 1".to_owned(),
            )),
            Ok(most) => new_slots(most),
            Err(_) => new_slots(usize::MAX),
        });
        let mut dims = Vec::new();
        for dimension in Dimension::ALL {
            let Some(most) = quota.limit(dimension).filter(|_| dimension != Dimension::MaxParallelRequests) else {
                continue;
            };
            let failed = |why: String| BuildError::Model(format!("{model}.{dimension}"), why);
            let bucket = bucket(dimension, most, quota.strict).map_err(|error| failed(error.to_string()))?;
            let limit = Limit::new(&bucket).map_err(|error| failed(error.to_string()))?;
            dims.push(Dim { dimension, most: bucket.capacity(), limit });
        }
        Ok(Dims { dims, slots: slots.transpose()?, quota })
    }

    /// Returns the names of the dimensions, which are a part of the store's key: a model with other dimensions has other
    /// buckets.
    pub(super) fn names(&self) -> String {
        let names: Vec<_> = self.dims.iter().map(|dim| dim.dimension.as_str()).collect();
        names.join("+")
    }

    /// Returns the limits for a call, each with its units; the error is an estimate that is never admitted.
    pub(super) fn take(&self, amounts: &Amounts) -> Result<Vec<(Limit, u64)>, SharedModelCause> {
        let dims = self.dims.iter().map(|dim| {
            let (dimension, estimate) = (dim.dimension, amounts[dim.dimension as usize]);
            if tokens(estimate) > dim.most {
                return Err(SharedModelCause::ExceedsLimit { dimension, estimate, most: dim.most.whole().into() });
            }
            // A bucket in debt refuses every call, also one that takes nothing from it: so a call takes the smallest unit.
            Ok((dim.limit, dim.limit.cost(tokens(estimate)).max(1)))
        });
        std::iter::once(Ok(gate::PASS)).chain(dims).collect()
    }

    /// Returns the limits with the units that are beyond those of a former charge, or short of it, if there are any.
    pub(super) fn difference(&self, before: &Amounts, after: &Amounts, more: bool) -> Option<Vec<(Limit, u64)>> {
        let dims = self.dims.iter().map(|dim| {
            let (before, after) = (before[dim.dimension as usize], after[dim.dimension as usize]);
            let units = match more {
                true => dim.limit.cost(tokens(after.saturating_sub(before))),
                false => dim.limit.given_back(tokens(before.saturating_sub(after))),
            };
            (dim.limit, units)
        });
        let limits: Vec<_> = std::iter::once(gate::LOOK).chain(dims).collect();
        limits.iter().any(|(_, units)| *units > 0).then_some(limits)
    }

    /// Returns the limits for a pause: the gate's, and no units of the others.
    pub(super) fn with_gate(&self, gate: (Limit, u64)) -> Vec<(Limit, u64)> {
        std::iter::once(gate).chain(self.dims.iter().map(|dim| (dim.limit, 0))).collect()
    }

    /// Returns the limits that empty the buckets of minutes, as far as debt goes, until a pause is over; `None` if they are
    /// empty. As with the [`gate`], a request takes what this outcome is short of, if no bucket holds less by then.
    pub(super) fn empty(&self, seen: &Outcome, pause: Duration) -> Option<Vec<(Limit, u64)>> {
        let dims = self.dims.iter().zip(&seen.buckets[1..]).map(|(dim, bucket)| {
            let (limit, is_of_day) = (dim.limit, matches!(dim.dimension, Dimension::Rpd | Dimension::Tpd));
            let earned = limit.per_micro().saturating_mul(gate::micros(pause));
            let after = if is_of_day { 0 } else { limit.capacity() + earned.min(limit.debt()) };
            match after.saturating_sub(bucket.0) {
                0 => (limit, 0),
                missing => (limit.with_capacity(after), missing),
            }
        });
        let limits: Vec<_> = std::iter::once(gate::LOOK).chain(dims).collect();
        limits.iter().any(|(_, units)| *units > 0).then_some(limits)
    }

    /// Returns the reason of a refusal: what takes longest.
    pub(super) fn refusal(&self, limits: &[(Limit, u64)], outcome: &Outcome) -> SharedModelCause {
        let pairs = limits.iter().zip(&outcome.buckets);
        let waits = pairs.map(|((limit, units), bucket)| outcome.time_until(limit, bucket.0, *units));
        // The first of the longest: a pause comes first.
        let (nth, retry_after) = waits
            .enumerate()
            .fold((0, Duration::ZERO), |longest, next| if next.1 > longest.1 { next } else { longest });
        match nth.checked_sub(1).and_then(|nth| self.dims.get(nth)) {
            Some(dim) => SharedModelCause::RateLimited { dimension: dim.dimension, retry_after },
            None => SharedModelCause::Paused { retry_after },
        }
    }

    /// Returns what is used of each dimension, and its burst.
    pub(super) fn used(&self, outcome: &Outcome) -> impl Iterator<Item = (Dimension, u64, u64)> {
        self.dims.iter().zip(&outcome.buckets[1..]).map(|(dim, bucket)| {
            let used = bucket.0.div_ceil(dim.limit.per_token());
            (dim.dimension, used, dim.most.whole().into())
        })
    }
}

/// Returns the quota of a dimension, as [`ModelQuota`] says.
fn bucket(dimension: Dimension, most: u64, is_strict: bool) -> Result<Quota, QuotaError> {
    let window = match dimension {
        Dimension::Rpd | Dimension::Tpd => Duration::from_secs(86_400),
        _ => Duration::from_secs(60),
    };
    if is_strict { Quota::at_most(most, window) } else { Quota::try_new(most, window) }
}

/// Returns an amount as tokens: 2³² or more, which is above every burst, as [`Tokens::MAX`].
fn tokens(amount: u64) -> Tokens {
    u32::try_from(amount).map_or(Tokens::MAX, Tokens::new)
}
