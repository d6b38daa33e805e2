//! Timing in turns.

use std::hint::black_box;
use std::sync::Barrier;
use std::time::Instant;

/// A contender: its name, and how to run it.
pub struct Contender<'a> {
    /// As it stands in the table.
    pub name: String,
    run: Box<dyn Fn(u64) -> f64 + Sync + 'a>,
}

impl<'a> Contender<'a> {
    /// One whose every operation is a call of `operation`. The loop is compiled for it alone,
    /// so that nothing but the loop's counter stands between two operations.
    pub fn new<T>(name: impl Into<String>, operation: impl Fn() -> T + Sync + 'a) -> Self {
        let run = move |operations: u64| {
            let start = Instant::now();
            for _ in 0..operations {
                black_box(operation());
            }
            start.elapsed().as_nanos() as f64
        };
        Contender::timed(name, run)
    }

    /// One that times itself: `run` does so many operations, and tells the nanoseconds.
    pub fn timed(name: impl Into<String>, run: impl Fn(u64) -> f64 + Sync + 'a) -> Self {
        Contender { name: name.into(), run: Box::new(run) }
    }

    /// The nanoseconds that so many operations take.
    #[must_use]
    pub fn run(&self, operations: u64) -> f64 {
        (self.run)(operations)
    }
}

/// Nanoseconds an operation: what the middle run of a contender took.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// The median of the runs.
    pub median: f64,
    /// The fastest run.
    pub least: f64,
}

/// Pins the calling thread to the core of that number, counted from the last one: the first is
/// where interrupts go.
pub fn pin(thread: usize) {
    let Some(cores) = core_affinity::get_core_ids() else { return };
    if let Some(&core) = cores.iter().rev().cycle().nth(thread) {
        core_affinity::set_for_current(core);
    }
}

/// Runs the contenders in turns, each `runs` times for `operations`, on one pinned thread.
///
/// The thread is one of its own: threads start on the cores of the one that spawns them, and a
/// pinned caller could not pin others elsewhere.
#[must_use]
pub fn alone(contenders: &[Contender<'_>], runs: usize, operations: u64) -> Vec<Timing> {
    let measure = || {
        pin(0);
        in_turns(contenders, runs, |contender| contender.run(operations) / operations as f64)
    };
    let timings = std::thread::scope(|scope| scope.spawn(measure).join());
    timings.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// The same on `threads` pinned threads at once. An operation's time is the time of the whole
/// over the operations of all threads: the inverse of the throughput.
#[must_use]
pub fn together(contenders: &[Contender<'_>], threads: usize, runs: usize, operations: u64) -> Vec<Timing> {
    in_turns(contenders, runs, |contender| {
        let barrier = Barrier::new(threads);
        let times = std::thread::scope(|scope| {
            let run = |thread| {
                let barrier = &barrier;
                move || {
                    pin(thread);
                    barrier.wait();
                    contender.run(operations) / operations as f64
                }
            };
            let handles: Vec<_> = (0..threads).map(|thread| scope.spawn(run(thread))).collect();
            handles.into_iter().map(|handle| handle.join().unwrap_or(f64::NAN)).collect::<Vec<_>>()
        });
        // All threads do as many operations; the mean time is fairer to the slower ones than
        // the time of the last.
        let mean = times.iter().sum::<f64>() / times.len() as f64;
        mean / threads as f64
    })
}

fn in_turns(contenders: &[Contender<'_>], runs: usize, run: impl Fn(&Contender<'_>) -> f64) -> Vec<Timing> {
    let mut times = vec![Vec::with_capacity(runs); contenders.len()];
    for round in 0..=runs {
        // Every contender has every other one before it at some time.
        for place in 0..contenders.len() {
            let index = (place + round) % contenders.len();
            let time = run(&contenders[index]);
            if round > 0 {
                times[index].push(time);
            }
        }
    }
    times.into_iter().map(timing).collect()
}

fn timing(mut times: Vec<f64>) -> Timing {
    times.sort_by(f64::total_cmp);
    Timing { median: times[times.len() / 2], least: times[0] }
}
