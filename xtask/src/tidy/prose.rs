//! Sentences in forms that CONTRIBUTING.md advises against.

use std::collections::BTreeMap;

use super::words::contains_word;
use super::{Finding, Text};

/// Words with which a clause should not begin, and the advice.
const OPENINGS: [(&str, &str); 5] = [
    ("Who ", "name the actor"),
    ("Whoever ", "name the actor"),
    ("What ", "name the thing"),
    ("Where ", "`if` for a condition, `when` for a time"),
    ("where ", "`if` for a condition, `when` for a time, unless it is a place"),
];

/// Words that a sentence should not have, and the advice.
const WORDS: [(&str, &str); 9] = [
    ("somebody", "name the actor: a waiter, another thread"),
    ("nobody", "name the actor: no waiter, no other thread"),
    ("those who", "name the actor"),
    ("tell", "functions return, report or compute"),
    ("tells", "functions return, report or compute"),
    ("told", "functions return, report or compute"),
    ("so many", "write the number, or name it"),
    ("of ours", "name the owner"),
    ("of yours", "name the owner"),
];

/// Asks a question for each such clause and word of a comment or of a document.
pub(super) fn check(texts: &[Text]) -> Vec<Finding> {
    let mut questions = Vec::new();
    for text in texts {
        for (number, line) in (1..).zip(text.text.lines()) {
            let Some(prose) = prose(&text.name, line) else { continue };
            let lower = prose.to_lowercase();
            let openings = OPENINGS.iter().filter(|(opening, _)| opens_with(prose, opening));
            let words = WORDS.iter().filter(|(word, _)| contains_word(&lower, word));
            for (word, advice) in openings.chain(words) {
                let question = format!("`{}`: {advice}", word.trim());
                questions.push(Finding { question: true, ..Finding::new(&text.name, number, question) });
            }
        }
    }
    questions
}

/// Counts the questions by folder, as lines to print. Folders below the second level are counted as one.
pub(super) fn counts(questions: &[Finding]) -> String {
    let mut counts = BTreeMap::new();
    for question in questions {
        let folders = question.file.rsplit_once('/').map_or(".", |(folders, _)| folders);
        let end = folders.match_indices('/').nth(1).map_or(folders.len(), |(at, _)| at);
        *counts.entry(&folders[..end]).or_insert(0) += 1;
    }
    let lines = counts.iter().map(|(folder, count)| format!("prose: {count:>5} {folder}\n"));
    lines.collect::<String>() + &format!("prose: {:>5} questions\n", questions.len())
}

/// Returns the prose of a line: the whole line of a document, or the comment of a program.
fn prose<'a>(name: &str, line: &'a str) -> Option<&'a str> {
    let line = line.trim_start();
    if name.ends_with(".md") {
        // In a document, headings may be questions.
        return (!line.starts_with(['#', '|'])).then_some(line);
    }
    let comment = name.ends_with(".rs").then(|| line.strip_prefix("//"))??;
    Some(comment.trim_start_matches(['/', '!']).trim_start())
}

/// Whether a clause of the line begins with `opening`: at the start of the line or after a full stop if
/// the opening has a capital, after a comma if not.
fn opens_with(prose: &str, opening: &str) -> bool {
    if opening.starts_with(char::is_uppercase) {
        let asks = |rest: &str| rest.split(['.', ':']).next().is_some_and(|sentence| sentence.contains('?'));
        return (prose.starts_with(opening) && !asks(prose)) || prose.contains(&format!(". {opening}"));
    }
    prose.contains(&format!(", {opening}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn questions(name: &str, line: &str) -> usize {
        check(&[Text { name: name.to_owned(), text: line.to_owned() }]).len()
    }

    #[test]
    fn clauses_that_name_no_actor_are_asked_about() {
        assert_eq!(questions("a.rs", "    /// Who waits is served."), 1);
        assert_eq!(questions("a.rs", "//! It is full. What is given back is clipped."), 1);
        assert_eq!(questions("a.md", "Nothing is done, where it is full."), 1);
        assert_eq!(questions("a.md", "A waiter that is due is served. If it is full, nothing is done."), 0);
        assert_eq!(questions("a.md", "## What is a bucket?"), 0);
        assert_eq!(questions("a.rs", "let who = \"Who waits\";"), 0);
    }

    #[test]
    fn words_are_asked_about_in_any_case() {
        assert_eq!(questions("a.rs", "// Nobody waits, and the queue tells it."), 2);
        assert_eq!(questions("a.rs", "// The teller is untold."), 0);
    }

    #[test]
    fn questions_are_counted_by_folder() {
        let question = |file: &str| Finding::new(file, 1, String::new());
        let questions = ["README.md", "src/a.rs", "src/limiter/b.rs", "src/limiter/wait/c.rs"].map(question);
        let expected =
            ["    1 .", "    1 src", "    2 src/limiter", "    4 questions"].map(|line| format!("prose: {line}\n"));
        assert_eq!(counts(&questions), expected.concat());
    }
}
