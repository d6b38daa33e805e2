//! Measurements in processes of their own. In one process, an earlier measurement would leave its
//! traces: freed memory, pages that are there already, threads that still run.

use std::io;
use std::process::{Command, Stdio};

/// Asks a child of this program to measure, and returns the numbers that it prints.
pub(crate) fn ask(words: &[&str]) -> io::Result<Vec<f64>> {
    let output = Command::new(std::env::current_exe()?)
        .args(words.iter().flat_map(|word| ["--child", word]))
        .stderr(Stdio::inherit())
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let numbers: Result<Vec<f64>, _> = text.split_whitespace().map(str::parse).collect();
    match numbers {
        Ok(numbers) if output.status.success() => Ok(numbers),
        _ => Err(io::Error::other(format!("the child for {words:?} failed: {}, {text:?}", output.status))),
    }
}

/// Asks several times, and returns the median of each number. A moment in which the machine did
/// other work affects one child. The cost of a limiter is in all of them.
pub(crate) fn ask_again(times: usize, words: &[&str]) -> io::Result<Vec<f64>> {
    let answers = (0..times.max(1)).map(|_| ask(words)).collect::<io::Result<Vec<_>>>()?;
    Ok(medians(&answers))
}

/// Asks several children in turns, `runs` times, and returns the answers of each.
pub(crate) fn ask_in_turns(runs: usize, children: &[Vec<&str>]) -> io::Result<Vec<Vec<Vec<f64>>>> {
    let mut answers = vec![Vec::new(); children.len()];
    for run in 0..runs.max(1) {
        for place in 0..children.len() {
            let index = (place + run) % children.len();
            answers[index].push(ask(&children[index])?);
        }
    }
    Ok(answers)
}

/// Returns the median of each number over several answers.
pub(crate) fn medians(answers: &[Vec<f64>]) -> Vec<f64> {
    let median = |place: usize| {
        let mut numbers: Vec<f64> = answers.iter().filter_map(|answer| answer.get(place)).copied().collect();
        numbers.sort_by(f64::total_cmp);
        numbers[numbers.len() / 2]
    };
    (0..answers.first().map_or(0, Vec::len)).map(median).collect()
}

/// Prints the numbers for the parent process.
pub(crate) fn tell(words: &[&str], numbers: Option<Vec<f64>>) -> io::Result<()> {
    let numbers = numbers.ok_or_else(|| io::Error::other(format!("no such measurement: {words:?}")))?;
    for number in numbers {
        println!("{number}");
    }
    Ok(())
}

/// Parses a number among the words.
pub(crate) fn number(word: &str) -> io::Result<u64> {
    word.parse().map_err(io::Error::other)
}
