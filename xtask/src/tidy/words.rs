//! Words that may not be anywhere in the project.

use super::{Finding, Text};

/// The words and the advice. Each word is put together from parts, so that the check does not find it
/// in this file. Clippy refuses the macros that mark unfinished code: see clippy.toml.
const WORDS: [(&str, &str); 4] = [
    (concat!("/wo", "rk/"), "a path of one machine"),
    (concat!("FIX", "ME"), "fix it"),
    (concat!("XX", "X"), "write the name or the number"),
    (concat!("#[ig", "nore]"), "give the reason: `ignore = \"…\"`"),
];

/// A file that cargo writes.
const FREE: &str = "Cargo.lock";

pub(super) fn check(texts: &[Text]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for text in texts.iter().filter(|text| text.name != FREE) {
        for (number, line) in (1..).zip(text.text.lines()) {
            for (word, advice) in WORDS.iter().filter(|(word, _)| contains_word(line, word)) {
                findings.push(Finding::new(&text.name, number, format!("`{word}`: {advice}")));
            }
        }
    }
    findings
}

/// Whether `line` contains `word` as a whole word.
pub(super) fn contains_word(line: &str, word: &str) -> bool {
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
    fn every_word_is_found_with_its_line() {
        for (word, _) in WORDS {
            let text = format!("fine\nnot {word} here");
            let found = check(&project(&[("README.md", &text), (FREE, &text)]));
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
