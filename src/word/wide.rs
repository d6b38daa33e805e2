//! [`Wide`]: products of more than 128 bits, for the ratio of two rates.

/// A number below 2¹⁹¹, as the bits above the lowest 64, and those.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Wide(u128, u64);

impl Wide {
    pub(super) const ZERO: Wide = Wide(0, 0);

    /// Returns `tokens · nanos`. Needs nanos < 2¹²⁷.
    pub(crate) const fn product(tokens: u64, nanos: u128) -> Self {
        let low = tokens as u128 * (nanos as u64 as u128);
        Wide(tokens as u128 * (nanos >> 64) + (low >> 64), low as u64)
    }

    /// Returns twice the number, which is below 2¹⁹⁰.
    pub(super) const fn twice(self) -> Self {
        Wide(self.0 << 1 | (self.1 >> 63) as u128, self.1 << 1)
    }

    /// Returns the difference to a number that is not larger.
    pub(super) const fn minus(self, other: Self) -> Self {
        let (low, borrow) = self.1.overflowing_sub(other.1);
        Wide(self.0 - other.0 - borrow as u128, low)
    }
}
