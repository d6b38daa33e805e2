//! A crowd of tasks on one limiter.

use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use brimful::{Clock, QuantaClock};
use cpu_time::ProcessTime;
use tokio::runtime::{Builder, Runtime};

use super::contenders::{BRIMFUL, CONTENDERS, GOVERNOR, Job, ON_TOKIO, RESERVE, TWO_LIMITS, Waits, with, with_counted};
use super::plot;
use super::records::{Record, Records, Slot, early, excess, percentile};
use super::turns::{Measure, Of, in_turns, rows, table};
use crate::bench::Scale;
use crate::limit::Limit;
use crate::report::{Bar, Report, count};

/// Returns the runtime of all contenders.
pub(super) fn runtime() -> io::Result<Runtime> {
    Builder::new_multi_thread().worker_threads(2).enable_time().build()
}

/// Waits once, and returns the record of the wait.
pub(super) async fn watch<L: Waits>(limiter: &L) -> Record {
    let mut future = pin!(limiter.acquire());
    let mut record = Record::default();
    let granted = poll_fn(|context| {
        if record.polls == 0 {
            record.begun = QuantaClock.now();
        }
        record.polls += 1;
        let polled = future.as_mut().poll(context);
        if record.polls == 1 {
            record.entered = QuantaClock.now();
        }
        polled
    })
    .await;
    record.granted = granted.unwrap_or(0);
    record.returned = QuantaClock.now();
    record
}

/// A contender that has not served a crowd after this many seconds, and [`PATIENCE`] times the
/// ideal time, is stopped. Its figures are those of the waiters that it served.
const PATIENCE_S: f64 = 10.0;
/// See [`PATIENCE_S`].
const PATIENCE: f64 = 4.0;

/// A number of tasks, each of which waits a number of times.
#[derive(Clone, Copy)]
pub(super) struct Crowd {
    pub(super) tasks: usize,
    pub(super) rounds: usize,
    pub(super) limit: Limit,
}

impl Crowd {
    fn tokens(self) -> u64 {
        (self.tasks * self.rounds) as u64
    }

    /// Returns the seconds after which a contender is stopped.
    fn patience(self) -> f64 {
        PATIENCE_S + PATIENCE * self.limit.ideal(self.tokens())
    }

    fn words(self) -> [String; 4] {
        [self.tasks as u64, self.rounds as u64, self.limit.tokens.into(), self.limit.burst.into()]
            .map(|n| n.to_string())
    }

    pub(super) fn of([tasks, rounds, rate, burst]: [u64; 4]) -> Self {
        let limit = Limit::per_second(rate as u32, burst as u32);
        Crowd { tasks: tasks as usize, rounds: rounds as usize, limit }
    }
}

impl Job for Crowd {
    /// The records, and the CPU seconds that the crowd took.
    type Answer = (Records, f64);

    fn run<L: Waits>(self, limiter: L) -> Self::Answer {
        let (limiter, tokens) = (Arc::new(limiter), self.tasks * self.rounds);
        let slots: Arc<Vec<Slot>> = Arc::new((0..tokens).map(|_| Slot::default()).collect());
        let left = Arc::new(AtomicUsize::new(self.tasks));
        let (done, all_done) = mpsc::channel();
        let start = ProcessTime::now();
        let spawner = {
            let slots = slots.clone();
            async move {
                for task in 0..self.tasks {
                    let (limiter, slots, left, done) = (limiter.clone(), slots.clone(), left.clone(), done.clone());
                    tokio::spawn(async move {
                        for round in 0..self.rounds {
                            slots[task * self.rounds + round].write(&watch(&*limiter).await);
                        }
                        if left.fetch_sub(1, Ordering::AcqRel) == 1 {
                            let _ = done.send(());
                        }
                    });
                }
            }
        };
        tokio::spawn(spawner);
        let _ = all_done.recv_timeout(Duration::from_secs_f64(self.patience()));
        let cpu = start.elapsed().as_secs_f64();
        (Records::of(&slots), cpu)
    }
}

/// The measures of the cost of a crowd, which come first in a child's answer.
const COST: [Measure; 4] =
    [("served", Of::Least), ("CPU µs/token", Of::Median), ("achieved", Of::Median), ("wakes/grant", Of::Median)];

/// The measures of the instants of service, at the grant and when the waiters went on. They come
/// after [`COST`] in a child's answer.
const INSTANTS: [Measure; 9] = [
    ("inverted at grant", Of::Most),
    ("on return", Of::Median),
    ("excess at grant", Of::Most),
    ("on return, tokens", Of::Median),
    ("early", Of::Most),
    ("late p50 µs at grant", Of::Median),
    ("p99 at grant", Of::Median),
    ("p50 on return", Of::Median),
    ("p99 on return", Of::Median),
];

pub(super) fn measure(name: &str, numbers: [u64; 4]) -> Option<Vec<f64>> {
    let crowd = Crowd::of(numbers);
    let runtime = runtime().ok()?;
    let entered = runtime.enter();
    let (records, cpu) = with(name, crowd.limit, crowd)?;
    drop(entered);
    runtime.shutdown_background();
    Some(figures(&records, cpu, crowd))
}

fn figures(records: &Records, cpu: f64, crowd: Crowd) -> Vec<f64> {
    let (limit, served) = (crowd.limit, records.len());
    let late = |instants: &[u64], share| percentile(&mut records.lateness(instants, limit), share) / 1e3;
    let returned = records.returned();
    let granted = records.tell_grants().then(|| records.granted());
    let of_grants = |tell: &dyn Fn(&[u64]) -> f64| granted.as_deref().map_or(f64::NAN, tell);
    vec![
        served as f64,
        cpu * 1e6 / served as f64,
        limit.ideal(served) / records.seconds(),
        records.wakes(),
        of_grants(&|granted| records.inversions(granted)),
        records.inversions(&returned),
        of_grants(&|granted| excess(granted, limit)),
        excess(&returned, limit),
        of_grants(&|granted| early(granted, limit) as f64),
        of_grants(&|granted| late(granted, 0.5)),
        of_grants(&|granted| late(granted, 0.99)),
        late(&returned, 0.5),
        late(&returned, 0.99),
    ]
}

/// Returns the crowds, in the order of the tables, each with a letter for the plot.
fn crowds(quick: bool) -> [(&'static str, Crowd, String); 4] {
    let many = if quick { 20_000 } else { 100_000 };
    let crowd = |letter, tasks, rounds, rate, burst| {
        let crowd = Crowd { tasks, rounds, limit: Limit::per_second(rate, burst) };
        let rounds = if rounds > 1 { format!(", {rounds} times each") } else { String::new() };
        let (tasks, rate) = (count(tasks as u64), count(rate.into()));
        (letter, crowd, format!("crowd {letter}: {tasks} tasks{rounds}, {rate}/s, burst {burst}"))
    };
    [
        crowd("a", 1_000, if quick { 1 } else { 3 }, 1_000, 10),
        crowd("b", many, 1, 50_000, 500),
        // Spawning these tasks takes as long as earning their tokens. They wait only after that.
        crowd("c1", many, 10, 1_000_000, 1_000),
        crowd("c2", many, 10, 1_000_000, 10_000),
    ]
}

pub(super) fn section(scale: &Scale, report: &mut Report) -> io::Result<()> {
    let mut measured = Vec::new();
    for (letter, crowd, scenario) in crowds(scale.quick) {
        if !scale.wants(&scenario) {
            continue;
        }
        let words = |name: &str| {
            let mut words = vec!["crowd".to_owned(), name.to_owned()];
            words.extend(crowd.words());
            words
        };
        println!("\n{scenario}");
        tell(&scenario, &CONTENDERS, scale.runs, words, report)?;
        for name in CONTENDERS {
            let served = report.get(&scenario, name, COST[0].0).unwrap_or(0.0);
            if served < crowd.tokens() as f64 {
                let (tokens, patience) = (crowd.tokens(), crowd.patience());
                println!("  {name} had served {served} of {tokens} when it was stopped, after {patience:.1} s");
            }
        }
        bars(letter, &scenario, report);
        report.verdicts();
        measured.push((letter, scenario));
    }
    match &scale.svg {
        Some(folder) if !measured.is_empty() => plot::cpu(folder, &measured, &CONTENDERS, report),
        _ => Ok(()),
    }
}

/// Measures a crowd that waits on two limits at once.
pub(super) fn two_limits(scale: &Scale, report: &mut Report) -> io::Result<()> {
    let crowd = Crowd { tasks: 10_000, rounds: 1, limit: Limit::per_second(5_000, 50) };
    let scenario = "two limits: 10^4 tasks, 5·10^3/s and 10^4/s, burst 50";
    if !scale.wants(scenario) {
        return Ok(());
    }
    println!("\n{scenario}");
    let words = |name: &str| {
        let mut words = vec!["crowd".to_owned(), name.to_owned()];
        words.extend(crowd.words());
        words
    };
    tell(scenario, &[RESERVE, BRIMFUL, TWO_LIMITS], scale.runs, words, report)?;
    let get = |measure: &str| report.get(scenario, TWO_LIMITS, measure);
    let bars = [
        ("neighbours whose grants are inverted", Bar::AtMost(0.0), get("inverted at grant")),
        ("excess at grants, tokens", Bar::AtMost(0.0), get("excess at grant")),
        ("achieved / ideal", Bar::AtLeast(0.995), get("achieved")),
    ];
    for (what, bar, measured) in bars {
        report.bar(&format!("two limits: {what}"), bar, measured);
    }
    Ok(())
}

/// Measures a crowd, and prints its two tables.
pub(super) fn tell(
    scenario: &str,
    names: &[&str],
    runs: usize,
    words: impl Fn(&str) -> Vec<String>,
    report: &mut Report,
) -> io::Result<()> {
    let measures: Vec<Measure> = COST.into_iter().chain(INSTANTS).collect();
    let figures = in_turns(names, runs, &measures, words)?;
    let cpu_of = |of: &str| names.iter().position(|name| *name == of).map_or(f64::NAN, |place| figures[place][1]);
    let (floor, governor) = (cpu_of(RESERVE), cpu_of(GOVERNOR));
    let costs: Vec<Measure> = COST.into_iter().chain([("/ floor", Of::Median), ("/ governor", Of::Median)]).collect();
    let cost = |figures: &Vec<f64>| {
        let mut cost = figures[..COST.len()].to_vec();
        cost.extend([cost[1] / floor, cost[1] / governor]);
        cost
    };
    rows(scenario, names, &costs, &figures.iter().map(cost).collect::<Vec<_>>(), report);
    let instants: Vec<_> = figures.iter().map(|figures| figures[COST.len()..].to_vec()).collect();
    rows(scenario, names, &INSTANTS, &instants, report);
    Ok(())
}

fn bars(letter: &str, scenario: &str, report: &mut Report) {
    for name in [BRIMFUL, ON_TOKIO] {
        let get = |measure: &str| report.get(scenario, name, measure);
        let cpu_of = |other: &str| report.get(scenario, other, COST[1].0);
        let to = |other: &str| Some(cpu_of(name)? / cpu_of(other)?);
        let mut bars = vec![
            ("neighbours whose grants are inverted", Bar::AtMost(0.0), get("inverted at grant")),
            ("excess at grants, tokens", Bar::AtMost(0.0), get("excess at grant")),
            ("early grants", Bar::AtMost(0.0), get("early")),
            ("wakes a grant", Bar::AtMost(1.01), get("wakes/grant")),
        ];
        if ["a", "b"].contains(&letter) {
            bars.push(("achieved / ideal", Bar::AtLeast(0.995), get("achieved")));
        }
        if letter == "b" {
            bars.extend([
                ("CPU a token, µs", Bar::AtMost(4.0), cpu_of(name)),
                ("CPU / governor's", Bar::AtMost(0.125), to(GOVERNOR)),
                ("CPU / the floor's that reserves", Bar::AtMost(1.4), to(RESERVE)),
                // The lateness that a lone waiter may have, and a millisecond.
                ("late at the grant, p50 µs", Bar::AtMost(1_150.0), get("late p50 µs at grant")),
                ("late at the grant, p99 µs", Bar::AtMost(2_500.0), get("p99 at grant")),
            ]);
        }
        for (what, bar, measured) in bars {
            report.bar(&format!("crowd {letter}: {name}: {what}"), bar, measured);
        }
    }
}

/// Returns the readings of the clock per grant, for contenders whose readings can be counted.
pub(super) fn count_reads(name: &str, numbers: [u64; 4]) -> Option<Vec<f64>> {
    let crowd = Crowd::of(numbers);
    let runtime = runtime().ok()?;
    let entered = runtime.enter();
    let ((records, _), reads) = with_counted(name, crowd.limit, crowd)?;
    drop(entered);
    runtime.shutdown_background();
    Some(vec![reads as f64 / records.len() as f64])
}

/// Measures the readings of the clock for each grant: in crowds, and by one task after its own.
pub(super) fn reads(scale: &Scale, report: &mut Report) -> io::Result<()> {
    const SCENARIO: &str = "reads: readings of the limiter's clock per grant";
    if !scale.wants(SCENARIO) {
        return Ok(());
    }
    let counted = [BRIMFUL, ON_TOKIO, GOVERNOR];
    let [a, b, ..] = crowds(true);
    let alone = Crowd { tasks: 1, rounds: 100, limit: Limit::per_second(200, 1) };
    let heads = [("crowd a", Of::Median), ("crowd b", Of::Median), ("alone", Of::Median)];
    let mut figures = vec![Vec::new(); counted.len()];
    for crowd in [a.1, b.1, alone] {
        let words = |name: &str| {
            let mut words = vec!["reads".to_owned(), name.to_owned()];
            words.extend(crowd.words());
            words
        };
        for (figures, answer) in figures.iter_mut().zip(in_turns(&counted, 1, &heads[..1], words)?) {
            figures.extend(answer);
        }
    }
    table(SCENARIO, &counted, &heads, &figures, report);
    for name in [BRIMFUL, ON_TOKIO] {
        for ((head, _), most) in heads.into_iter().zip([3.0, 3.0, 4.0]) {
            let measured = report.get(SCENARIO, name, head);
            report.bar(&format!("reads: {name}: {head}"), Bar::AtMost(most), measured);
        }
    }
    Ok(())
}
