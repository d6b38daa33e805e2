//! The binary from outside: its output and its errors.

mod access;
mod clients;
mod compare;
mod encoding;
mod explain;
mod gzip;
mod input;
mod keys;
mod llm;
mod measuring;
mod order;
mod outliers;
#[cfg(feature = "redis")]
mod redis_server;
mod refused;
mod several;
mod table;
mod timeline;
mod traces;
mod users;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

fn brimful(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_brimful")).args(args).stdin(Stdio::null()).output().expect("the binary runs")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("the output is text")
}

/// Writes a file for one test.
fn log(name: &str, content: impl AsRef<[u8]>) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, content).expect("the target directory is writable");
    path
}

fn name(path: &Path) -> &str {
    path.to_str().expect("a path that is text")
}

fn line(host: &str, stamp: &str) -> String {
    format!("{host} - - [{stamp}] \"GET / HTTP/1.1\" 200 12 \"-\" \"agent\"\n")
}

/// Returns the JSON object that `simulate` prints with these options and files.
fn found(args: &[&str]) -> Value {
    let output = brimful(&[&["simulate", "--json"], args].concat());
    assert_eq!(output.status.code(), Some(0), "{args:?}: {}", text(&output.stderr));
    assert_eq!(text(&output.stderr), "");
    serde_json::from_slice(&output.stdout).expect("one JSON object")
}

fn simulate(quota: &str, key: &str, path: &Path) -> Value {
    found(&["--quota", quota, "--key", key, name(path)])
}

/// Asserts that these are the values of these fields.
#[track_caller]
fn assert_fields<const N: usize>(found: &Value, expected: [(&str, u64); N]) {
    for (name, number) in expected {
        assert_eq!(found[name], number, "{name}: {found:#}");
    }
}

/// Asserts that the program fails with `code`, prints nothing and gives the reason once.
#[track_caller]
fn refuses(args: &[&str], code: i32, reason: &str) {
    let output = brimful(args);
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{args:?}: {err}");
    assert_eq!(out, "", "{args:?}");
    assert!(err.starts_with("brimful: ") && err.contains(reason), "{args:?}: {err}");
    assert!(!err.contains("panicked") && err.lines().count() <= 3, "{args:?}: {err}");
}
