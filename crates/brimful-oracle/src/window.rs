//! The oracle for the window bound. It finds the worst window: the one with the largest excess of
//! grants over what the rate earned.
//!
//! The excess of a window [a, b] is `granted(a..=b) − rate × (b − a)`. The bound says that the
//! excess is at most the burst. A window that does not begin and end at a grant can be narrowed
//! until it does, without granting less. So only the readings of grants matter.
//!
//! The worst window that ends at a reading is the worst one that ended at the previous reading,
//! extended; or a new one, if the excess of the previous one has been earned back by then. So one
//! pass over the grants, in the order of their readings, finds the worst window, with one run in
//! memory.
//!
//! All amounts are whole numbers of 1/nanos unit in 256 bits, so nothing overflows: a reading has
//! 64 bits, the tokens of a rate 128, its period 80.

use core::cmp::Ordering;

use ethnum::{I256, U256};

/// The right-hand side of the bound: `burst + tokens / nanos × (b − a)`. The caller chooses the
/// unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    burst: u128,
    tokens: u128,
    nanos: u128,
}

impl Bound {
    /// Creates the bound of a burst, and of a rate of `tokens` per `nanos`. The costs of the grants
    /// are in the unit of `burst` and `tokens`.
    ///
    /// # Panics
    ///
    /// If `nanos` is zero, or 2⁸⁰ or more.
    #[must_use]
    pub fn new(burst: u128, tokens: u128, nanos: u128) -> Self {
        assert!(nanos > 0 && nanos >> 80 == 0, "a period of {nanos} ns is not in 1..2^80");
        Bound { burst, tokens, nanos }
    }

    /// The margin of a window of `span` nanoseconds in which `granted` was granted: `burst + rate ×
    /// span − granted`.
    ///
    /// # Panics
    ///
    /// If the margin does not fit in 128 bits.
    #[must_use]
    pub fn margin(&self, span: u64, granted: i128) -> Margin {
        let nanos = I256::from(self.nanos);
        let earned = I256::from(self.tokens) * I256::from(span);
        let excess = I256::from(granted) * nanos - earned;
        Margin::new(I256::from(self.burst) * nanos - excess, self.nanos)
    }
}

/// The distance of a window from the bound, exactly: `whole + numerator / denominator` units, with
/// the fraction in [0, 1) and in lowest terms. A negative margin violates the bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Margin {
    /// Rounded down, so its sign is the sign of the margin.
    pub whole: i128,
    /// The numerator of the fraction.
    pub numerator: u128,
    /// The denominator of the fraction.
    pub denominator: u128,
}

impl Margin {
    fn new(numerator: I256, denominator: u128) -> Self {
        let nanos = I256::from(denominator);
        let whole = i128::try_from(numerator.div_euclid(nanos)).expect("the margin does not fit in 128 bits");
        let rest = numerator.rem_euclid(nanos).as_u128();
        let divisor = gcd(rest, denominator);
        Margin { whole, numerator: rest / divisor, denominator: denominator / divisor }
    }

    /// Whether the window grants more than the bound allows.
    #[must_use]
    pub fn is_violation(&self) -> bool {
        self.whole < 0
    }

    /// The margin in units, approximately.
    #[must_use]
    pub fn as_f64(&self) -> f64 {
        self.whole as f64 + self.numerator as f64 / self.denominator as f64
    }
}

impl PartialOrd for Margin {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Margin {
    fn cmp(&self, other: &Self) -> Ordering {
        let crossed = |a: u128, b: u128| U256::from(a) * U256::from(b);
        self.whole
            .cmp(&other.whole)
            .then_with(|| crossed(self.numerator, other.denominator).cmp(&crossed(other.numerator, self.denominator)))
    }
}

/// A window of grants, and its margin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// The reading of its first grant.
    pub start_ns: u64,
    /// The reading of its last grant.
    pub end_ns: u64,
    /// The cost that was granted in it, less what was given back.
    pub granted: i128,
    /// `burst + rate × (end − start) − granted`.
    pub margin: Margin,
}

/// Finds the worst window of grants that arrive in the order of their readings.
#[derive(Clone, Debug)]
pub struct WindowScan {
    bound: Bound,
    /// The worst window that ends at the last reading, with all grants of that reading so far.
    run: Option<Run>,
    /// The worst window that ended earlier.
    worst: Option<Run>,
}

#[derive(Clone, Copy, Debug)]
struct Run {
    start: u64,
    end: u64,
    granted: i128,
    /// Granted less earned, in 1/nanos unit.
    excess: I256,
}

impl WindowScan {
    /// Creates a scan without grants.
    #[must_use]
    pub fn new(bound: Bound) -> Self {
        WindowScan { bound, run: None, worst: None }
    }

    /// Adds a grant of `cost` to a call with this reading. A negative `cost` was given back. Grants
    /// with the same reading are in the same windows, so their order does not matter.
    ///
    /// # Panics
    ///
    /// If the reading is earlier than the last one, or the sum of the costs does not fit in 128
    /// bits.
    pub fn push(&mut self, reading_ns: u64, cost: i128) {
        let anew = Run { start: reading_ns, end: reading_ns, granted: 0, excess: I256::ZERO };
        let mut run = match self.run {
            Some(run) if run.end == reading_ns => run,
            Some(run) => {
                assert!(run.end < reading_ns, "a grant at {reading_ns} ns came after one at {} ns", run.end);
                self.worst = heavier(self.worst, Some(run));
                let earned = I256::from(self.bound.tokens) * I256::from(reading_ns - run.end);
                let excess = run.excess - earned;
                if excess > 0 { Run { end: reading_ns, excess, ..run } } else { anew }
            }
            None => anew,
        };
        run.granted = run.granted.checked_add(cost).expect("the sum of the costs does not fit in 128 bits");
        run.excess += I256::from(cost) * I256::from(self.bound.nanos);
        self.run = Some(run);
    }

    /// The window with the smallest margin so far, the first of several; `None` without grants.
    ///
    /// # Panics
    ///
    /// If the margin does not fit in 128 bits.
    #[must_use]
    pub fn worst(&self) -> Option<Window> {
        heavier(self.worst, self.run).map(|Run { start, end, granted, .. }| Window {
            start_ns: start,
            end_ns: end,
            granted,
            margin: self.bound.margin(end - start, granted),
        })
    }
}

/// The run with more excess, or the first one if they are equal.
fn heavier(a: Option<Run>, b: Option<Run>) -> Option<Run> {
    match (a, b) {
        (Some(a), Some(b)) => Some(if b.excess > a.excess { b } else { a }),
        (a, b) => a.or(b),
    }
}

/// The worst window of grants in any order, as `(reading_ns, cost)`. Sorts the grants by reading.
///
/// # Panics
///
/// Under the conditions of [`WindowScan::push`] and [`WindowScan::worst`].
pub fn worst_window<C: Copy + Into<i128>>(bound: Bound, grants: &mut [(u64, C)]) -> Option<Window> {
    grants.sort_unstable_by_key(|&(reading, _)| reading);
    let mut scan = WindowScan::new(bound);
    for &(reading, cost) in grants.iter() {
        scan.push(reading, cost.into());
    }
    scan.worst()
}

fn gcd(mut a: u128, mut b: u128) -> u128 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The margins of all windows between two readings, each summed separately.
    fn brute(bound: Bound, grants: &[(u64, i64)]) -> Option<Margin> {
        let mut margins = Vec::new();
        for &(a, _) in grants {
            for &(b, _) in grants.iter().filter(|&&(b, _)| b >= a) {
                let inside = grants.iter().filter(|&&(at, _)| a <= at && at <= b);
                let granted: i128 = inside.map(|&(_, cost)| i128::from(cost)).sum();
                let nanos = bound.nanos as i128;
                let numerator = (bound.burst as i128 - granted) * nanos + bound.tokens as i128 * i128::from(b - a);
                margins.push(Margin::new(I256::from(numerator), bound.nanos));
            }
        }
        margins.into_iter().min()
    }

    /// Pseudo-random numbers, the same in every run.
    struct Random(u64);

    impl Random {
        fn below(&mut self, end: u64) -> u64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            (self.0 >> 11) % end
        }
    }

    #[test]
    fn it_agrees_with_every_window_summed() {
        let mut random = Random(7);
        for round in 0..3_000 {
            let bound = Bound::new(
                u128::from(random.below(20)),
                u128::from(1 + random.below(12)),
                u128::from(1 + random.below(40)),
            );
            let (count, span) = (random.below(24), 1 + random.below(120));
            // Every other round has give-backs.
            let least = if round % 2 == 0 { 0 } else { -6 };
            let mut grants: Vec<(u64, i64)> =
                (0..count).map(|_| (random.below(span), least + random.below(14) as i64)).collect();
            let expected = brute(bound, &grants);
            let found = worst_window(bound, &mut grants);
            assert_eq!(found.map(|window| window.margin), expected, "{bound:?} {grants:?}");
            if let Some(window) = found {
                let inside = grants.iter().filter(|&&(at, _)| window.start_ns <= at && at <= window.end_ns);
                assert_eq!(inside.map(|&(_, cost)| i128::from(cost)).sum::<i128>(), window.granted);
                assert_eq!(bound.margin(window.end_ns - window.start_ns, window.granted), window.margin);
            }
        }
    }

    #[test]
    fn one_grant_too_many_breaks_the_bound_and_none_too_many_leaves_nothing() {
        // A burst of 5, and one token per 10 ns.
        let bound = Bound::new(5, 1, 10);
        let mut grants = vec![(110u64, 1i64), (100, 5), (120, 1)];
        let window = worst_window(bound, &mut grants).unwrap();
        assert_eq!((window.start_ns, window.end_ns, window.granted), (100, 100, 5));
        assert_eq!(window.margin, Margin { whole: 0, numerator: 0, denominator: 1 });

        grants.push((119, 1));
        let window = worst_window(bound, &mut grants).unwrap();
        assert_eq!((window.start_ns, window.end_ns, window.granted), (100, 120, 8));
        assert_eq!(window.margin, Margin { whole: -1, numerator: 0, denominator: 1 });
        assert!(window.margin.is_violation());

        let early = worst_window(bound, &mut [(0u64, 5i64), (9, 1)]).unwrap();
        assert_eq!(early.margin, Margin { whole: -1, numerator: 9, denominator: 10 });
        assert!(early.margin.is_violation());
        assert!((early.margin.as_f64() + 0.1).abs() < 1e-12);
    }

    #[test]
    fn what_was_given_back_is_not_granted() {
        let bound = Bound::new(5, 1, 1_000_000);
        let mut grants = vec![(1u64, 5i64), (1, -3), (2, 3)];
        assert!(!worst_window(bound, &mut grants).unwrap().margin.is_violation());
    }

    #[test]
    fn without_grants_there_is_no_window() {
        assert_eq!(WindowScan::new(Bound::new(1, 1, 1)).worst(), None);
    }

    #[test]
    fn nothing_overflows_at_the_ends_of_the_range() {
        const PICO: u128 = 1_000_000_000_000;
        const SLOWEST: u128 = 10_000 * 366 * 86_400 * 1_000_000_000;
        let burst = (1u128 << 32) * PICO;
        let last = u64::MAX;
        for bound in [
            Bound::new(burst, PICO, SLOWEST),
            Bound::new(burst, PICO, 1),
            Bound::new(burst, u128::from(u64::MAX) * PICO, SLOWEST),
        ] {
            let mut scan = WindowScan::new(bound);
            scan.push(0, burst as i128);
            assert_eq!(scan.worst().unwrap().margin.whole, 0);
            scan.push(last, burst as i128);
            scan.push(last, 1);
            assert!(scan.worst().unwrap().margin.is_violation());
        }
    }

    #[test]
    #[should_panic(expected = "came after")]
    fn a_grant_out_of_order_is_refused() {
        let mut scan = WindowScan::new(Bound::new(1, 1, 1));
        scan.push(2, 1);
        scan.push(1, 1);
    }
}
