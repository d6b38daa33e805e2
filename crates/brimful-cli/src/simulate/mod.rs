//! `brimful simulate`: replays logs through the limiter on their own clock. Logs are streamed: memory
//! grows with the keys, not with the lines.

mod access;
mod args;
mod batch;
mod blanks;
mod compare;
mod flow;
mod groups;
mod gzip;
mod input;
mod intake;
mod key;
mod limits;
mod lines;
mod llm;
mod marks;
mod order;
mod progress;
mod replay;
mod report;
#[cfg(feature = "redis")]
mod shared;
mod table;
mod time;
mod timeline;

use std::io::Write;

use brimful::Tokens;

use crate::{Failure, Verdict};
pub(crate) use args::Args;
use replay::Replay;
use report::Report;
use time::Stamp;
use timeline::Labels;

/// The parts of a line that a replay needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Request<'a> {
    stamp: Stamp,
    key: &'a [u8],
    cost: Tokens,
}

/// The reason that a line is not a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Malformed(&'static str);

/// Replays the logs and prints a report.
pub(crate) fn run(args: &Args, out: &mut impl Write) -> Result<Verdict, Failure> {
    if args.llm.llm {
        return llm::run(args, out);
    }
    #[cfg(feature = "redis")]
    if let Some(url) = args.shared.url() {
        return shared::run(args, url, out);
    }
    let lists = args.quotas()?;
    let keyed = args.are_keyed()?;
    // A wrong path is an error before the logs are read, which may take long. The file is written after.
    let svg = args.timeline.as_deref().map(|path| timeline::File::new(path, &args.files)).transpose()?;
    let replay = |quotas| Replay::new(quotas, keyed.then_some(args.max_keys), svg.is_some());
    let mut replays = lists.into_iter().map(replay).collect::<anyhow::Result<Vec<_>>>()?;
    let intake = flow::run(args, &mut replays)?;
    let reports: Vec<Report<'_>> = replays.iter().map(|replay| Report::new(args, &intake, replay)).collect();
    // The report is printed even if the SVG cannot be written.
    let drawn = match (svg, &replays[..]) {
        (Some(svg), [replay]) => {
            replay.timeline().map_or(Ok(()), |timeline| svg.write(timeline, &Labels::of(replay.quotas())))
        }
        _ => Ok(()),
    };
    let printed = match &reports[..] {
        [report] if args.json => writeln!(out, "{:#}", report.as_json()),
        [report] => report.print(out),
        reports if args.json => writeln!(out, "{:#}", compare::as_json(reports)),
        reports => compare::print(reports, out),
    };
    // An error of the SVG comes first: the reader of the report may have closed the pipe.
    drawn?;
    printed?;
    let is_violated = reports.iter().any(|report| report.violations > 0);
    Ok(if is_violated { Verdict::Violated } else { Verdict::Held })
}
