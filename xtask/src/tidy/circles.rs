//! Inside a folder, imports do not run in circles, and a `mod.rs` only re-exports.

use std::collections::{BTreeMap, BTreeSet};

use super::code::{Source, names, sources};
use super::{Finding, Text};

pub(super) fn check(texts: &[Text]) -> Vec<Finding> {
    let sources = sources(texts);
    let parents = |file| std::iter::successors(Some(file), |file: &&str| Some(file.rsplit_once('/')?.0)).skip(1);
    let folders: BTreeSet<_> = sources.iter().flat_map(|source| parents(source.file)).collect();
    folders.into_iter().flat_map(|folder| Folder::new(folder, &sources).findings()).collect()
}

/// The imports between the files and folders of one folder.
#[derive(Default)]
struct Folder<'a> {
    name: &'a str,
    children: BTreeSet<&'a str>,
    /// The names that `mod.rs` re-exports, each with its child.
    exports: BTreeMap<&'a str, &'a str>,
    /// From a child to another, with the place of the first such import.
    imports: BTreeMap<(&'a str, &'a str), String>,
    /// Imports of names that `mod.rs` defines.
    upward: Vec<Finding>,
}

impl<'a> Folder<'a> {
    fn new(name: &'a str, sources: &'a [Source<'_>]) -> Self {
        let mut folder = Folder { name, ..Folder::default() };
        let inside = |source: &'a Source<'_>| Some((source, source.file.strip_prefix(name)?.strip_prefix('/')?));
        let (own, files): (Vec<_>, Vec<_>) = sources.iter().filter_map(inside).partition(|(_, path)| *path == "mod.rs");
        folder.children = files.iter().map(|(_, path)| child(path)).collect();
        for (source, _) in own {
            for &child in &folder.children {
                let exports = names(&source.code, child).into_iter().filter(|(name, _)| !name.is_empty());
                folder.exports.extend(exports.map(|(name, _)| (name, child)));
            }
        }
        for (source, path) in files {
            folder.read(source, path);
        }
        folder
    }

    fn read(&mut self, source: &'a Source<'_>, path: &'a str) {
        let from = child(path);
        let mut found = names(&source.code, &self.name.replacen("src", "crate", 1).replace('/', "::"));
        if !path.trim_end_matches("/mod.rs").contains('/') {
            found.extend(names(&source.code, "super"));
        }
        let mut upward = BTreeSet::new();
        for (name, line) in found.into_iter().filter(|(name, _)| !["", "super"].contains(name)) {
            match self.children.get(name).or_else(|| self.exports.get(name)) {
                Some(&to) if to == from => {}
                Some(&to) => {
                    self.imports.entry((from, to)).or_insert_with(|| format!("{from} → {to} ({}:{line})", source.file));
                }
                // The floors refuse imports from `lib.rs`.
                None if self.name == "src" => {}
                None => {
                    upward.insert(name);
                }
            }
        }
        if !upward.is_empty() {
            let names = upward.into_iter().collect::<Vec<_>>().join(", ");
            let text = format!("imports from {}/mod.rs, which should only re-export: {names}", self.name);
            self.upward.push(Finding::new(source.file, 0, text));
        }
    }

    /// All children that `from` imports, by way of others too.
    fn reached(&self, from: &str) -> BTreeSet<&'a str> {
        let mut reached = BTreeSet::new();
        let mut next = vec![from];
        while let Some(from) = next.pop() {
            next.extend(self.imports.keys().filter(|(by, to)| *by == from && reached.insert(*to)).map(|(_, to)| *to));
        }
        reached
    }

    /// One finding for each set of children that import each other.
    fn findings(self) -> Vec<Finding> {
        let reached: BTreeMap<_, _> = self.children.iter().map(|&child| (child, self.reached(child))).collect();
        let mut findings = Vec::new();
        for (&first, theirs) in &reached {
            let circle: BTreeSet<_> = theirs.iter().filter(|child| reached[*child].contains(first)).collect();
            if circle.first() == Some(&&first) {
                let inside = self.imports.iter().filter(|((from, to), _)| circle.contains(from) && circle.contains(to));
                let places: Vec<_> = inside.map(|(_, place)| place.as_str()).collect();
                let text = format!("imports run in a circle: {}", places.join(", "));
                findings.push(Finding::new(self.name, 0, text));
            }
        }
        findings.extend(self.upward);
        findings
    }
}

/// The file or the folder, without `.rs`, with which a path begins.
fn child(path: &str) -> &str {
    path.split('/').next().unwrap_or(path).trim_end_matches(".rs")
}

#[cfg(test)]
mod tests {
    use super::super::tests::project;
    use super::*;

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        let findings = check(&project(files));
        findings.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_circle_of_siblings_is_found() {
        let found = found(&[
            ("src/queue/a.rs", "use super::b::B;"),
            ("src/queue/b.rs", "use crate::queue::{c::C, d::D};"),
            ("src/queue/c/mod.rs", "use super::d;"),
            ("src/queue/c/deep.rs", "use crate::queue::a::A;"),
            ("src/queue/d.rs", "use crate::word::Word;"),
        ]);
        let circle = "a → b (src/queue/a.rs:1), b → c (src/queue/b.rs:1), c → a (src/queue/c/deep.rs:1)";
        assert_eq!(found, [format!("src/queue: imports run in a circle: {circle}")]);
    }

    #[test]
    fn a_circle_through_a_re_export_is_found() {
        let found = found(&[
            ("src/queue/mod.rs", "mod a;\nmod b;\n\npub(crate) use a::A;\npub(crate) use b::{B, c::C};"),
            ("src/queue/a.rs", "use super::B;"),
            ("src/queue/b.rs", "use super::{\n    A,\n};"),
        ]);
        let circle = "a → b (src/queue/a.rs:1), b → a (src/queue/b.rs:1)";
        assert_eq!(found, [format!("src/queue: imports run in a circle: {circle}")]);
    }

    #[test]
    fn folders_of_the_core_are_read_as_well() {
        let found = found(&[("src/decimal.rs", "use crate::tokens;"), ("src/tokens.rs", "use crate::decimal::D;")]);
        assert_eq!(found.len(), 1, "{found:?}");
    }

    #[test]
    fn an_import_of_what_mod_rs_defines_is_found() {
        let files =
            [("src/clock/mod.rs", "mod tsc;\npub trait Clock {}"), ("src/clock/tsc.rs", "use super::{B, Clock};")];
        let text = "imports from src/clock/mod.rs, which should only re-export: B, Clock";
        assert_eq!(found(&files), [format!("src/clock/tsc.rs: {text}")]);
    }

    #[test]
    fn imports_that_run_one_way_are_fine() {
        let files = [
            ("src/queue/mod.rs", "mod a;\nmod b;\nmod c;\n\npub(crate) use a::A;\npub(crate) use c::C;"),
            ("src/queue/a.rs", "use super::b::B;\nuse super::C;\npub(super) struct A;"),
            ("src/queue/b.rs", "use super::c::C;\npub(in crate::queue) struct B;"),
            ("src/queue/c.rs", "use crate::word::Word;\n#[cfg(test)]\nmod tests {\n    use super::super::a::A;\n}"),
        ];
        assert_eq!(found(&files), [""; 0]);
    }
}
