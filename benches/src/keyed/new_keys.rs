//! New keys: their average cost, and the cost of each.

use std::io;
use std::net::Ipv6Addr;

use brimful::OnFull;
use cpu_time::ThreadTime;

use super::clock::{Driven, Real, Step};
use super::contenders::{BRIMFUL, BRIMFUL_AHASH, Contender, GOVERNOR, GOVERNOR_AHASH, How, Plan, RATE_NET, build};
use super::keys::{Key, Numbers};
use super::quotas::{Quota, selected, sizes};
use super::ranking::{Ranking, Row, TO_GOVERNOR, draw};
use super::tails::{Tail, Tails};
use crate::bench::Scale;
use crate::child;
use crate::harness::{Timing, pin};
use crate::histogram::Histogram;
use crate::report::{Report, count};

const SIZES: &[u64] = &[1_000, 100_000, 1_000_000, 10_000_000];
const TO_10_6: &[u64] = &[1_000, 100_000, 1_000_000];

/// One insertion section.
struct Insertion {
    kind: &'static str,
    hashers: &'static str,
    contenders: &'static [Contender],
    sizes: &'static [u64],
    bars: &'static [(u64, f64)],
}

const INSERTIONS: [Insertion; 4] = [
    Insertion {
        kind: u64::KIND,
        hashers: "default hashers",
        contenders: &[BRIMFUL, GOVERNOR, RATE_NET],
        sizes: SIZES,
        bars: &[(1_000, 1.0), (100_000, 1.0), (1_000_000, 0.9), (10_000_000, 0.75)],
    },
    Insertion {
        kind: u64::KIND,
        hashers: "ahash",
        contenders: &[BRIMFUL_AHASH, GOVERNOR_AHASH],
        sizes: SIZES,
        bars: &[],
    },
    Insertion {
        kind: String::KIND,
        hashers: "default hashers",
        contenders: &[BRIMFUL, GOVERNOR, RATE_NET],
        sizes: TO_10_6,
        bars: &[(1_000, 0.85), (100_000, 0.80), (1_000_000, 0.55)],
    },
    Insertion {
        kind: Ipv6Addr::KIND,
        hashers: "default hashers",
        contenders: &[BRIMFUL, GOVERNOR, RATE_NET],
        sizes: TO_10_6,
        bars: &[],
    },
];

/// The keys that small tables insert together, so that the time is long enough to be measured.
const AT_LEAST: u64 = 200_000;

/// Measures the CPU time per new key, from an empty table on, including growth and the first touch
/// of each page. Each run is a process of its own.
pub(super) fn insert(scale: &Scale, report: &mut Report) -> io::Result<()> {
    for insertion in &INSERTIONS {
        for keys in sizes(scale, insertion.sizes) {
            let title = insertion.title(keys);
            if scale.wants(&title) {
                insertion.measure(title, keys, scale, report)?;
            }
        }
    }
    if let Some(folder) = &scale.svg {
        let first = &INSERTIONS[0];
        let titles: Vec<_> = sizes(scale, first.sizes).into_iter().map(|keys| (keys, first.title(keys))).collect();
        let names: Vec<_> = first.contenders.iter().map(|contender| contender.name).collect();
        draw(folder, "insert", "A new u64 key, the quota with the worst ratio", &names, &titles, report)?;
    }
    tails(scale, report)
}

impl Insertion {
    fn title(&self, keys: u64) -> String {
        format!("insert: {}, from 0 to {} keys, {}", self.kind, count(keys), self.hashers)
    }

    fn measure(&self, title: String, keys: u64, scale: &Scale, report: &mut Report) -> io::Result<()> {
        let contenders = self.contenders.iter().filter(|&&contender| contender != RATE_NET || keys <= 1_000_000);
        let names: Vec<&str> = contenders.map(|contender| contender.name).collect();
        let runs = if keys > 1_000_000 { scale.runs.min(3) } else { scale.runs };
        let mut rows = Vec::new();
        for quota in selected(scale) {
            let size = keys.to_string();
            let words: Vec<_> = names.iter().map(|name| vec!["insert", name, self.kind, quota.name, &size]).collect();
            let timings = child::ask_in_turns(runs, &words)?.iter().map(|answers| timing(answers)).collect::<Vec<_>>();
            let ratio = timings[0].as_ref().zip(timings[1].as_ref()).and_then(|(ours, theirs)| ours.ratio_to(theirs));
            let (traffic, wrong) = ("real clock", String::new());
            rows.push(Row { quota: quota.name, traffic, timings, ratio, admitted: [Some(1.0); 2], wrong });
        }
        let bar = self.bars.iter().find(|(size, _)| *size == keys).map(|&(_, limit)| limit);
        Ranking { title, contenders: names, rows, ratio: TO_GOVERNOR, bar }.publish(report);
        Ok(())
    }
}

/// Returns the timing of the first figure of each answer; `None` if a contender gave none.
fn timing(answers: &[Vec<f64>]) -> Option<Timing> {
    let times: Vec<f64> = answers.iter().filter_map(|answer| answer.first()).copied().collect();
    Timing::of(times.into_iter().filter(|time| !time.is_nan()).collect())
}

/// Answers `insert`: nanoseconds per key; not a number if a call was refused.
pub(super) fn insert_child(name: &str, kind: &str, quota: &str, keys: u64) -> Option<Vec<f64>> {
    let (contender, quota) = (Contender::named(name)?, Quota::named(quota)?);
    pin(0);
    match kind {
        String::KIND => mean::<String>(contender, quota, keys),
        Ipv6Addr::KIND => mean::<Ipv6Addr>(contender, quota, keys),
        _ => mean::<u64>(contender, quota, keys),
    }
}

fn mean<K: Key>(contender: Contender, quota: &Quota, n: u64) -> Option<Vec<f64>> {
    let tables = AT_LEAST.div_ceil(n);
    let mut numbers = Numbers::new(1);
    let keys: Vec<K> = (0..tables * n).map(|_| K::of(numbers.next())).collect();
    let Ok(tables) =
        (0..tables).map(|_| build::<K, Real>(contender, Plan::roomy(quota, n))).collect::<Result<Vec<_>, _>>()
    else {
        return Some(vec![f64::NAN]);
    };
    let how = How { cost: quota.cost, serial: false, step: Step::NONE };
    let begin = ThreadTime::now();
    let parts = keys.chunks(n as usize).zip(&tables);
    let admitted: u64 = parts.map(|(keys, table)| table.run(keys, how)).sum();
    let nanos = begin.elapsed().as_nanos() as f64 / keys.len() as f64;
    Some(vec![if admitted == keys.len() as u64 { nanos } else { f64::NAN }])
}

/// Times new keys one by one, by the thread's CPU time.
fn tails(scale: &Scale, report: &mut Report) -> io::Result<()> {
    for keys in sizes(scale, SIZES) {
        let title = format!("insert: u64, from 0 to {} keys, each by itself", count(keys));
        if !scale.wants(&title) {
            continue;
        }
        let mut tails = Tails::new(title, &["median", "p99.9", "worst"], &[("worst", 500.0)]);
        let contenders: &[Contender] =
            if keys > 1_000_000 { &[BRIMFUL, GOVERNOR] } else { &[BRIMFUL, GOVERNOR, RATE_NET] };
        let words = |name: &str, quota: &str| ["tail", name, quota, &keys.to_string()].map(str::to_owned).to_vec();
        tails.ask(scale, &[(NOTHING, "")], words)?;
        for quota in selected(scale) {
            let pairs: Vec<_> = contenders.iter().map(|contender| (contender.name, quota.name)).collect();
            tails.ask(scale, &pairs, words)?;
        }
        tails.publish(report);
    }
    Ok(())
}

/// The name of the row for the reading of the time by itself.
const NOTHING: &str = "the reading itself";

/// Answers `tail`: the median, the 99.9th percentile and the worst, in nanoseconds.
pub(super) fn tail_child(name: &str, quota: &str, n: u64) -> Option<Vec<f64>> {
    pin(0);
    let tables = AT_LEAST.div_ceil(n);
    let mut numbers = Numbers::new(1);
    let mut times = Histogram::new();
    if name == NOTHING {
        each(tables * n, &mut times, |_| ());
        return Some(Tail::of(&times));
    }
    let (contender, quota) = (Contender::named(name)?, Quota::named(quota)?);
    for _ in 0..tables {
        let table = build::<u64, Real>(contender, Plan::roomy(quota, n)).ok()?;
        each(n, &mut times, |_| _ = table.take(&numbers.next(), quota.cost));
    }
    Some(Tail::of(&times))
}

/// Times each of `calls` calls by the thread's CPU time, so that other processes on the machine do
/// not count.
pub(super) fn each(calls: u64, times: &mut Histogram, mut call: impl FnMut(u64)) {
    let mut last = ThreadTime::now();
    for number in 0..calls {
        call(number);
        let now = ThreadTime::now();
        times.add(now.duration_since(last).as_nanos() as u64);
        last = now;
    }
}

const POLICIES: [(&str, OnFull); 2] = [("evict", OnFull::EvictLeastDebt), ("deny", OnFull::Deny)];

/// Times new keys at a table that is full of buckets in use, one by one.
pub(super) fn full(scale: &Scale, report: &mut Report) -> io::Result<()> {
    for keys in sizes(scale, SIZES) {
        let title = format!("full: a new u64 key, {} keys in use and no room", count(keys));
        if !scale.wants(&title) {
            continue;
        }
        let measures = &["median", "p99.9", "worst", "held", "admitted"];
        let mut tails = Tails::new(title, measures, &[("median", 3.0), ("worst", 50.0)]);
        let words = |name: &str, quota: &str| {
            if name == NOTHING {
                return ["tail", name, quota, &NEW.to_string()].map(str::to_owned).to_vec();
            }
            let (name, policy) = name.split_once(", ").unwrap_or((name, POLICIES[0].0));
            ["full", name, policy, quota, &keys.to_string()].map(str::to_owned).to_vec()
        };
        tails.ask(scale, &[(NOTHING, "")], words)?;
        for quota in selected(scale) {
            let mut pairs = vec![("brimful-sip, evict", quota.name), ("brimful-sip, deny", quota.name)];
            if keys <= 1_000_000 {
                pairs.push((RATE_NET.name, quota.name));
            }
            tails.ask(scale, &pairs, words)?;
        }
        println!("\ngovernor has no bound on its keys");
        tails.publish(report);
    }
    Ok(())
}

/// New keys that come to a full table.
const NEW: u64 = 100_000;

/// Answers `full`: the times, the share of the room that was in use, and the share of the new keys
/// that was admitted. The clock is driven: on the real clock, the buckets of fast quotas would be
/// full again, and free, before the table is full.
pub(super) fn full_child(name: &str, policy: &str, quota: &str, max_keys: u64) -> Option<Vec<f64>> {
    pin(0);
    let (contender, quota) = (Contender::named(name)?, Quota::named(quota)?);
    let (_, on_full) = POLICIES.into_iter().find(|(known, _)| *known == policy)?;
    let plan = Plan { quota, keys: max_keys, max_keys, on_full };
    let table = build::<u64, Driven<true>>(contender, plan).ok()?;
    let mut numbers = Numbers::new(1);
    // More tries than keys that fit, because a key may be refused a little before the table is
    // full.
    let mut tries = 2 * max_keys;
    while tries > 0 && table.len()? < max_keys {
        table.take(&numbers.next(), quota.limit.burst / 2);
        tries -= 1;
    }
    let held = table.len()? as f64 / max_keys as f64;
    // The time goes on at the real speed, or more slowly so that no bucket is full again at the
    // end.
    let step = Step::nanos((quota.refill_nanos() / 8.0 / NEW as f64).min(20.0));
    let how = How { cost: quota.cost, serial: false, step };
    let (mut times, mut admitted) = (Histogram::new(), 0);
    each(NEW, &mut times, |_| admitted += table.run(&[numbers.next()], how));
    let mut figures = Tail::of(&times);
    figures.extend([held, admitted as f64 / NEW as f64]);
    Some(figures)
}
