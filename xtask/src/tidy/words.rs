//! Words that must not stand anywhere in the project.

use super::{Finding, Text};

/// In parts, or they would stand here.
const WORDS: [(&str, &str); 6] = [
    (concat!("/wo", "rk/"), "a path of one machine"),
    (concat!("to", "do!("), "finish it"),
    (concat!("unimpl", "emented!("), "finish it"),
    (concat!("FIX", "ME"), "fix it"),
    (concat!("XX", "X"), "say what is meant"),
    (concat!("#[ig", "nore]"), "give the reason: `ignore = \"…\"`"),
];

/// The one place that knows the machine, and what cargo writes.
const FREE: [&str; 2] = [".ci/run", "Cargo.lock"];

pub(super) fn check(texts: &[Text]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for text in texts.iter().filter(|text| !FREE.contains(&text.name.as_str())) {
        for (number, line) in (1..).zip(text.text.lines()) {
            for (word, advice) in WORDS.iter().filter(|(word, _)| stands(line, word)) {
                findings.push(Finding::new(&text.name, number, format!("`{word}`: {advice}")));
            }
        }
    }
    findings
}

/// Whether `word` stands in `line` as a word of its own.
fn stands(line: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = word.starts_with(part) && line[..at].ends_with(part);
        let after = word.ends_with(part) && line[at + word.len()..].starts_with(part);
        !before && !after
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::project;
    use super::*;

    #[test]
    fn every_word_is_found_where_it_stands() {
        for (word, _) in WORDS {
            let text = format!("fine\nnot {word} here");
            let found = check(&project(&[("README.md", &text), (".ci/run", &text)]));
            assert_eq!(found.len(), 1, "{word}");
            assert_eq!((found[0].file.as_str(), found[0].line), ("README.md", 2));
        }
    }

    #[test]
    fn parts_of_longer_words_are_not() {
        let fine = ["TO", "DO_LIST A", "XX", "XA PRE", "FIX", "MENOT #[ig", "nore = \"slow\"]"].concat();
        assert_eq!(check(&project(&[("a.rs", &fine)])), []);
    }
}
