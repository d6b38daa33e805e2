//! Takes in the lines of all logs, and puts the requests in order.

use std::path::Path;

use anyhow::{Context, Result, bail};
use brimful::Tokens;

use super::groups::{GAP_DAYS, Groups};
use super::input::Log;
use super::key::Keys;
use super::order::Reorder;
use super::replay::Ready;
use super::time::Stamp;
use super::{Malformed, Request};
use crate::text;

/// Takes in lines, and makes requests ready in the order of their stamps.
pub(crate) struct Intake {
    groups: Groups<Held>,
    order: Reorder<(u32, Tokens)>,
    pub(crate) keys: Keys,
    /// The requests that can be replayed next.
    ready: Vec<Ready>,
    /// The number of lines that were read.
    lines: u64,
    /// The lines of the log that is being read.
    log: LogLines,
    before: Option<Stamp>,
    /// The number of requests whose stamp is earlier than that of the request before.
    pub(crate) out_of_order: u64,
    /// The number of requests that came too late to be put in order.
    pub(crate) late: u64,
    pub(crate) first_late: Option<Complaint>,
    pub(crate) malformed: u64,
    pub(crate) first_malformed: Option<Complaint>,
}

/// The lines of one log.
#[derive(Default)]
struct LogLines {
    requests: u64,
    malformed: u64,
    first_malformed: Option<Complaint>,
}

/// A line that is not as expected, and the reason.
pub(crate) struct Complaint {
    pub(crate) place: Place,
    pub(crate) reason: String,
}

/// A line and its place.
pub(crate) struct Place {
    /// The number of lines of all logs that were read before.
    before: u64,
    pub(crate) file: String,
    pub(crate) line: u64,
    pub(crate) text: String,
}

/// A line whose time may be out of line with the others, so that it is not ready yet.
struct Held {
    stamp: Stamp,
    key: Box<[u8]>,
    cost: Tokens,
    place: Place,
}

impl Intake {
    /// Holds at most `reorder` requests to put them in order. Keys have as many values as there are
    /// `fields`.
    pub(crate) fn new(reorder: usize, fields: usize) -> Self {
        Intake {
            groups: Groups::new(),
            order: Reorder::new(reorder),
            keys: Keys::new(fields),
            ready: Vec::new(),
            lines: 0,
            log: LogLines::default(),
            before: None,
            out_of_order: 0,
            late: 0,
            first_late: None,
            malformed: 0,
            first_malformed: None,
        }
    }

    /// Returns the requests that are ready, and keeps the memory of `used` for the next ones.
    pub(crate) fn take_ready(&mut self, mut used: Vec<Ready>) -> Vec<Ready> {
        used.clear();
        std::mem::replace(&mut self.ready, used)
    }

    /// Reads at most `most` lines of a log. Returns whether there may be more.
    pub(crate) fn read(&mut self, log: &mut Log<'_>, path: &Path, most: usize) -> Result<bool> {
        for _ in 0..most {
            let Some(line) = log.next().with_context(|| format!("cannot read {}", path.display()))? else {
                self.end(log, path)?;
                return Ok(false);
            };
            match line {
                Ok(Request { stamp, key, cost }) if !self.groups.admits(stamp) => {
                    self.log.requests += 1;
                    let key = key.into();
                    self.hold(Held { stamp, key, cost, place: Place::new(log, path, self.lines) });
                }
                Ok(request) => {
                    self.log.requests += 1;
                    let stamp = request.stamp;
                    if let Some(reached) = self.take(request) {
                        let place = || Place::new(log, path, self.lines);
                        self.first_late.get_or_insert_with(|| Complaint::late(place(), stamp, reached));
                    }
                }
                Err(Malformed(reason)) => {
                    self.log.malformed += 1;
                    self.log.first_malformed.get_or_insert_with(|| Complaint {
                        place: Place::new(log, path, self.lines),
                        reason: reason.to_owned(),
                    });
                }
            }
            self.lines += 1;
        }
        Ok(true)
    }

    /// Counts the malformed lines of a log that was read. A log of nothing else is an error.
    fn end(&mut self, log: &Log<'_>, path: &Path) -> Result<()> {
        let LogLines { requests, malformed, first_malformed } = std::mem::take(&mut self.log);
        if let (0, Some(Complaint { place, reason })) = (requests, &first_malformed) {
            bail!(
                "{} is not {}: none of its {} lines is one (line {}: {reason})",
                path.display(),
                log.kind(),
                text::count(malformed),
                place.line,
            );
        }
        self.malformed += malformed;
        self.first_malformed = self.first_malformed.take().or(first_malformed);
        Ok(())
    }

    /// Holds a request that may be out of line, and takes in the held ones that are now known to be in
    /// line.
    fn hold(&mut self, held: Held) {
        let in_line = self.groups.hold(held.stamp, held);
        self.take_held(in_line);
    }

    fn take_held(&mut self, lines: Vec<Held>) {
        for Held { stamp, key, cost, place } in lines {
            if let Some(reached) = self.take(Request { stamp, key: &key, cost }) {
                self.first_late.get_or_insert_with(|| Complaint::late(place, stamp, reached));
            }
        }
    }

    /// Takes in a request. Returns the instant that had been reached, if that is later.
    fn take(&mut self, request: Request<'_>) -> Option<Stamp> {
        let Request { stamp, key, cost } = request;
        self.out_of_order += u64::from(self.before.is_some_and(|before| stamp < before));
        self.before = Some(stamp);
        let missed = self.order.missed(stamp);
        self.late += u64::from(missed.is_some());
        let key = if self.keys.have_fields() { self.keys.number(key) } else { 0 };
        if let Some((stamp, (key, cost))) = self.order.push(stamp, (key, cost)) {
            self.ready.push(Ready { stamp, key, cost });
        }
        missed
    }

    /// Makes the lines ready that are still held, and counts those out of line as malformed.
    pub(crate) fn finish(&mut self) {
        let (in_line, out_of_line) = self.groups.finish();
        self.take_held(in_line);
        self.malformed += out_of_line.len() as u64;
        let first =
            out_of_line.into_iter().next().map(|Held { stamp, place, .. }| Complaint::out_of_line(place, stamp));
        let complaints = self.first_malformed.take().into_iter().chain(first);
        self.first_malformed = complaints.min_by_key(|complaint| complaint.place.before);
        while let Some((stamp, (key, cost))) = self.order.pop() {
            self.ready.push(Ready { stamp, key, cost });
        }
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
