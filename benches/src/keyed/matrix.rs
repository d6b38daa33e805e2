//! Sections that time hits: every quota, at every size, the worst ratio to governor first.

use std::io;
use std::net::Ipv6Addr;
use std::path::Path;

use super::contenders::{
    BRIMFUL, BRIMFUL_AHASH, BRIMFUL_FOLDHASH, Contender, FLOOR, FLOOR_AHASH, GOVERNOR, GOVERNOR_AHASH, Library,
    RATE_NET,
};
use super::keys::Key;
use super::quotas::{Quota, selected, sizes};
use super::ranking::{Ranking, Row, TO_GOVERNOR, draw};
use super::traffic::{Calls, Filled, Timer, Traffic};
use crate::bench::Scale;
use crate::harness::{Timing, alone, together};
use crate::report::{Report, count};

/// A section that times hits.
struct Section {
    name: &'static str,
    kinds: &'static [Kind],
    traffic: &'static [Traffic],
    sizes: &'static [u64],
    modes: &'static [Mode],
    groups: &'static [Group],
    bars: &'static [Bars],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    U64,
    Ipv6,
    String,
    Pair,
}

/// The way in which the calls of a run follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// One thread, back to back.
    Throughput,
    /// One thread; each call begins after the previous call has ended.
    Serial,
    /// This many threads, each on its own core, back to back on one table.
    Threads(usize),
}

/// Contenders with the same hasher. The ratio is that of brimful's first contender to governor.
struct Group {
    name: &'static str,
    contenders: &'static [Contender],
}

/// The most that the worst ratio may be, by the number of keys.
struct Bars {
    group: &'static str,
    mode: Mode,
    /// The kinds of keys that the bars are for.
    kinds: &'static [Kind],
    limits: &'static [(u64, f64)],
}

const DEFAULT: Group = Group { name: "default hashers", contenders: &[FLOOR, BRIMFUL, GOVERNOR, RATE_NET] };
const AHASH: Group =
    Group { name: "ahash", contenders: &[FLOOR_AHASH, BRIMFUL_AHASH, BRIMFUL_FOLDHASH, GOVERNOR_AHASH, RATE_NET] };

const SIZES: &[u64] = &[1_000, 100_000, 1_000_000, 10_000_000];
const TO_10_6: &[u64] = &[1_000, 100_000, 1_000_000];
const BOTH: &[Mode] = &[Mode::Throughput, Mode::Serial];

const fn bars(group: &Group, mode: Mode, limits: &'static [(u64, f64)]) -> Bars {
    Bars { group: group.name, mode, kinds: &[Kind::U64], limits }
}

const HEALTHY_AND_DENIED: &[Bars] =
    &[bars(&DEFAULT, Mode::Throughput, &[(1_000, 0.90), (100_000, 0.85), (1_000_000, 0.70)])];

const SECTIONS: [Section; 6] = [
    Section {
        name: "hit",
        kinds: &[Kind::U64],
        traffic: &[Traffic::InUse, Traffic::Real],
        sizes: SIZES,
        modes: BOTH,
        groups: &[DEFAULT, AHASH],
        bars: &[
            bars(&DEFAULT, Mode::Throughput, &[(1_000, 0.85), (100_000, 0.80), (1_000_000, 0.65), (10_000_000, 0.55)]),
            bars(&DEFAULT, Mode::Serial, &[(1_000, 1.0), (100_000, 0.85), (1_000_000, 0.75), (10_000_000, 0.65)]),
            bars(&AHASH, Mode::Throughput, &[(1_000, 0.90), (100_000, 1.0), (10_000_000, 0.65)]),
            bars(&AHASH, Mode::Serial, &[(1_000, 1.0), (100_000, 0.95), (1_000_000, 0.75), (10_000_000, 0.65)]),
        ],
    },
    Section {
        name: "healthy",
        kinds: &[Kind::U64],
        traffic: &[Traffic::Healthy],
        sizes: TO_10_6,
        modes: BOTH,
        groups: &[DEFAULT, AHASH],
        bars: HEALTHY_AND_DENIED,
    },
    Section {
        name: "denied",
        kinds: &[Kind::U64],
        traffic: &[Traffic::Exhausted],
        sizes: TO_10_6,
        modes: BOTH,
        groups: &[DEFAULT, AHASH],
        bars: HEALTHY_AND_DENIED,
    },
    Section {
        name: "zipf",
        kinds: &[Kind::U64],
        traffic: &[Traffic::Zipf],
        sizes: TO_10_6,
        modes: BOTH,
        groups: &[DEFAULT, AHASH],
        bars: &[],
    },
    Section {
        name: "strings",
        kinds: &[Kind::String, Kind::Pair, Kind::Ipv6],
        traffic: &[Traffic::InUse, Traffic::Real],
        sizes: TO_10_6,
        modes: BOTH,
        groups: &[DEFAULT],
        bars: &[Bars {
            group: DEFAULT.name,
            mode: Mode::Throughput,
            kinds: &[Kind::String, Kind::Pair],
            limits: &[(1_000, 0.85), (100_000, 0.80), (1_000_000, 0.55)],
        }],
    },
    Section {
        name: "threads",
        kinds: &[Kind::U64],
        traffic: &[Traffic::Real],
        sizes: TO_10_6,
        modes: &[Mode::Threads(1), Mode::Threads(2)],
        groups: &[DEFAULT],
        // 1.8 times governor's operations per second.
        bars: &[bars(&DEFAULT, Mode::Threads(2), &[(1_000_000, 1.0 / 1.8)])],
    },
];

impl Mode {
    fn name(self) -> String {
        match self {
            Mode::Throughput => "throughput".to_owned(),
            Mode::Serial => "serial latency".to_owned(),
            Mode::Threads(1) => "1 thread".to_owned(),
            Mode::Threads(threads) => format!("{threads} threads, by the throughput of all"),
        }
    }
}

/// Runs all sections that time hits.
pub(super) fn sections(scale: &Scale, report: &mut Report) -> io::Result<()> {
    for section in &SECTIONS {
        for kind in section.kinds {
            match kind {
                Kind::U64 => section.measure::<u64>(*kind, scale, report),
                Kind::Ipv6 => section.measure::<Ipv6Addr>(*kind, scale, report),
                Kind::String => section.measure::<String>(*kind, scale, report),
                Kind::Pair => section.measure::<(u64, String)>(*kind, scale, report),
            }
        }
        report.verdicts();
    }
    scale.svg.as_deref().map_or(Ok(()), |folder| plot(folder, scale, report))
}

/// Draws the rows with the worst ratio of the first section, by the number of keys.
fn plot(folder: &Path, scale: &Scale, report: &Report) -> io::Result<()> {
    let section = &SECTIONS[0];
    for (group, file) in section.groups.iter().zip(["hit-siphash", "hit-ahash"]) {
        let title = |&keys: &u64| (keys, section.title(u64::KIND, keys, group, Mode::Throughput));
        let titles: Vec<_> = sizes(scale, section.sizes).iter().map(title).collect();
        let heading = format!("A hit, u64, {}, the quota with the worst ratio", group.name);
        draw(folder, file, &heading, &group.names(1), &titles, report)?;
    }
    Ok(())
}

impl Section {
    fn title(&self, kind: &str, keys: u64, group: &Group, mode: Mode) -> String {
        format!("{}: {kind}, {} keys, {}, {}", self.name, count(keys), group.name, mode.name())
    }

    fn measure<K: Key>(&self, kind: Kind, scale: &Scale, report: &mut Report) {
        for keys in sizes(scale, self.sizes) {
            let wanted =
                |group: &&Group| self.modes.iter().any(|&mode| scale.wants(&self.title(K::KIND, keys, group, mode)));
            let groups: Vec<&Group> = self.groups.iter().filter(wanted).collect();
            if groups.is_empty() {
                continue;
            }
            let calls: Vec<_> = self.traffic.iter().map(|&traffic| (traffic, Calls::<K>::new(keys, traffic))).collect();
            for group in groups {
                let mut rankings: Vec<Ranking> = self
                    .modes
                    .iter()
                    .map(|&mode| Ranking {
                        title: self.title(K::KIND, keys, group, mode),
                        contenders: group.names(keys),
                        rows: Vec::new(),
                        ratio: TO_GOVERNOR,
                        bar: self.bar(group, mode, kind, keys),
                    })
                    .collect();
                for quota in selected(scale) {
                    for (traffic, calls) in &calls {
                        for (ranking, row) in rankings.iter_mut().zip(self.rows(group, quota, *traffic, calls, scale)) {
                            ranking.rows.push(row);
                        }
                    }
                }
                rankings.into_iter().for_each(|ranking| ranking.publish(report));
            }
        }
    }

    fn bar(&self, group: &Group, mode: Mode, kind: Kind, keys: u64) -> Option<f64> {
        let bars = self.bars.iter().find(|bars| (bars.group, bars.mode) == (group.name, mode))?;
        let limit = bars.limits.iter().find(|(size, _)| *size == keys)?;
        bars.kinds.contains(&kind).then_some(limit.1)
    }

    /// Returns a row for each mode. All contenders are filled, and then run in turns.
    fn rows<K: Key>(
        &self,
        group: &Group,
        quota: &Quota,
        traffic: Traffic,
        calls: &Calls<K>,
        scale: &Scale,
    ) -> Vec<Row> {
        let contenders = group.at(calls.len());
        let filled: Vec<_> = contenders.iter().map(|&contender| calls.filled(contender, quota, traffic)).collect();
        let run = |serial: bool, threads: usize| timings(&filled, serial, threads, scale);
        // Throughput and latency take turns as well, so that a slow moment of the machine affects
        // both.
        let timings: Vec<Vec<Option<Timing>>> = match self.modes {
            [Mode::Throughput, Mode::Serial] => both(&filled, scale),
            modes => modes
                .iter()
                .map(|mode| match mode {
                    Mode::Throughput => run(false, 1),
                    Mode::Serial => run(true, 1),
                    Mode::Threads(threads) => run(false, *threads),
                })
                .collect(),
        };
        let admitted: Vec<_> = filled.iter().map(|filled| filled.as_ref().ok().map(Filled::admitted)).collect();
        let is_wrong = |(contender, admitted): (&Contender, &Option<f64>)| {
            let [least, most] = traffic.admitted();
            let outside = admitted.is_some_and(|share| !(least..=most).contains(&share));
            (outside && contender.peer != Library::Floor).then_some(contender.name)
        };
        let wrong: Vec<&str> = contenders.iter().zip(&admitted).filter_map(is_wrong).collect();
        for (contender, filled) in contenders.iter().zip(&filled) {
            if let Err(error) = filled {
                println!("  {}, {}: {error}", contender.name, quota.name);
            }
        }
        let of = |peer: Library| contenders.iter().position(|contender| contender.peer == peer);
        let places = of(Library::Brimful).zip(of(Library::Governor));
        let row = |timings: Vec<Option<Timing>>| Row {
            quota: quota.name,
            traffic: traffic.name(),
            ratio: places.and_then(|(ours, theirs)| timings[ours].as_ref()?.ratio_to(timings[theirs].as_ref()?)),
            admitted: places.map(|(ours, theirs)| [admitted[ours], admitted[theirs]]).unwrap_or_default(),
            wrong: wrong.join(", "),
            timings,
        };
        timings.into_iter().map(row).collect()
    }
}

fn timings<K: Key>(
    filled: &[Result<Filled<K>, String>],
    serial: bool,
    threads: usize,
    scale: &Scale,
) -> Vec<Option<Timing>> {
    let timer = if threads == 1 { Timer::Cpu } else { Timer::Wall };
    let runs: Vec<_> = filled.iter().flatten().map(|filled| filled.contender("", serial, timer)).collect();
    let timings = match threads {
        1 => alone(&runs, scale.runs, scale.operations),
        _ => together(&runs, threads, scale.runs, scale.operations),
    };
    spread(filled, &timings)
}

fn both<K: Key>(filled: &[Result<Filled<K>, String>], scale: &Scale) -> Vec<Vec<Option<Timing>>> {
    let runs: Vec<_> = [false, true]
        .iter()
        .flat_map(|&serial| filled.iter().flatten().map(move |filled| filled.contender("", serial, Timer::Cpu)))
        .collect();
    let timings = alone(&runs, scale.runs, scale.operations);
    timings.chunks(runs.len() / 2).map(|timings| spread(filled, timings)).collect()
}

/// Leaves a gap for each table that could not be built.
fn spread<T>(filled: &[Result<T, String>], timings: &[Timing]) -> Vec<Option<Timing>> {
    let mut timings = timings.iter();
    filled.iter().map(|filled| filled.as_ref().ok().and_then(|_| timings.next().cloned())).collect()
}

impl Group {
    /// Returns the contenders for a table of `keys` keys. rate-net takes about 200 bytes and a
    /// microsecond per key, so it is not in the largest tables.
    fn at(&self, keys: u64) -> Vec<Contender> {
        let fits = |contender: &&Contender| contender.peer != Library::RateNet || keys <= 1_000_000;
        self.contenders.iter().filter(fits).copied().collect()
    }

    fn names(&self, keys: u64) -> Vec<&'static str> {
        self.at(keys).iter().map(|contender| contender.name).collect()
    }
}

/// Returns the contenders that criterion measures: buckets in use, default hashers.
#[must_use]
pub fn in_use(keys: u64) -> Vec<crate::harness::Contender<'static>> {
    let calls = Calls::<u64>::new(keys, Traffic::InUse);
    let quota = &super::quotas::QUOTAS[2];
    let contender = |contender: Contender| {
        calls
            .filled(contender, quota, Traffic::InUse)
            .ok()
            .map(|filled| filled.contender(contender.name, false, Timer::Cpu))
    };
    DEFAULT.at(keys).into_iter().filter_map(contender).collect()
}
