//! Every derived layout against its definition, in integers of 256 bits.

use std::vec::Vec;

use ethnum::U256;
use proptest::prelude::*;

use super::{Earned, Layout};
use crate::tokens::{PICO, Tokens};

fn wide(number: impl Into<U256>) -> U256 {
    number.into()
}

fn div_ceil(number: U256, divisor: U256) -> U256 {
    number / divisor + U256::from(number % divisor != U256::ZERO)
}

/// The finest first, the units in a token that are tried.
fn units_tried(tokens: u64, nanos: u128, odd: u64) -> impl Iterator<Item = u64> {
    let decimal = (0..16).rev().flat_map(|power| [5, 2, 1].map(|digit| digit * 10u64.pow(power)));
    let tried = decimal.filter(|&scale| scale <= 1_000_000_000_000_000).map(move |scale| scale * odd);
    tried.filter(move |&per_token| u128::from(tokens) * u128::from(per_token) <= nanos)
}

/// Returns m and s: m / 2^(61+s) is the rate, with m rounded up to 64 bits.
fn earned(units: u128, nanos: u128) -> Option<(U256, u32)> {
    (2..64).rev().find_map(|s| {
        let m = div_ceil(wide(units) << (61 + s), wide(nanos));
        (m >> 63u32 == U256::ONE).then_some((m, s))
    })
}

/// Returns the layout with `per_token` units to a token, with the smallest k whose counts fit.
fn with_unit(tokens: u64, nanos: u128, capacity: Tokens, debt: Tokens, per_token: u64) -> Option<Layout> {
    let units = |amount: Tokens| wide(amount.total_pico()) * wide(per_token) / wide(PICO);
    let (capacity, debt) = (units(capacity), units(debt));
    if capacity == U256::ZERO || (capacity + debt) >> 62u32 != U256::ZERO {
        return None;
    }
    let (m, s) = earned(u128::from(tokens) * u128::from(per_token), nanos)?;
    let earned = |nanos: U256| div_ceil(nanos * m, U256::ONE << (61 + s));
    (0..60u32).find_map(|k| {
        let tick = earned(U256::ONE << k) + 1;
        let offset = 2 * tick + debt + 2;
        let refill = div_ceil((capacity + debt + tick + 2) << (61 + s - k), m);
        let span = (refill + 1).min(U256::ONE << (59 - k));
        let top = offset + capacity + earned(span << k) + 2 * tick + 3;
        (top < U256::ONE << (k + 3)).then(|| Layout {
            m: m.as_u64(),
            s: s as u8,
            k: k as u8,
            mask: (1 << (k + 3)) - 1,
            per_token,
            offset: offset.as_u64(),
            full: (offset + capacity).as_u64(),
            horizon: ((span << (k + 3)) - 1).as_u64(),
        })
    })
}

fn by_definition(tokens: u64, nanos: u128, capacity: Tokens, debt: Tokens) -> Option<Layout> {
    let with_unit = |per_token| with_unit(tokens, nanos, capacity, debt, per_token);
    let is_whole = |per_token: u64| wide(capacity.total_pico()) * wide(per_token) % wide(PICO) == U256::ZERO;
    if tokens == 1 && nanos <= 1_000_000_000_000_000 && is_whole(nanos as u64) {
        if let Some(layout) = with_unit(nanos as u64) {
            return Some(layout);
        }
    }
    let mut odd = nanos;
    for prime in [2, 5] {
        while odd.is_multiple_of(prime) {
            odd /= prime;
        }
    }
    let odd = if odd < 1_000 { odd as u64 } else { 1 };
    let finest = |odd| units_tried(tokens, nanos, odd).find_map(with_unit);
    finest(odd).filter(|layout| is_whole(layout.per_token)).or_else(|| finest(1))
}

#[track_caller]
fn check(tokens: u64, nanos: u128, capacity: Tokens, debt: Tokens) -> Result<(), TestCaseError> {
    let divisor = gcd(tokens.into(), nanos);
    let (tokens, nanos) = (tokens / divisor as u64, nanos / divisor);
    let derived = Layout::derive(tokens, nanos, capacity, debt);
    prop_assert_eq!(
        derived,
        by_definition(tokens, nanos, capacity, debt),
        "{} per {} ns, burst {}, debt {}",
        tokens,
        nanos,
        capacity,
        debt
    );
    Ok(())
}

fn gcd(a: u128, b: u128) -> u128 {
    if b == 0 { a } else { gcd(b, a % b) }
}

const SECOND: u128 = 1_000_000_000;
/// The slowest rate: one token per 10 000 years.
const SLOWEST: u128 = 10_000 * 366 * 86_400 * SECOND;

/// Numbers of every length are as likely as each other.
fn number() -> impl Strategy<Value = u64> {
    (any::<u64>(), 0..64u32).prop_map(|(bits, shift)| (bits >> shift).max(1))
}

fn amount() -> impl Strategy<Value = Tokens> {
    let fraction = (0..PICO, 0..13u32).prop_map(|(pico, zeros)| pico - pico % 10u64.pow(zeros).min(PICO));
    let pico = prop_oneof![2 => Just(0), 1 => fraction];
    (any::<u32>(), 0..33u32, pico)
        .prop_map(|(whole, shift, pico)| Tokens::from_parts(whole.checked_shr(shift).unwrap_or(0), pico).unwrap())
}

/// Everyday rates, and rates of any terms.
fn rate() -> impl Strategy<Value = (u64, u128)> {
    let periods = [1, 1_000, 1_000_000, SECOND, 60 * SECOND, 3_600 * SECOND, 86_400 * SECOND, 604_800 * SECOND];
    let everyday = (number(), 1..100u128, prop::sample::select(periods.to_vec()))
        .prop_map(|(tokens, count, unit)| (tokens >> 32, count * unit));
    let of_any_terms = (number(), number()).prop_map(|(tokens, nanos)| (tokens, nanos.into()));
    let slow =
        (1..1_000u64, any::<u128>()).prop_map(|(tokens, nanos)| (tokens, nanos % (SLOWEST * u128::from(tokens))));
    let rates = prop_oneof![everyday, of_any_terms, slow];
    // A token takes at least a nanosecond, and at most 10 000 years.
    rates.prop_map(|(tokens, nanos)| {
        let tokens = tokens.max(1);
        (tokens, nanos.clamp(tokens.into(), SLOWEST.saturating_mul(tokens.into())))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_layout_is_the_one_that_is_defined((tokens, nanos) in rate(), capacity in amount(), debt in amount()) {
        check(tokens, nanos, capacity, debt)?;
        check(tokens, nanos, capacity, capacity)?;
    }

    #[test]
    fn a_rate_is_rounded_up_to_64_bits(units in number(), nanos in any::<u128>(), shift in 8..128u32) {
        let nanos = (nanos >> shift).max(units.into());
        let expected = earned(units.into(), nanos).map(|(m, s)| (m.as_u64(), s as u8));
        prop_assert_eq!(Earned::new(units.into(), nanos).map(|earned| (earned.m, earned.s)), expected);
    }
}

/// Around every power of two, where a count needs one bit more.
#[test]
fn at_the_edges_of_a_tick() {
    for (tokens, nanos) in
        [(1, 1), (1, 10), (1, SECOND), (1, 60 * SECOND), (3, SECOND), (7, 60 * SECOND), (999_999_937, SECOND)]
    {
        for shift in 0..32 {
            let edge = 1u32 << shift;
            for capacity in [edge - 1, edge, edge + 1] {
                for debt in [0, 1, capacity, u32::MAX] {
                    let (capacity, debt) = (Tokens::new(capacity.max(1)), Tokens::new(debt));
                    check(tokens, nanos, capacity, debt).unwrap();
                }
            }
        }
    }
}

/// Every rate of whole tokens that people write, with bursts of all sizes.
#[test]
fn of_everyday_rates() {
    let counts: Vec<u64> =
        (1..=100).chain([128, 250, 360, 500, 600, 1_000, 1_024, 5_000, 86_400, 2_000_000, 10_485_760]).collect();
    for period in [1, 10, 60, 300, 3_600, 86_400, 604_800] {
        for &count in &counts {
            let count_only = Tokens::new(count as u32);
            for burst in [
                Tokens::ONE,
                count_only,
                Tokens::new(1_000_000_000),
                Tokens::MAX,
                Tokens::from_parts(2, PICO / 2).unwrap(),
            ] {
                check(count, period * SECOND, burst, burst).unwrap();
            }
        }
    }
}
