//! The floors of ARCHITECTURE.md: a file imports from its own floor or a lower one.

use std::collections::BTreeMap;

use super::lexed::Lexed;
use super::{Finding, Text};

/// Every module at the root of the core, and its floor. `lib.rs` stands on none.
const FLOORS: [(&str, u8); 12] = [
    ("sync", 0),
    ("word", 1),
    ("quota", 1),
    ("tokens", 1),
    ("decimal", 1),
    ("error", 1),
    ("clock", 1),
    ("algorithm", 2),
    ("cell", 3),
    ("table", 4),
    ("queue", 4),
    ("limiter", 5),
];

/// What makes a module wait, or see another thread's writes. The models have to see it, so it
/// comes through `sync`.
const PRIMITIVES: [&str; 9] =
    ["atomic", "Mutex", "RwLock", "Condvar", "Barrier", "Once", "OnceLock", "LazyLock", "mpsc"];

/// What is in `sync` beside those.
const PLAIN: [&str; 1] = ["const_unless_loom"];

/// What reads a clock.
const CLOCKS: [&str; 5] = ["Clock", "QuantaClock", "Instant", "SystemTime", "quanta"];

/// The modules at the root that exist, with their floors.
pub(super) fn present(texts: &[Text]) -> BTreeMap<&str, u8> {
    texts.iter().filter_map(|text| root_module(&text.name)).filter_map(|name| Some((name, floor(name)?))).collect()
}

pub(super) fn check(texts: &[Text]) -> Vec<Finding> {
    let (mut findings, mut files) = (Vec::new(), Vec::new());
    for text in texts.iter().filter(|text| root_module(&text.name).is_some()) {
        let module = module(&text.name);
        match Lexed::read(&module, &text.text) {
            Ok(lexed) => files.push((text, module, lexed)),
            Err(error) => findings.push(Finding::new(&text.name, 0, format!("cannot be read: {error}"))),
        }
    }
    let tests: Vec<_> = files.iter().flat_map(|(_, _, lexed)| lexed.test_modules.clone()).collect();
    for (text, module, lexed) in &files {
        if !tests.iter().any(|test| module.starts_with(test)) {
            check_file(text, module, lexed, &mut findings);
        }
    }
    findings
}

fn check_file(text: &Text, module: &[String], lexed: &Lexed, findings: &mut Vec<Finding>) {
    let mut find = |line: usize, what: String| findings.push(Finding::new(&text.name, line, what));
    let home = module[0].as_str();
    let Some(own) = floor(home) else {
        // Documentation, without a line of code, needs none.
        if !(lexed.paths.is_empty() && lexed.names.is_empty()) {
            find(0, "stands on no floor: give it one in xtask/src/tidy/floors.rs".to_owned());
        }
        return;
    };
    let shares = home == "clock" || matches!(own, 0 | 3 | 4);
    let outside = matches!(home, "sync" | "clock");
    let pure = home == "word" || own == 2;
    for (path, line) in &lexed.paths {
        let shown = path.join("::");
        let segments: Vec<&str> = path.iter().map(String::as_str).collect();
        match segments[..] {
            ["crate", "sync", name, ..] if !PLAIN.contains(&name) && !shares => {
                find(*line, format!("`{shown}`: no atomics here; only in sync, clock, F3 and F4"));
            }
            ["crate", name, ..] => match floor(name) {
                Some(theirs) if theirs > own => {
                    find(*line, format!("F{own} imports `{shown}`, which is F{theirs}"));
                }
                Some(_) => {}
                None => find(*line, format!("`{shown}` goes through the root: name the module it lives in")),
            },
            ["std" | "core", "sync", name, ..] if PRIMITIVES.contains(&name) && !outside => {
                find(*line, format!("`{shown}`: go through crate::sync, or the models do not see it"));
            }
            ["std", "thread", ..] | ["std" | "core", "hint", "spin_loop"] | ["loom", ..] if !outside => {
                find(*line, format!("`{shown}`: go through crate::sync, or the models do not see it"));
            }
            ["std", ..] if pure => find(*line, format!("`{shown}`: no std here")),
            _ => {}
        }
    }
    for (name, line) in &lexed.names {
        match name.as_str() {
            "f32" | "f64" if pure => find(*line, format!("`{name}`: no floats here")),
            clock if (2..=4).contains(&own) && CLOCKS.contains(&clock) => {
                find(*line, format!("`{clock}`: no clock is read here; the caller passes the time"));
            }
            _ => {}
        }
    }
    if pure {
        for (float, line) in &lexed.floats {
            find(*line, format!("`{float}`: no floats here"));
        }
    }
}

fn floor(module: &str) -> Option<u8> {
    FLOORS.iter().find(|(name, _)| *name == module).map(|&(_, floor)| floor)
}

/// The module at the root that a file belongs to; `None` outside the core, and for `lib.rs`.
fn root_module(file: &str) -> Option<&str> {
    let path = file.strip_prefix("src/")?.strip_suffix(".rs")?;
    let name = path.split('/').next()?;
    (path != "lib").then_some(name)
}

fn module(file: &str) -> Vec<String> {
    let path = file.trim_start_matches("src/").trim_end_matches(".rs").trim_end_matches("/mod");
    path.split('/').map(str::to_owned).collect()
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
        for import in ["use crate::limiter::RateLimiter;", "use super::limiter::RateLimiter;", "use crate::{limiter};"]
        {
            let source = format!("use crate::word::Word;\n{import}\n");
            let found = found("src/cell.rs", &source);
            assert_eq!(found.len(), 1, "{import}: {found:?}");
            assert!(found[0].starts_with("src/cell.rs:2: F3 imports `crate::limiter"), "{found:?}");
        }
    }

    #[test]
    fn an_import_up_from_a_folder_is_found() {
        let found = found("src/word/layout.rs", "fn f() { super::super::cell::g() }");
        assert_eq!(found, ["src/word/layout.rs:1: F1 imports `crate::cell::g`, which is F3"]);
    }

    #[test]
    fn imports_from_below_and_beside_are_fine() {
        let source = "use crate::sync::{AtomicU64, Ordering, const_unless_loom};\nuse crate::algorithm::token_bucket;";
        assert!(found("src/cell.rs", source).is_empty());
        assert!(found("src/tokens.rs", "use crate::error::TokensError;").is_empty());
        assert!(found("src/lib.rs", "pub use model::*;").is_empty());
        assert!(found("xtask/src/cell.rs", "use crate::limiter::X;").is_empty());
    }

    #[test]
    fn the_root_is_not_a_way_round() {
        assert_eq!(found("src/cell.rs", "use crate::RateLimiter;").len(), 1);
        assert_eq!(found("src/cell.rs", "use crate::*;").len(), 1);
        assert_eq!(found("src/cell.rs", "use super::*;").len(), 1);
    }

    #[test]
    fn atomics_stay_where_they_may_be() {
        assert_eq!(found("src/limiter/mod.rs", "use crate::sync::{AtomicU64, const_unless_loom};").len(), 1);
        assert_eq!(found("src/limiter/mod.rs", "use std::sync::atomic::AtomicU64;").len(), 1);
        assert_eq!(found("src/limiter/mod.rs", "use std::sync::Arc;").len(), 0);
        assert_eq!(found("src/cell.rs", "use core::sync::atomic::AtomicU64;").len(), 1);
        assert_eq!(found("src/wait/mod.rs", "use std::sync::{Arc, Mutex};").len(), 1);
        assert_eq!(found("src/clock/tsc.rs", "use std::sync::atomic::AtomicU64;").len(), 0);
    }

    #[test]
    fn the_arithmetic_is_pure() {
        for impure in ["use std::time::Duration;", "fn f(x: f64) {}", "fn f() { g(0.5) }"] {
            assert_eq!(found("src/word/earned.rs", impure).len(), 1, "{impure}");
            assert_eq!(found("src/algorithm/token_bucket.rs", impure).len(), 1, "{impure}");
            assert_eq!(found("src/quota/mod.rs", impure).len(), 0, "{impure}");
        }
    }

    #[test]
    fn no_clock_is_read_below_the_limiters() {
        assert_eq!(found("src/cell.rs", "use crate::clock::Clock;").len(), 1);
        assert_eq!(found("src/wait/mod.rs", "fn f() { std::time::Instant::now() }").len(), 1);
        assert_eq!(found("src/limiter/mod.rs", "use crate::clock::Clock;").len(), 0);
    }

    #[test]
    fn a_module_without_a_floor_is_found_unless_it_is_only_documentation() {
        assert_eq!(found("src/new.rs", "struct New;").len(), 1);
        assert_eq!(found("src/internals.rs", "//! See [`crate::limiter`].\n#![doc = \"x\"]").len(), 0);
    }

    #[test]
    fn tests_may_import_anything() {
        let parent = ("src/word/mod.rs", "#[cfg(test)] mod props;\n#[cfg(test)] mod tests { use crate::limiter::X; }");
        let props = ("src/word/props.rs", "use crate::limiter::X; use std::vec::Vec; fn f() { g(0.5) }");
        assert_eq!(check(&project(&[parent, props])), []);
    }
}
