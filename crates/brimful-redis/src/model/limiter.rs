//! [`SharedModelLimiter`]: its verbs.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use brimful::model::{Dimension, ModelConfig, ModelLimiter, ModelQuota, Usage};
use tokio::time::Instant;

use super::dims::{Dims, amounts};
use super::error::{SharedModelCause, SharedModelError};
use super::gate;
use super::permit::{Kind, SharedModelPermit};
use crate::engine::{Limit, Operation, Outcome, Store};
use crate::redis::RedisStore;
use crate::shared::{FailurePolicy, Requests, SharedStats, Unavailable, until_admitted};

/// A limiter of calls to LLM APIs whose buckets are on a server that many processes share: for each model any of requests
/// and tokens per minute, input and output apart or together, and requests and tokens per day.
///
/// It is a [`ModelLimiter`] whose decisions are round trips: a call is admitted if every dimension of its model admits
/// it, and is then charged for its estimate in all of them, in one atomic step on the server, by the server's clock. It gets
/// a [`SharedModelPermit`], by which it is charged for its actual usage later. The bounds are those of a
/// [`ModelQuota`](ModelQuota#bounds), for all processes together.
///
/// A model that is not listed has limits of its own, by the default quota. Without a default, calls to it are refused.
///
/// Other than in a `ModelLimiter`, calls that wait for tokens have no order, and nothing is learned from usage or from the
/// counts of a server but [pauses](SharedModelLimiter::pause_for).
///
/// # Slots
///
/// If a model limits its [requests in flight](ModelQuota::max_parallel_requests), a call first takes a slot, by a request of
/// its own. It is a permit of a [`RedisConcurrencyLimit`](crate::RedisConcurrencyLimit): a lease, which this process renews
/// until the permit is dropped. A call that is refused afterwards frees its slot, and one that waits keeps it. Calls of a
/// process get slots in order of arrival.
///
///
/// # Failures
///
/// As those of a [`RedisRateLimiter`](crate::RedisRateLimiter#failures).
///
/// # Cancel safety
///
/// A dropped future of a verb may have charged the estimate all the same, because the request may be on its way. A dropped
/// [`acquire`](SharedModelLimiter::acquire) charges nothing while it sleeps.
///
/// # Examples
///
/// ```no_run
/// use brimful::model::{ModelConfig, ModelQuota};
/// use brimful_redis::{RedisStore, SharedModelLimiter};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let mut config = ModelConfig::new();
/// config.models.insert("gpt-4".to_owned(), ModelQuota::new().rpm(500).tpm(40_000));
/// let store = RedisStore::connect("redis://127.0.0.1/").await?;
/// let limiter = SharedModelLimiter::builder(config).build(store)?;
///
/// let mut permit = limiter.acquire("gpt-4", (1_200, 800)).await?; // the estimate of input and output
/// let usage = (1_180, 512); // of the call, made here
/// permit.commit(usage).await?;
/// # Ok(())
/// # }
/// ```
pub struct SharedModelLimiter<S = RedisStore>(pub(super) Arc<Shared<S>>);

pub(super) struct Shared<S> {
    pub(super) models: BTreeMap<String, Arc<Dims>>,
    pub(super) default: Option<Arc<Dims>>,
    pub(super) prefix: String,
    pub(super) policy: FailurePolicy,
    pub(super) requests: Requests<S>,
    /// This process's share of the limits, made in the first outage.
    pub(super) local: OnceLock<Option<ModelLimiter>>,
}

/// The use of one dimension of a model, by all processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DimensionUse {
    /// The dimension.
    pub dimension: Dimension,
    /// The requests or tokens that the bucket is short of a full one, rounded up: more than the limit if it is in debt. Or the
    /// requests in flight.
    pub used: u64,
    /// The most that the bucket holds, or the number of slots.
    pub limit: u64,
}

impl<S: Store> SharedModelLimiter<S> {
    /// Returns the quota of a model; `None` if it is not listed and there is no default.
    #[must_use]
    pub fn quota(&self, model: &str) -> Option<ModelQuota> {
        self.0.dims(model).ok().map(|dims| dims.quota)
    }

    /// Returns the counts of decisions by their origin, in this process.
    #[must_use]
    pub fn stats(&self) -> SharedStats {
        self.0.stats()
    }

    /// Emits the counts since the last emission, as [`RedisRateLimiter::emit_stats`](crate::RedisRateLimiter::emit_stats)
    /// does.
    #[cfg(any(feature = "metrics", feature = "tracing"))]
    pub fn emit_stats(&self) {
        self.0.requests.emit(|| self.0.stats());
    }

    /// Takes a slot, and the estimate of a call from every dimension of the model, or nothing.
    ///
    /// # Errors
    ///
    /// [`SharedModelError`]: the lack of a free slot, the dimension that takes longest until it admits the call, a pause, or
    /// an estimate that is never admitted. Nothing was charged, unless the store did what its answer did not say.
    pub async fn try_acquire(
        &self,
        model: &str,
        estimate: impl Into<Usage>,
    ) -> Result<SharedModelPermit<S>, SharedModelError> {
        let estimate = estimate.into();
        let dims = self.0.dims_for(model, estimate)?;
        let slot = match &dims.slots {
            Some(slots) => Some(slots.try_take(model).await.map_err(|cause| SharedModelError::new(model, cause))?),
            None => None,
        };
        self.take(model, &dims, estimate).await.map(|permit| permit.with_slot(slot))
    }

    /// Waits until a slot is free, and then until every dimension of the model has the tokens of the estimate, and takes
    /// them.
    ///
    /// The call asks, and sleeps for the time that the store reports, and a random part of up to a tenth more, until it is
    /// admitted. Calls that wait for tokens have no order among them, so a large one may wait for long behind small ones.
    ///
    /// # Errors
    ///
    /// [`SharedModelError`]: an estimate that is never admitted, or a model that is not known.
    ///
    /// # Cancel safety
    ///
    /// Nothing is charged while the call sleeps. If it is dropped while it asks, its estimate may have been charged. Its slot
    /// is free.
    pub async fn acquire(
        &self,
        model: &str,
        estimate: impl Into<Usage>,
    ) -> Result<SharedModelPermit<S>, SharedModelError> {
        self.acquire_by(model, estimate.into(), None).await
    }

    /// As [`acquire`](SharedModelLimiter::acquire), but fails with the last refusal as soon as the next attempt would be
    /// later than `timeout` from now. The last attempt may take a decision's
    /// [deadline](crate::SharedModelLimiterBuilder::deadline) longer.
    ///
    /// # Errors
    ///
    /// As [`try_acquire`](SharedModelLimiter::try_acquire), and [`SharedModelCause::TimedOut`] if no slot came free before.
    pub async fn acquire_within(
        &self,
        model: &str,
        estimate: impl Into<Usage>,
        timeout: Duration,
    ) -> Result<SharedModelPermit<S>, SharedModelError> {
        self.acquire_by(model, estimate.into(), Instant::now().checked_add(timeout)).await
    }

    /// Admits no call to a model in any process for `duration`, at most a day, as after a server's refusal. Of several
    /// pauses, the one that ends last holds, to a millisecond.
    ///
    /// The buckets of minutes are empty after a pause of up to a minute, so that the calls that waited do not come as one
    /// burst. After a longer one they hold what was earned since the first minute. Those of days are not touched. Calls
    /// from before the pause give their unused tokens back as always.
    ///
    /// # Errors
    ///
    /// [`SharedModelCause::UnknownModel`], or [`SharedModelCause::Unavailable`]: the pause may hold or not.
    pub async fn pause_for(&self, model: &str, duration: Duration) -> Result<(), SharedModelError> {
        let dims = self.0.dims(model)?;
        if duration.is_zero() {
            return Ok(());
        }
        let mut seen = 0;
        // Each further round is one in which another process has paused the model, or a call was charged for more.
        while let Some(gate) = gate::close(duration, seen) {
            let mut outcome = self.0.ask(model, &dims, Operation::Take, &dims.with_gate(gate)).await?;
            if !outcome.admitted {
                seen = outcome.buckets[0].0;
                continue;
            }
            while let Some(limits) = dims.empty(&outcome, duration) {
                outcome = self.0.ask(model, &dims, Operation::Take, &limits).await?;
                if outcome.admitted {
                    break;
                }
            }
            break;
        }
        Ok(())
    }

    /// Returns what is used of each dimension of a model.
    ///
    /// # Errors
    ///
    /// [`SharedModelCause::UnknownModel`] or [`SharedModelCause::Unavailable`].
    pub async fn usage(&self, model: &str) -> Result<Vec<DimensionUse>, SharedModelError> {
        let dims = self.0.dims(model)?;
        let outcome = self.0.ask(model, &dims, Operation::Peek, &dims.with_gate(gate::LOOK)).await?;
        let used = dims.used(&outcome).map(|(dimension, used, limit)| DimensionUse { dimension, used, limit });
        let mut used: Vec<_> = used.collect();
        if let Some(slots) = &dims.slots {
            let taken = slots.taken(model).await.map_err(|cause| SharedModelError::new(model, cause))?;
            let (dimension, limit) = (Dimension::MaxParallelRequests, slots.number() as u64);
            used.push(DimensionUse { dimension, used: taken as u64, limit });
        }
        Ok(used)
    }

    async fn acquire_by(
        &self,
        model: &str,
        estimate: Usage,
        deadline: Option<Instant>,
    ) -> Result<SharedModelPermit<S>, SharedModelError> {
        let dims = self.0.dims_for(model, estimate)?;
        let Some(slots) = &dims.slots else {
            return until_admitted(|| self.take(model, &dims, estimate), None, deadline).await;
        };
        loop {
            let slot = slots.take(model, deadline).await.map_err(|cause| SharedModelError::new(model, cause))?;
            let permit = until_admitted(|| self.take(model, &dims, estimate), None, deadline).await?;
            if slot.is_valid() {
                return Ok(permit.with_slot(Some(slot)));
            }
            // It was lost during the wait, and may be another call's.
            permit.cancel().await?;
        }
    }

    /// Takes the estimate of a call from every dimension of its model.
    async fn take(
        &self,
        model: &str,
        dims: &Arc<Dims>,
        estimate: Usage,
    ) -> Result<SharedModelPermit<S>, SharedModelError> {
        let error = |cause| SharedModelError::new(model, cause);
        let limits = dims.take(&amounts(1, estimate)).map_err(error)?;
        let kind = match self.0.requests.ask(&self.0.key(model, dims), Operation::Take, &limits).await {
            Ok(outcome) => {
                self.0.requests.decided(outcome.admitted);
                if !outcome.admitted {
                    return Err(error(dims.refusal(&limits, &outcome)));
                }
                Kind::Store
            }
            Err(why) => {
                let reason = why.reason();
                let decided = self.0.decide_by_policy(model, estimate, why);
                self.0.requests.decided_by_policy(decided.is_ok(), reason);
                decided.map_err(error)?
            }
        };
        Ok(SharedModelPermit::new(self.0.clone(), model.to_owned(), dims.clone(), estimate, kind))
    }
}

impl<S: Store> Shared<S> {
    fn dims(&self, model: &str) -> Result<Arc<Dims>, SharedModelError> {
        let dims = self.models.get(model).or(self.default.as_ref());
        dims.cloned().ok_or_else(|| SharedModelError::new(model, SharedModelCause::UnknownModel))
    }

    /// Returns the dimensions of a model for a call, unless it is never admitted.
    fn dims_for(&self, model: &str, estimate: Usage) -> Result<Arc<Dims>, SharedModelError> {
        let dims = self.dims(model)?;
        dims.take(&amounts(1, estimate)).map_err(|cause| SharedModelError::new(model, cause))?;
        Ok(dims)
    }

    fn stats(&self) -> SharedStats {
        let slots = self.models.values().chain(&self.default).filter_map(|dims| dims.slots.as_ref());
        slots.fold(self.requests.stats(), |stats, slots| stats.after(&slots.stats()))
    }

    fn key(&self, model: &str, dims: &Dims) -> String {
        format!("{}:{model}:{}", self.prefix, dims.names())
    }

    pub(super) async fn ask(
        &self,
        model: &str,
        dims: &Dims,
        operation: Operation,
        limits: &[(Limit, u64)],
    ) -> Result<Outcome, SharedModelError> {
        let outcome = self.requests.ask(&self.key(model, dims), operation, limits).await;
        outcome.map_err(|why| SharedModelError::new(model, SharedModelCause::Unavailable(why)))
    }

    fn decide_by_policy(&self, model: &str, estimate: Usage, why: Unavailable) -> Result<Kind, SharedModelCause> {
        match self.policy {
            FailurePolicy::Allow => Ok(Kind::Allowed),
            FailurePolicy::Deny => Err(SharedModelCause::Unavailable(why)),
            FailurePolicy::LocalShare(n) => match self.local.get_or_init(|| self.local_share(n)) {
                Some(local) => local.try_acquire(model, estimate).map(Kind::Local).map_err(SharedModelCause::Local),
                None => Err(SharedModelCause::Unavailable(why)),
            },
        }
    }

    /// Returns a limiter with this process's share, whose buckets of minutes are empty.
    fn local_share(&self, processes: u32) -> Option<ModelLimiter> {
        let mut config = ModelConfig::new();
        let share = |dims: &Arc<Dims>| share(&dims.quota, processes.into());
        config.models = self.models.iter().map(|(name, dims)| (name.clone(), share(dims))).collect();
        config.default = self.default.as_ref().map(share);
        let local = ModelLimiter::new(config).ok()?;
        self.models.keys().for_each(|name| local.pause_for(name, Duration::from_nanos(1)));
        Some(local)
    }
}

/// Returns a quota divided by a number of processes, without slots: the policy of the slots grants a share of them.
fn share(quota: &ModelQuota, processes: u64) -> ModelQuota {
    let part = |most: Option<u64>| most.map(|most| (most / processes).max(1));
    let mut share = *quota;
    share.max_parallel_requests = None;
    for most in
        [&mut share.rpm, &mut share.tpm, &mut share.input_tpm, &mut share.output_tpm, &mut share.rpd, &mut share.tpd]
    {
        *most = part(*most);
    }
    share
}

impl<S> Clone for SharedModelLimiter<S> {
    fn clone(&self) -> Self {
        SharedModelLimiter(self.0.clone())
    }
}

impl<S> fmt::Debug for SharedModelLimiter<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedModelLimiter").field("models", &self.0.models.keys()).finish_non_exhaustive()
    }
}
