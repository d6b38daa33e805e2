//! `brimful simulate`: replays logs through the limiter on their own clock. Logs are streamed: memory
//! grows with the keys, not with the lines.

mod access;
mod args;
mod blanks;
mod groups;
mod gzip;
mod input;
mod key;
mod lines;
mod marks;
mod order;
mod progress;
mod replay;
mod report;
mod table;
mod time;
mod timeline;

use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use brimful::Tokens;

use crate::bound::parse_quota;
use crate::{Failure, Verdict, text};
pub(crate) use args::Args;
use groups::{GAP_DAYS, Groups};
use input::Log;
use key::Keys;
use order::Reorder;
use progress::Progress;
use replay::Replay;
use report::Report;
use time::{Stamp, Times};

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

/// A line that is not as expected, and the reason.
struct Complaint {
    place: Place,
    reason: String,
}

/// A line and its place.
struct Place {
    /// The number of lines of all logs that were read before.
    before: u64,
    file: String,
    line: u64,
    text: String,
}

/// A line whose time may be out of line with the others, so that it is not replayed yet.
struct Held {
    stamp: Stamp,
    key: Box<[u8]>,
    cost: Tokens,
    place: Place,
}

/// Replays the logs and prints a report.
pub(crate) fn run(args: &Args, out: &mut impl Write) -> Result<Verdict, Failure> {
    let quota = parse_quota(&args.quota)?;
    let fields = args.key_fields().len();
    let keyed = fields > 0;
    if args.top > 0 && !keyed {
        return Err(anyhow!("--top lists keys: choose them with --key").into());
    }
    // A wrong path is an error before the logs are read, which may take long. The file is written after.
    let svg = args.timeline.as_deref().map(|path| timeline::File::new(path, &args.files)).transpose()?;
    let replay = Replay::new(&quota, keyed.then_some(args.max_keys), svg.is_some())?;
    let mut intake = Intake::new(args.reorder, fields, replay);
    let (progress, mut times) = (Progress::new(&args.files), Times::new(args.time_unit));
    for file in &args.files {
        let log = Log::open(file, args.format, &args.columns(), &mut times, &progress)?;
        intake.read(log, file)?;
    }
    intake.finish()?;
    drop(progress);
    // The report is printed even if the SVG cannot be written.
    let drawn = match (svg, intake.replay.timeline()) {
        (Some(svg), Some(timeline)) => svg.write(timeline, &quota),
        _ => Ok(()),
    };
    let report = Report::new(args, &quota, &intake);
    let printed = if args.json { writeln!(out, "{:#}", report.as_json()) } else { report.print(out) };
    // An error of the SVG comes first: the reader of the report may have closed the pipe.
    drawn?;
    printed?;
    Ok(if report.violations == 0 { Verdict::Held } else { Verdict::Violated })
}

/// Takes in the lines of all logs, and passes them to the replay in order.
struct Intake {
    groups: Groups<Held>,
    order: Reorder<(u32, Tokens)>,
    keys: Keys,
    replay: Replay,
    /// The number of lines that were read.
    lines: u64,
    before: Option<Stamp>,
    /// The number of requests whose stamp is earlier than that of the request before.
    out_of_order: u64,
    /// The number of requests that came too late to be put in order.
    late: u64,
    first_late: Option<Complaint>,
    malformed: u64,
    first_malformed: Option<Complaint>,
}

impl Intake {
    fn new(reorder: usize, fields: usize, replay: Replay) -> Self {
        Intake {
            groups: Groups::new(),
            order: Reorder::new(reorder),
            keys: Keys::new(fields),
            replay,
            lines: 0,
            before: None,
            out_of_order: 0,
            late: 0,
            first_late: None,
            malformed: 0,
            first_malformed: None,
        }
    }

    fn read(&mut self, mut log: Log<'_>, path: &Path) -> Result<()> {
        let (mut requests, mut malformed) = (0u64, 0u64);
        let mut first = None;
        while let Some(line) = log.next().with_context(|| format!("cannot read {}", path.display()))? {
            match line {
                Ok(Request { stamp, key, cost }) if !self.groups.admits(stamp) => {
                    requests += 1;
                    let key = key.into();
                    self.hold(Held { stamp, key, cost, place: Place::new(&log, path, self.lines) })?;
                }
                Ok(request) => {
                    requests += 1;
                    let stamp = request.stamp;
                    if let Some(reached) = self.take(request)? {
                        let place = || Place::new(&log, path, self.lines);
                        self.first_late.get_or_insert_with(|| Complaint::late(place(), stamp, reached));
                    }
                }
                Err(Malformed(reason)) => {
                    malformed += 1;
                    first.get_or_insert_with(|| Complaint {
                        place: Place::new(&log, path, self.lines),
                        reason: reason.to_owned(),
                    });
                }
            }
            self.lines += 1;
        }
        if let (0, Some(Complaint { place, reason })) = (requests, &first) {
            bail!(
                "{} is not {}: none of its {} lines is one (line {}: {reason})",
                path.display(),
                log.kind(),
                text::count(malformed),
                place.line,
            );
        }
        self.malformed += malformed;
        self.first_malformed = self.first_malformed.take().or(first);
        Ok(())
    }

    /// Holds a request that may be out of line, and takes in the held ones that are now known to be in
    /// line.
    fn hold(&mut self, held: Held) -> Result<()> {
        let in_line = self.groups.hold(held.stamp, held);
        self.take_held(in_line)
    }

    fn take_held(&mut self, lines: Vec<Held>) -> Result<()> {
        for Held { stamp, key, cost, place } in lines {
            if let Some(reached) = self.take(Request { stamp, key: &key, cost })? {
                self.first_late.get_or_insert_with(|| Complaint::late(place, stamp, reached));
            }
        }
        Ok(())
    }

    /// Takes in a request. Returns the instant that had been reached, if that is later.
    fn take(&mut self, request: Request<'_>) -> Result<Option<Stamp>> {
        let Request { stamp, key, cost } = request;
        self.out_of_order += u64::from(self.before.is_some_and(|before| stamp < before));
        self.before = Some(stamp);
        let missed = self.order.missed(stamp);
        self.late += u64::from(missed.is_some());
        let key = if self.keys.have_fields() { self.keys.number(key) } else { 0 };
        if let Some((stamp, (key, cost))) = self.order.push(stamp, (key, cost)) {
            self.replay.take(stamp, key, cost)?;
        }
        Ok(missed)
    }

    /// Replays the lines that are still held, and counts those out of line as malformed.
    fn finish(&mut self) -> Result<()> {
        let (in_line, out_of_line) = self.groups.finish();
        self.take_held(in_line)?;
        self.malformed += out_of_line.len() as u64;
        let first =
            out_of_line.into_iter().next().map(|Held { stamp, place, .. }| Complaint::out_of_line(place, stamp));
        let complaints = self.first_malformed.take().into_iter().chain(first);
        self.first_malformed = complaints.min_by_key(|complaint| complaint.place.before);
        while let Some((stamp, (key, cost))) = self.order.pop() {
            self.replay.take(stamp, key, cost)?;
        }
        Ok(())
    }
}

impl Complaint {
    fn late(place: Place, stamp: Stamp, reached: Stamp) -> Self {
        Complaint { place, reason: format!("{stamp}, and {reached} had been reached") }
    }

    fn out_of_line(place: Place, stamp: Stamp) -> Self {
        let reason = format!("the time {stamp} is more than {GAP_DAYS} days from the times of most other lines");
        Complaint { place, reason }
    }
}

impl Place {
    /// Returns the place of the line that was read last.
    fn new(log: &Log<'_>, path: &Path, before: u64) -> Self {
        Place { before, file: path.display().to_string(), line: log.number(), text: text::excerpt(&log.line(), 60) }
    }
}
