//! [`Limit`]: a quota in integers below 2⁵³, with which every engine computes exactly.

use std::fmt;
use std::time::Duration;

use brimful::{Quota, Tokens};

use super::rational::{below, gcd};

/// The integers that a double holds exactly are below this.
const EXACT: u128 = 1 << 53;

/// 10⁻¹² token.
const PICO: u128 = 1_000_000_000_000;

/// A quota in integers, in which an engine computes.
///
/// Time is counted in microseconds, the unit of the servers' clocks. Amounts are counted in a unit that is a fraction of a
/// token: a token has [`per_token`](Limit::per_token) units, and a microsecond earns
/// [`per_micro`](Limit::per_micro) whole units. So nothing is rounded while a bucket is refilled.
///
/// The sum of capacity, debt limit and the units of a microsecond is below 2⁵³, so that the doubles of Lua count
/// exactly. If the quota's own rate has no such unit, the rate is rounded *down*, to the best fraction that has one;
/// [`is_exact`](Limit::is_exact) tells. For a burst of a million tokens, it is then low by less than one part in 10⁹.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    per_micro: u64,
    per_token: u64,
    capacity: u64,
    debt: u64,
    initial: u64,
    is_exact: bool,
}

/// Returned if a quota cannot be counted in 53 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitError(Quota);

impl fmt::Display for LimitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let LimitError(quota) = self;
        write!(f, "the burst of {quota} is too large for so slow a rate: burst and debt must refill in some 285 years")
    }
}

impl std::error::Error for LimitError {}

impl Limit {
    /// Returns the quota in integers.
    ///
    /// # Errors
    ///
    /// Returns an error if the burst and the debt limit take so long to refill that no unit fits: 2⁵³ µs, or some 285 years.
    pub fn new(quota: &Quota) -> Result<Limit, LimitError> {
        let (tokens, period) = quota.rate();
        // Tokens in a microsecond: n / d.
        let (n, d) = (u128::from(tokens) * 1_000, period.as_nanos());
        let (capacity, debt) = (pico(quota.capacity()), pico(quota.debt_limit()));
        // A multiple of d units is a token. All must fit beside the units of a microsecond, which are n for d.
        let whole = (capacity + debt).div_ceil(PICO).max(1);
        let most = (EXACT - 1) / (whole + n.div_ceil(d));
        let (units, per_token) = below(n, d, most);
        if units == 0 {
            return Err(LimitError(*quota));
        }
        let fits = |times: u128| whole * per_token * times + units * times < EXACT && per_token * times <= PICO;
        let times = finest(fits);
        let (per_micro, per_token) = (units * times, per_token * times);
        let initial = capacity.min(pico(quota.initial_tokens()));
        let down = |amount: u128| (amount * per_token / PICO) as u64;
        Ok(Limit {
            per_micro: per_micro as u64,
            per_token: per_token as u64,
            capacity: down(capacity).max(1),
            debt: down(debt),
            initial: down(initial),
            is_exact: units * (d / gcd(n, d)) == (n / gcd(n, d)) * (per_token / times),
        })
    }

    /// Returns a limit whose units are nanoseconds: a microsecond earns a thousand.
    pub(crate) const fn of_nanos(capacity: u64, debt: u64) -> Limit {
        Limit { per_micro: 1_000, per_token: 1_000, capacity, debt, initial: capacity, is_exact: true }
    }

    /// Returns the limit with another capacity, up to the sum of its capacity and its debt, which stays.
    pub(crate) fn with_capacity(&self, capacity: u64) -> Limit {
        let capacity = capacity.min(self.capacity + self.debt);
        Limit { capacity, debt: self.capacity + self.debt - capacity, ..*self }
    }

    /// Returns the numbers that a script needs: the units that a microsecond earns, those in a token, in a full bucket and in
    /// the debt limit, and those that are missing in a bucket that starts.
    pub(crate) fn numbers(&self) -> [u64; 5] {
        [self.per_micro, self.per_token, self.capacity, self.debt, self.initial_deficit()]
    }

    /// Returns the units that a microsecond earns.
    #[must_use]
    pub fn per_micro(&self) -> u64 {
        self.per_micro
    }

    /// Returns the units in a token.
    #[must_use]
    pub fn per_token(&self) -> u64 {
        self.per_token
    }

    /// Returns the units in a full bucket.
    #[must_use]
    pub fn capacity(&self) -> u64 {
        self.capacity
    }

    /// Returns the units by which a charge may take a bucket below zero.
    #[must_use]
    pub fn debt(&self) -> u64 {
        self.debt
    }

    /// Returns the units that are missing in a bucket that starts.
    #[must_use]
    pub fn initial_deficit(&self) -> u64 {
        self.capacity - self.initial.min(self.capacity)
    }

    /// Returns whether the rate is exactly the quota's.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.is_exact
    }

    /// Returns a cost in units, rounded up; more than a bucket and its debt hold is as much as one unit more.
    #[must_use]
    pub fn cost(&self, tokens: Tokens) -> u64 {
        let units = (pico(tokens) * u128::from(self.per_token)).div_ceil(PICO);
        units.min(u128::from(self.capacity + self.debt + 1)) as u64
    }

    /// Returns an amount that is given back, in units, rounded down.
    #[must_use]
    pub fn given_back(&self, tokens: Tokens) -> u64 {
        let units = pico(tokens) * u128::from(self.per_token) / PICO;
        units.min(u128::from(self.capacity + self.debt)) as u64
    }

    /// Returns units in tokens, rounded down.
    #[must_use]
    pub fn tokens(&self, units: u64) -> Tokens {
        let pico = u128::from(units) * PICO / u128::from(self.per_token);
        Tokens::from_parts((pico / PICO) as u32, (pico % PICO) as u64).unwrap_or(Tokens::MAX)
    }

    /// Returns the time that earns these units, rounded up to a microsecond.
    #[must_use]
    pub fn time(&self, units: u64) -> Duration {
        Duration::from_micros(units.div_ceil(self.per_micro))
    }
}

fn pico(tokens: Tokens) -> u128 {
    u128::from(tokens.whole()) * PICO + u128::from(tokens.pico())
}

/// Returns the largest of 1, 2, 5, 10, 20, … that fits.
fn finest(fits: impl Fn(u128) -> bool) -> u128 {
    let mut best = 1;
    for power in 0..16 {
        for digit in [1, 2, 5] {
            let times = digit * 10u128.pow(power);
            if fits(times) {
                best = times;
            }
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(text: &str) -> Limit {
        Limit::new(&text.parse().unwrap()).unwrap()
    }

    #[test]
    fn a_second_earns_the_rate() {
        for (text, tokens) in [("100/s burst 200", 100), ("3/s", 3), ("10000000/s burst 100000000", 10_000_000)] {
            let limit = limit(text);
            assert!(limit.is_exact(), "{text}");
            assert_eq!(u128::from(limit.per_micro()) * 1_000_000, tokens * u128::from(limit.per_token()), "{text}");
        }
        let daily = limit("2000000/day");
        assert_eq!(u128::from(daily.per_micro()) * 86_400_000_000, 2_000_000 * u128::from(daily.per_token()));
    }

    #[test]
    fn every_quota_fits_or_is_an_error() {
        for tokens in [1, 7, 60, 1009, 65_537, 1_000_003, 16_777_213, 999_999_937] {
            for quota in [
                Quota::per_second(tokens),
                Quota::per_minute(tokens),
                Quota::per_hour(tokens),
                Quota::per_day(tokens),
                Quota::per_day(tokens).burst(u32::MAX),
                Quota::per_second(tokens).burst(u32::MAX),
            ] {
                let Ok(limit) = Limit::new(&quota) else {
                    assert!(quota.capacity().whole() == u32::MAX, "{quota}");
                    continue;
                };
                let sum = limit.capacity() + limit.debt() + limit.per_micro();
                assert!(u128::from(sum) < EXACT, "{quota}: {limit:?}");
                // Never above the quota's rate, and hardly below it.
                let (n, period) = quota.rate();
                let rate = u128::from(limit.per_micro()) * period.as_nanos();
                let exact = u128::from(n) * 1_000 * u128::from(limit.per_token());
                assert!(rate <= exact, "{quota}: {limit:?}");
                assert_eq!(rate == exact, limit.is_exact(), "{quota}: {limit:?}");
                assert!(
                    (exact - rate) as f64 / exact as f64 <= 1e-6 || quota.capacity().whole() == u32::MAX,
                    "{quota}: {limit:?}"
                );
            }
        }
    }

    #[test]
    fn a_burst_that_never_refills_is_an_error() {
        let quota = Quota::per_day(1).burst(u32::MAX);
        let error = Limit::new(&quota).unwrap_err().to_string();
        assert!(error.contains("1/day burst 4294967295"), "{error}");
    }

    #[test]
    fn amounts_are_rounded_against_the_caller() {
        let limit = limit("1000000000/s burst 1000000000");
        let little = Tokens::from_parts(0, 1).unwrap();
        assert_eq!(limit.cost(little), 1);
        assert_eq!(limit.given_back(little), 0);
        assert_eq!(limit.cost(Tokens::MAX), limit.capacity() + limit.debt() + 1);
    }
}
