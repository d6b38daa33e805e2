//! `tidy`: the rules that the compiler does not check.

mod circles;
mod code;
mod floors;
mod prose;
mod words;

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::call::Reported;

/// Something that breaks a rule, or asks a question.
#[derive(Debug, PartialEq)]
pub(crate) struct Finding {
    /// From the root, with `/`.
    file: String,
    /// Zero where it is the whole file.
    line: usize,
    text: String,
    /// A question is shown, and fails nothing.
    question: bool,
}

impl Finding {
    fn new(file: &str, line: usize, text: String) -> Self {
        Finding { file: file.to_owned(), line, text, question: false }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.question {
            f.write_str("question: ")?;
        }
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        write!(f, ": {}", self.text)
    }
}

/// A text file of the project.
struct Text {
    /// From the root, with `/`.
    name: String,
    text: String,
}

pub(crate) fn verb(root: &Path) -> Result<()> {
    let texts = texts(root)?;
    let mut findings = prose::check(&texts);
    let counts = prose::counts(&findings);
    findings.extend(lengths(&texts));
    findings.extend(circles::check(&texts));
    findings.extend(floors::check(&texts));
    findings.extend(words::check(&texts));
    findings.extend(documents(&texts));
    // The failures are last, next to their number.
    findings.sort_by_key(|finding| !finding.question);
    for finding in &findings {
        println!("{finding}");
    }
    print!("{counts}");
    let broken = findings.iter().filter(|finding| !finding.question).count();
    println!("tidy: {} files, {broken} findings, {} questions", texts.len(), findings.len() - broken);
    if broken == 0 { Ok(()) } else { Err(Reported.into()) }
}

/// All of the project's text, without what is built.
fn texts(root: &Path) -> Result<Vec<Text>> {
    let (mut texts, mut folders) = (Vec::new(), vec![root.to_owned()]);
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
        for entry in entries {
            let (path, kind) = entry.and_then(|entry| Ok((entry.path(), entry.file_type()?)))?;
            let built = path.file_name().is_some_and(|name| name == "target" || name == ".git");
            match () {
                () if built => {}
                () if kind.is_dir() => folders.push(path),
                () if kind.is_file() => texts.extend(text(root, &path)?),
                () => {}
            }
        }
    }
    texts.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(texts)
}

/// `None` for what is not text.
fn text(root: &Path, path: &PathBuf) -> Result<Option<Text>> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let name = path.strip_prefix(root).unwrap_or(path).to_string_lossy().replace('\\', "/");
    Ok(String::from_utf8(bytes).ok().map(|text| Text { name, text }))
}

/// A long file asks to be split.
fn lengths(texts: &[Text]) -> Vec<Finding> {
    const LONG: usize = 600;
    let long = |text: &&Text| text.name.starts_with("src/") && text.name.ends_with(".rs");
    let ask = |text: &Text| {
        let lines = text.text.lines().count();
        let question = format!("{lines} lines: should it be split?");
        (lines > LONG).then(|| Finding { question: true, ..Finding::new(&text.name, 0, question) })
    };
    texts.iter().filter(long).filter_map(ask).collect()
}

/// What the documents promise: the README's examples are compiled, and ARCHITECTURE.md draws
/// every module that exists.
fn documents(texts: &[Text]) -> Vec<Finding> {
    let find = |name: &str| texts.iter().find(|text| text.name == name);
    let mut findings = Vec::new();
    let compiled = find("src/lib.rs").is_some_and(|lib| lib.text.contains("include_str!(\"../README.md\")"));
    if find("README.md").is_some() && !compiled {
        let text = "its examples are not compiled: include it in src/lib.rs, as doc tests".to_owned();
        findings.push(Finding::new("README.md", 0, text));
    }
    let Some(map) = find("ARCHITECTURE.md") else { return findings };
    for (module, floor) in floors::present(texts) {
        let drawn = |line: &str| {
            let mut words = line.split_whitespace();
            let name = words.next().map(|word| word.trim_end_matches('/').trim_end_matches(".rs"));
            name == Some(module) && words.next() == Some(&format!("F{floor}"))
        };
        if !map.text.lines().any(drawn) {
            findings.push(Finding::new(&map.name, 0, format!("does not draw `{module}` on floor F{floor}")));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) fn project(files: &[(&str, &str)]) -> Vec<Text> {
        let text = |&(name, text): &(&str, &str)| Text { name: name.to_owned(), text: text.to_owned() };
        files.iter().map(text).collect()
    }

    #[test]
    fn a_long_file_is_a_question() {
        let long = "//\n".repeat(601);
        let found = lengths(&project(&[("src/cell.rs", &long), ("src/sync.rs", "//\n"), ("tests/it.rs", &long)]));
        assert_eq!(found.len(), 1);
        assert!(found[0].question);
        assert_eq!(found[0].to_string(), "question: src/cell.rs: 601 lines: should it be split?");
    }

    #[test]
    fn what_is_not_drawn_or_compiled_is_found() {
        let lib = ("src/lib.rs", "#[cfg(doctest)]\n#[doc = include_str!(\"../README.md\")]\nstruct Readme;");
        let readme = ("README.md", "");
        let cell = ("src/cell.rs", "struct Cell;");
        let drawn = ("ARCHITECTURE.md", "cell.rs  F3  the word");
        assert_eq!(documents(&project(&[lib, readme, cell, drawn])), []);
        let wrong = documents(&project(&[readme, cell, ("ARCHITECTURE.md", "cell.rs  F2  the word")]));
        assert_eq!(wrong.len(), 2, "{wrong:?}");
    }
}
