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
use crate::versions::rust_version;

/// Something that breaks a rule, or asks a question.
#[derive(Debug, PartialEq)]
pub(crate) struct Finding {
    /// From the root, with `/`.
    file: String,
    /// Zero for the whole file.
    line: usize,
    text: String,
    /// A question is printed, and does not fail.
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

/// Reads all text files of the project, except what cargo built.
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

/// Reads a file; `None` if it is not text.
fn text(root: &Path, path: &PathBuf) -> Result<Option<Text>> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let name = path.strip_prefix(root).unwrap_or(path).to_string_lossy().replace('\\', "/");
    Ok(String::from_utf8(bytes).ok().map(|text| Text { name, text }))
}

/// Asks whether a long file should be split.
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

/// The command that README.md gives for the tests. The script `.ci/run` contains the same line, so that
/// the command in README.md is tested.
const TEST_COMMAND: &str = "cargo xtask test";

/// Checks what the documents state: the README's examples are compiled, the command for the tests is the
/// one that `.ci/run` runs, and ARCHITECTURE.md has every module that exists.
fn documents(texts: &[Text]) -> Vec<Finding> {
    let find = |name: &str| texts.iter().find(|text| text.name == name);
    let mut findings = Vec::new();
    let compiled = find("src/lib.rs").is_some_and(|lib| lib.text.contains("include_str!(\"../README.md\")"));
    if find("README.md").is_some() && !compiled {
        let text = "its examples are not compiled: include it in src/lib.rs, as doc tests".to_owned();
        findings.push(Finding::new("README.md", 0, text));
    }
    let is_named = find("README.md").is_none_or(|text| text.text.contains(&format!("`{TEST_COMMAND}`")));
    let is_run = find(".ci/run").is_none_or(|text| text.text.lines().any(|line| line == TEST_COMMAND));
    for (file, good) in [("README.md", is_named), (".ci/run", is_run)] {
        if !good {
            findings.push(Finding::new(file, 0, format!("does not have the command for the tests, `{TEST_COMMAND}`")));
        }
    }
    if let Some(version) = find("Cargo.toml").and_then(|manifest| rust_version(&manifest.text)) {
        for text in ["README.md", "clippy.toml"].into_iter().filter_map(find) {
            if !text.text.contains(version) {
                let other = format!("does not have the minimum Rust version of Cargo.toml, {version}");
                findings.push(Finding::new(&text.name, 0, other));
            }
        }
    }
    let Some(map) = find("ARCHITECTURE.md") else { return findings };
    for (module, floor) in floors::present(texts) {
        let is_drawn = |line: &str| {
            let mut words = line.split_whitespace();
            let name = words.next().map(|word| word.trim_end_matches('/').trim_end_matches(".rs"));
            name == Some(module) && words.next() == Some(&format!("F{floor}"))
        };
        if !map.text.lines().any(is_drawn) {
            findings.push(Finding::new(&map.name, 0, format!("does not have `{module}` on floor F{floor}")));
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
    fn modules_off_the_map_and_examples_that_are_not_compiled_are_found() {
        let lib = ("src/lib.rs", "#[cfg(doctest)]\n#[doc = include_str!(\"../README.md\")]\nstruct Readme;");
        let readme = ("README.md", "run `cargo xtask test`");
        let cell = ("src/cell.rs", "struct Cell;");
        let drawn = ("ARCHITECTURE.md", "cell.rs  F3  the word");
        assert_eq!(documents(&project(&[lib, readme, cell, drawn])), []);
        let wrong = documents(&project(&[readme, cell, ("ARCHITECTURE.md", "cell.rs  F2  the word")]));
        assert_eq!(wrong.len(), 2, "{wrong:?}");
    }

    #[test]
    fn another_minimum_rust_version_is_found() {
        let (manifest, clippy) = (("Cargo.toml", "rust-version = \"1.87\""), ("clippy.toml", "msrv = \"1.85\""));
        assert_eq!(documents(&project(&[manifest, clippy])).len(), 1);
    }

    #[test]
    fn readme_and_ci_have_one_command_for_the_tests() {
        let lib = ("src/lib.rs", "#[doc = include_str!(\"../README.md\")]");
        let (readme, run) = (("README.md", "run `cargo xtask test`"), (".ci/run", "export A=1\ncargo xtask test\n"));
        assert_eq!(documents(&project(&[lib, readme, run])), []);
        let other = ("README.md", "run `cargo test`");
        assert_eq!(documents(&project(&[lib, other, run]))[0].file, "README.md");
        let with_an_option = (".ci/run", "cargo xtask test --no-skips\n");
        assert_eq!(documents(&project(&[lib, readme, with_an_option]))[0].file, ".ci/run");
    }
}
