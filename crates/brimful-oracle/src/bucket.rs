//! A token bucket without rounding.

use ethnum::I256;

/// Parts of 10⁻¹² token in a token: the unit in which amounts are given.
pub const PICO: u64 = 1_000_000_000_000;

/// A token bucket without rounding: everything is a whole number of 1/(period × 10¹²) token, or
/// of 1/(period × unit) where another unit was chosen.
///
/// A reading of the clock counts as itself: what is held at t is
/// `min(capacity, intercept + rate × t)`, for every t, also one that is earlier than the last.
#[derive(Clone, Debug)]
pub struct ExactBucket {
    /// Tokens per `period` nanoseconds.
    tokens: u64,
    period: u128,
    /// Units in a token.
    per_token: u128,
    capacity: I256,
    debt: I256,
    intercept: I256,
}

impl ExactBucket {
    /// A full bucket that earns `tokens` per `period` nanoseconds and holds `capacity`; amounts
    /// are in 10⁻¹² token.
    #[must_use]
    pub fn new(tokens: u64, period: u128, capacity: u128, debt: u128) -> Self {
        ExactBucket::in_units(u128::from(PICO), tokens, period, capacity, debt)
    }

    /// The same with amounts in 1/`per_token` token, here and in all that follows.
    #[must_use]
    pub fn in_units(per_token: u128, tokens: u64, period: u128, capacity: u128, debt: u128) -> Self {
        let scaled = |amount: u128| I256::from(amount) * I256::from(period);
        let (capacity, debt) = (scaled(capacity), scaled(debt));
        ExactBucket { tokens, period, per_token, capacity, debt, intercept: capacity }
    }

    /// Starts anew at `now` with `amount`.
    pub fn start(&mut self, now: u64, amount: u128) {
        self.intercept = self.scaled(amount).min(self.capacity) - self.earned(now);
    }

    /// What is held at `now`, rounded down to 10⁻¹² token; below zero in debt.
    #[must_use]
    pub fn held_pico(&self, now: u64) -> i128 {
        self.held(now).div_euclid(I256::from(self.period)).as_i128()
    }

    /// What is held at `now` beyond `amount`, to the nearest `f64`: its sign is exact.
    #[must_use]
    pub fn beyond(&self, now: u64, amount: i128) -> f64 {
        (self.held(now) - I256::from(amount) * I256::from(self.period)).as_f64() / self.period as f64
    }

    /// Whether `cost` and `slack` more are there at `now`; `slack` may be negative.
    #[must_use]
    pub fn has(&self, now: u64, cost: u128, slack: i128) -> bool {
        self.held(now) >= self.scaled(cost) + I256::from(slack) * I256::from(self.period)
    }

    /// Takes `cost` at `now`, be it there or not.
    pub fn take(&mut self, now: u64, cost: u128) {
        self.intercept = self.held(now) - self.scaled(cost) - self.earned(now);
    }

    /// Takes `cost` at `now` if it is there.
    pub fn try_take(&mut self, now: u64, cost: u128) -> bool {
        let there = self.has(now, cost, 0);
        if there {
            self.take(now, cost);
        }
        there
    }

    /// Charges what the debt limit allows of `cost`, and returns it, rounded down.
    pub fn charge(&mut self, now: u64, cost: u128) -> u128 {
        let room = (self.held(now) + self.debt).max(I256::ZERO);
        let charged = self.scaled(cost).min(room);
        self.intercept = self.held(now) - charged - self.earned(now);
        (charged / I256::from(self.period)).as_u128()
    }

    /// Gives `amount` back at `now`, clipped at the capacity.
    pub fn give_back(&mut self, now: u64, amount: u128) {
        let after = (self.held(now) + self.scaled(amount)).min(self.capacity);
        self.intercept = after - self.earned(now);
    }

    /// The first instant from `now` on at which `cost` is there; `None` where it never is.
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
        // Thirds of a token, which 10⁻¹² cannot say.
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
