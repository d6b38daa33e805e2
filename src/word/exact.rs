//! [`Exact`]: the units that a bucket earns, so finely that also a much slower quota finds no error.

use super::layout::Earned;
use super::{Reading, Units};

/// `E(v)` as [`Earned`] has it, with 64 more bits of the rate: `M / 2^(125+s)` units per nanosecond, with M rounded
/// up.
///
/// A limiter whose quota never changes needs no more than m: the error of E is less than 1/16 ns. In limiter time
/// that is much longer in the clock's, if the limiter has come to a far slower quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exact {
    coarse: Earned,
    /// m · 2⁶⁴ − M.
    excess: u64,
}

impl Exact {
    /// Returns the same rate, of `units` per `nanos`, with more bits.
    pub(crate) fn new(coarse: Earned, units: u128, nanos: u128) -> Self {
        // m · nanos − units · 2^(61+s), which is less than `nanos` and not below zero: so the bits beyond 128 do not
        // matter.
        let product = u128::from(coarse.m).wrapping_mul(nanos);
        let mut rest = product.wrapping_sub(units << (61 + coarse.s));
        let mut excess = 0;
        for _ in 0..64 {
            rest <<= 1;
            excess <<= 1;
            if rest >= nanos {
                rest -= nanos;
                excess |= 1;
            }
        }
        Exact { coarse, excess }
    }

    /// Returns `floor(v · M / 2^(125+s))`.
    #[inline]
    pub(crate) fn at(self, now: Reading) -> Units {
        let (product, excess) = self.products(now);
        Units(((product - excess.div_ceil(1 << 64)) >> 64) as u64 >> self.coarse.s)
    }

    /// Returns `ceil(v · (M − 1) / 2^(125+s))`: rounded up, but what lies within M's own rounding error above
    /// a whole unit counts as that unit.
    #[inline]
    pub(crate) fn near_ceil(self, now: Reading) -> Units {
        let (product, excess) = self.products(now);
        let product = product - ((excess + u128::from(now.eighths())) >> 64);
        let (shift, below) = (64 + self.coarse.s, product.wrapping_sub(1));
        Units(if product == 0 { 0 } else { (below >> shift) as u64 + 1 })
    }

    /// Returns `8v · m`, and what is too much in it, times 2⁶⁴.
    #[inline]
    fn products(self, now: Reading) -> (u128, u128) {
        (now.eighths_times(self.coarse.m), now.eighths_times(self.excess))
    }

    /// Returns the first reading at which `units` have been earned; `None` if it is beyond the range of readings.
    #[inline]
    pub(crate) fn first(self, units: u64) -> Option<Reading> {
        // The rates differ by less than what a nanosecond earns.
        let first = self.coarse.first(units)?;
        if self.at(first).0 >= units {
            return Some(first);
        }
        (first < Reading::MAX).then(|| Reading::from_nanos(first.nanos() + 1))
    }
}

#[cfg(test)]
mod tests {
    use ethnum::U256;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

        /// In integers of 256 bits: nothing is rounded but the result.
        #[test]
        fn only_the_result_is_rounded(nanos in 1..u64::MAX >> 1, part in any::<u64>(), now in any::<u64>(), short in 0..59u32) {
            let (units, now) = (1 + part % nanos, Reading::from_nanos((now >> 5) >> short));
            prop_assume!(units >> 20 != 0 || nanos >> 50 == 0);
            let coarse = Earned::new(units.into(), nanos.into()).expect("a rate of at most one");
            let exact = Exact::new(coarse, units.into(), nanos.into());
            let (product, divisor) = (U256::from(now.nanos()) * U256::from(units), U256::from(nanos));
            prop_assert_eq!(U256::from(exact.at(now).0), product / divisor);
            prop_assert_eq!(U256::from(exact.near_ceil(now).0), (product + divisor - 1) / divisor);
            let target = exact.at(now).0;
            let first = exact.first(target).expect("a reading that was there");
            prop_assert!(exact.at(first).0 >= target && first <= now);
            prop_assert!(first.nanos() == 0 || exact.at(Reading::from_nanos(first.nanos() - 1)).0 < target);
        }
    }

    /// The coarse rate is early here, by less than 1/16 ns.
    #[test]
    fn it_is_not_early_where_the_coarse_rate_is() {
        let (units, nanos) = (999_999_999u64, 1_000_000_000u64);
        let coarse = Earned::new(units.into(), nanos.into()).unwrap();
        let exact = Exact::new(coarse, units.into(), nanos.into());
        // Below a whole unit by 10⁻⁹: v · units = −1 modulo `nanos`.
        let now = Reading::from_nanos(nanos * (1 << 28) + 1);
        assert_eq!(exact.at(now), Units(now.nanos() - (1 << 28) - 1));
        assert_eq!(coarse.at(now), Units(now.nanos() - (1 << 28)));
        assert_eq!(coarse.first(coarse.at(now).0), Some(now));
        assert_eq!(exact.first(coarse.at(now).0), Some(Reading::from_nanos(now.nanos() + 1)));
    }
}
