//! Hits: calls for keys that are known.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use brimful::SipState;

use super::contenders::{Brimful, Hand, Keyed, RateNet, brimful, governor};
use super::floor::{Array, Find, Swap};
use super::keys::{Key, Spread, keys, order};
use super::{most_keys, plot};
use crate::bench::Scale;
use crate::harness::{Contender, alone, together};
use crate::report::{Bar, Report, count};

const BRIMFUL: &str = "brimful";
const GOVERNOR: &str = "governor";

/// A table of keys, and everybody who is measured on it.
pub struct Hits {
    /// In the order of the table.
    pub contenders: Vec<Contender<'static>>,
    refused: Arc<AtomicU64>,
}

/// Which table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Case {
    strings: bool,
    keys: u64,
    spread: Spread,
    hashers: Hashers,
}

/// What all contenders hash with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hashers {
    /// Each with its own default, which is `SipHash`.
    Default,
    Fast,
}

impl Hashers {
    fn name(self) -> &'static str {
        match self {
            Hashers::Default => "SipHash",
            Hashers::Fast => "ahash",
        }
    }
}

impl Case {
    /// Of `u64`, all equally often, by everybody's default hasher.
    #[must_use]
    pub fn plain(keys: u64) -> Self {
        Case { strings: false, keys, spread: Spread::Uniform, hashers: Hashers::Default }
    }

    /// What is measured.
    #[must_use]
    pub fn name(&self) -> String {
        let kind = if self.strings { String::KIND } else { u64::KIND };
        let spread = match self.spread {
            Spread::Uniform => "uniform",
            Spread::Zipf => "Zipf 1.1",
        };
        format!("{kind}, {} keys, {spread}, {}", count(self.keys), self.hashers.name())
    }

    /// Fills the tables.
    #[must_use]
    pub fn build(&self, shared: bool) -> Hits {
        if self.strings { self.build_of::<String>(shared) } else { self.build_of::<u64>(shared) }
    }

    fn build_of<K: Key>(&self, shared: bool) -> Hits {
        let mut tables = Tables::<K>::new(self);
        let max_keys = room(self.keys);
        match self.hashers {
            Hashers::Default => {
                tables.floors(self.keys, SipState::new());
                tables.add(BRIMFUL, brimful(max_keys, SipState::new()));
                tables.add(GOVERNOR, governor(RandomState::new()));
                tables.by_hand(shared, RandomState::new());
            }
            Hashers::Fast => {
                let fast = ahash::RandomState::new;
                tables.floors(self.keys, fast());
                tables.add(BRIMFUL, brimful(max_keys, fast()));
                tables.add(GOVERNOR, governor(fast()));
                tables.add("rate-net", RateNet::new(max_keys));
                tables.by_hand(shared, fast());
            }
        }
        tables.hits
    }
}

/// What a limiter is made for that is to hold so many keys: none of them is to go.
pub(super) fn room(keys: u64) -> u64 {
    (2 * keys).max(1_000_000)
}

/// Contenders, as they are filled.
struct Tables<K> {
    keys: Vec<K>,
    order: Arc<[K]>,
    hits: Hits,
}

impl<K: Key> Tables<K> {
    fn new(case: &Case) -> Self {
        let keys = keys(case.keys);
        let accesses = if case.keys > 2_000_000 { 4_000_000 } else { 2_000_000 };
        let order = order(&keys, case.spread, accesses).into();
        Tables { keys, order, hits: Hits { contenders: Vec::new(), refused: Arc::default() } }
    }

    fn fill<L: Keyed<K>>(&self, limiter: &L) {
        // So many that no bucket is full again before the last run, and that the time since
        // its last call does not matter.
        let refused = self.keys.iter().filter(|key| !limiter.take(key, 10)).count();
        self.hits.refused.fetch_add(refused as u64, Ordering::Relaxed);
    }

    fn add<L: Keyed<K> + 'static>(&mut self, name: &str, limiter: L) {
        self.fill(&limiter);
        self.time(name, move |keys| keys.iter().map(|key| u64::from(!limiter.hit(key))).sum());
    }

    fn floors<S: BuildHasher + Send + Sync + 'static>(&mut self, keys: u64, hasher: S) {
        let array = Arc::new(Array::new(keys, hasher));
        self.add("floor: find only", Find(array.clone()));
        self.add("floor: find, clock, load, CAS", Swap(array));
    }

    fn by_hand<S: BuildHasher + Clone + Send + Sync + 'static>(&mut self, shared: bool, hasher: S) {
        self.add("Mutex<HashMap>", Hand::new(1, hasher.clone()));
        if shared {
            self.add("64 of Mutex<HashMap>", Hand::new(64, hasher));
        }
    }

    /// A contender whose runs walk on through the accesses; `pass` does some, and counts the
    /// refused.
    fn time(&mut self, name: &str, pass: impl Fn(&[K]) -> u64 + Send + Sync + 'static) {
        let (order, refused) = (self.order.clone(), self.hits.refused.clone());
        let place = AtomicUsize::new(0);
        let run = move |accesses: u64| {
            // What the others left in the caches is not this one's cost: half a run first.
            let (ahead, timed) = (accesses as usize / 2, accesses as usize);
            let start = place.fetch_add(ahead + timed, Ordering::Relaxed);
            let mut denied = walk(&order, start, ahead, &pass);
            let begin = Instant::now();
            denied += walk(&order, start + ahead, timed, &pass);
            let time = begin.elapsed().as_nanos() as f64;
            refused.fetch_add(denied, Ordering::Relaxed);
            time
        };
        self.hits.contenders.push(Contender::timed(name, run));
    }
}

/// So many accesses from a place on, and again from the first after the last.
#[inline(never)]
fn walk<K>(order: &[K], start: usize, accesses: usize, pass: &impl Fn(&[K]) -> u64) -> u64 {
    let (mut place, mut left, mut denied) = (start % order.len(), accesses, 0);
    while left > 0 {
        let part = left.min(order.len() - place);
        denied += pass(&order[place..place + part]);
        (place, left) = (0, left - part);
    }
    denied
}

fn measure(name: &str, hits: &Hits, threads: usize, scale: &Scale, report: &mut Report) {
    let names: Vec<_> = hits.contenders.iter().map(|contender| contender.name.as_str()).collect();
    let timings = match threads {
        1 => alone(&hits.contenders, scale.runs, scale.operations),
        _ => together(&hits.contenders, threads, scale.runs, scale.operations),
    };
    report.timings(name, &names, &timings);
    let refused = hits.refused.load(Ordering::Relaxed);
    if refused > 0 {
        println!("  {refused} calls were refused, which is not what is to be measured");
    }
}

/// One thread, each key by itself.
pub(super) fn hit(scale: &Scale, report: &mut Report) -> io::Result<()> {
    let sizes = [1_000, 10_000, 100_000, 1_000_000, most_keys(scale)];
    let mut cases: Vec<Case> = sizes.map(Case::plain).into();
    cases.push(Case { strings: true, ..Case::plain(1_000_000) });
    cases.push(Case { spread: Spread::Zipf, ..Case::plain(1_000_000) });
    cases.extend(sizes.map(|keys| Case { hashers: Hashers::Fast, ..Case::plain(keys) }));
    cases.dedup();
    let mut measured = Vec::new();
    for case in cases {
        let name = format!("hit: {}", case.name());
        if !scale.wants(&name) {
            continue;
        }
        measure(&name, &case.build(false), 1, scale, report);
        let bar = match case {
            Case { hashers: Hashers::Fast, keys: 1_000_000.., .. } => Some(0.65),
            Case { hashers: Hashers::Fast, .. } => None,
            Case { strings: true, .. } => Some(0.45),
            Case { spread: Spread::Zipf, .. } => Some(0.50),
            Case { keys: 1_000, .. } => Some(0.65),
            Case { keys: 1_000_000.., .. } => Some(0.40),
            _ => None,
        };
        if let Some(limit) = bar {
            let ratio = report.ratio(&name, BRIMFUL, GOVERNOR);
            report.bar(&format!("{name}: brimful / governor"), Bar::AtMost(limit), ratio);
        }
        measured.push((case, name));
    }
    let Some(folder) = &scale.svg else { return Ok(()) };
    for hashers in [Hashers::Default, Hashers::Fast] {
        let uniform = |case: &&(Case, String)| Case { hashers, ..Case::plain(case.0.keys) } == case.0;
        let scenarios: Vec<_> =
            measured.iter().filter(uniform).map(|(case, name)| (case.keys as f64, name.as_str())).collect();
        plot::hits(folder, hashers.name(), &scenarios, report)?;
    }
    Ok(())
}

/// One thread, many keys at once.
pub(super) fn batch(scale: &Scale, report: &mut Report) -> io::Result<()> {
    const SIZES: [usize; 3] = [4, 16, 64];
    for hashers in [Hashers::Default, Hashers::Fast] {
        let case = Case { hashers, ..Case::plain(most_keys(scale)) };
        let name = format!("batch: {}", case.name());
        if !scale.wants(&name) {
            continue;
        }
        let mut tables = Tables::<u64>::new(&case);
        match hashers {
            Hashers::Default => tables.batches(SipState::new(), RandomState::new(), &SIZES),
            Hashers::Fast => tables.batches(ahash::RandomState::new(), ahash::RandomState::new(), &SIZES),
        }
        measure(&name, &tables.hits, 1, scale, report);
        for size in SIZES.into_iter().filter(|&size| size >= 16) {
            let ratio = report.ratio(&name, &batch_name(size), BRIMFUL);
            report.bar(&format!("{name}: batch of {size} / one by one"), Bar::AtMost(0.6), ratio);
        }
    }
    Ok(())
}

fn batch_name(size: usize) -> String {
    format!("brimful, batches of {size}")
}

impl Tables<u64> {
    /// One limiter for all of brimful's ways to ask.
    fn batches<S, T>(&mut self, ours: S, theirs: T, sizes: &[usize])
    where
        S: BuildHasher + Clone + Send + Sync + 'static,
        T: BuildHasher + Default + Clone + Send + Sync + 'static,
    {
        let keys = self.keys.len() as u64;
        self.floors(keys, ours.clone());
        let limiter: Arc<Brimful<u64, S>> = Arc::new(brimful(room(keys), ours));
        self.fill(&*limiter);
        let one_by_one = limiter.clone();
        self.time(BRIMFUL, move |keys| keys.iter().map(|key| u64::from(!one_by_one.allow(key))).sum());
        for &size in sizes {
            let limiter = limiter.clone();
            self.time(&batch_name(size), move |keys| {
                let mut answers = Vec::with_capacity(size);
                let batches = keys.chunks(size).map(|batch| {
                    limiter.try_acquire_many(batch, &mut answers);
                    answers.iter().filter(|answer| answer.is_err()).count() as u64
                });
                batches.sum()
            });
        }
        self.add(GOVERNOR, governor(theirs));
    }
}

/// Several threads on one limiter.
pub(super) fn threads(scale: &Scale, report: &mut Report) -> io::Result<()> {
    let case = Case::plain(1_000_000);
    let names = [1, 2].map(|threads| (threads, format!("threads: {threads}, {}", case.name())));
    if !names.iter().any(|(_, name)| scale.wants(name)) {
        return Ok(());
    }
    let hits = case.build(true);
    for (threads, name) in names.iter().filter(|(_, name)| scale.wants(name)) {
        measure(name, &hits, *threads, scale, report);
        if *threads == 2 {
            let faster = report.ratio(name, BRIMFUL, GOVERNOR).map(|ratio| 1.0 / ratio);
            report.bar(&format!("{name}: brimful's operations per second / governor's"), Bar::AtLeast(2.5), faster);
        }
    }
    Ok(())
}
