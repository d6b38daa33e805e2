//! Counts by size, for percentiles of more values than can be kept.

/// A histogram whose percentiles are exact within 1.6 %.
#[derive(Clone, Debug)]
pub(crate) struct Histogram {
    counts: Vec<u64>,
    worst: u64,
}

/// There are 2^6 = 64 places per octave.
const BITS: u32 = 6;

impl Histogram {
    pub(crate) fn new() -> Self {
        Histogram { counts: vec![0; (65 - BITS as usize) << BITS], worst: 0 }
    }

    #[inline]
    pub(crate) fn add(&mut self, value: u64) {
        let shift = (64 - BITS - 1).saturating_sub(value.leading_zeros());
        // Every value below 128 has its own place. Above, the place follows from the octave and the
        // bits below the first one.
        let place = (u64::from(shift) << BITS) + (value >> shift);
        self.counts[place as usize] += 1;
        self.worst = self.worst.max(value);
    }

    pub(crate) fn worst(&self) -> u64 {
        self.worst
    }

    pub(crate) fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Returns the value that a share of all values does not exceed.
    pub(crate) fn percentile(&self, share: f64) -> u64 {
        let mut left = (self.count() as f64 * share).ceil() as u64;
        for (place, &count) in self.counts.iter().enumerate() {
            if count >= left {
                let place = place as u64;
                let shift = (place >> BITS).saturating_sub(1);
                return ((place - (shift << BITS)) << shift).min(self.worst);
            }
            left -= count;
        }
        self.worst
    }
}

#[cfg(test)]
mod tests {
    use super::Histogram;

    #[test]
    fn values_are_found_again() {
        for value in [0, 1, 63, 64, 127, 128, 129, 1_000, 123_456_789, u64::MAX / 2, u64::MAX] {
            let mut histogram = Histogram::new();
            histogram.add(value);
            histogram.add(u64::MAX);
            let found = histogram.percentile(0.5);
            assert!(found <= value && found as f64 >= value as f64 * 0.984, "{value}: {found}");
        }
    }
}
