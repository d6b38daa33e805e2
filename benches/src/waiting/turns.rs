//! Contenders in turns, each run in a process of its own.

use std::io;

use crate::child;
use crate::report::{Report, figure};

/// Asks a child for each contender and run, in turns, and tells the median of each number.
pub(super) fn in_turns<N: AsRef<str>>(
    names: &[N],
    runs: usize,
    words: impl Fn(&str) -> Vec<String>,
) -> io::Result<Vec<Vec<f64>>> {
    let mut answers = vec![Vec::with_capacity(runs); names.len()];
    for round in 0..runs.max(1) {
        // Every contender has every other one before it at some time.
        for place in 0..names.len() {
            let index = (place + round) % names.len();
            let words = words(names[index].as_ref());
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            answers[index].push(child::ask(&words)?);
        }
    }
    Ok(answers.iter().map(|answers| medians(answers)).collect())
}

fn medians(answers: &[Vec<f64>]) -> Vec<f64> {
    let median = |place: usize| {
        let mut numbers: Vec<f64> = answers.iter().filter_map(|answer| answer.get(place)).copied().collect();
        numbers.sort_by(f64::total_cmp);
        numbers.get(numbers.len() / 2).copied().unwrap_or(f64::NAN)
    };
    (0..answers.first().map_or(0, Vec::len)).map(median).collect()
}

/// Prints a table, a line for each contender, and reports what is in it. What is not a number was
/// not measured.
pub(super) fn table<N: AsRef<str>>(
    scenario: &str,
    names: &[N],
    measures: &[&str],
    figures: &[Vec<f64>],
    report: &mut Report,
) {
    println!("\n{scenario}");
    let width = |measure: &str| measure.chars().count().max(7);
    let heads: Vec<String> = measures.iter().map(|measure| format!("{measure:>0$}", width(measure))).collect();
    println!("  {:<28} {}", "", heads.join("  "));
    for (name, numbers) in names.iter().zip(figures) {
        let mut line = format!("  {:<28}", name.as_ref());
        for (measure, &number) in measures.iter().zip(numbers) {
            let text = if number.is_nan() { "–".to_owned() } else { figure(number) };
            line += &format!(" {text:>0$} ", width(measure));
            if !number.is_nan() {
                report.add(scenario, name.as_ref(), measure, number);
            }
        }
        println!("{}", line.trim_end());
    }
}

#[cfg(test)]
mod tests {
    use super::medians;

    #[test]
    fn each_number_has_its_own_median() {
        assert_eq!(medians(&[vec![1.0, 9.0], vec![3.0, 7.0], vec![2.0, 8.0]]), [2.0, 8.0]);
    }
}
