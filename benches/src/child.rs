//! Processes of their own, for what an earlier measurement would leave its traces in: memory
//! that was given back, pages that are there already, threads that still run.

use std::io;
use std::process::{Command, Stdio};

/// Asks this program's child to measure; it answers with numbers.
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

/// Asks several times, and tells the median of each number: a moment in which the machine did
/// something else (a virtual one is charged for it) comes in one child, what is the limiter's in
/// all.
pub(crate) fn ask_again(times: usize, words: &[&str]) -> io::Result<Vec<f64>> {
    let answers = (0..times.max(1)).map(|_| ask(words)).collect::<io::Result<Vec<_>>>()?;
    let median = |place: usize| {
        let mut numbers: Vec<f64> = answers.iter().filter_map(|answer| answer.get(place)).copied().collect();
        numbers.sort_by(f64::total_cmp);
        numbers[numbers.len() / 2]
    };
    Ok((0..answers[0].len()).map(median).collect())
}

/// Answers whoever asked.
pub(crate) fn tell(words: &[&str], numbers: Option<Vec<f64>>) -> io::Result<()> {
    let numbers = numbers.ok_or_else(|| io::Error::other(format!("no such measurement: {words:?}")))?;
    for number in numbers {
        println!("{number}");
    }
    Ok(())
}

/// A number among the words.
pub(crate) fn number(word: &str) -> io::Result<u64> {
    word.parse().map_err(io::Error::other)
}
