//! [`Model`]: the limits of one model, its queue, and what was counted.

use std::sync::Arc;
use std::time::Duration;

use crate::cell::TimeSource;
use crate::clock::Clock;
use crate::composite::{CompositeQueue, Effect, QueuedLimits, Refused, Waiters};
use crate::error::NoPermit;
use crate::queue::WaitConfig;
use crate::quota::Quota;
use crate::sync::{AtomicU64, Mutex, Ordering, fence};
use crate::tokens::Tokens;
use crate::word::Reading;

use super::amounts::Amounts;
use super::charge::Charge;
use super::dimension::Dimension;
use super::dims::{Dim, Dims, Requota, Settled};
use super::error::{ModelCause, ModelError};
use super::learning::{Learning, Ratios};
use super::limits::ModelLimits;
use super::quota::ModelQuota;
use super::stats::{DimensionStats, ModelStats};
use super::usage::Usage;

/// The parts that the models of a limiter share.
pub(super) struct Shared<C> {
    pub(super) clock: Arc<C>,
    pub(super) waits: Arc<WaitConfig>,
    pub(super) learning: Option<Learning>,
}

/// One model.
pub(super) struct Model<C: Clock + Send + Sync + 'static> {
    pub(super) name: Box<str>,
    pub(super) queue: Arc<CompositeQueue<ModelLimits<C>>>,
    /// `None` if estimates are not scaled.
    ratios: Option<Ratios>,
    /// Held by the thread that corrects the buckets by hints.
    pub(super) corrections: Mutex<()>,
    counts: Counts,
}

/// The numbers that are counted. Relaxed, as all of it: a number orders nothing.
struct Counts {
    waited: AtomicU64,
    wait_micros: AtomicU64,
    /// The refusals by the server.
    rate_limited: AtomicU64,
}

impl<C: Clock + Send + Sync + 'static> Model<C> {
    /// Returns a model with a quota whose [`buckets`](ModelQuota::buckets) are these.
    pub(super) fn new(name: &str, quota: ModelQuota, buckets: &[(Dimension, Quota)], shared: &Shared<C>) -> Arc<Self> {
        let dims = Dims::new(quota, buckets, &shared.clock);
        let limits = ModelLimits::new(dims, quota.slots(), shared.clock.clone());
        let zero = || AtomicU64::new(0);
        let counts = Counts { waited: zero(), wait_micros: zero(), rate_limited: zero() };
        let (queue, ratios) =
            (CompositeQueue::new(limits, shared.waits.clone(), None), shared.learning.map(Ratios::new));
        Arc::new(Model { name: name.into(), queue, ratios, corrections: Mutex::new(()), counts })
    }

    #[inline]
    pub(super) fn limits(&self) -> &ModelLimits<C> {
        self.queue.limits()
    }

    pub(super) fn quota(&self) -> ModelQuota {
        *self.limits().dims().quota()
    }

    /// Returns whether a new model would admit the same calls: no call is in flight, all limits are full, and no pause is on.
    /// The caller holds the only share of the model.
    pub(super) fn is_unused(&self, now: Reading) -> bool {
        let (limits, dims) = (self.limits(), self.limits().dims());
        let is_full = |dim: &Dim<C>| dim.target().held_and_debt(TimeSource::given(now)).0 >= dim.burst();
        limits.slots.word().in_flight() == 0 && dims.opens() <= now && dims.limited().all(is_full)
    }

    /// Gives the model another quota, unless it has a later one, and times its waiters anew.
    pub(super) fn change(&self, to: &Requota) {
        self.queue.replace_limits(|limits| {
            if limits.change_dims(|dims| dims.change(to, &limits.clock)) {
                limits.slots.resize(to.quota.slots());
            }
        });
    }

    /// Refuses its waiters, and every later call.
    pub(super) fn remove(&self) {
        self.queue.remove();
    }

    /// Returns the amounts that a call is charged for an estimate.
    #[inline]
    pub(super) fn amounts(&self, estimate: Usage) -> Amounts {
        match &self.ratios {
            None => Amounts::of(estimate),
            Some(ratios) => self.scaled(estimate, ratios),
        }
    }

    fn scaled(&self, estimate: Usage, ratios: &Ratios) -> Amounts {
        let (mut amounts, plain) = (Amounts::of(ratios.scaled(estimate)), Amounts::of(estimate));
        for dim in self.limits().dims().limited() {
            // An estimate above a burst is refused, and the error shows it as it was given.
            let most = u64::from(dim.burst().whole()).max(plain.in_dimension(dim.dimension));
            amounts.clip(dim.dimension, most);
        }
        amounts
    }

    /// Learns from a call that is over.
    #[inline]
    pub(super) fn learn(&self, estimate: Usage, actual: Usage) {
        if let Some(ratios) = &self.ratios {
            ratios.learn(estimate, actual);
        }
    }

    #[cold]
    pub(super) fn error(&self, cause: ModelCause) -> ModelError {
        ModelError::new(&self.name, cause)
    }

    /// Takes a slot and the amounts, unless callers wait, and returns the epoch.
    #[inline]
    pub(super) fn try_take(&self, amounts: Amounts, at: Option<Reading>) -> Result<u64, ModelCause> {
        if self.queue.has_waiters() {
            return self.take_behind(amounts, at);
        }
        let limits = self.limits();
        // Freed unless the call is admitted, also if the clock panics. A waiter may have come meanwhile, and found no
        // slot.
        let Ok(slot) = limits.slots.hold(|| self.changed(false)) else { return Err(self.no_slot(amounts)) };
        let dims = limits.dims();
        match dims.take(amounts, at) {
            Ok(()) => {
                slot.keep();
                Ok(dims.epoch())
            }
            Err(refused) => Err(refusal(&dims, amounts, refused)),
        }
    }

    /// Takes unless a waiter comes first.
    #[cold]
    #[inline(never)]
    fn take_behind(&self, amounts: Amounts, at: Option<Reading>) -> Result<u64, ModelCause> {
        match self.queue.take(amounts, at) {
            Some(Ok(epoch)) => Ok(epoch.0),
            Some(Err(Some(cause))) => Err(cause),
            Some(Err(None)) => Err(self.no_slot(amounts)),
            None => Err(ModelCause::ModelRemoved),
        }
    }

    /// Returns the error of a call for which no slot is free.
    #[cold]
    fn no_slot(&self, amounts: Amounts) -> ModelCause {
        let word = self.limits().slots.word();
        let none = ModelCause::NoSlot(NoPermit { in_flight: word.in_flight(), limit: word.limit() });
        self.limits().dims().call(amounts).exceeds().unwrap_or(none)
    }

    /// Returns the error of a wait that begins at this reading, after its deadline.
    #[cold]
    pub(super) fn too_late(&self, amounts: Amounts, now: Reading) -> ModelCause {
        let view = self.limits().view();
        let call = view.call(amounts);
        match call.refusal(now) {
            Some(refused) => ModelLimits::refusal(call, refused, true),
            None if !self.limits().slots.has_permit() => ModelCause::TimedOut,
            None => ModelCause::DeadlinePassed,
        }
    }

    /// Settles a call for other amounts.
    pub(super) fn settle(&self, charge: &mut Charge, to: &Amounts) {
        let Settled { gave_back, charged } = self.limits().dims().settle(charge, to);
        if gave_back || charged {
            self.changed(charged);
        }
    }

    /// Frees a slot, and serves the first waiter, if there is one.
    #[inline]
    pub(super) fn free_slot(&self) {
        self.limits().slots.give_back();
        // Without a fence: a caller that is about to wait changes the word of the slots too (`Permits::meet`).
        self.tell(false);
    }

    /// Called after a limit was changed, other than by a call that was admitted. `is_less` is set if waiters may miss
    /// their deadlines by it.
    #[inline]
    pub(super) fn changed(&self, is_less: bool) {
        // Either a waiter sees the change, or this thread sees that a caller waits.
        fence(Ordering::SeqCst);
        self.tell(is_less);
    }

    /// Serves the waiters, if there are any.
    #[inline]
    fn tell(&self, is_less: bool) {
        if self.queue.has_waiters() {
            self.queue.changed(if is_less { Effect::Later } else { Effect::Earlier });
        }
    }
}

impl<C: Clock + Send + Sync + 'static> Model<C> {
    /// Counts a refusal by the server.
    pub(super) fn count_refusal(&self) {
        self.counts.rate_limited.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a wait that was granted.
    pub(super) fn count_wait(&self, waited: Duration) {
        let micros = u64::try_from(waited.as_micros()).unwrap_or(u64::MAX);
        self.counts.waited.fetch_add(1, Ordering::Relaxed);
        self.counts.wait_micros.fetch_add(micros, Ordering::Relaxed);
    }

    pub(super) fn stats(&self) -> ModelStats {
        let (in_flight, now) = (self.limits().slots.word().in_flight(), self.limits().read());
        let dims = self.limits().dims();
        let used = |dim: &Dim<C>| {
            let (held, debt) = dim.target().held_and_debt(TimeSource::given(now.max(dims.opens())));
            let up = |n: Tokens| u64::from(n.whole()) + u64::from(n.pico() > 0);
            let (missing, limit) = (dim.burst().saturating_sub(held), dim.burst().whole().into());
            DimensionStats { dimension: dim.dimension, used: up(missing) + up(debt), limit }
        };
        let mut dimensions: Vec<_> = dims.limited().map(used).collect();
        if let Some(most) = dims.quota().limit(Dimension::MaxParallelRequests) {
            let dimension = Dimension::MaxParallelRequests;
            dimensions.push(DimensionStats { dimension, used: in_flight as u64, limit: most });
        }
        drop(dims);
        let waited = self.counts.waited.load(Ordering::Relaxed);
        let micros = self.counts.wait_micros.load(Ordering::Relaxed);
        ModelStats {
            model: String::from(&*self.name),
            dimensions,
            waiting: self.queue.waiting() as usize,
            in_flight,
            waited,
            mean_wait: Duration::from_micros(micros.checked_div(waited).unwrap_or_default()),
            rate_limited: self.counts.rate_limited.load(Ordering::Relaxed),
            scales: self.ratios.as_ref().map(|ratios| ratios.scales().map(f64::from).into()),
        }
    }
}

fn refusal<C: Clock + Send + Sync + 'static>(dims: &Dims<C>, amounts: Amounts, refused: Refused) -> ModelCause {
    <ModelLimits<C> as QueuedLimits>::refusal(dims.call(amounts), refused, false)
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::atomic::AtomicBool;

    use super::*;

    /// A clock that panics while it is broken.
    struct Fragile(Arc<AtomicBool>);

    impl Clock for Fragile {
        fn now(&self) -> u64 {
            assert!(!self.0.load(Ordering::SeqCst), "the clock is broken");
            0
        }
    }

    #[test]
    fn a_clock_that_panics_in_the_queue_takes_no_slot() {
        let broken = Arc::new(AtomicBool::new(false));
        let clock = Arc::new(Fragile(broken.clone()));
        let shared = Shared { clock, waits: WaitConfig::new(None, None), learning: None };
        let quota = ModelQuota::new().rpm(60).max_parallel_requests(1);
        let model = Model::new("m", quota, &quota.buckets().expect("a quota"), &shared);
        let take = || model.queue.take(model.amounts(Usage::from(1)), None);
        broken.store(true, Ordering::SeqCst);
        assert!(catch_unwind(AssertUnwindSafe(take)).is_err());
        broken.store(false, Ordering::SeqCst);
        assert_eq!(model.limits().slots.word().in_flight(), 0);
        assert!(matches!(take(), Some(Ok(_))));
    }
}
