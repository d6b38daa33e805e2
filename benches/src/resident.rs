//! What this process has in memory, where the system tells.

use std::fs::read_to_string;

/// The resident bytes.
pub(crate) fn resident() -> Option<f64> {
    // The roll-up walks the pages; the status is an estimate between threads.
    read("/proc/self/smaps_rollup", "Rss:").or_else(|| read("/proc/self/status", "VmRSS:"))
}

/// Those of them that are not a file's: the program's code comes to be resident where it is first
/// run, and is no part of a limiter.
pub(crate) fn anonymous() -> Option<f64> {
    read("/proc/self/smaps_rollup", "Anonymous:").or_else(|| read("/proc/self/status", "RssAnon:"))
}

/// The most that were resident so far.
pub(crate) fn most_resident() -> Option<f64> {
    read("/proc/self/status", "VmHWM:")
}

fn read(file: &str, field: &str) -> Option<f64> {
    let text = read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(field))?;
    let kilobytes: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024.0)
}
