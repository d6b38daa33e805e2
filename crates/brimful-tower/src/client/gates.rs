//! [`Gates`]: the gates of the keys whose server has asked for a pause.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};
use std::time::Duration;

use brimful::{Clock, Quota};

use super::answer::{Outcome, Pauses};
use super::gate::Gate;

/// The gates of the keys whose server has asked for a pause, at most a number of them. A key is known by its hash.
///
/// While there is none, a call does no more than one load.
pub(super) struct Gates<C> {
    clock: C,
    most: usize,
    hasher: RandomState,
    /// The number of gates. The writer has the lock.
    len: AtomicUsize,
    gates: RwLock<HashMap<u64, Arc<Gate<C>>>>,
}

impl<C: Clock + Clone + Send + Sync + 'static> Gates<C> {
    pub(super) fn new(clock: C, most: usize) -> Self {
        let (hasher, len, gates) = (RandomState::new(), AtomicUsize::new(0), RwLock::default());
        Gates { clock, most: most.max(1), hasher, len, gates }
    }

    /// Returns the gate of a key.
    #[inline]
    pub(super) fn of<K: Hash>(&self, key: &K) -> Option<Arc<Gate<C>>> {
        // Acquire: a call that begins after a pause has begun sees the gate.
        if self.len.load(Ordering::Acquire) == 0 { None } else { self.find(self.hasher.hash_one(key)) }
    }

    #[cold]
    fn find(&self, hash: u64) -> Option<Arc<Gate<C>>> {
        let now = self.clock.now();
        let found = self.gates.read().unwrap_or_else(PoisonError::into_inner).get(&hash).cloned()?;
        if !found.is_over(now) {
            return Some(found);
        }
        drop(found);
        let mut gates = self.write();
        if let Entry::Occupied(entry) = gates.entry(hash) {
            if !is_unused(entry.get(), now) {
                return Some(entry.get().clone());
            }
            entry.remove();
            self.len.store(gates.len(), Ordering::Release);
        }
        None
    }

    /// Takes over the answer to a call that left at this time. The gate has the quota.
    pub(super) fn answered<K: Hash>(
        &self,
        key: &K,
        left_at: u64,
        outcome: Outcome,
        pauses: &Pauses,
        quota: impl Fn() -> Quota,
    ) {
        if let Outcome::Served(None) = outcome {
            if self.len.load(Ordering::Acquire) > 0 {
                self.served(self.hasher.hash_one(key), left_at, quota);
            }
            return;
        }
        let (now, hash) = (self.clock.now(), self.hasher.hash_one(key));
        let mut gates = self.write();
        let gate = self.existing_or_new(&mut gates, hash, now, &quota);
        let pause = match outcome {
            Outcome::Refused(named) => gate.refused(left_at, named, pauses.longest),
            Outcome::Failed(pause) => Some(pause),
            Outcome::Served(pause) => {
                gate.served(left_at);
                pause
            }
        };
        let Some(pause) = pause else { return };
        // Before the lock is released, so that no other thread takes the gate for an unused one.
        let is_refusal = matches!(outcome, Outcome::Refused(_));
        let pause = gate.close((left_at, now), pause, is_refusal, &pauses.jitter);
        drop(gates);
        // Wakes the waiters that come too late now.
        gate.pause(pause);
        self.keep_to(quota(), hash, &gate);
    }

    /// Returns the time until the pause of a key is over; zero if there is none.
    pub(super) fn paused<K: Hash>(&self, key: &K) -> Duration {
        let opens = self.of(key).map_or(0, |gate| gate.opens());
        Duration::from_nanos(opens.saturating_sub(self.clock.now()))
    }

    /// Ends the pause of a key, if there is one.
    pub(super) fn resume<K: Hash>(&self, key: &K) {
        let now = self.clock.now();
        self.replace(self.hasher.hash_one(key), |gate| {
            (gate.opens() > now).then(|| gate.other(gate.quota(), now, self.clock.clone()))
        });
    }

    fn served(&self, hash: u64, left_at: u64, quota: impl Fn() -> Quota) {
        let gate = self.gates.read().unwrap_or_else(PoisonError::into_inner).get(&hash).cloned();
        let Some(gate) = gate else { return };
        if gate.served(left_at) {
            gate.set_rate();
        }
        self.keep_to(quota(), hash, &gate);
    }

    /// Replaces the gate of a key if it has not this quota, which was set meanwhile.
    fn keep_to(&self, quota: Quota, hash: u64, gate: &Gate<C>) {
        if gate.quota() != quota {
            self.replace(hash, |gate| {
                (gate.quota() != quota).then(|| gate.other(quota, gate.opens(), self.clock.clone()))
            });
        }
    }

    /// Puts another gate in the place of one, if a function returns one.
    fn replace(&self, hash: u64, other: impl FnOnce(&Gate<C>) -> Option<Gate<C>>) {
        let mut gates = self.write();
        let replaced = gates.get_mut(&hash).and_then(|gate| Some(std::mem::replace(gate, Arc::new(other(gate)?))));
        drop(gates);
        if let Some(replaced) = replaced {
            // The calls that wait find the other one.
            replaced.retire();
        }
    }

    fn existing_or_new(
        &self,
        gates: &mut HashMap<u64, Arc<Gate<C>>>,
        hash: u64,
        now: u64,
        quota: impl Fn() -> Quota,
    ) -> Arc<Gate<C>> {
        if let Some(gate) = gates.get(&hash) {
            return gate.clone();
        }
        if gates.len() >= self.most {
            gates.retain(|_, gate| !is_unused(gate, now));
        }
        if gates.len() >= self.most {
            let first = gates.iter().min_by_key(|(_, gate)| gate.opens()).map(|(hash, _)| *hash);
            first.map(|first| gates.remove(&first));
        }
        let gate = Arc::new(Gate::new(quota(), self.clock.clone()));
        gates.insert(hash, gate.clone());
        self.len.store(gates.len(), Ordering::Release);
        gate
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashMap<u64, Arc<Gate<C>>>> {
        self.gates.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns whether a gate can be forgotten: it is as fast as the quota, and no call is about to pass it. Under the lock, by which
/// calls find gates.
fn is_unused<C: Clock + Clone + Send + Sync + 'static>(gate: &Arc<Gate<C>>, now: u64) -> bool {
    Arc::strong_count(gate) == 1 && gate.is_over(now)
}

#[cfg(test)]
mod tests {
    use brimful::MockClock;

    use super::super::answer::Jitter;
    use super::*;

    fn without_jitter() -> Pauses {
        Pauses { jitter: Jitter::default().with_percent(0), longest: None }
    }

    fn gates(most: usize) -> (MockClock, Gates<MockClock>) {
        let clock = MockClock::new();
        (clock.clone(), Gates::new(clock, most))
    }

    /// Takes over a refusal with this pause in seconds, or an answer that is none.
    fn answer(gates: &Gates<MockClock>, key: u32, pause: Option<u64>) {
        let outcome = pause.map_or(Outcome::Served(None), |pause| Outcome::Refused(Some(Duration::from_secs(pause))));
        gates.answered(&key, gates.clock.now(), outcome, &without_jitter(), || Quota::per_second(10));
    }

    fn len(gates: &Gates<MockClock>) -> usize {
        assert_eq!(gates.len.load(Ordering::Relaxed), gates.write().len());
        gates.write().len()
    }

    #[test]
    fn gates_are_forgotten_when_the_rate_is_as_before() {
        let (clock, gates) = gates(9);
        answer(&gates, 1, Some(5));
        answer(&gates, 2, Some(5));
        assert!(gates.of(&1).is_some() && gates.of(&3).is_none());
        clock.advance(Duration::from_secs(6));
        assert!(gates.of(&1).is_some(), "its rate is half");
        for _ in 0..32 * 4 {
            assert!(gates.of(&1).is_some_and(|gate| gate.try_pass(clock.now())));
            clock.advance(Duration::from_millis(200));
            answer(&gates, 1, None);
        }
        assert_eq!(len(&gates), 2);
        assert!(gates.of(&1).is_none(), "its rate is whole");
        assert_eq!(len(&gates), 1);
        clock.advance(Duration::from_secs(600));
        assert!(gates.of(&2).is_none(), "it was not used for long");
        assert_eq!(len(&gates), 0);
    }

    /// Without a named time, a pause is twice as long as the one before, unless a call was served between them.
    #[test]
    fn a_row_of_refusals_ends_with_an_answer() {
        let (clock, gates) = gates(9);
        let pause = || {
            gates.answered(&1, clock.now(), Outcome::Refused(None), &without_jitter(), || Quota::per_second(10));
            let pause = gates.of(&1).expect("a gate").opens() - clock.now();
            clock.advance(Duration::from_nanos(pause));
            pause / 1_000_000_000
        };
        assert_eq!([pause(), pause(), pause()], [1, 2, 4]);
        answer(&gates, 1, None);
        assert_eq!([pause(), pause()], [1, 2]);
        let longest: Vec<_> = (0..9).map(|_| pause()).collect();
        assert_eq!(longest, [4, 8, 16, 32, 64, 64, 64, 64, 64]);
    }

    #[test]
    fn the_first_call_after_a_pause_has_its_turn_at_once() {
        let (clock, gates) = gates(9);
        let (outcome, quota) = (Outcome::Refused(Some(Duration::from_secs(1))), Quota::per_hour(2).initial(0));
        gates.answered(&1, 0, outcome, &without_jitter(), || quota);
        let gate = gates.of(&1).expect("a gate");
        clock.advance(Duration::from_millis(999));
        assert!(!gate.try_pass(clock.now()));
        clock.advance(Duration::from_millis(1));
        assert!(gate.try_pass(clock.now()));
    }

    /// A server that names a pause with each answer, before it has to refuse one, is not slow.
    #[test]
    fn an_answer_with_none_left_counts_as_served() {
        let (clock, gates) = gates(9);
        answer(&gates, 1, Some(5));
        clock.advance(Duration::from_secs(5));
        for _ in 0..32 * 4 {
            assert!(gates.of(&1).is_some());
            let outcome = Outcome::Served(Some(Duration::from_millis(10)));
            gates.answered(&1, clock.now(), outcome, &Pauses::default(), || Quota::per_second(10));
            clock.advance(Duration::from_secs(1));
        }
        assert!(gates.of(&1).is_none(), "its rate is whole");
    }

    #[test]
    fn the_calls_of_two_milliseconds_leave_at_once() {
        let (clock, gates) = gates(9);
        for (rate, at_once) in [(100, 1), (4_000, 8)] {
            let outcome = Outcome::Failed(Duration::from_secs(1));
            gates.answered(&rate, clock.now(), outcome, &without_jitter(), || Quota::per_second(rate));
            clock.advance(Duration::from_secs(1));
            let gate = gates.existing_or_new(&mut gates.write(), gates.hasher.hash_one(rate), 0, || Quota::per_day(1));
            let left = (0..20).filter(|_| gate.try_pass(clock.now())).count();
            assert_eq!(left, at_once, "{rate}");
        }
    }

    /// Under a load of the whole quota, the calls that wait become fewer, until the gate is forgotten.
    #[test]
    fn a_gate_is_forgotten_under_load() {
        let (clock, gates) = gates(9);
        answer(&gates, 1, Some(1));
        let mut waits: Vec<_> = (0..20).filter_map(|_| Some(gates.of(&1)?.pass(u64::MAX))).collect();
        clock.advance(Duration::from_secs(1));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        // 500 seconds, in which a call comes every 100 ms.
        for step in 0..5_000 {
            waits.extend(gates.of(&1).filter(|gate| !gate.try_pass(clock.now())).map(|gate| gate.pass(u64::MAX)));
            let before = waits.len();
            waits.retain_mut(|wait| std::pin::Pin::new(wait).poll(&mut context).is_pending());
            (waits.len()..before).for_each(|_| answer(&gates, 1, None));
            if len(&gates) == 0 {
                return assert!(step > 128, "its rate is whole");
            }
            clock.advance(Duration::from_millis(100));
        }
        panic!("the gate stays: {} calls wait", waits.len());
    }

    /// The gate that a call is about to pass is not forgotten: a pause that comes now is one for that call.
    #[test]
    fn a_gate_in_use_is_kept() {
        let (clock, gates) = gates(9);
        answer(&gates, 1, Some(5));
        let used = gates.of(&1).expect("a gate");
        clock.advance(Duration::from_secs(1_000));
        assert!(gates.of(&1).is_some_and(|gate| Arc::ptr_eq(&gate, &used)));
        drop(used);
        assert!(gates.of(&1).is_none());
    }

    #[test]
    fn the_gates_are_bounded() {
        let (clock, gates) = gates(3);
        for (key, pause) in [(1, 30), (2, 10), (3, 20), (4, 40)] {
            answer(&gates, key, Some(pause));
        }
        assert_eq!(len(&gates), 3);
        assert!(gates.of(&2).is_none(), "its pause ends first");
        assert!([1, 3, 4].iter().all(|key| gates.of(key).is_some()));
        // Those that stop no call go first, and all of them.
        clock.advance(Duration::from_secs(1_000));
        answer(&gates, 5, Some(1));
        assert_eq!(len(&gates), 1);
    }

    /// A thread that finds a gate unused, and one that pauses it: the pause wins.
    #[test]
    fn no_pause_is_lost_with_a_gate_that_is_forgotten() {
        let (clock, gates) = gates(9);
        for round in 0..3_000 {
            clock.advance(Duration::from_secs(1_000));
            std::thread::scope(|threads| {
                threads.spawn(|| gates.of(&1).is_some());
                threads.spawn(|| answer(&gates, 1, Some(5)));
            });
            assert!(gates.of(&1).is_some_and(|gate| !gate.try_pass(clock.now())), "{round}");
        }
    }
}
