//! The progress of the reading, shown on a terminal.

use std::cell::Cell;
use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar on stderr, if that is a terminal. It is shown after a second of reading.
pub(crate) struct Progress {
    bar: ProgressBar,
    started: Instant,
    shown: Cell<bool>,
}

const SHORT: Duration = Duration::from_secs(1);

impl Progress {
    pub(crate) fn new(files: &[PathBuf]) -> Self {
        let sizes: Option<Vec<u64>> = files.iter().map(|file| size(file)).collect();
        let (bar, template) = match sizes {
            Some(sizes) => (ProgressBar::new(sizes.iter().sum()), "{bar:40} {percent:>3} %, {eta} left"),
            None => (ProgressBar::no_length(), "{spinner} {bytes}, {bytes_per_sec}"),
        };
        bar.set_draw_target(ProgressDrawTarget::hidden());
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Progress { bar, started: Instant::now(), shown: Cell::new(false) }
    }

    /// Returns `input` with its bytes counted as they are read.
    pub(crate) fn of<R: Read>(&self, input: R) -> Counted<'_, R> {
        Counted { input, progress: self }
    }

    /// Writes a warning to stderr, above the bar.
    pub(crate) fn warn(&self, message: &str) {
        // Unlike `eprintln!`, this does not panic if stderr is closed.
        self.bar.suspend(|| {
            let _ = writeln!(io::stderr(), "brimful: {message}");
        });
    }

    fn advance(&self, bytes: u64) {
        self.bar.inc(bytes);
        if !self.shown.get() && self.started.elapsed() >= SHORT {
            self.shown.set(true);
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// Returns the bytes of a file, or `None` for a pipe or a device.
fn size(path: &Path) -> Option<u64> {
    fs::metadata(path).ok().filter(fs::Metadata::is_file).map(|file| file.len())
}

/// An input whose bytes are counted. The `wrap_read` of indicatif would show the bar at once.
pub(crate) struct Counted<'a, R> {
    input: R,
    progress: &'a Progress,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        self.progress.advance(read as u64);
        Ok(read)
    }
}
