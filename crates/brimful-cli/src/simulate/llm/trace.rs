//! A trace of calls to a language model.

use anyhow::{Result, bail};
use brimful::Tokens;
use brimful::model::Usage;

use crate::simulate::Args;
use crate::simulate::input::Log;
use crate::simulate::intake::Intake;
use crate::simulate::key;
use crate::simulate::progress::Progress;
use crate::simulate::replay::Ready;
use crate::simulate::time::{Stamp, Times};

/// A limiter is exact for 2⁵⁹ ns and earns nothing after.
pub(super) const LONGEST: u64 = 1 << 59;

/// A call of the trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Call {
    /// The arrival, in nanoseconds since the first one.
    pub(super) at: u64,
    pub(super) usage: Usage,
}

/// The calls of all logs, in order of their arrival.
pub(super) struct Trace {
    pub(super) calls: Vec<Call>,
    /// The first and the last stamp.
    pub(super) span: Option<(Stamp, Stamp)>,
    pub(super) intake: Intake,
}

impl Trace {
    /// Reads the logs. The calls arrive `speed` times as fast as in the logs.
    ///
    /// The cost of a request is the tokens of both columns, and its key is the output. Fractions of a token are rounded
    /// up.
    pub(super) fn read(args: &Args, speed: f64) -> Result<Trace> {
        let (progress, mut times) = (Progress::new(&args.files), Times::new(args.time_unit));
        let mut intake = Intake::new(args.reorder, 1);
        for file in &args.files {
            let mut log = Log::open(file, args.format, &args.columns(), &mut times, &progress)?;
            intake.read(&mut log, file, usize::MAX)?;
        }
        intake.finish();
        let ready = intake.take_ready(Vec::new());
        let span = ready.first().zip(ready.last()).map(|(first, last)| (first.stamp, last.stamp));
        let first = span.map_or(Stamp::default(), |(first, _)| first);
        let outputs = outputs(&intake, &ready);
        let call = |&Ready { stamp, key, cost }: &Ready| {
            let output = outputs[key as usize];
            let since = stamp.since(first);
            Call {
                at: if speed == 1.0 { since } else { (since as f64 / speed) as u64 },
                usage: Usage { input: up(cost.saturating_sub(output)), output: up(output) },
            }
        };
        let calls: Vec<Call> = ready.iter().map(call).collect();
        if let (Some(Call { at: LONGEST.., .. }), Some((first, last))) = (calls.last(), span) {
            bail!(
                "the calls arrive in more than 18 years, from {first} to {last} at this speed: a limiter's time ends there"
            );
        }
        Ok(Trace { calls, span, intake })
    }
}

/// Returns the output of each key.
fn outputs(intake: &Intake, ready: &[Ready]) -> Vec<Tokens> {
    let keys: Vec<u32> = (0..ready.iter().map(|ready| ready.key + 1).max().unwrap_or(0)).collect();
    let values = intake.keys.values(&keys, key::whole);
    values.iter().map(|value| value.concat().trim().parse().expect("the cost was read from it")).collect()
}

fn up(tokens: Tokens) -> u64 {
    u64::from(tokens.whole()) + u64::from(tokens.pico() > 0)
}
