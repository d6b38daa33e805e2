//! The oldest dependencies that the library states, and its features one by one.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::call::{Call, root, target_dir};

/// Every set of features, but for those that imply others.
pub(crate) const FEATURES: [&str; 6] = ["", "serde", "std", "std,serde", "tokio", "tokio,serde"];

/// Builds the library with the oldest versions of its dependencies. It is copied first, without what
/// only tests and other members need: their dependencies may ask for newer ones.
pub(crate) fn minimal() -> Result<bool> {
    let copy = target_dir().join("minimal-versions");
    let manifest = fs::read_to_string(root().join("Cargo.toml")).context("cannot read Cargo.toml")?;
    if copy.exists() {
        fs::remove_dir_all(&copy).context("cannot remove the last copy")?;
    }
    copy_folder(&root().join("src"), &copy.join("src"))?;
    fs::copy(root().join("README.md"), copy.join("README.md")).context("cannot copy README.md")?;
    fs::write(copy.join("Cargo.toml"), alone(&manifest)).context("cannot write Cargo.toml")?;
    // Choosing the oldest versions is not stable in cargo.
    let at = copy.join("Cargo.toml").display().to_string();
    let chosen = Call::cargo(["update", "-Z", "direct-minimal-versions", "--manifest-path", &at])
        .env("RUSTC_BOOTSTRAP", "1")
        .run()?;
    Ok(chosen && Call::cargo(["check", "--lib", "--all-features", "--manifest-path", &at]).run()?)
}

/// The manifest of the library by itself.
fn alone(manifest: &str) -> String {
    let mut is_kept = true;
    let kept = manifest.lines().filter(|line| {
        if line.starts_with('[') {
            is_kept = !line.starts_with("[dev-dependencies") && !line.contains("brimful_loom)'.");
        }
        is_kept && !line.starts_with("members") && !line.starts_with("default-members")
    });
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
    fn only_the_library_is_kept() {
        let manifest =
            "[workspace]\nmembers = [\"a\"]\n[package]\nname = \"b\"\n[dev-dependencies]\nc = \"1\"\n[lints]\n";
        assert_eq!(alone(manifest), "[workspace]\n[package]\nname = \"b\"\n[lints]\n");
    }
}
