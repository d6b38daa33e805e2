//! The memory of this process that is resident, if the system reports it.

use std::fs::read_to_string;

/// Returns the resident bytes.
pub(crate) fn resident() -> Option<f64> {
    // The roll-up walks the pages. The status is an estimate if there are several threads.
    read("/proc/self/smaps_rollup", "Rss:").or_else(|| read("/proc/self/status", "VmRSS:"))
}

/// Returns the resident bytes that do not belong to a file. The program's code becomes resident
/// when it first runs, and is no part of a limiter.
pub(crate) fn anonymous() -> Option<f64> {
    read("/proc/self/smaps_rollup", "Anonymous:").or_else(|| read("/proc/self/status", "RssAnon:"))
}

/// Returns the most bytes that were resident so far.
pub(crate) fn most_resident() -> Option<f64> {
    read("/proc/self/status", "VmHWM:")
}

fn read(file: &str, field: &str) -> Option<f64> {
    let text = read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(field))?;
    let kilobytes: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024.0)
}
