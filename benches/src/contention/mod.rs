//! A limiter of one bucket: the cost of a decision by one thread and by several, and its exactness.

mod change;
mod child;
mod coarse;
mod composite;
mod exact;
mod limiters;
mod memory;
mod model;
mod permits;
mod plot;
mod states;
mod stats;
mod threads;
mod work;

use std::io;

use crate::bench::{Bench, Scale};
use crate::harness::{Contender, alone};
use crate::report::{Bar, Report};

/// All sections, in turn.
pub const BENCH: Bench = Bench {
    sections: &[
        admitted,
        denied,
        |scale, report| measure(states::several(), scale, report),
        |scale, report| measure(states::decide(), scale, report),
        |scale, report| measure(work::scenarios(), scale, report),
        |scale, report| measure(states::construction(), scale, report),
        memory::section,
        threads::shared,
        threads::apart,
        composite::section,
        coarse::section,
        permits::section,
        model::section,
        stats::section,
        change::section,
        exact::section,
    ],
    child: child::answer,
    runs: [51, 5],
    operations: 100_000,
};

/// The work of one thread, and the contenders that do it.
pub struct Scenario {
    /// The name, beginning with the section.
    pub name: String,
    /// The contenders, in the order of the table. The last whose name begins with `floor` is the
    /// floor.
    pub contenders: Vec<Contender<'static>>,
    bars: Vec<Held>,
}

/// Two contenders, and the bar for the ratio of their times.
type Held = (&'static str, &'static str, Bar);

/// Returns all scenarios of one thread.
#[must_use]
pub fn scenarios() -> Vec<Scenario> {
    let sections =
        [states::admitted, states::denied, states::several, states::decide, work::scenarios, states::construction];
    sections.into_iter().flat_map(|section| section()).collect()
}

fn measure(scenarios: Vec<Scenario>, scale: &Scale, report: &mut Report) -> io::Result<()> {
    for Scenario { name, contenders, bars } in scenarios.into_iter().filter(|scenario| scale.wants(&scenario.name)) {
        let timings = alone(&contenders, scale.runs, scale.operations);
        let names: Vec<&str> = contenders.iter().map(|contender| contender.name.as_str()).collect();
        report.timings(&name, &names, &timings);
        hold(&name, &bars, report);
    }
    Ok(())
}

fn hold(scenario: &str, bars: &[Held], report: &mut Report) {
    for &(one, other, bar) in bars {
        let ratio = report.ratio(scenario, one, other);
        report.bar(&format!("{scenario}: {one} / {other}"), bar, ratio);
    }
}

fn admitted(scale: &Scale, report: &mut Report) -> io::Result<()> {
    measure(states::admitted(), scale, report)?;
    plot::bars(scale, states::NOT_FULL, "admitted", "A token, on the real clock", report)
}

fn denied(scale: &Scale, report: &mut Report) -> io::Result<()> {
    measure(states::denied(), scale, report)?;
    plot::bars(scale, states::DENIED, "denied", "A refusal, on the real clock", report)
}
