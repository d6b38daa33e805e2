//! The oldest Rust and the oldest dependencies that the manifest states, and the sets of features.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::call::{Call, output, root, target_dir};
use crate::ci::Outcome;

/// All sets of features that differ: `tokio`, `metrics` and `tracing` imply `std`, and have no code in common with
/// other features.
pub(crate) const FEATURES: [&str; 8] = ["", "serde", "std", "std,serde", "tokio", "tokio,serde", "metrics", "tracing"];

/// Builds the libraries and the command line with the oldest Rust that the manifest states. Skipped if
/// rustup does not have that toolchain: the task installs nothing.
pub(crate) fn oldest_rust() -> Result<Outcome> {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).context("cannot read Cargo.toml")?;
    let version = rust_version(&manifest).context("Cargo.toml states no rust-version")?;
    let installed = output("rustup", &["toolchain", "list"]).unwrap_or_default();
    let Some(toolchain) = toolchain(&installed, version) else {
        return Ok(Outcome::Skipped(format!(
            "no build with Rust {version} was made, only clippy's check of the standard library: \
             `rustup toolchain install {version}`"
        )));
    };
    let toolchain = format!("+{toolchain}");
    let check = |args: &[&str]| Call::cargo([&toolchain, "check"]).args(args).check();
    check(&["-p", "brimful", "-p", "brimful-cli", "-p", "brimful-redis", "-p", "brimful-tower", "--all-features"])?;
    check(&["-p", "brimful", "--lib", "--no-default-features"])?;
    Ok(Outcome::Good)
}

/// Returns the `rust-version` of a manifest.
pub(crate) fn rust_version(manifest: &str) -> Option<&str> {
    let line = manifest.lines().find_map(|line| line.strip_prefix("rust-version = "))?;
    Some(line.trim_matches('"'))
}

/// Returns the toolchain for `version` from the list that rustup prints.
fn toolchain<'a>(installed: &'a str, version: &str) -> Option<&'a str> {
    let mut names = installed.lines().filter_map(|line| line.split_whitespace().next());
    names.find(|name| name.strip_prefix(version).is_some_and(|rest| rest.starts_with(['-', '.'])))
}

/// The libraries beside `brimful` that are built with the oldest versions of their dependencies.
const ADAPTERS: [&str; 2] = ["crates/brimful-redis", "crates/brimful-tower"];

/// Builds the libraries with the oldest versions of their dependencies. The build uses a copy of the libraries
/// without tests and other members, because their dependencies may need newer versions.
pub(crate) fn minimal() -> Result<bool> {
    let copy = target_dir().join("minimal-versions");
    if copy.exists() {
        fs::remove_dir_all(&copy).context("cannot remove the last copy")?;
    }
    for folder in ADAPTERS.into_iter().chain([""]) {
        let (from, to) = (root().join(folder), copy.join(folder));
        copy_folder(&from.join("src"), &to.join("src"))?;
        fs::copy(from.join("README.md"), to.join("README.md")).context("cannot copy README.md")?;
        let manifest = fs::read_to_string(from.join("Cargo.toml")).context("cannot read Cargo.toml")?;
        fs::write(to.join("Cargo.toml"), alone(&manifest)).context("cannot write Cargo.toml")?;
    }
    // The option is not stable in cargo.
    let at = copy.join("Cargo.toml").display().to_string();
    let chosen = Call::cargo(["update", "-Z", "direct-minimal-versions", "--manifest-path", &at])
        .env("RUSTC_BOOTSTRAP", "1")
        .run()?;
    Ok(chosen && Call::cargo(["check", "--workspace", "--lib", "--all-features", "--manifest-path", &at]).run()?)
}

/// Returns the manifest of a library without tests and without members that are no adapters.
fn alone(manifest: &str) -> String {
    let mut is_kept = true;
    let members = format!("members = {ADAPTERS:?}");
    let kept = manifest.lines().filter(|line| {
        if line.starts_with('[') {
            is_kept = !line.starts_with("[dev-dependencies") && !line.contains("brimful_loom)'.");
        }
        is_kept && !line.starts_with("default-members")
    });
    let kept = kept.map(|line| if line.starts_with("members") { members.as_str() } else { line });
    kept.flat_map(|line| [line, "\n"]).collect()
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("cannot make {}", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target).with_context(|| format!("cannot write {}", target.display()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_toolchain_of_a_version_is_found() {
        let installed = "stable-x86_64-unknown-linux-gnu (active, default)\n1.8.0-x86_64\n1.87.0-x86_64 (override)\n";
        assert_eq!(toolchain(installed, "1.87"), Some("1.87.0-x86_64"));
        assert_eq!(toolchain("1.87-x86_64\n", "1.87"), Some("1.87-x86_64"));
        assert_eq!(toolchain("1.870.0-x86_64\n", "1.87"), None);
        assert_eq!(rust_version("edition = \"2024\"\nrust-version = \"1.87\"\n"), Some("1.87"));
    }

    #[test]
    fn only_the_libraries_are_kept() {
        let manifest =
            "[workspace]\nmembers = [\"a\"]\n[package]\nname = \"b\"\n[dev-dependencies]\nc = \"1\"\n[lints]\n";
        let kept = "[workspace]\nmembers = [\"crates/brimful-redis\", \"crates/brimful-tower\"]\n[package]\nname = \"b\"\n[lints]\n";
        assert_eq!(alone(manifest), kept);
    }
}
