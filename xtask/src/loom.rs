//! `loom`: the models.

use crate::call::{Call, target_dir};

/// A call of cargo under the models' cfg. It has a target directory of its own: with a shared one, each
/// change between the models and the ordinary builds would rebuild all crates.
pub(crate) fn under_loom<const N: usize>(args: [&str; N]) -> Call {
    let mut flags = std::env::var("RUSTFLAGS").unwrap_or_default();
    if !flags.is_empty() {
        flags.push(' ');
    }
    flags.push_str("--cfg brimful_loom");
    let target = target_dir().join("loom");
    Call::cargo(args).env("RUSTFLAGS", &flags).env("CARGO_TARGET_DIR", &target.to_string_lossy())
}

/// Builds and runs the models. The arguments go to the test harness.
pub(crate) fn call(args: &[String]) -> Call {
    under_loom(["test", "--release", "-p", "brimful-loom-tests", "--", "--nocapture"]).args(args)
}

/// [`call`], with a limit of `seconds` on each test program. A model that reaches one of loom's own limits
/// would end silently, as if it had passed.
pub(crate) fn bounded_call(seconds: u64) -> Call {
    let runner = std::env::current_exe().unwrap_or_else(|_| "xtask".into());
    let runner = runner.to_string_lossy().replace('\\', "/");
    let config = format!("target.'cfg(all())'.runner = [\"{runner}\", \"bounded\", \"{seconds}\"]");
    under_loom(["test", "--release", "-p", "brimful-loom-tests", "--no-fail-fast", "--config"]).args(&[config])
}
