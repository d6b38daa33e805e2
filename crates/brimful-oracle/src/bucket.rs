//! A token bucket without rounding.

use ethnum::I256;

/// The number of parts of a token in which amounts are given: 10⁻¹² token.
pub const PICO: u64 = 1_000_000_000_000;

/// A token bucket without rounding. Everything is a whole number of 1/(period × 10¹²) token, or of
/// 1/(period × unit) with another unit.
///
/// A reading of the clock counts as itself. At every t, also one earlier than the last reading, the
/// bucket holds `min(capacity, intercept + rate × t)`.
#[derive(Clone, Debug)]
pub struct ExactBucket {
    /// Tokens per `period` nanoseconds.
    tokens: u64,
    period: u128,
    /// The number of units in a token.
    per_token: u128,
    capacity: I256,
    debt: I256,
    intercept: I256,
}

impl ExactBucket {
    /// Creates a full bucket that earns `tokens` per `period` nanoseconds and holds `capacity`.
    /// Amounts are in 10⁻¹² token.
    #[must_use]
    pub fn new(tokens: u64, period: u128, capacity: u128, debt: u128) -> Self {
        ExactBucket::in_units(u128::from(PICO), tokens, period, capacity, debt)
    }

    /// The same with amounts in 1/`per_token` token, for this call and all later ones.
    #[must_use]
    pub fn in_units(per_token: u128, tokens: u64, period: u128, capacity: u128, debt: u128) -> Self {
        let scaled = |amount: u128| I256::from(amount) * I256::from(period);
        let (capacity, debt) = (scaled(capacity), scaled(debt));
        ExactBucket { tokens, period, per_token, capacity, debt, intercept: capacity }
    }

    /// Restarts the bucket at `now` with `amount`.
    pub fn start(&mut self, now: u64, amount: u128) {
        self.intercept = self.scaled(amount).min(self.capacity) - self.earned(now);
    }

    /// The amount held at `now`, rounded down to 10⁻¹² token. Negative if the bucket is in debt.
    #[must_use]
    pub fn held_pico(&self, now: u64) -> i128 {
        self.held(now).div_euclid(I256::from(self.period)).as_i128()
    }

    /// The amount held at `now` above `amount`, rounded to the nearest `f64`. Its sign is exact.
    #[must_use]
    pub fn beyond(&self, now: u64, amount: i128) -> f64 {
        (self.held(now) - I256::from(amount) * I256::from(self.period)).as_f64() / self.period as f64
    }

    /// Whether the bucket holds `cost + slack` at `now`. `slack` may be negative.
    #[must_use]
    pub fn has(&self, now: u64, cost: u128, slack: i128) -> bool {
        self.held(now) >= self.scaled(cost) + I256::from(slack) * I256::from(self.period)
    }

    /// Takes `cost` at `now`, even if the bucket does not hold it.
    pub fn take(&mut self, now: u64, cost: u128) {
        self.intercept = self.held(now) - self.scaled(cost) - self.earned(now);
    }

    /// Takes `cost` at `now` if the bucket holds it. Returns whether it did.
    pub fn try_take(&mut self, now: u64, cost: u128) -> bool {
        let there = self.has(now, cost, 0);
        if there {
            self.take(now, cost);
        }
        there
    }

    /// Charges as much of `cost` as the debt limit allows. Returns the charged amount, rounded
    /// down.
    pub fn charge(&mut self, now: u64, cost: u128) -> u128 {
        let room = (self.held(now) + self.debt).max(I256::ZERO);
        let charged = self.scaled(cost).min(room);
        self.intercept = self.held(now) - charged - self.earned(now);
        (charged / I256::from(self.period)).as_u128()
    }

    /// Gives `amount` back at `now`, up to the capacity.
    pub fn give_back(&mut self, now: u64, amount: u128) {
        let after = (self.held(now) + self.scaled(amount)).min(self.capacity);
        self.intercept = after - self.earned(now);
    }

    /// The first instant from `now` on at which the bucket holds `cost`; `None` if it never does.
    #[must_use]
    pub fn first(&self, now: u64, cost: u128) -> Option<u64> {
        let missing = self.scaled(cost) - self.held(now);
        if self.scaled(cost) > self.capacity {
            return None;
        }
        if missing <= I256::ZERO {
            return Some(now);
        }
        let per_nano = I256::from(self.tokens) * I256::from(self.per_token);
        let nanos = (missing + per_nano - I256::ONE) / per_nano;
        u64::try_from(nanos + I256::from(now)).ok()
    }

    fn held(&self, now: u64) -> I256 {
        self.capacity.min(self.intercept + self.earned(now))
    }

    fn earned(&self, now: u64) -> I256 {
        I256::from(self.tokens) * I256::from(self.per_token) * I256::from(now)
    }

    fn scaled(&self, amount: u128) -> I256 {
        I256::from(amount) * I256::from(self.period)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: u128 = PICO as u128;

    #[test]
    fn three_a_second() {
        let mut bucket = ExactBucket::new(3, 1_000_000_000, 3 * TOKEN, 3 * TOKEN);
        assert!(bucket.try_take(0, 3 * TOKEN));
        assert_eq!(bucket.first(0, TOKEN), Some(333_333_334));
        assert!(!bucket.try_take(333_333_333, TOKEN));
        assert!(bucket.try_take(333_333_334, TOKEN));
        assert_eq!(bucket.first(0, 4 * TOKEN), None);
        assert_eq!(bucket.held_pico(333_333_334), 2_000);
    }

    #[test]
    fn a_reading_counts_as_itself() {
        let mut bucket = ExactBucket::new(1, 1_000_000_000, 5 * TOKEN, 5 * TOKEN);
        assert!(bucket.try_take(10_000_000_000, 5 * TOKEN));
        assert_eq!(bucket.held_pico(8_000_000_000), -2 * TOKEN as i128);
        assert!(bucket.try_take(12_000_000_000, 2 * TOKEN));
    }

    #[test]
    fn a_unit_of_ones_own() {
        // A third of a token is not a multiple of 10⁻¹² token.
        let mut bucket = ExactBucket::in_units(3, 1, 1_000_000_000, 5, 0);
        assert!(bucket.try_take(0, 5));
        assert_eq!(bucket.first(0, 1), Some(333_333_334));
        assert_eq!(bucket.beyond(500_000_000, 1), 0.5);
        assert_eq!(bucket.beyond(0, 0), 0.0);
        assert!(bucket.beyond(333_333_333, 1) < 0.0);
    }

    #[test]
    fn debt_is_bounded_and_give_back_clipped() {
        let mut bucket = ExactBucket::new(1, 1_000_000_000, 5 * TOKEN, 5 * TOKEN);
        assert_eq!(bucket.charge(0, 12 * TOKEN), 10 * TOKEN);
        assert_eq!(bucket.held_pico(0), -5 * TOKEN as i128);
        bucket.give_back(0, 100 * TOKEN);
        assert_eq!(bucket.held_pico(0), 5 * TOKEN as i128);
    }
}
