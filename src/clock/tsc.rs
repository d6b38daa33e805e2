//! The default clock: the CPU's time-stamp counter if it can be trusted, otherwise the operating
//! system's clock.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::Clock;

/// The default clock. It reads the CPU's time-stamp counter through [`quanta`], or [`Instant`] if
/// the counter cannot be trusted. [`clock_health`] reports which of the two is read, and why.
///
/// `QuantaClock` is a handle without state. All handles share one origin (a second before the first
/// use) and one calibration. The calibration happens at the first use and takes about 5 ms. Call
/// [`now`](Clock::now) once at start-up if the first request should not pay for it.
///
/// The error against the operating system's clock is typically below 5 parts per million. The clock
/// does not follow later corrections of the system's clock (NTP slewing). The source decides
/// whether time passes while the machine is suspended: on Linux, neither the counter (as it
/// commonly behaves) nor `Instant` counts that time; on Windows and macOS, `Instant` may.
#[derive(Clone, Copy, Debug, Default)]
pub struct QuantaClock;

impl QuantaClock {
    /// Returns the process's clock.
    #[must_use]
    pub const fn new() -> Self {
        QuantaClock
    }
}

impl Clock for QuantaClock {
    #[inline]
    fn now(&self) -> u64 {
        match &source().reader {
            Reader::Counter(counter) => counter.now(),
            Reader::SlowCounter(counter) => counter.now_slowly(),
            Reader::Os(origin) => EARLIER + since(*origin),
        }
    }
}

/// The nanoseconds from the origin to the first use. They keep the readings of a core whose counter
/// is behind above zero.
const EARLIER: u64 = 1_000_000_000;

struct Source {
    reader: Reader,
    reason: &'static str,
    /// The readings of the system's clock and of this clock at the end of the calibration.
    anchor: (Instant, u64),
    uncertainty: f64,
}

enum Reader {
    /// A counter that ticks more often than once a nanosecond, as on x86.
    Counter(Counter),
    /// A counter that does not, as on many ARM machines.
    SlowCounter(Counter),
    Os(Instant),
}

struct Counter {
    clock: quanta::Clock,
    /// The counter's value at the clock's origin.
    origin: u64,
    scale: Scale,
}

impl Counter {
    #[inline]
    fn now(&self) -> u64 {
        let raw = self.clock.raw();
        // A branch, because it costs nothing on the path from the counter to the decision.
        if raw < self.origin {
            return before_origin();
        }
        self.scale.nanos_of_fast(raw - self.origin)
    }

    #[inline(never)]
    fn now_slowly(&self) -> u64 {
        self.nanos(self.clock.raw())
    }

    fn nanos(&self, raw: u64) -> u64 {
        self.scale.nanos(raw.saturating_sub(self.origin))
    }
}

#[cold]
fn before_origin() -> u64 {
    0
}

/// Nanoseconds per count: `factor / 2^(64 − slow)`.
#[derive(Clone, Copy)]
struct Scale {
    factor: u64,
    /// Zero for a counter that ticks more often than once a nanosecond.
    slow: u32,
}

impl Scale {
    /// Returns the scale of a counter that made `counts` in `nanos`. Returns `None` if the counter
    /// stands still, or is slower than any known counter.
    fn new(nanos: u64, counts: u64) -> Option<Self> {
        let slow = (0..=10).find(|slow| u128::from(nanos) < u128::from(counts) << slow)?;
        let factor = (u128::from(nanos) << 64) / (u128::from(counts) << slow);
        (factor > 0).then_some(Scale { factor: factor as u64, slow })
    }

    fn nanos(self, counts: u64) -> u64 {
        self.nanos_of_fast(counts << self.slow)
    }

    /// Converts counts to nanoseconds for a counter whose `slow` is zero.
    #[inline]
    fn nanos_of_fast(self, counts: u64) -> u64 {
        ((u128::from(counts) * u128::from(self.factor)) >> 64) as u64
    }

    fn counts(self, nanos: u64) -> u64 {
        (((u128::from(nanos) << 64) / u128::from(self.factor)) >> self.slow) as u64
    }
}

#[inline]
fn source() -> &'static Source {
    static SOURCE: OnceLock<Source> = OnceLock::new();
    match SOURCE.get() {
        Some(source) => source,
        None => init(&SOURCE),
    }
}

#[cold]
#[inline(never)]
fn init(source: &'static OnceLock<Source>) -> &'static Source {
    source.get_or_init(choose)
}

fn choose() -> Source {
    let os = |reason| {
        let origin = Instant::now();
        Source { reader: Reader::Os(origin), reason, anchor: (origin, EARLIER), uncertainty: 0.0 }
    };
    if let Some(reason) = unsound() {
        return os(reason);
    }
    let clock = quanta::Clock::new();
    let Some(calibration) = calibrate(|| clock.raw()) else {
        return os("the counter could not be calibrated: it does not advance steadily beside the system's clock");
    };
    let Calibration { at, raw, scale, uncertainty } = calibration;
    let origin = raw.saturating_sub(scale.counts(EARLIER));
    let counter = Counter { clock, origin, scale };
    let anchor = (at, counter.nanos(raw));
    let reader = if scale.slow == 0 { Reader::Counter(counter) } else { Reader::SlowCounter(counter) };
    Source { reader, reason: "the system trusts the counter", anchor, uncertainty }
}

/// Returns the reason why the operating system does not trust the counter. Returns `None` if the
/// system trusts the counter, or does not say.
///
/// This check is needed because quanta asks only the CPU, and there are machines whose cores differ
/// by a second.
#[cfg(target_os = "linux")]
fn unsound() -> Option<&'static str> {
    const CURRENT: &str = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
    distrust(std::fs::read_to_string(CURRENT).ok()?.trim())
}

#[cfg(not(target_os = "linux"))]
fn unsound() -> Option<&'static str> {
    None
}

/// Returns the reason why a kernel that keeps its own time by `source` does not trust the counter.
#[cfg(target_os = "linux")]
fn distrust(source: &str) -> Option<&'static str> {
    match source {
        "tsc" | "arch_sys_counter" => None,
        _ => Some("the kernel's clock source is not the counter, so it does not trust it"),
    }
}

struct Calibration {
    at: Instant,
    raw: u64,
    scale: Scale,
    uncertainty: f64,
}

/// One look at both clocks: the counter's value, read between two readings of the system's clock.
struct Look {
    at: Instant,
    raw: u64,
    width: Duration,
}

/// The number of times that both clocks are read for one look.
const LOOKS: u32 = 64;

fn look(raw: &impl Fn() -> u64) -> Look {
    let once = || {
        let before = Instant::now();
        let raw = raw();
        let width = before.elapsed();
        Look { at: before + width / 2, raw, width }
    };
    // The narrowest of several readings, because a reading that was interrupted is wide.
    let mut best = once();
    for _ in 1..LOOKS {
        let next = once();
        if next.width < best.width {
            best = next;
        }
    }
    best
}

/// Measures the counter against the system's clock with two looks, some milliseconds apart. If a
/// look was wide, as it is on an interrupted or emulated machine, measures again over a longer
/// time. Returns `None` if no measurement is usable.
fn calibrate(raw: impl Fn() -> u64) -> Option<Calibration> {
    const GOOD: f64 = 10e-6;
    const USABLE: f64 = 1e-3;
    let mut apart = Duration::from_millis(4);
    let mut best: Option<Calibration> = None;
    for _ in 0..4 {
        let first = look(&raw);
        while first.at.elapsed() < apart {
            std::hint::spin_loop();
        }
        let last = look(&raw);
        let nanos = (last.at - first.at).as_nanos() as u64;
        let uncertainty = (first.width + last.width).as_nanos() as f64 / 2.0 / nanos as f64;
        if let Some(scale) = Scale::new(nanos, last.raw.saturating_sub(first.raw)) {
            if best.as_ref().is_none_or(|best| uncertainty < best.uncertainty) {
                best = Some(Calibration { at: last.at, raw: last.raw, scale, uncertainty });
            }
        }
        if best.as_ref().is_some_and(|best| best.uncertainty <= GOOD) {
            break;
        }
        apart *= 2;
    }
    best.filter(|best| best.uncertainty <= USABLE)
}

fn since(origin: Instant) -> u64 {
    u64::try_from(origin.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// The source of time that [`QuantaClock`] reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClockSource {
    /// The CPU's time-stamp counter (on ARM, the generic timer's).
    Counter,
    /// [`std::time::Instant`].
    Os,
}

/// A report on [`QuantaClock`]: its source of time, the reason for that source, and its precision.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ClockHealth {
    /// The source of time.
    pub source: ClockSource,
    /// The reason for this source.
    pub reason: &'static str,
    /// The greatest error that the calibrated rate may have, as a fraction: 2e-6 is 2 parts per
    /// million. The error is typically a tenth of it. Zero for [`ClockSource::Os`].
    pub rate_uncertainty: f64,
    /// The drift of the clock from [`Instant`] since the calibration, as a fraction of the time
    /// that has passed. It is above zero if the clock is fast. It is `None` in the first second,
    /// while the comparison itself would be the larger error.
    pub drift: Option<f64>,
}

impl ClockHealth {
    /// Compares the cores. As many threads as there are cores read the counter at the same time for
    /// `duration`, and each reading that is earlier than one already seen counts. Returns the
    /// largest step back in nanoseconds, or zero if the cores agree.
    ///
    /// The operating system spreads the threads over the cores, which it does if the machine is
    /// otherwise idle.
    ///
    /// # Blocking
    ///
    /// Blocks for `duration`, and uses every core. Ten milliseconds show a disagreement that is
    /// larger than the transfer of a cache line, about 100 ns.
    #[must_use]
    pub fn compare_cores(&self, duration: Duration) -> u64 {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        largest_step_back(cores, duration, || QuantaClock.now())
    }
}

/// Returns the largest step back that `threads` threads see among their readings of `now`.
fn largest_step_back(threads: usize, duration: Duration, now: impl Fn() -> u64 + Sync) -> u64 {
    let (latest, worst, start) = (AtomicU64::new(0), AtomicU64::new(0), Instant::now());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                // Once at least, even if the thread starts late.
                loop {
                    for _ in 0..64 {
                        // Acquire: pairs with the release of the `fetch_max` below in the other
                        // threads. So the reading below happens after the reading `seen`.
                        let seen = latest.load(Ordering::Acquire);
                        let now = now();
                        worst.fetch_max(seen.saturating_sub(now), Ordering::Relaxed);
                        latest.fetch_max(now, Ordering::AcqRel);
                    }
                    if start.elapsed() >= duration {
                        break;
                    }
                }
            });
        }
    });
    worst.into_inner()
}

impl std::fmt::Display for ClockHealth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = match self.source {
            ClockSource::Counter => "time-stamp counter",
            ClockSource::Os => "operating system",
        };
        write!(f, "{name} ({}; rate known within {:.1} ppm)", self.reason, self.rate_uncertainty * 1e6)
    }
}

/// Reports the source of time that [`QuantaClock`] reads, the reason for it, and its precision.
///
/// # Examples
///
/// ```
/// let health = brimful::clock_health();
/// println!("{health}");
/// assert!(health.rate_uncertainty < 1e-3);
/// ```
#[must_use]
pub fn clock_health() -> ClockHealth {
    let Source { reader, reason, anchor, uncertainty } = source();
    let (source, now) = match reader {
        Reader::Counter(counter) | Reader::SlowCounter(counter) => {
            (ClockSource::Counter, look(&|| counter.clock.raw()))
        }
        Reader::Os(_) => (ClockSource::Os, look(&|| 0)),
    };
    let drift = match reader {
        Reader::Counter(counter) | Reader::SlowCounter(counter) => {
            let (ours, theirs) = (counter.nanos(now.raw).saturating_sub(anchor.1), now.at - anchor.0);
            let theirs = theirs.as_nanos() as f64;
            (theirs >= 1e9).then(|| (ours as f64 - theirs) / theirs)
        }
        Reader::Os(_) => Some(0.0),
    };
    ClockHealth { source, reason, rate_uncertainty: *uncertainty, drift }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_that_stands_still_is_refused() {
        assert!(calibrate(|| 7).is_none());
    }

    #[test]
    fn a_slow_calibration_is_done_again() {
        // Each reading of the first two looks is interrupted. Their estimate of the counter's rate
        // is not the one that is kept.
        let (start, reads) = (Instant::now(), std::cell::Cell::new(0u32));
        let raw = || {
            reads.set(reads.get() + 1);
            let raw = (start.elapsed().as_nanos() * 3) as u64;
            let wide = Instant::now();
            while reads.get() <= 2 * LOOKS && wide.elapsed() < Duration::from_micros(2) {
                std::hint::spin_loop();
            }
            raw
        };
        let calibration = calibrate(raw).unwrap();
        assert!(reads.get() > 2 * LOOKS, "{} reads", reads.get());
        assert!(calibration.uncertainty < 2e-3 / 4.0, "{}", calibration.uncertainty);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn only_the_counter_as_the_kernels_own_clock_is_trusted() {
        for (source, trusted) in [
            ("tsc", true),
            ("arch_sys_counter", true),
            ("hpet", false),
            ("acpi_pm", false),
            ("kvm-clock", false),
            ("hyperv_clocksource_tsc_page", false),
            ("tsc-early", false),
            ("", false),
        ] {
            assert_eq!(distrust(source).is_none(), trusted, "{source}");
        }
    }

    #[test]
    fn a_core_that_is_behind_is_seen() {
        // Every eighth reading is a microsecond behind the others.
        let reads = AtomicU64::new(0);
        let now = || match reads.fetch_add(1, Ordering::Relaxed) {
            read if read % 8 == 7 => 10_000 + read - 1_000,
            read => 10_000 + read,
        };
        let step = largest_step_back(1, Duration::from_millis(1), now);
        assert_eq!(step, 999);
        assert_eq!(largest_step_back(1, Duration::from_millis(1), || reads.fetch_add(1, Ordering::Relaxed)), 0);
    }

    #[test]
    fn a_counter_of_any_frequency_is_calibrated() {
        let start = Instant::now();
        for (per_second, expected) in [(1_000_000_000u64, 1.0), (24_000_000, 41.666_666), (5_000_000_000, 0.2)] {
            let raw = || (start.elapsed().as_nanos() * u128::from(per_second) / 1_000_000_000) as u64;
            let calibration = calibrate(raw).unwrap();
            let scale = calibration.scale.nanos(1_000_000_000) as f64 / 1e9;
            let error = (scale / expected - 1.0).abs();
            assert!(error < calibration.uncertainty.max(1e-4), "{per_second}/s: {scale}");
            let counts = calibration.scale.counts(1_000_000_000);
            assert!(counts.abs_diff(per_second) < per_second / 1_000, "{per_second}/s: {counts}");
        }
    }

    #[test]
    fn the_clock_starts_a_second_after_its_origin() {
        assert!(QuantaClock.now() >= EARLIER);
    }
}
