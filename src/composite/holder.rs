//! The limits of a composite and its queue: of a lone one ([`SingleLimits`]), and of one for each key
//! ([`KeyedLimits`]).

use std::sync::Arc;
use std::task::Waker;

use super::error::{LimitCause, LimitError};
use super::hook::FullHook;
use super::key_queues::KeyQueues;
use super::limits::{KeyedLimit, Limits, SingleLimit};
use super::order::{OwnedLimits, Queue};
use super::queue::CompositeQueue;
use super::queued::Effect;
use super::together::{Parts, Refused};
use crate::clock::Clock;
use crate::queue::{TimeDriver, WaitConfig};
use crate::stats::Recording;
use crate::sync::{OnceLock, Ordering, fence};
use crate::table::Fingerprint;
use crate::tokens::Tokens;

/// A composite's limits and its queue.
pub(crate) struct SingleLimits<C> {
    limits: Arc<[SingleLimit<C>]>,
    config: Arc<WaitConfig>,
    /// Made when a caller waits for the first time.
    queue: OnceLock<Arc<Queue>>,
    stats: Recording,
}

impl<C> SingleLimits<C> {
    pub(super) fn new(limits: Arc<[SingleLimit<C>]>, config: Arc<WaitConfig>) -> Self {
        SingleLimits { limits, config, queue: OnceLock::new(), stats: Recording::OFF }
    }

    /// The same limits, with these statistics.
    pub(super) fn with_stats(self, stats: Recording) -> Self {
        SingleLimits { stats, ..self }
    }

    pub(super) fn limits(&self) -> &[SingleLimit<C>] {
        &self.limits
    }

    pub(super) fn recording(&self) -> &Recording {
        &self.stats
    }
}

/// The limits of a composite for each key, and the queues of the keys that callers wait on.
pub(crate) struct KeyedLimits<C> {
    limits: Arc<[KeyedLimit<C>]>,
    config: Arc<WaitConfig>,
    queues: KeyQueues,
    hook: Option<Arc<FullHook>>,
    stats: Recording,
}

impl<C> KeyedLimits<C> {
    pub(super) fn new(
        limits: Arc<[KeyedLimit<C>]>,
        config: Arc<WaitConfig>,
        max_waiting_keys: u64,
        hook: Option<Arc<FullHook>>,
    ) -> Self {
        KeyedLimits { limits, config, queues: KeyQueues::new(max_waiting_keys), hook, stats: Recording::OFF }
    }

    /// The same limits, with these statistics.
    pub(super) fn with_stats(self, stats: Recording) -> Self {
        KeyedLimits { stats, ..self }
    }

    pub(super) fn limits(&self) -> &[KeyedLimit<C>] {
        &self.limits
    }

    pub(super) fn recording(&self) -> &Recording {
        &self.stats
    }

    pub(super) fn waiting_keys(&self) -> u64 {
        self.queues.count()
    }

    /// Called after a limit of all keys was changed. Notifies each queue, with no lock held.
    pub(super) fn changed(&self, effect: Effect) {
        // Without a fence: a caller that comes to its shard or to its queue after this thread sees the change.
        self.queues.all().iter().for_each(|queue| queue.changed(effect));
    }

    /// Removes a key, and refuses the waiters on it. Returns whether the key was known.
    pub(super) fn remove(&self, key: Fingerprint) -> bool {
        if let Some(queue) = self.queues.take_out(key) {
            queue.remove();
        }
        let mut known = false;
        for limit in &*self.limits {
            known |= limit.limit.table.remove(key);
        }
        // A caller may have joined a new queue before the last limit forgot the key.
        Holder::Key(self, key).changed(Effect::Earlier);
        known
    }

    /// Removes all keys, and refuses all waiters.
    pub(super) fn remove_all(&self) {
        self.queues.take_all().iter().for_each(|queue| queue.remove());
        self.limits.iter().for_each(|limit| limit.limit.table.clear());
        // Callers may have joined new queues before the last limit forgot their keys. A caller that makes its
        // queue after this look finds the keys forgotten.
        self.changed(Effect::Earlier);
    }
}

/// A composite, for all callers or for one key.
pub(crate) enum Holder<'a, C> {
    Single(&'a SingleLimits<C>),
    Key(&'a KeyedLimits<C>, Fingerprint),
}

impl<C> Clone for Holder<'_, C> {
    #[inline]
    fn clone(&self) -> Self {
        *self
    }
}

impl<C> Copy for Holder<'_, C> {}

/// A borrow or a share of a composite.
pub(crate) trait CompositeHandle {
    type Clock;

    fn holder(&self) -> Holder<'_, Self::Clock>;
}

impl<C> CompositeHandle for Holder<'_, C> {
    type Clock = C;

    #[inline]
    fn holder(&self) -> Holder<'_, C> {
        *self
    }
}

impl<'a, C> Holder<'a, C> {
    #[inline]
    pub(super) fn limits(self) -> Limits<'a, C> {
        match self {
            Holder::Single(single) => Limits::Single(&single.limits),
            Holder::Key(keyed, key) => Limits::Key(&keyed.limits, key),
        }
    }

    /// Returns the statistics.
    #[inline]
    pub(super) fn recording(self) -> &'a Recording {
        match self {
            Holder::Single(single) => &single.stats,
            Holder::Key(keyed, _) => &keyed.stats,
        }
    }

    /// Counts a call that was refused, in the statistics.
    #[cold]
    #[inline(never)]
    pub(super) fn count_refused(self, n: Tokens, refusal: LimitError) {
        if let LimitCause::Tokens(cause) = refusal.cause() {
            self.recording().refused(n, &cause);
        }
        self.recording().refused_by(refusal.index());
    }

    /// Returns the queue if calls have to go there.
    #[inline]
    pub(super) fn waiters(self) -> Option<Arc<Queue>> {
        match self {
            Holder::Single(single) => single.queue.get().filter(|queue| queue.has_waiters()).cloned(),
            Holder::Key(keyed, key) => keyed.queues.get(key).filter(|queue| queue.has_waiters()),
        }
    }

    /// Returns the number of waiters.
    pub(super) fn waiting(self) -> u32 {
        match self {
            Holder::Single(single) => single.queue.get().map_or(0, |queue| queue.waiting()),
            Holder::Key(keyed, key) => keyed.queues.get(key).map_or(0, |queue| queue.waiting()),
        }
    }

    /// Called after a limit was changed, other than by a call that was admitted.
    pub(super) fn changed(self, effect: Effect) {
        fence(Ordering::SeqCst);
        if let Some(queue) = self.waiters() {
            queue.changed(effect);
        }
    }

    /// Reports what full tables did, if the user wants to know. Called last, with no lock held.
    #[inline]
    pub(super) fn report(self) {
        if let Holder::Key(KeyedLimits { hook: Some(hook), .. }, _) = self {
            hook.report();
        }
    }

    /// Returns the error of a call that was refused. Reports the charges that it gave back, if there are any.
    #[inline]
    pub(super) fn refused(self, refused: Refused, parts: impl Parts) -> LimitError {
        if refused.gave_back {
            self.changed(Effect::Earlier);
        }
        // Apart, so that a caller that needs no error has none made.
        if self.recording().is_on() {
            self.count_refused(parts.part(refused.nth).n, refused.error(parts));
        }
        refused.error(parts)
    }

    /// Gives the queue of a key up if no caller waits there any longer.
    pub(super) fn tidy(self) {
        if let Holder::Key(keyed, key) = self {
            keyed.queues.tidy(key);
        }
    }
}

impl<C: Clock + Send + Sync + 'static> Holder<'_, C> {
    /// Returns the queue of a caller that is ready to wait. `Err`: callers wait on the maximum number of keys.
    pub(super) fn queue(self) -> Result<Arc<Queue>, u64> {
        match self {
            Holder::Single(single) => Ok(single
                .queue
                .get_or_init(|| {
                    let limits = OwnedLimits::Single(single.limits.clone());
                    single.config.drive(|chosen| self.driver(chosen));
                    CompositeQueue::new(limits, single.config.clone(), None)
                })
                .clone()),
            Holder::Key(keyed, key) => {
                keyed.config.drive_all(|chosen| self.driver(chosen));
                keyed.queues.get_or_make(key, || {
                    let limits = OwnedLimits::Key(keyed.limits.clone(), key);
                    CompositeQueue::new(limits, keyed.config.clone(), keyed.hook.clone().map(Waker::from))
                })
            }
        }
    }

    fn driver(self, chosen: Option<&crate::queue::TimerFactory>) -> TimeDriver {
        match self.limits().targets().next() {
            Some(target) => TimeDriver::on(target.clock(), chosen),
            None => unreachable!("a list of quotas is never empty"),
        }
    }
}
