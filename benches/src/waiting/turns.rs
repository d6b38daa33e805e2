//! Contenders in turns, each run in a process of its own.

use std::io;

use crate::child;
use crate::report::Report;

/// The choice of the run whose figure counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Of {
    Median,
    /// For a figure that must always be small.
    Most,
    /// For a figure that must always be large.
    Least,
}

pub(super) type Measure = (&'static str, Of);

/// Asks a child for each contender and run, in turns, for the figures of the measures.
pub(super) fn in_turns<N: AsRef<str>>(
    names: &[N],
    runs: usize,
    measures: &[Measure],
    words: impl Fn(&str) -> Vec<String>,
) -> io::Result<Vec<Vec<f64>>> {
    let mut answers = vec![Vec::with_capacity(runs); names.len()];
    for round in 0..runs.max(1) {
        // Every contender has every other contender before it at some time.
        for place in 0..names.len() {
            let index = (place + round) % names.len();
            let words = words(names[index].as_ref());
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            answers[index].push(child::ask(&words)?);
        }
    }
    Ok(answers.iter().map(|answers| summed_up(answers, measures)).collect())
}

fn summed_up(answers: &[Vec<f64>], measures: &[Measure]) -> Vec<f64> {
    let figure = |(place, &(_, of)): (usize, &Measure)| {
        let numbers = answers.iter().filter_map(|answer| answer.get(place)).copied();
        let mut numbers: Vec<f64> = numbers.filter(|number| !number.is_nan()).collect();
        numbers.sort_by(f64::total_cmp);
        let counts = match of {
            Of::Median => numbers.get(numbers.len() / 2),
            Of::Most => numbers.last(),
            Of::Least => numbers.first(),
        };
        counts.copied().unwrap_or(f64::NAN)
    };
    measures.iter().enumerate().map(figure).collect()
}

/// Prints a table with a line for each contender, and adds its figures to the report. A figure that
/// is not a number was not measured.
pub(super) fn table<N: AsRef<str>>(
    scenario: &str,
    names: &[N],
    measures: &[Measure],
    figures: &[Vec<f64>],
    report: &mut Report,
) {
    println!("\n{scenario}");
    rows(scenario, names, measures, figures, report);
}

/// Like [`table`], without the heading, for a scenario that has several tables.
pub(super) fn rows<N: AsRef<str>>(
    scenario: &str,
    names: &[N],
    measures: &[Measure],
    figures: &[Vec<f64>],
    report: &mut Report,
) {
    let measures: Vec<&str> = measures.iter().map(|(measure, _)| *measure).collect();
    report.figures(scenario, names, &measures, figures);
}

#[cfg(test)]
mod tests {
    use super::{Of, summed_up};

    #[test]
    fn each_number_is_summed_up_in_its_own_way() {
        let measures = [("", Of::Median), ("", Of::Most), ("", Of::Least), ("", Of::Median)];
        let answers = [vec![1.0, 9.0, 5.0, f64::NAN], vec![3.0, 7.0, 4.0, 6.0], vec![2.0, 8.0, 6.0, f64::NAN]];
        assert_eq!(summed_up(&answers, &measures), [2.0, 9.0, 4.0, 6.0]);
    }
}
