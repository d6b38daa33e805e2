//! [`ModelLimiter`].

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Clock, QuantaClock};
use crate::sync::{RwLock, read_lock, write_under};
use crate::word::Reading;

use super::acquire::ModelAcquire;
use super::config::{self, ModelConfig};
use super::dims::Requota;
use super::error::{ModelCause, ModelConfigError, ModelError};
use super::handle::{self, ModelHandle};
use super::hints::ServerHints;
use super::permit::Permit;
use super::quota::{DEFAULT, ModelQuota};
use super::state::{Model, Shared};
use super::stats::{ModelStats, ModelTable};
use super::usage::Usage;

/// The most models that are looked at for one to be forgotten.
const MOST_LOOKS: usize = 32;

/// A limiter of calls to LLM APIs: for each model any of requests and tokens per minute, input and output apart or
/// together, requests and tokens per day, and parallel requests.
///
/// A call is admitted if every dimension of its model admits it, and is then charged for its estimate in all of them.
/// It gets a [`Permit`], by which it is charged for its actual usage later. The bound of each dimension is that of a
/// token bucket, or of windows: see [`ModelQuota`](ModelQuota#bounds).
///
/// A model that is not listed has limits of its own, by the default quota, and is made at its first use. If there are as
/// many as [permitted](crate::model::ModelLimiterBuilder::max_models), one that no call would miss is forgotten for it.
/// Without a default, calls to such models are refused.
///
/// # Which verb
///
/// | to | use |
/// |---|---|
/// | wait for a call | [`acquire`](ModelLimiter::acquire); [`acquire_blocking`](ModelLimiter::acquire_blocking) for threads |
/// | wait, make the call, and end it | [`run`](ModelLimiter::run) |
/// | make a call now or not at all | [`try_acquire`](ModelLimiter::try_acquire) |
/// | make many calls to one model | [`model`](ModelLimiter::model) |
/// | stop all calls to a model for a time | [`pause_for`](ModelLimiter::pause_for), [`resume`](ModelLimiter::resume) |
/// | add, change or remove a model | [`set_model`](ModelLimiter::set_model), [`remove_model`](ModelLimiter::remove_model) |
///
/// # Examples
///
/// ```
/// use brimful::model::{ModelLimiter, ModelQuota};
///
/// # async_io::block_on(async {
/// let limiter = ModelLimiter::builder()
///     .model("gpt-4", ModelQuota::new().rpm(500).tpm(40_000).max_parallel_requests(10))
///     .default(ModelQuota::new().rpm(60))
///     .build()?;
///
/// let mut permit = limiter.acquire("gpt-4", (1_200, 800)).await?; // the estimate of input and output
/// let usage = (1_180, 512); // of the call, made here
/// permit.commit(usage);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
pub struct ModelLimiter<C: Clock + Send + Sync + 'static = QuantaClock> {
    registry: RwLock<Registry<C>>,
    shared: Shared<C>,
    /// The most models that are not listed.
    max_models: usize,
}

struct Registry<C: Clock + Send + Sync + 'static> {
    /// In a few comparisons, a name is found before it is hashed.
    models: BTreeMap<Box<str>, Entry<C>>,
    default: Option<ModelQuota>,
    /// The number of times that quotas were set. Models are changed without the lock of the registry, so a change may
    /// come late: a model keeps the quota of the highest version.
    version: u64,
    /// The number of models that are not listed.
    unlisted: usize,
    /// The name at which the last search for a model to be forgotten ended.
    hand: Box<str>,
}

struct Entry<C: Clock + Send + Sync + 'static> {
    model: Arc<Model<C>>,
    is_listed: bool,
}

impl ModelLimiter {
    /// Returns a limiter on the process's clock.
    ///
    /// # Errors
    ///
    /// If a number is no limit: the error names the model and the field.
    pub fn new(config: ModelConfig) -> Result<Self, ModelConfigError> {
        ModelLimiter::builder().config(config).build()
    }
}

impl<C: Clock + Send + Sync + 'static> ModelLimiter<C> {
    pub(super) fn from_parts(
        config: ModelConfig,
        shared: Shared<C>,
        max_models: usize,
    ) -> Result<Self, ModelConfigError> {
        config.check()?;
        if max_models == 0 {
            return Err(ModelConfigError::no_models());
        }
        let registry = RwLock::new(Registry {
            models: BTreeMap::new(),
            default: config.default,
            version: 0,
            unlisted: 0,
            hand: "".into(),
        });
        let limiter = ModelLimiter { registry, shared, max_models };
        for (name, quota) in &config.models {
            limiter.set_model(name, *quota)?;
        }
        Ok(limiter)
    }

    /// Returns the clock.
    #[must_use]
    pub fn clock(&self) -> &C {
        &self.shared.clock
    }

    fn existing(&self, name: &str) -> Option<Arc<Model<C>>> {
        read_lock(&self.registry).models.get(name).map(|entry| entry.model.clone())
    }

    fn find(&self, name: &str) -> Result<Arc<Model<C>>, ModelError> {
        match self.existing(name) {
            Some(model) => Ok(model),
            None => self.add_unlisted(name),
        }
    }

    /// Adds a model that is not listed.
    #[cold]
    #[inline(never)]
    fn add_unlisted(&self, name: &str) -> Result<Arc<Model<C>>, ModelError> {
        let error = |cause| Err(ModelError::new(name, cause));
        let Some(quota) = read_lock(&self.registry).default else { return error(ModelCause::UnknownModel) };
        // The clock is user code, so it is read before the lock is taken: also for the buckets of a model.
        let (model, now) = (self.made(name, quota), Reading::from_nanos(self.shared.clock.now()));
        write_under(&self.registry, |registry| {
            if let Some(entry) = registry.models.get(name) {
                return Ok(entry.model.clone());
            }
            let Some(current) = registry.default else { return error(ModelCause::UnknownModel) };
            if registry.unlisted >= self.max_models && !registry.forget(now) {
                return error(ModelCause::TooManyModels(self.max_models));
            }
            let model = if current == quota { model } else { self.made(name, current) };
            Ok(registry.insert(name, model, false))
        })
    }

    /// Returns a model with a quota that was checked.
    fn made(&self, name: &str, quota: ModelQuota) -> Arc<Model<C>> {
        Model::new(name, quota, &quota.buckets().unwrap_or_default(), &self.shared)
    }

    /// Returns a handle of a model, for calls that need no look-up.
    ///
    /// # Errors
    ///
    /// If the model is not listed and there is no default, or as many such models as permitted.
    pub fn model(&self, name: &str) -> Result<ModelHandle<C>, ModelError> {
        self.find(name).map(ModelHandle::new)
    }

    /// Returns the names of all models, in order: those that are listed, and those that were made by the default.
    #[must_use]
    pub fn models(&self) -> Vec<String> {
        read_lock(&self.registry).models.keys().map(|name| String::from(&**name)).collect()
    }

    /// Returns the current quota of a model; `None` if it is not listed and was not used yet.
    #[must_use]
    pub fn quota(&self, name: &str) -> Option<ModelQuota> {
        Some(self.existing(name)?.quota())
    }

    /// Takes over what the server of a model said. Does nothing if the model is not known.
    ///
    /// - After a **refusal** (status 429), or a time to retry after, the model admits nothing until then, and then begins
    ///   with empty buckets of minutes, so that the calls that waited do not come as one burst; those of days keep what
    ///   they hold, and earn nothing during the pause. A model that has no limit per minute does not come back slowly: all
    ///   that its day and its slots admit is admitted at once. Calls from before the pause do not [fill](Permit::commit) the
    ///   empty buckets, in it or later. Without a time, or with a time of zero, the pause is the longest reset of a dimension
    ///   that has nothing left; or else a second, doubled by each further refusal in a row, up to 64 seconds. A pause is at
    ///   most a day, and a shorter one does not end a longer one.
    /// - Refusals of calls that were in flight **together** count as one, and pause once: each call that was begun before
    ///   the pause of the last refusal. A time that the server names counts in any case. If the call is not known, it
    ///   counts as begun before a pause that is on: use [`Permit::observe`] if you can. An answer that is no refusal ends
    ///   the row in the same way, if its call was begun after the pause.
    /// - A **remaining** count below what is left here is charged at once. One that is above raises what is left by an
    ///   eighth of the difference, but hints give back only what hints have taken, less what was earned since: the bounds
    ///   of the [quota](ModelQuota#bounds) hold whatever a server says, also one with a higher limit. A pause and a change
    ///   of the quota end that: what they find is not given back. The server may not have counted all other calls of the model that are in flight: so
    ///   their requests count as used, and tokens are raised only if there are none. All calls in flight are others if
    ///   the call that was answered is not known.
    ///
    /// # Examples
    ///
    /// ```
    /// use brimful::MockClock;
    /// use brimful::model::{Dimension, DimensionHint, ModelLimiter, ModelQuota, ServerHints};
    /// use std::time::Duration;
    ///
    /// let limiter = ModelLimiter::builder().model("gpt-4", ModelQuota::new().rpm(60)).clock(MockClock::new()).build()?;
    /// let few = ServerHints::new().dimension(Dimension::Rpm, DimensionHint::new().remaining(2));
    /// limiter.observe("gpt-4", &few);
    /// assert_eq!(limiter.stats_of("gpt-4").unwrap().dimension(Dimension::Rpm).unwrap().to_string(), "58/60");
    ///
    /// limiter.observe("gpt-4", &ServerHints::new().refused().retry_after(Duration::from_secs(20)));
    /// let refused = limiter.try_acquire("gpt-4", 1).unwrap_err();
    /// assert_eq!(refused.retry_after(), Some(Duration::from_secs(21))); // the first request after the pause
    /// # Ok::<(), brimful::model::ModelConfigError>(())
    /// ```
    pub fn observe(&self, model: &str, hints: &ServerHints) {
        if let Some(model) = self.existing(model) {
            model.observe(hints, None);
        }
    }

    /// Admits no call to a model for `duration`, at most a day, and then begins with empty buckets of minutes; those of
    /// days keep what they hold, and earn nothing meanwhile. A pause that ends before an earlier one, or that has no length,
    /// changes nothing. Does nothing if the model is not known.
    ///
    /// Waiters whose deadline is before the end of the pause are refused at once.
    pub fn pause_for(&self, model: &str, duration: Duration) {
        if let Some(model) = self.existing(model) {
            model.pause(duration);
        }
    }

    /// Ends a pause of a model now, if one is on: by a refusal of the server, or by [`pause_for`](ModelLimiter::pause_for).
    /// The buckets of minutes are empty, as after the whole pause, and those of days hold what they held. Does nothing if
    /// the model is not known.
    pub fn resume(&self, model: &str) {
        if let Some(model) = self.existing(model) {
            model.resume();
        }
    }

    /// Returns the numbers of all models.
    #[must_use]
    pub fn stats(&self) -> ModelTable {
        let models: Vec<_> = read_lock(&self.registry).models.values().map(|entry| entry.model.clone()).collect();
        ModelTable::new(models.iter().map(|model| model.stats()).collect())
    }

    /// Returns the numbers of a model; `None` if it is not listed and was not used yet.
    #[must_use]
    pub fn stats_of(&self, name: &str) -> Option<ModelStats> {
        Some(self.existing(name)?.stats())
    }

    /// Adds a model, or gives it another quota, while calls are made and wait. From then on it is listed.
    ///
    /// Dimensions that it has before and after keep their tokens and their debt, clipped at the new burst. New ones are
    /// full, and do not count calls that are in flight. Permits stay valid, and are settled in the dimensions that they
    /// were charged in and that are still there. Waiters keep their places: those that would be too late now are
    /// refused, and so are those that need more than a new burst; the others are served by the new quota. Estimates
    /// that were [scaled](crate::model::Learning) are not scaled anew. If the new limit of parallel requests is below the number in flight, it takes effect as calls end.
    ///
    /// If several threads set quotas at once, also by [`set_default`](ModelLimiter::set_default), there is one order of
    /// their calls, the same for all models: each model ends with the quota that was set last for it.
    ///
    /// # Errors
    ///
    /// If a number is no limit: the error names the model and the field. Nothing is changed then.
    ///
    /// # Blocking
    ///
    /// Takes the lock of the queue, for as long as it takes to look at each waiter. Calls that do not wait are blocked
    /// while the buckets are replaced.
    pub fn set_model(&self, name: &str, quota: ModelQuota) -> Result<(), ModelConfigError> {
        if name == DEFAULT {
            return Err(ModelConfigError::reserved(name));
        }
        config::check(name, &quota)?;
        let model = self.made(name, quota);
        let (before, version) = write_under(&self.registry, |registry| {
            registry.version += 1;
            let before = registry.models.get_mut(name).map(|entry| {
                registry.unlisted -= usize::from(!std::mem::replace(&mut entry.is_listed, true));
                entry.model.clone()
            });
            if before.is_none() {
                registry.insert(name, model, true);
            }
            (before, registry.version)
        });
        if let Some(before) = before {
            before.change(&Requota { version, quota, buckets: quota.buckets().unwrap_or_default() });
        }
        Ok(())
    }

    /// Sets the quota of models that are not listed, also of those that exist; `None` to refuse calls to models that do
    /// not exist yet.
    ///
    /// # Errors
    ///
    /// If a number is no limit: the error names the field. Nothing is changed then.
    pub fn set_default(&self, quota: impl Into<Option<ModelQuota>>) -> Result<(), ModelConfigError> {
        let quota = quota.into();
        if let Some(quota) = &quota {
            config::check(DEFAULT, quota)?;
        }
        let (unlisted, version) = write_under(&self.registry, |registry| {
            (registry.default, registry.version) = (quota, registry.version + 1);
            let unlisted = registry.models.values().filter(|entry| !entry.is_listed);
            (unlisted.map(|entry| entry.model.clone()).collect::<Vec<_>>(), registry.version)
        });
        if let Some(quota) = quota {
            let to = Requota { version, quota, buckets: quota.buckets().unwrap_or_default() };
            unlisted.iter().for_each(|model| model.change(&to));
        }
        Ok(())
    }

    /// Removes a model, and returns whether it was there. Its waiters are refused, and so are later calls by its
    /// handles. Permits stay valid, and settle nothing. The next call to it finds a model that is not listed.
    #[allow(clippy::must_use_candidate)]
    pub fn remove_model(&self, name: &str) -> bool {
        let removed = write_under(&self.registry, |registry| {
            let entry = registry.models.remove(name)?;
            registry.unlisted -= usize::from(!entry.is_listed);
            Some(entry.model)
        });
        if let Some(model) = &removed {
            model.remove();
        }
        removed.is_some()
    }

    /// Takes a slot and the estimate of a call from every dimension of the model, or nothing.
    ///
    /// # Errors
    ///
    /// [`ModelError`]: the dimension that takes longest until it admits the call, the lack of a free slot, or an
    /// estimate that is never admitted. While callers wait for the model, every call is refused. Nothing was charged.
    #[inline]
    pub fn try_acquire(&self, model: &str, estimate: impl Into<Usage>) -> Result<Permit<C>, ModelError> {
        handle::try_acquire(self.find(model)?, estimate.into())
    }

    /// Waits until every dimension of the model has the tokens of the estimate and a slot is free, in order of arrival.
    /// The returned future has options: `limiter.acquire("gpt-4", 100).within(timeout).await`.
    ///
    /// # Errors
    ///
    /// [`ModelError`]: an estimate that is never admitted is refused at once; so is a wait that cannot end before its
    /// deadline. Nothing was charged.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing: see [`ModelAcquire`].
    pub fn acquire(&self, model: &str, estimate: impl Into<Usage>) -> ModelAcquire<C> {
        ModelAcquire::new(self.find(model), estimate.into())
    }

    /// As [`acquire`](ModelLimiter::acquire), by blocking the thread.
    ///
    /// # Errors
    ///
    /// As [`acquire`](ModelLimiter::acquire).
    pub fn acquire_blocking(&self, model: &str, estimate: impl Into<Usage>) -> Result<Permit<C>, ModelError> {
        self.acquire(model, estimate).wait()
    }

    /// Waits as [`acquire`](ModelLimiter::acquire) does, and then makes the call, which gets the permit and ends it.
    ///
    /// # Errors
    ///
    /// As [`acquire`](ModelLimiter::acquire); `call` is not called then.
    ///
    /// # Cancel safety
    ///
    /// A future that is dropped during the wait has charged nothing. If it is dropped during the call, the slot is free,
    /// and the charge of the estimate stays.
    ///
    /// # Examples
    ///
    /// ```
    /// use brimful::model::{ModelLimiter, ModelQuota};
    ///
    /// # async_io::block_on(async {
    /// let limiter = ModelLimiter::builder().model("gpt-4", ModelQuota::new().tpm(40_000)).build()?;
    /// let answer = limiter
    ///     .run("gpt-4", (1_200, 800), |mut permit| async move {
    ///         let (answer, usage) = ("hello", (1_180, 512)); // from the server
    ///         permit.commit(usage);
    ///         answer
    ///     })
    ///     .await?;
    /// assert_eq!(answer, "hello");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub async fn run<F, R>(&self, model: &str, estimate: impl Into<Usage>, call: F) -> Result<R::Output, ModelError>
    where
        F: FnOnce(Permit<C>) -> R,
        R: Future,
    {
        let permit = self.acquire(model, estimate).await?;
        Ok(call(permit).await)
    }
}

impl<C: Clock + Send + Sync + 'static> Registry<C> {
    /// Forgets a model that is not listed and that no call would miss, and returns whether it found one. Looks at a few
    /// models, from where the last search ended.
    fn forget(&mut self, now: Reading) -> bool {
        let from = std::mem::take(&mut self.hand);
        let behind = (Bound::Excluded(&*from), Bound::Unbounded);
        let names = self
            .models
            .range::<str, _>(behind)
            .chain(self.models.range::<str, _>((Bound::Unbounded, Bound::Included(&*from))));
        let unlisted = names.filter(|(_, entry)| !entry.is_listed).map(|(name, _)| name.clone());
        for name in unlisted.take(MOST_LOOKS).collect::<Vec<_>>() {
            // No handle, permit or wait holds the model, and none can come: this thread has the lock.
            let is_missed =
                |entry: &mut Entry<C>| Arc::get_mut(&mut entry.model).is_none_or(|model| !model.is_unused(now));
            if self.models.get_mut(&name).is_some_and(|entry| !is_missed(entry)) {
                self.models.remove(&name);
                self.unlisted -= 1;
                self.hand = name;
                return true;
            }
            self.hand = name;
        }
        false
    }

    fn insert(&mut self, name: &str, model: Arc<Model<C>>, is_listed: bool) -> Arc<Model<C>> {
        self.models.insert(name.into(), Entry { model: model.clone(), is_listed });
        self.unlisted += usize::from(!is_listed);
        model
    }
}

impl<C: Clock + Send + Sync + 'static> fmt::Debug for ModelLimiter<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ModelLimiter").field("models", &self.models()).finish_non_exhaustive()
    }
}
