//! Programs that the tasks run. A call is printed as a line that a shell can repeat.

use std::fmt;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// Returns the root of the repository. Cargo's variable at run time comes first: two copies of the
/// repository may share a target directory, and the path at compile time may be the other copy.
pub(crate) fn root() -> PathBuf {
    let here = std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
    here.parent().map_or_else(|| here.clone(), Path::to_owned)
}

/// Returns the folder in which cargo builds.
pub(crate) fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// A failure that was printed already.
#[derive(Debug)]
pub(crate) struct Reported;

impl fmt::Display for Reported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("failed")
    }
}

impl std::error::Error for Reported {}

/// A call of cargo in the root of the repository.
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
        // Not `$CARGO`: only rustup's proxy, which has this name, accepts `+nightly`.
        let mut command = Command::new("cargo");
        command.args(&self.args).current_dir(root());
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs the call and returns whether it succeeded. Its output is not redirected.
    pub(crate) fn run(&self) -> Result<bool> {
        let status = self.command().status().with_context(|| format!("cannot run {self}"))?;
        Ok(status.success())
    }

    /// [`run`](Call::run), with an error if the call fails.
    pub(crate) fn check(&self) -> Result<()> {
        anyhow::ensure!(self.run()?, "failed: {self}");
        Ok(())
    }

    /// [`run`](Call::run), and passes every line of the standard output to `see`.
    pub(crate) fn watch(&self, mut see: impl FnMut(&str)) -> Result<bool> {
        let cannot = || format!("cannot run {self}");
        let mut child = self.command().stdout(Stdio::piped()).spawn().with_context(cannot)?;
        if let Some(output) = child.stdout.take() {
            // Lines of bytes: the output of a test need not be UTF-8.
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

/// Writes the call as a line for the shell.
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

/// Returns the standard output of `program`; `None` if it cannot run, or fails.
pub(crate) fn output(program: &str, args: &[&str]) -> Option<String> {
    let output = Command::new(program).args(args).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs `program`, and stops it after `limit`.
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
            anyhow::bail!("{program} was stopped after {} s, so its tests have not passed", limit.as_secs());
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
        assert!(error.to_string().contains("was stopped after 0 s"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn a_program_that_fails_fails() {
        assert!(bounded(Duration::from_secs(60), "false", &[]).unwrap_err().is::<Reported>());
        assert!(bounded(Duration::from_secs(60), "true", &[]).is_ok());
    }
}
