//! The floors of ARCHITECTURE.md: a file imports from its own floor or from a lower one. The floors
//! also have rules for atomics, clocks, std and floats.
//!
//! Clippy's `disallowed-types` cannot replace these searches: for clippy, `crate::sync::Mutex` and
//! `std::sync::Mutex` are one type, and its configuration applies to every folder alike.

use std::collections::BTreeMap;

use super::code::{Source, is_in_name, names, sources};
use super::{Finding, Text};

/// Every module at the root of the core, and its floor. `lib.rs` is on none.
const FLOORS: [(&str, u8); 17] = [
    ("sync", 0),
    ("word", 1),
    ("quota", 1),
    ("tokens", 1),
    ("error", 1),
    ("clock", 1),
    ("algorithm", 2),
    ("cell", 3),
    ("table", 4),
    ("queue", 4),
    ("permits", 4),
    ("stats", 4),
    ("limiter", 5),
    ("concurrency", 5),
    ("composite", 6),
    ("adaptive", 6),
    ("model", 7),
];

/// A path of which most modules may import little.
struct Restricted {
    path: &'static str,
    /// The names that every module may import.
    free: &'static [&'static str],
    /// The modules that may import every name.
    exempt: &'static [&'static str],
    advice: &'static str,
}

impl Restricted {
    /// A path to locks, atomics or threads, which the models replace.
    const fn unseen(path: &'static str, free: &'static [&'static str]) -> Self {
        let advice = "go through crate::sync, or the models do not see it";
        Restricted { path, free, exempt: &["sync", "clock"], advice }
    }
}

const RESTRICTED: [Restricted; 7] = [
    Restricted::unseen("std::sync", &["Arc", "Weak"]),
    Restricted::unseen("core::sync", &[]),
    Restricted::unseen("std::thread", &[]),
    Restricted::unseen("std::hint", &["black_box"]),
    Restricted::unseen("core::hint", &["black_box"]),
    Restricted::unseen("loom", &[]),
    Restricted {
        path: "crate::sync",
        free: &["const_unless_loom"],
        exempt: &["sync", "clock", "cell", "table", "queue", "permits", "stats", "adaptive", "composite", "model"],
        advice: "no atomics and locks here; only in sync, clock, F3, F4, F6 and F7",
    },
];

/// The names of clocks. The trait `Clock` is not among them: a cell reads the clock that the caller passes.
const CLOCKS: [&str; 4] = ["QuantaClock", "Instant", "SystemTime", "quanta"];

/// Returns the modules at the root that exist, with their floors.
pub(super) fn present(texts: &[Text]) -> BTreeMap<&str, u8> {
    let names = sources(texts).into_iter().map(|source| root_module(source.file));
    names.filter_map(|name| Some((name, floor(name)?))).collect()
}

pub(super) fn check(texts: &[Text]) -> Vec<Finding> {
    sources(texts).iter().flat_map(check_file).collect()
}

fn check_file(source: &Source<'_>) -> Vec<Finding> {
    let home = root_module(source.file);
    let new = |line, text| Finding::new(source.file, line, text);
    let Some(own) = floor(home) else {
        return vec![new(0, "is on no floor: give it one in xtask/src/tidy/floors.rs".to_owned())];
    };
    let mut findings = Vec::new();
    for (name, line) in names(&source.code, "crate") {
        match floor(name) {
            Some(theirs) if theirs > own => {
                findings.push(new(line, format!("F{own} imports `crate::{name}`, which is F{theirs}")));
            }
            None if !name.is_empty() => {
                findings.push(new(line, format!("`crate::{name}` goes through the root: name the module it lives in")));
            }
            _ => {}
        }
    }
    let is_at_root = !source.file.trim_end_matches("/mod.rs").trim_start_matches("src/").contains('/');
    for (name, line) in names(&source.code, "super") {
        if name == "super" || (is_at_root && !name.is_empty()) {
            findings.push(new(line, format!("`super::{name}` leaves the folder: write `crate::…`")));
        }
    }
    for rule in RESTRICTED.iter().filter(|rule| !rule.exempt.contains(&home)) {
        for (name, line) in names(&source.code, rule.path) {
            if !rule.free.contains(&name) {
                let path = format!("{}::{name}", rule.path);
                findings.push(new(line, format!("`{}`: {}", path.trim_end_matches("::"), rule.advice)));
            }
        }
    }
    for (number, line) in (1..).zip(source.code.lines()) {
        findings.extend(check_line(home, own, line).into_iter().map(|text| new(number, text)));
    }
    findings
}

fn check_line(home: &str, own: u8, line: &str) -> Vec<String> {
    let mut found = Vec::new();
    if ["std::{", "core::{", "crate::{"].iter().any(|group| line.contains(group)) {
        found.push("one `use` for each module, so that the rules of the floors can be checked".to_owned());
    }
    let is_pure = home == "word" || own == 2;
    if is_pure && line.contains("std::") {
        found.push("no std here".to_owned());
    }
    if is_pure && has_float(line) {
        found.push("no floats here".to_owned());
    }
    if (2..=4).contains(&own) {
        let clocks = line.split(|c| !is_in_name(c)).filter(|word| CLOCKS.contains(word));
        found.extend(clocks.map(|clock| format!("`{clock}`: no clock is chosen here; the caller passes it")));
    }
    found
}

/// Whether the line has a float, such as `0.5`. The fields `pair.0.1` are none.
fn has_float(line: &str) -> bool {
    line.contains("f32")
        || line.contains("f64")
        || line.match_indices('.').any(|(at, _)| {
            let is_digit = |c: char| c.is_ascii_digit();
            let before = line[..at].trim_end_matches(|c| is_digit(c) || c == '_');
            let is_number = line[before.len()..at].starts_with(is_digit) && line[at + 1..].starts_with(is_digit);
            is_number && !before.ends_with(|c| c == '.' || is_in_name(c))
        })
}

fn floor(module: &str) -> Option<u8> {
    FLOORS.iter().find(|(name, _)| *name == module).map(|&(_, floor)| floor)
}

/// Returns the module at the root to which a file of the core belongs.
fn root_module(file: &str) -> &str {
    let path = file.trim_start_matches("src/").trim_end_matches(".rs");
    path.split('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::super::tests::project;
    use super::*;

    fn found(file: &str, source: &str) -> Vec<String> {
        check(&project(&[(file, source)])).iter().map(Finding::to_string).collect()
    }

    #[test]
    fn an_upward_import_is_found() {
        for import in ["use crate::limiter::RateLimiter;", "use crate::limiter;", "fn f() -> crate::limiter::X {}"] {
            let source = format!("use crate::word::Word;\n{import}\n");
            let found = found("src/cell/word_cell.rs", &source);
            assert_eq!(found, ["src/cell/word_cell.rs:2: F3 imports `crate::limiter`, which is F5"], "{import}");
        }
    }

    #[test]
    fn imports_from_below_and_beside_are_fine() {
        let source = "use crate::sync::{AtomicU64, Ordering, const_unless_loom};\nuse crate::algorithm::token_bucket;";
        assert_eq!(found("src/cell/mod.rs", source), [""; 0]);
        assert_eq!(found("src/tokens.rs", "use crate::error::TokensError;"), [""; 0]);
        assert_eq!(found("src/word/layout.rs", "use super::earned::Earned;\npub(in crate::limiter) x"), [""; 0]);
        assert_eq!(found("src/lib.rs", "pub use model::*;"), [""; 0]);
        assert_eq!(found("xtask/src/cell.rs", "use crate::limiter::X;"), [""; 0]);
    }

    #[test]
    fn the_root_is_no_way_round() {
        for import in ["use crate::RateLimiter;", "use crate::*;", "use super::limiter::X;", "use super::*;"] {
            assert_eq!(found("src/cell/mod.rs", import).len(), 1, "{import}");
        }
        assert_eq!(found("src/word/layout.rs", "use super::super::limiter::X;").len(), 1);
        assert_eq!(found("src/limiter/mod.rs", "use crate::{word::Word, sync::AtomicU64};").len(), 1);
    }

    #[test]
    fn atomics_stay_where_they_may_be() {
        assert_eq!(found("src/limiter/mod.rs", "use crate::sync::{AtomicU64, const_unless_loom};").len(), 1);
        assert_eq!(found("src/limiter/mod.rs", "use std::sync::atomic::AtomicU64;").len(), 1);
        assert_eq!(found("src/limiter/mod.rs", "use std::sync::{Arc, Weak};").len(), 0);
        assert_eq!(found("src/cell/mod.rs", "use core::sync::atomic::AtomicU64;").len(), 1);
        assert_eq!(found("src/queue/mod.rs", "use std::sync::{Arc, Mutex};").len(), 1);
        assert_eq!(found("src/queue/mod.rs", "use std::sync;").len(), 1);
        assert_eq!(found("src/queue/mod.rs", "use std::thread;").len(), 1);
        assert_eq!(found("src/clock/tsc.rs", "use std::sync::atomic::AtomicU64;").len(), 0);
    }

    #[test]
    fn the_arithmetic_is_pure() {
        for impure in ["use std::time::Duration;", "fn f(x: f64) {}", "fn f() { g(0.5) }", "const A: X = x(1_0.0_1);"] {
            assert_eq!(found("src/word/earned.rs", impure).len(), 1, "{impure}");
            assert_eq!(found("src/algorithm/token_bucket.rs", impure).len(), 1, "{impure}");
            assert_eq!(found("src/quota/mod.rs", impure).len(), 0, "{impure}");
        }
        assert_eq!(found("src/word/earned.rs", "fn f() { x.0.1; y1.0; 0..5; 1_000u64; 0xfe; }"), [""; 0]);
    }

    #[test]
    fn no_clock_is_read_below_the_limiters() {
        assert_eq!(found("src/cell/mod.rs", "use crate::clock::QuantaClock;").len(), 1);
        assert_eq!(found("src/table/mod.rs", "fn f() { std::time::Instant::now() }").len(), 1);
        assert_eq!(found("src/limiter/mod.rs", "use crate::clock::QuantaClock;").len(), 0);
    }

    #[test]
    fn a_module_without_a_floor_is_found() {
        assert_eq!(found("src/new.rs", "struct New;").len(), 1);
    }

    #[test]
    fn tests_may_import_anything() {
        let source = "#[cfg(test)]\nmod tests {\n    use crate::limiter::X;\n    fn f() { g(0.5) }\n}\n";
        assert_eq!(found("src/word/mod.rs", source), [""; 0]);
        assert_eq!(found("src/word/tests.rs", "use crate::limiter::X;"), [""; 0]);
    }
}
