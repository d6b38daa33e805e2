//! Reads the logs once, and replays the requests through several lists of quotas at the same time.
//!
//! While the next lines are read, the requests that are ready are replayed: once for each list of quotas,
//! on all cores. All of it runs on the threads of rayon, so `RAYON_NUM_THREADS=1` runs it on one core.

use std::mem;

use anyhow::Result;
use rayon::prelude::*;

use super::Args;
use super::input::Log;
use super::intake::Intake;
use super::progress::Progress;
use super::replay::{Ready, Replay};
use super::time::Times;

/// The lines that are read while the requests before them are replayed: enough that the threads meet
/// seldom, and few enough that the requests stay in the processor's caches.
const LINES: usize = 4_096;

/// Reads all logs, and replays them. Returns the intake, whose requests were all replayed.
pub(crate) fn run(args: &Args, replays: &mut [Replay]) -> Result<Intake> {
    // The scope runs on a thread of rayon, and so does all that is in it.
    rayon::scope(|_| {
        let mut flow = Flow { intake: Intake::new(args.reorder, args.key_fields().len()), ready: Vec::new(), replays };
        flow.read(args)?;
        flow.intake.finish();
        // The requests before the last lines, and then the rest.
        for _ in 0..2 {
            flow.replay()?;
        }
        Ok(flow.intake)
    })
}

struct Flow<'a> {
    intake: Intake,
    /// The requests that are replayed next.
    ready: Vec<Ready>,
    replays: &'a mut [Replay],
}

impl Flow<'_> {
    fn read(&mut self, args: &Args) -> Result<()> {
        let (progress, mut times) = (Progress::new(&args.files), Times::new(args.time_unit));
        for file in &args.files {
            let mut log = Log::open(file, args.format, &args.columns(), &mut times, &progress)?;
            while self.replay_while(|intake| intake.read(&mut log, file, LINES))? {}
        }
        Ok(())
    }

    fn replay(&mut self) -> Result<()> {
        self.replay_while(|_| Ok(()))
    }

    /// Replays the requests that are ready, while `read` makes the next ones ready on this thread.
    fn replay_while<T>(&mut self, read: impl FnOnce(&mut Intake) -> Result<T>) -> Result<T> {
        let Flow { intake, ready, replays } = self;
        let mut replayed = Ok(());
        let read = rayon::in_place_scope(|scope| {
            if !ready.is_empty() {
                scope.spawn(|_| replayed = replays.par_iter_mut().try_for_each(|replay| replay.take_all(ready)));
            }
            read(intake)
        });
        // These requests are of earlier lines.
        replayed?;
        *ready = intake.take_ready(mem::take(ready));
        read
    }
}
