//! Timing in turns.

use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// A contender: its name, and how to run it.
pub struct Contender<'a> {
    /// As it stands in the table.
    pub name: String,
    /// Each thread takes the next, and the first again after the last.
    runs: Vec<Run<'a>>,
}

type Run<'a> = Box<dyn Fn(u64) -> f64 + Sync + 'a>;

impl<'a> Contender<'a> {
    /// One whose every operation is a call of `operation`. The loop is compiled for it alone,
    /// so that nothing but the loop's counter stands between two operations.
    pub fn new<T: 'a>(name: impl Into<String>, operation: impl Fn() -> T + Sync + 'a) -> Self {
        Contender::timed(name, repeated(operation))
    }

    /// One with an operation for each of so many threads.
    pub fn each<T: 'a, O: Fn() -> T + Sync + 'a>(
        name: impl Into<String>,
        threads: usize,
        make: impl Fn() -> O,
    ) -> Self {
        let run = |_| Box::new(repeated(make())) as Run<'a>;
        Contender { name: name.into(), runs: (0..threads).map(run).collect() }
    }

    /// One that times itself: `run` does so many operations, and tells the nanoseconds.
    pub fn timed(name: impl Into<String>, run: impl Fn(u64) -> f64 + Sync + 'a) -> Self {
        Contender { name: name.into(), runs: vec![Box::new(run)] }
    }

    /// The nanoseconds that so many operations take.
    #[must_use]
    pub fn run(&self, operations: u64) -> f64 {
        self.run_on(0, operations)
    }

    fn run_on(&self, thread: usize, operations: u64) -> f64 {
        self.runs[thread % self.runs.len()](operations)
    }
}

fn repeated<T>(operation: impl Fn() -> T) -> impl Fn(u64) -> f64 {
    move |operations| {
        let start = Instant::now();
        for _ in 0..operations {
            black_box(operation());
        }
        start.elapsed().as_nanos() as f64
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
/// where interrupts go. After the first comes the last again.
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
    let cores = core_affinity::get_core_ids().map_or(1, |cores| cores.len());
    in_turns(contenders, runs, |contender| {
        let there = AtomicUsize::new(0);
        let times = std::thread::scope(|scope| {
            let run = |thread| {
                let there = &there;
                move || {
                    pin(thread);
                    // Whoever slept until all are there would start late.
                    there.fetch_add(1, Ordering::AcqRel);
                    while there.load(Ordering::Acquire) < threads {
                        std::thread::yield_now();
                    }
                    let begun = Instant::now();
                    (begun, contender.run_on(thread, operations), Instant::now())
                }
            };
            let handles: Vec<_> = (0..threads).map(|thread| scope.spawn(run(thread))).collect();
            let join = |handle: std::thread::ScopedJoinHandle<'_, _>| {
                handle.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            };
            handles.into_iter().map(join).collect::<Vec<(Instant, f64, Instant)>>()
        });
        let whole = if threads > cores {
            // They take turns, and some begin when others have ended.
            let begun = times.iter().map(|time| time.0).min();
            let ended = times.iter().map(|time| time.2).max();
            begun.zip(ended).map_or(f64::NAN, |(begun, ended)| (ended - begun).as_nanos() as f64)
        } else {
            // All do as many operations; the mean time is fairer to the slower ones than the
            // time of the last.
            times.iter().map(|time| time.1).sum::<f64>() / threads as f64
        };
        whole / (operations * threads as u64) as f64
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
