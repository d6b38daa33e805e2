//! The timing of contenders, in turns.

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

/// A contender: its name, and its runs.
pub struct Contender<'a> {
    /// The name in the table.
    pub name: String,
    /// Each thread takes the next run, and the first run again after the last.
    runs: Vec<Run<'a>>,
}

type Run<'a> = Box<dyn Fn(u64) -> f64 + Sync + 'a>;

impl<'a> Contender<'a> {
    /// Returns a contender whose every operation is a call of `operation`. The loop is compiled for
    /// this operation alone, so that nothing but the loop's counter stands between two operations.
    pub fn new<T: 'a>(name: impl Into<String>, operation: impl Fn() -> T + Sync + 'a) -> Self {
        Contender::timed(name, repeated(operation))
    }

    /// Returns a contender with an operation of its own for each of `threads` threads.
    pub fn each<T: 'a, O: Fn() -> T + Sync + 'a>(
        name: impl Into<String>,
        threads: usize,
        make: impl Fn() -> O,
    ) -> Self {
        let run = |_| Box::new(repeated(make())) as Run<'a>;
        Contender { name: name.into(), runs: (0..threads).map(run).collect() }
    }

    /// Returns a contender that times itself: `run` makes the given number of operations, and
    /// returns the nanoseconds.
    pub fn timed(name: impl Into<String>, run: impl Fn(u64) -> f64 + Sync + 'a) -> Self {
        Contender { name: name.into(), runs: vec![Box::new(run)] }
    }

    /// Returns the nanoseconds that `operations` operations take.
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

/// The nanoseconds per operation of a contender.
#[derive(Clone, Debug)]
pub struct Timing {
    /// The median of the runs.
    pub median: f64,
    /// The fastest run.
    pub least: f64,
    /// Each run, in order.
    runs: Vec<f64>,
}

impl Timing {
    /// Returns the timing of these runs; `None` if there are none.
    #[must_use]
    pub fn of(runs: Vec<f64>) -> Option<Self> {
        let median = median(runs.clone())?;
        let least = runs.iter().copied().min_by(f64::total_cmp)?;
        Some(Timing { median, least, runs })
    }

    /// Returns the median of the ratios of runs that were next to each other in time: a slow moment
    /// of the machine affects both.
    #[must_use]
    pub fn ratio_to(&self, other: &Self) -> Option<f64> {
        median(self.runs.iter().zip(&other.runs).map(|(ours, theirs)| ours / theirs).collect())
    }
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

/// Pins the calling thread to the core of this number. Cores are counted from the last one, because
/// the first core handles interrupts. After the first core comes the last again.
pub fn pin(thread: usize) {
    let Some(cores) = core_affinity::get_core_ids() else { return };
    if let Some(&core) = cores.iter().rev().cycle().nth(thread) {
        core_affinity::set_for_current(core);
    }
}

/// Runs the contenders in turns, each `runs` times for `operations`, on one pinned thread.
///
/// This is a new thread. Threads start on the cores of the thread that spawns them, so a pinned
/// caller could not pin other threads to other cores.
#[must_use]
pub fn alone(contenders: &[Contender<'_>], runs: usize, operations: u64) -> Vec<Timing> {
    let measure = || {
        pin(0);
        in_turns(contenders, runs, |contender| contender.run(operations) / operations as f64)
    };
    let timings = std::thread::scope(|scope| scope.spawn(measure).join());
    timings.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Runs the contenders in turns on `threads` pinned threads at once, until the first thread has
/// made its operations. The time of an operation is the inverse of the throughput of all threads.
#[must_use]
pub fn together(contenders: &[Contender<'_>], threads: usize, runs: usize, operations: u64) -> Vec<Timing> {
    let cores = core_affinity::get_core_ids().map_or(1, |cores| cores.len());
    // Threads that take turns on the cores have to do so many times in a run: the runs are longer,
    // and fewer.
    let (operations, runs) =
        if threads > cores { (operations * 8, runs.div_ceil(8).max(3)) } else { (operations, runs) };
    let at_a_time = (operations / 64).max(1);
    in_turns(contenders, runs, |contender| {
        let (there, is_over) = (AtomicUsize::new(0), AtomicBool::new(false));
        let times = std::thread::scope(|scope| {
            let run = |thread| {
                let (there, is_over) = (&there, &is_over);
                move || {
                    pin(thread);
                    // A thread that sleeps until all are there would start late.
                    there.fetch_add(1, Ordering::AcqRel);
                    while there.load(Ordering::Acquire) < threads {
                        std::thread::yield_now();
                    }
                    let (begun, mut done, mut nanos) = (Instant::now(), 0, 0.0);
                    loop {
                        nanos += contender.run_on(thread, at_a_time);
                        done += at_a_time;
                        if done >= operations {
                            is_over.store(true, Ordering::Relaxed);
                        }
                        if is_over.load(Ordering::Relaxed) {
                            break;
                        }
                    }
                    Stint { begun, ended: Instant::now(), done, nanos }
                }
            };
            let handles: Vec<_> = (0..threads).map(|thread| scope.spawn(run(thread))).collect();
            let join = |handle: std::thread::ScopedJoinHandle<'_, _>| {
                handle.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            };
            handles.into_iter().map(join).collect::<Vec<Stint>>()
        });
        let done = times.iter().map(|stint| stint.done).sum::<u64>() as f64;
        if threads > cores {
            // The threads take turns, and some begin when others have ended.
            let (begun, ended) =
                (times.iter().map(|stint| stint.begun).min(), times.iter().map(|stint| stint.ended).max());
            begun.zip(ended).map_or(f64::NAN, |(begun, ended)| (ended - begun).as_nanos() as f64 / done)
        } else {
            1.0 / times.iter().map(|stint| stint.done as f64 / stint.nanos).sum::<f64>()
        }
    })
}

/// The work of a thread in a run.
struct Stint {
    begun: Instant,
    ended: Instant,
    done: u64,
    nanos: f64,
}

fn in_turns(contenders: &[Contender<'_>], runs: usize, run: impl Fn(&Contender<'_>) -> f64) -> Vec<Timing> {
    let mut times = vec![Vec::with_capacity(runs); contenders.len()];
    for round in 0..=runs {
        // Every contender has every other contender before it at some time.
        for place in 0..contenders.len() {
            let index = (place + round) % contenders.len();
            let time = run(&contenders[index]);
            if round > 0 {
                times[index].push(time);
            }
        }
    }
    times.into_iter().filter_map(Timing::of).collect()
}
