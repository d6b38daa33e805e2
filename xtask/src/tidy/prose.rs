//! Sentences in forms that CONTRIBUTING.md advises against.

use super::{Finding, Text};

/// How a clause may not begin, and what to write in its place.
const OPENINGS: [(&str, &str); 5] = [
    ("Who ", "name the actor"),
    ("Whoever ", "name the actor"),
    ("What ", "name the thing"),
    ("Where ", "`if` for a condition, `when` for a time"),
    ("where ", "`if` for a condition, `when` for a time, unless it is a place"),
];

/// Asks at each such clause of a comment or of a document.
pub(super) fn check(texts: &[Text]) -> Vec<Finding> {
    let mut questions = Vec::new();
    for text in texts {
        for (number, line) in (1..).zip(text.text.lines()) {
            let Some(prose) = prose(&text.name, line) else { continue };
            for (opening, advice) in OPENINGS.iter().filter(|(opening, _)| opens_with(prose, opening)) {
                let question = format!("`{}…`: {advice}", opening.trim());
                questions.push(Finding { question: true, ..Finding::new(&text.name, number, question) });
            }
        }
    }
    questions
}

/// The prose of a line: all of a document's, or the comment of a program's.
fn prose<'a>(name: &str, line: &'a str) -> Option<&'a str> {
    let line = line.trim_start();
    if name.ends_with(".md") {
        // Questions are headings there.
        return (!line.starts_with(['#', '|'])).then_some(line);
    }
    let comment = name.ends_with(".rs").then(|| line.strip_prefix("//"))??;
    Some(comment.trim_start_matches(['/', '!']).trim_start())
}

/// Whether a clause of the line begins so: at the line's start or after a full stop, if the opening is
/// capital, or after a comma.
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
}
