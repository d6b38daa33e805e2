//! Runs `simulate --llm`.

use std::io::Write;

use super::report::Report;
use super::server;
use super::sim;
use super::trace::{Call, Trace};
use crate::simulate::Args;
use crate::simulate::timeline::{self, Labels, Timeline};
use crate::{Failure, Verdict};

/// Replays the calls and prints a report.
pub(crate) fn run(args: &Args, out: &mut impl Write) -> Result<Verdict, Failure> {
    let options = &args.llm;
    let limits = options.quota()?;
    // A wrong path is an error before the logs are read.
    let svg = args.timeline.as_deref().map(|path| timeline::File::new(path, &args.files)).transpose()?;
    let trace = Trace::read(args, args.speed)?;
    let mut timeline = Timeline::default();
    let first = trace.span.map(|(first, _)| first);
    let drawn = first.filter(|_| svg.is_some()).map(|first| (first, &mut timeline));
    let outcome = sim::simulate(options, limits, &trace.calls, drawn)?;
    let takes = |at, Call { usage, .. }: &Call| (at, *usage, options.takes(*usage));
    let with = server::refusals(limits, outcome.grants.iter().map(|&(number, at)| takes(at, &trace.calls[number])))?;
    let without = server::refusals(limits, trace.calls.iter().map(|call| takes(call.at, call)))?;
    let report = Report { args, limits, trace: &trace, outcome: &outcome, with, without };
    // The report is printed even if the SVG cannot be written.
    let drawn = svg.map_or(Ok(()), |svg| {
        let labels = Labels {
            title: report.limits(),
            series: ["granted after a wait", "granted at once"],
            level: "the limit that has least left, at its least in each interval",
            level_axis: "% left",
            full: 100.0,
        };
        svg.write(&timeline, &labels)
    });
    let printed = if args.json { writeln!(out, "{:#}", report.as_json()) } else { report.print(out) };
    // An error of the SVG comes first: the reader of the report may have closed the pipe.
    drawn?;
    printed?;
    Ok(if report.violations() > 0 { Verdict::Violated } else { Verdict::Held })
}
