//! Programs that are run, and shown so that they can be repeated by hand.

use std::fmt;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// The repository's root. Cargo says at run time where it is; what it said when this was
/// compiled may be another copy, where two of them share a target directory.
pub(crate) fn root() -> PathBuf {
    let here = std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
    here.parent().map_or_else(|| here.clone(), Path::to_owned)
}

/// Where cargo builds.
pub(crate) fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// A failure that has been printed already.
#[derive(Debug)]
pub(crate) struct Reported;

impl fmt::Display for Reported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("failed")
    }
}

impl std::error::Error for Reported {}

/// A call of cargo, from the root.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    args: Vec<String>,
    env: Vec<(&'static str, String)>,
}

impl Call {
    pub(crate) fn cargo<const N: usize>(args: [&str; N]) -> Self {
        Call { args: args.map(str::to_owned).to_vec(), env: Vec::new() }
    }

    pub(crate) fn args<S: AsRef<str>>(mut self, args: &[S]) -> Self {
        self.args.extend(args.iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    pub(crate) fn env(mut self, name: &'static str, value: &str) -> Self {
        self.env.push((name, value.to_owned()));
        self
    }

    fn command(&self) -> Command {
        // The name, not `$CARGO`: only rustup's proxy of that name knows `+nightly`.
        let mut command = Command::new("cargo");
        command.args(&self.args).current_dir(root());
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Whether it succeeded; what it prints goes through.
    pub(crate) fn run(&self) -> Result<bool> {
        let status = self.command().status().with_context(|| format!("cannot run {self}"))?;
        Ok(status.success())
    }

    /// An error where it did not succeed.
    pub(crate) fn check(&self) -> Result<()> {
        anyhow::ensure!(self.run()?, "failed: {self}");
        Ok(())
    }

    /// Whether it succeeded; what it prints is dropped.
    pub(crate) fn quiet(&self) -> bool {
        let status = self.command().stdout(Stdio::null()).stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    }

    /// [`run`](Call::run), with every line of its standard output shown to `see` as well.
    pub(crate) fn watch(&self, mut see: impl FnMut(&str)) -> Result<bool> {
        let cannot = || format!("cannot run {self}");
        let mut child = self.command().stdout(Stdio::piped()).spawn().with_context(cannot)?;
        if let Some(output) = child.stdout.take() {
            // Lines of bytes: a test may print what is not UTF-8.
            let mut output = BufReader::new(output);
            let mut line = Vec::new();
            while output.read_until(b'\n', &mut line)? > 0 {
                let text = String::from_utf8_lossy(&line);
                print!("{text}");
                see(text.trim_end());
                line.clear();
            }
        }
        Ok(child.wait().with_context(cannot)?.success())
    }
}

/// As a line for the shell.
impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in &self.env {
            write!(f, "{name}={} ", quoted(value))?;
        }
        f.write_str("cargo")?;
        self.args.iter().try_for_each(|arg| write!(f, " {}", quoted(arg)))
    }
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./+=:,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// Runs `program`, and kills it when `limit` has passed.
pub(crate) fn bounded(limit: Duration, program: &str, args: &[String]) -> Result<()> {
    let cannot = || format!("cannot run {program}");
    let start = Instant::now();
    let mut child = Command::new(program).args(args).spawn().with_context(cannot)?;
    loop {
        if let Some(status) = child.try_wait().with_context(cannot)? {
            return if status.success() { Ok(()) } else { Err(Reported.into()) };
        }
        if start.elapsed() > limit {
            child.kill().with_context(cannot)?;
            child.wait().with_context(cannot)?;
            anyhow::bail!("{program} was stopped after {} s: unfinished is not passed", limit.as_secs());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_shown_as_the_shell_takes_it() {
        let call = Call::cargo(["doc", "--lib"]).env("RUSTDOCFLAGS", "-D warnings").args(&["it's"]);
        assert_eq!(call.to_string(), r"RUSTDOCFLAGS='-D warnings' cargo doc --lib 'it'\''s'");
    }

    #[cfg(unix)]
    #[test]
    fn a_program_that_does_not_end_is_stopped() {
        let forever = ["-c".to_owned(), "while :; do sleep 1; done".to_owned()];
        let error = bounded(Duration::ZERO, "sh", &forever).unwrap_err();
        assert!(error.to_string().contains("unfinished is not passed"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn a_program_that_fails_fails() {
        assert!(bounded(Duration::from_secs(60), "false", &[]).unwrap_err().is::<Reported>());
        assert!(bounded(Duration::from_secs(60), "true", &[]).is_ok());
    }
}
