//! Memory: the size of a limiter, and the growth of the process for each limiter.

use std::hint::black_box;
use std::io;

use super::limiters::{FIELD, Job, Limiter, with};
use crate::bench::Scale;
use crate::child;
use crate::limit::Limit;
use crate::report::{Report, count};
use crate::resident::anonymous;

const MEASURES: [&str; 3] = ["by value", "on the heap", "resident, each"];

/// Returns the bytes of [`MEASURES`] for `n` limiters in a row, each of which was asked once.
pub(super) fn measure(name: &str, n: u64) -> Option<Vec<f64>> {
    struct Make(u64);

    impl Job for Make {
        type Answer = Option<Vec<f64>>;

        fn run<L: Limiter>(self, make: impl Fn() -> L) -> Self::Answer {
            // Read twice, because the first reading allocates.
            let before = anonymous().and_then(|_| anonymous())?;
            let mut limiters = Vec::with_capacity(self.0 as usize);
            limiters.extend((0..self.0).map(|_| make()));
            let taken = black_box(&limiters).iter().filter(|limiter| limiter.take()).count();
            let bytes = anonymous()? - before;
            let (value, each) = (size_of::<L>() as f64, bytes / black_box(taken) as f64);
            Some(vec![value, (each - value).round(), each])
        }
    }

    with(name, Limit::per_second(100, 200), Make(n))?
}

pub(super) fn section(scale: &Scale, report: &mut Report) -> io::Result<()> {
    const LIMITERS: u64 = 100_000;
    let scenario = format!("memory: bytes of a limiter, of {} in a row", count(LIMITERS));
    if !scale.wants(&scenario) {
        return Ok(());
    }
    if anonymous().is_none() {
        println!("\n{scenario}: not measured, because there is no /proc here");
        return Ok(());
    }
    let ask = |name| child::ask_again(scale.runs.min(3), &["memory", name, &LIMITERS.to_string()]);
    let figures = FIELD.map(ask).into_iter().collect::<io::Result<Vec<_>>>()?;
    println!("\n{scenario}");
    report.figures(&scenario, &FIELD, &MEASURES, &figures);
    Ok(())
}
