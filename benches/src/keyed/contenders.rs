//! The contenders: brimful with three hashers, its peers, and the floor.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use brimful::{KeyedRateLimiter, OnFull, SipState};
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::DashMapStateStore;

use super::clock::{Step, Ticker, Time};
use super::floor::Floor;
use super::keys::Key;
use super::quotas::Quota;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Library {
    /// The loop and a reading of the clock.
    Clock,
    Floor,
    Brimful,
    Governor,
    RateNet,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hasher {
    /// The default of each library; rate-net has no other.
    Default,
    Ahash,
    Foldhash,
}

/// A library with a hasher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Contender {
    pub(super) name: &'static str,
    pub(super) peer: Library,
    hasher: Hasher,
}

const fn contender(name: &'static str, peer: Library, hasher: Hasher) -> Contender {
    Contender { name, peer, hasher }
}

const CLOCK: Contender = contender("clock", Library::Clock, Hasher::Default);
pub(super) const FLOOR: Contender = contender("floor-sip", Library::Floor, Hasher::Default);
pub(super) const BRIMFUL: Contender = contender("brimful-sip", Library::Brimful, Hasher::Default);
pub(super) const GOVERNOR: Contender = contender("governor-sip", Library::Governor, Hasher::Default);
pub(super) const FLOOR_AHASH: Contender = contender("floor-ahash", Library::Floor, Hasher::Ahash);
pub(super) const BRIMFUL_AHASH: Contender = contender("brimful-ahash", Library::Brimful, Hasher::Ahash);
pub(super) const BRIMFUL_FOLDHASH: Contender = contender("brimful-foldhash", Library::Brimful, Hasher::Foldhash);
pub(super) const GOVERNOR_AHASH: Contender = contender("governor-ahash", Library::Governor, Hasher::Ahash);
/// rate-net always hashes with ahash.
pub(super) const RATE_NET: Contender = contender("rate-net", Library::RateNet, Hasher::Default);

pub(super) const CONTENDERS: [Contender; 9] =
    [CLOCK, FLOOR, BRIMFUL, GOVERNOR, FLOOR_AHASH, BRIMFUL_AHASH, BRIMFUL_FOLDHASH, GOVERNOR_AHASH, RATE_NET];

impl Contender {
    pub(super) fn named(name: &str) -> Option<Contender> {
        CONTENDERS.into_iter().find(|contender| contender.name == name)
    }
}

/// A limiter of keys.
pub(super) trait Keyed<K>: Send + Sync {
    /// Takes one token.
    fn hit(&self, key: &K) -> bool;

    /// Takes `n` tokens.
    fn take(&self, key: &K, n: u32) -> bool;

    /// Takes one token for each key, and counts the admitted calls.
    fn batch(&self, keys: &[K], answers: &mut Answers) -> u64 {
        let _ = answers;
        keys.iter().map(|key| u64::from(self.hit(key))).sum()
    }

    /// Returns the number of keys, if the limiter counts them.
    fn len(&self) -> Option<u64> {
        None
    }

    /// Returns the memory that the limiter states as its limit, and its evictions and refusals.
    fn limits(&self) -> [f64; 3] {
        [f64::NAN; 3]
    }
}

/// The answers to a batch of calls to brimful.
pub(super) type Answers = Vec<Result<(), brimful::TryAcquireError>>;

impl<K: Key, C: brimful::Clock + Send + Sync, S: BuildHasher + Send + Sync> Keyed<K> for KeyedRateLimiter<K, C, S> {
    #[inline]
    fn hit(&self, key: &K) -> bool {
        self.allow(key)
    }

    #[inline]
    fn take(&self, key: &K, n: u32) -> bool {
        self.try_acquire_n(key, n).is_ok()
    }

    fn batch(&self, keys: &[K], answers: &mut Answers) -> u64 {
        self.try_acquire_many(keys, answers);
        answers.iter().filter(|answer| answer.is_ok()).count() as u64
    }

    fn len(&self) -> Option<u64> {
        Some(self.len() as u64)
    }

    fn limits(&self) -> [f64; 3] {
        [self.memory_limit() as f64, self.evictions() as f64, self.refusals() as f64]
    }
}

type Governor<K, C, S> =
    governor::RateLimiter<K, DashMapStateStore<K, S>, C, NoOpMiddleware<<C as governor::clock::Clock>::Instant>>;

impl<K, C, S> Keyed<K> for Governor<K, C, S>
where
    K: Key,
    C: governor::clock::Clock + Send + Sync,
    C::Instant: Send + Sync,
    S: BuildHasher + Clone + Send + Sync,
{
    #[inline]
    fn hit(&self, key: &K) -> bool {
        self.check_key(key).is_ok()
    }

    #[inline]
    fn take(&self, key: &K, n: u32) -> bool {
        std::num::NonZeroU32::new(n).is_none_or(|n| self.check_key_n(key, n).is_ok_and(|inner| inner.is_ok()))
    }

    fn len(&self) -> Option<u64> {
        Some(self.len() as u64)
    }
}

impl<K: Key, C: clock_lib::Clock + Clone> Keyed<K> for rate_net::RateLimiter<C> {
    #[inline]
    fn hit(&self, key: &K) -> bool {
        key.take_from(self, 1)
    }

    #[inline]
    fn take(&self, key: &K, n: u32) -> bool {
        key.take_from(self, n)
    }

    fn len(&self) -> Option<u64> {
        Some(self.tracked_keys() as u64)
    }
}

/// Reads the clock, and no more.
struct ClockOnly<C>(C);

impl<K, C: brimful::Clock + Send + Sync> Keyed<K> for ClockOnly<C> {
    #[inline]
    fn hit(&self, _: &K) -> bool {
        self.0.now() > 0
    }

    #[inline]
    fn take(&self, _: &K, _: u32) -> bool {
        self.0.now() > 0
    }
}

/// The way in which the calls of a run are made.
#[derive(Clone, Copy, Debug)]
pub(super) struct How {
    pub(super) cost: u32,
    /// No call begins before the previous call has ended.
    pub(super) serial: bool,
    /// The time by which each call advances the clock, if the clock is driven.
    pub(super) step: Step,
}

/// A table under test. One virtual call makes a whole run; the loops are compiled for each limiter.
pub(super) trait Table<K>: Send + Sync {
    /// Calls for each key in turn, and counts the admitted calls.
    fn run(&self, keys: &[K], how: How) -> u64;

    /// Calls in batches of `size` keys at a cost of one, and counts the admitted calls.
    fn batches(&self, keys: &[K], size: usize) -> u64;

    /// Takes `n` tokens once, at the time at which the last run ended.
    fn take(&self, key: &K, n: u32) -> bool;

    fn len(&self) -> Option<u64>;

    fn limits(&self) -> [f64; 3];
}

struct Timed<L, T> {
    limiter: L,
    time: T,
    ticker: Mutex<Ticker>,
}

impl<L, T: Time> Timed<L, T> {
    fn ticker(&self) -> std::sync::MutexGuard<'_, Ticker> {
        self.ticker.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl<K: Key, L: Keyed<K>, T: Time> Table<K> for Timed<L, T> {
    fn run(&self, keys: &[K], how: How) -> u64 {
        // A copy: threads that share the table must not wait for each other here. Their clock is real.
        let mut ticker = *self.ticker();
        let hit = |key: &K| self.limiter.hit(key);
        let take = |key: &K| self.limiter.take(key, how.cost);
        let mut advance = || self.time.set(ticker.advance(how.step));
        let admitted = match (how.serial, how.cost) {
            (false, 1) => back_to_back(keys, &mut advance, hit),
            (false, _) => back_to_back(keys, &mut advance, take),
            (true, 1) => one_after_the_other(keys, &mut advance, hit),
            (true, _) => one_after_the_other(keys, &mut advance, take),
        };
        *self.ticker() = ticker;
        admitted
    }

    fn batches(&self, keys: &[K], size: usize) -> u64 {
        let mut answers = Vec::with_capacity(size);
        keys.chunks(size).map(|batch| self.limiter.batch(batch, &mut answers)).sum()
    }

    fn take(&self, key: &K, n: u32) -> bool {
        self.limiter.take(key, n)
    }

    fn len(&self) -> Option<u64> {
        self.limiter.len()
    }

    fn limits(&self) -> [f64; 3] {
        self.limiter.limits()
    }
}

/// Throughput: the processor may begin a call before the previous call has ended.
#[inline(never)]
fn back_to_back<K>(keys: &[K], mut advance: impl FnMut(), call: impl Fn(&K) -> bool) -> u64 {
    let mut admitted = 0;
    for key in keys {
        advance();
        admitted += u64::from(call(key));
    }
    admitted
}

/// Latency: the answer is swapped into memory, and the place of the next key is computed from the
/// value that the swap returns. A swap (on x86, a locked instruction) is done after all
/// instructions before it, so the next key is loaded after the previous call has ended. A
/// dependency on the answer alone would not be sufficient: the processor guesses the answer,
/// because it follows from a branch.
#[inline(never)]
fn one_after_the_other<K>(keys: &[K], mut advance: impl FnMut(), call: impl Fn(&K) -> bool) -> u64 {
    let gate = AtomicU64::new(0);
    let gate = black_box(&gate);
    let (mut place, mut admitted) = (0, 0);
    while let Some(key) = keys.get(place) {
        advance();
        let answer = u64::from(call(key));
        admitted += answer;
        // The value is 0 or 1, which the compiler does not know.
        place += 1 + (gate.swap(answer, Ordering::SeqCst) >> 1) as usize;
    }
    admitted
}

/// The purpose of a table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan<'a> {
    pub(super) quota: &'a Quota,
    /// The keys that will come.
    pub(super) keys: u64,
    /// The keys that a bounded limiter may hold.
    pub(super) max_keys: u64,
    pub(super) on_full: OnFull,
}

impl<'a> Plan<'a> {
    /// Returns a plan with room for twice the keys, so that no key has to go.
    pub(super) fn roomy(quota: &'a Quota, keys: u64) -> Self {
        Plan { quota, keys, max_keys: (2 * keys).max(1_000_000), on_full: OnFull::default() }
    }
}

/// Returns an empty table, or an error if the library cannot express the quota.
pub(super) fn build<K: Key, T: Time>(contender: Contender, plan: Plan<'_>) -> Result<Arc<dyn Table<K>>, String> {
    match (contender.peer, contender.hasher) {
        (Library::RateNet, _) => rate_net::<K, T>(plan),
        (Library::Governor, Hasher::Default) => hashed::<K, T, _>(contender.peer, plan, RandomState::new()),
        (peer, Hasher::Default) => hashed::<K, T, _>(peer, plan, SipState::new()),
        (peer, Hasher::Ahash) => hashed::<K, T, _>(peer, plan, ahash::RandomState::new()),
        (peer, Hasher::Foldhash) => hashed::<K, T, _>(peer, plan, foldhash::quality::RandomState::default()),
    }
}

fn hashed<K, T, S>(peer: Library, plan: Plan<'_>, hasher: S) -> Result<Arc<dyn Table<K>>, String>
where
    K: Key,
    T: Time,
    S: BuildHasher + Clone + Send + Sync + 'static,
{
    let time = T::fresh();
    Ok(match peer {
        Library::Clock => timed(ClockOnly(time.brimful()), time),
        Library::Floor => timed(Floor::new(plan.keys, hasher, time.brimful()), time),
        Library::Brimful => timed(brimful(plan, hasher, time.brimful())?, time),
        Library::Governor | Library::RateNet => {
            let state = DashMapStateStore::with_hasher(hasher);
            let limiter: Governor<K, T::Governor, S> =
                governor::RateLimiter::new(plan.quota.limit.governors(), state, time.governor());
            timed(limiter, time)
        }
    })
}

fn timed<K: Key, T: Time>(limiter: impl Keyed<K> + 'static, time: T) -> Arc<dyn Table<K>> {
    let mut ticker = Ticker::start();
    time.set(ticker.advance(Step::NONE));
    Arc::new(Timed { limiter, time, ticker: Mutex::new(ticker) })
}

/// Builds every limiter of brimful that the keyed bench measures. All options that are not set here
/// have the builder's defaults.
fn brimful<K: Key, S: BuildHasher, C: brimful::Clock>(
    plan: Plan<'_>,
    hasher: S,
    clock: C,
) -> Result<KeyedRateLimiter<K, C, S>, String> {
    KeyedRateLimiter::builder()
        .quota(plan.quota.limit.quota())
        .max_keys(plan.max_keys as usize)
        .on_full(plan.on_full)
        .hasher(hasher)
        .clock(clock)
        .build()
        .map_err(|error| error.to_string())
}

fn rate_net<K: Key, T: Time>(plan: Plan<'_>) -> Result<Arc<dyn Table<K>>, String> {
    let time = T::fresh();
    let limit = plan.quota.limit;
    let builder = rate_net::RateLimiter::builder()
        .clock(time.rate_net())
        .quota(limit.tokens, limit.period)
        .burst(limit.burst)
        .eviction(rate_net::Eviction::capacity(plan.max_keys as usize));
    let limiter = builder.try_build().map_err(|error| error.to_string())?;
    Ok(timed(limiter, time))
}
