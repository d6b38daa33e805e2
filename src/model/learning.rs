//! [`Learning`]: estimates that are scaled by what calls turned out to use.

use crate::sync::{AtomicU64, Mutex, Ordering, lock};

use super::usage::Usage;

/// Scales the estimates of each model by the running ratio of actual to estimated tokens, input and output apart.
///
/// The ratio is that of the sums over the last commits, in which a commit has the [weight](Learning::weight), and is
/// bounded: by default to [1/4, 4], so a model's estimates are at most quartered or quadrupled. It is 1 at first. A
/// scaled estimate is rounded up, and never raised above a burst that the estimate itself fits in. Permits that are
/// dropped without a commit, and estimates of zero, teach nothing.
///
/// An estimate is scaled once: by `try_acquire`, or when a wait is polled for the first time. Later commits, and a
/// quota that is set later, do not change it. So a waiter whose scaled estimate is above a new, smaller burst is refused,
/// also if the estimate itself fits in: it may wait again.
///
/// # Examples
///
/// ```
/// use brimful::MockClock;
/// use brimful::model::{Dimension, Learning, ModelLimiter, ModelQuota};
///
/// let limiter = ModelLimiter::builder()
///     .model("gpt-4", ModelQuota::new().tpm(1_000_000))
///     .learning(Learning::new())
///     .clock(MockClock::new())
///     .build()?;
/// for _ in 0..200 {
///     limiter.try_acquire("gpt-4", 1_000)?.commit(500); // half of the estimate
/// }
/// let before = limiter.stats_of("gpt-4").unwrap().dimension(Dimension::Tpm).unwrap().used;
/// let permit = limiter.try_acquire("gpt-4", 1_000)?;
/// let after = limiter.stats_of("gpt-4").unwrap().dimension(Dimension::Tpm).unwrap().used;
/// assert!((500..510).contains(&(after - before)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Learning {
    weight: f64,
    lowest: f64,
    highest: f64,
}

impl Learning {
    /// Returns the default: a weight of 1/20, and the bounds 1/4 and 4.
    #[must_use]
    pub const fn new() -> Self {
        Learning { weight: 0.05, lowest: 0.25, highest: 4.0 }
    }

    /// Sets the weight of a commit in the running sums, from 0.001 to 1: the first few count for more.
    #[must_use]
    #[allow(clippy::manual_clamp)]
    pub fn weight(self, weight: f64) -> Self {
        // `max` and `min` return the bound if the number is not a number.
        Learning { weight: weight.max(0.001).min(1.0), ..self }
    }

    /// Sets the bounds of the scale: the lowest from 0.01 to 1, and the highest from 1 to 100.
    #[must_use]
    #[allow(clippy::manual_clamp)]
    pub fn bounds(self, lowest: f64, highest: f64) -> Self {
        Learning { lowest: lowest.max(0.01).min(1.0), highest: highest.max(1.0).min(100.0), ..self }
    }
}

impl Default for Learning {
    fn default() -> Self {
        Learning::new()
    }
}

/// The ratios of a model.
pub(super) struct Ratios {
    learning: Learning,
    /// The scales of input and of output, as bits of an `f32` each, the input's first. Relaxed: any that were true of
    /// a moment will do.
    scales: AtomicU64,
    seen: Mutex<[Sums; 2]>,
}

/// The running sums of the tokens of calls.
#[derive(Clone, Copy)]
struct Sums {
    estimated: f64,
    actual: f64,
    /// The weight of the next call, at least that of [`Learning`]; zero before the first.
    weight: f64,
}

impl Sums {
    const NONE: Sums = Sums { estimated: 0.0, actual: 0.0, weight: 0.0 };

    fn add(&mut self, estimate: u64, actual: u64, least: f64) {
        if estimate == 0 {
            return;
        }
        let (estimate, actual) = (estimate as f64, actual as f64);
        if self.weight == 0.0 {
            // The first call counts for half, as if one before it had met its estimate.
            (self.estimated, self.actual, self.weight) = (estimate, estimate, 0.5);
        }
        self.estimated += self.weight * (estimate - self.estimated);
        self.actual += self.weight * (actual - self.actual);
        self.weight = (self.weight / (1.0 + self.weight)).max(least);
    }
}

impl Ratios {
    pub(super) fn new(learning: Learning) -> Self {
        Ratios { learning, scales: AtomicU64::new(bits([1.0; 2])), seen: Mutex::new([Sums::NONE; 2]) }
    }

    /// Returns the scales of input and of output.
    pub(super) fn scales(&self) -> [f32; 2] {
        let bits = self.scales.load(Ordering::Relaxed);
        [(bits >> 32) as u32, bits as u32].map(f32::from_bits)
    }

    /// Returns an estimate as it is charged, rounded up.
    pub(super) fn scaled(&self, estimate: Usage) -> Usage {
        let [input, output] = self.scales();
        let scale = |tokens: u64, by: f32| (tokens as f64 * f64::from(by)).ceil() as u64;
        Usage { input: scale(estimate.input, input), output: scale(estimate.output, output) }
    }

    /// Learns from a call that is over.
    pub(super) fn learn(&self, estimate: Usage, actual: Usage) {
        let mut seen = lock(&self.seen);
        seen[0].add(estimate.input, actual.input, self.learning.weight);
        seen[1].add(estimate.output, actual.output, self.learning.weight);
        let ratio = |sums: Sums| if sums.estimated > 0.0 { sums.actual / sums.estimated } else { 1.0 };
        let scales = seen.map(|sums| ratio(sums).clamp(self.learning.lowest, self.learning.highest) as f32);
        self.scales.store(bits(scales), Ordering::Relaxed);
    }
}

fn bits([input, output]: [f32; 2]) -> u64 {
    u64::from(input.to_bits()) << 32 | u64::from(output.to_bits())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_comes_to_that_of_the_sums_and_stays_within_its_bounds() {
        let ratios = Ratios::new(Learning::new());
        let usage = |input, output| Usage { input, output };
        assert_eq!(ratios.scaled(usage(u64::MAX, 0)), usage(u64::MAX, 0));
        // Half, and twice; a long call counts for more than a short one.
        for nth in 0..1_000 {
            let long = 1 + 9 * (nth % 2);
            ratios.learn(usage(1_000 * long, 100), usage(if long > 1 { 5_000 } else { 1_500 }, 200));
        }
        let [input, output] = ratios.scales();
        assert!((0.58..0.60).contains(&input) && (1.99..=2.0).contains(&output), "{input} {output}");
        assert_eq!(ratios.scaled(usage(10, 10)).input, 6);
        // An estimate of zero teaches nothing, and scales to zero.
        ratios.learn(usage(0, 0), usage(1_000, 1_000));
        assert_eq!((ratios.scales(), ratios.scaled(usage(0, 0))), ([input, output], usage(0, 0)));
        for _ in 0..1_000 {
            ratios.learn(usage(1, 1), usage(u64::MAX, 0));
        }
        assert_eq!(ratios.scales(), [4.0, 0.25]);
    }

    #[test]
    fn the_first_call_counts_for_half() {
        let ratios = Ratios::new(Learning::new().weight(0.001).bounds(0.5, 10.0));
        ratios.learn(Usage::from((100, 100)), Usage::from((300, 0)));
        assert_eq!(ratios.scales(), [2.0, 0.5]);
        ratios.learn(Usage::from((100, 0)), Usage::from((200, 7)));
        assert_eq!(ratios.scales(), [2.0, 0.5]);
    }

    #[test]
    fn with_a_weight_of_one_the_last_call_counts_alone() {
        let ratios = Ratios::new(Learning::new().weight(1.0));
        for (actual, scale) in [(200, 1.5), (200, 2.0), (300, 3.0), (50, 0.5)] {
            ratios.learn(Usage::from((100, 0)), Usage::from((actual, 0)));
            assert_eq!(ratios.scales()[0], scale);
        }
    }
}
