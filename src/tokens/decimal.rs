//! Exact decimal numbers, as people write them: `digits × 10^exponent`.

use core::fmt::Write as _;

use super::amount::{PICO, Tokens};

/// All digits are below this, so that they have at most 38 places.
const MOST: u128 = 10u128.pow(38);

/// `digits × 10^exponent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Decimal {
    pub(crate) digits: u128,
    pub(crate) exponent: i32,
}

/// The rounding of a part too small to be kept.
#[derive(Clone, Copy)]
pub(crate) enum Round {
    /// Refuse.
    Exactly,
    /// For costs: never charge less than was asked for.
    Up,
    /// For bursts: never hold more than was asked for.
    Down,
}

impl Decimal {
    pub(crate) const ONE: Decimal = Decimal { digits: 1, exponent: 0 };

    /// Parses all of `bytes[from..to]`: digits, with `_` between them and at most one point.
    /// Returns `None` for anything else, and for more digits than are kept.
    pub(crate) const fn parse(bytes: &[u8], from: usize, to: usize) -> Option<Decimal> {
        let (mut at, mut digits) = (from, 0u128);
        // Zeros count once a digit follows them, so that any number of them may end a number.
        let (mut zeros, mut decimals) = (0u32, 0u32);
        let (mut any, mut point, mut after_digit) = (false, false, false);
        while at < to {
            let byte = bytes[at];
            at += 1;
            match byte {
                b'0'..=b'9' => {
                    if point {
                        decimals = decimals.saturating_add(1);
                    }
                    any = true;
                }
                b'_' if after_digit && at < to && bytes[at].is_ascii_digit() => {}
                b'.' if !point => point = true,
                _ => return None,
            }
            after_digit = byte.is_ascii_digit();
            match byte {
                b'0' => zeros = zeros.saturating_add(1),
                b'1'..=b'9' => {
                    let shifted = if digits == 0 { Some(0) } else { shift(digits, zeros.saturating_add(1)) };
                    match shifted {
                        Some(shifted) if shifted < MOST => digits = shifted + (byte - b'0') as u128,
                        _ => return None,
                    }
                    zeros = 0;
                }
                _ => {}
            }
        }
        if !any {
            return None;
        }
        let exponent = if zeros >= decimals { clip(zeros - decimals) } else { -clip(decimals - zeros) };
        Some(Decimal { digits, exponent: if digits == 0 { 0 } else { exponent } })
    }

    /// Parses all of `bytes`.
    pub(crate) fn parse_exactly(bytes: &[u8]) -> Option<Decimal> {
        Decimal::parse(bytes, 0, bytes.len())
    }

    /// Returns the shortest decimal that reads back as `number`; `None` if it is not a finite
    /// number from zero up.
    pub(crate) fn from_f64(number: f64) -> Option<Decimal> {
        if !number.is_finite() || number < 0.0 {
            return None;
        }
        let mut text = Buffer { bytes: [0; 32], len: 0 };
        // `{:e}` is at most 24 bytes long: 17 digits, a point, `e-308`.
        write!(text, "{:e}", number.abs()).ok()?;
        let text = &text.bytes[..text.len];
        let end = text.iter().position(|&byte| byte == b'e')?;
        let mantissa = Decimal::parse(text, 0, end)?;
        let exponent: i32 = core::str::from_utf8(&text[end + 1..]).ok()?.parse().ok()?;
        Some(Decimal { exponent: mantissa.exponent + exponent, ..mantissa })
    }

    /// Returns the number times `factor`; `None` if that has more digits than are kept.
    pub(crate) const fn times(self, factor: u64) -> Option<Decimal> {
        match self.digits.checked_mul(factor as u128) {
            Some(digits) if digits < MOST => Some(Decimal { digits, ..self }),
            _ => None,
        }
    }

    /// Returns the number if it is whole and at most `most`.
    pub(crate) const fn whole(self, most: u128) -> Option<u128> {
        let scale = match 10u128.checked_pow(self.exponent.unsigned_abs()) {
            Some(scale) => scale,
            // Beyond 10³⁸ every number but 0 is too large, or has a fraction.
            None => return if self.digits == 0 { Some(0) } else { None },
        };
        let whole = if self.exponent >= 0 {
            self.digits.checked_mul(scale)
        } else if self.digits.is_multiple_of(scale) {
            Some(self.digits / scale)
        } else {
            None
        };
        match whole {
            Some(whole) if whole <= most => Some(whole),
            _ => None,
        }
    }

    /// Converts to tokens; `None` if the number is too large, or has too many decimals to be kept
    /// exactly.
    pub(crate) const fn tokens(self, round: Round) -> Option<Tokens> {
        let exponent = self.exponent + 12;
        let scale = exponent.unsigned_abs();
        // 10³⁸ is the largest power of ten that fits, and above all digits; beyond it every
        // number but 0 is out of range one way, nothing the other way.
        let scale = 10u128.pow(if scale < 38 { scale } else { 38 });
        let digits = self.digits;
        let pico = if exponent >= 0 {
            match digits.checked_mul(scale) {
                Some(pico) => pico,
                None => return None,
            }
        } else {
            match round {
                Round::Exactly if !digits.is_multiple_of(scale) => return None,
                Round::Up => digits.div_ceil(scale),
                _ => digits / scale,
            }
        };
        if pico >= (1 << 32) * PICO as u128 {
            return None;
        }
        Some(Tokens::from_pico(pico))
    }
}

/// Returns `digits × 10^places`; `None` on overflow.
const fn shift(digits: u128, places: u32) -> Option<u128> {
    match 10u128.checked_pow(places) {
        Some(scale) => digits.checked_mul(scale),
        None => None,
    }
}

/// An exponent with room to add to.
const fn clip(exponent: u32) -> i32 {
    if exponent > 1 << 30 { 1 << 30 } else { exponent as i32 }
}

struct Buffer {
    bytes: [u8; 32],
    len: usize,
}

impl core::fmt::Write for Buffer {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        let room = self.bytes.get_mut(self.len..self.len + text.len()).ok_or(core::fmt::Error)?;
        room.copy_from_slice(text.as_bytes());
        self.len += text.len();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shortest_decimal_is_found() {
        for (number, digits, exponent) in [
            (0.0, 0, 0),
            (-0.0, 0, 0),
            (0.1, 1, -1),
            (2.5, 25, -1),
            (1e-10, 1, -10),
            (0.769_230_769_230_769_3, 7_692_307_692_307_693, -16),
            (1e300, 1, 300),
            (600_000_007.0, 600_000_007, 0),
        ] {
            assert_eq!(Decimal::from_f64(number), Some(Decimal { digits, exponent }), "{number}");
        }
        for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0] {
            assert_eq!(Decimal::from_f64(number), None, "{number}");
        }
    }

    #[test]
    fn numbers_are_read_whole_or_not_at_all() {
        let most = "99999999999999999999999999999999999999";
        for (text, digits, exponent) in [
            ("0", 0, 0),
            ("0.00", 0, 0),
            ("100", 1, 2),
            ("1_000.250", 100_025, -2),
            ("00.50", 5, -1),
            (".5", 5, -1),
            ("5.", 5, 0),
            ("10.0", 1, 1),
            (most, MOST - 1, 0),
        ] {
            assert_eq!(Decimal::parse_exactly(text.as_bytes()), Some(Decimal { digits, exponent }), "{text}");
        }
        for text in ["", ".", "_1", "1_", "1__0", "1_.5", "1._5", "1.5.", "-1", "+1", "1e3", " 1", "1 "] {
            assert_eq!(Decimal::parse_exactly(text.as_bytes()), None, "{text}");
        }
        assert_eq!(Decimal::parse(b"1/25s", 2, 4), Some(Decimal { digits: 25, exponent: 0 }));
        assert_eq!(
            Decimal { digits: MOST / 1_000 - 1, exponent: 0 }.times(1_000).map(|d| d.digits),
            Some(MOST - 1_000)
        );
        assert_eq!(Decimal { digits: MOST / 1_000, exponent: 0 }.times(1_000), None);
        let largest = Tokens::MAX.total_pico();
        assert_eq!(decimal("4294967295.999999999999").tokens(Round::Exactly).map(Tokens::total_pico), Some(largest));
    }

    fn decimal(text: &str) -> Decimal {
        Decimal::parse_exactly(text.as_bytes()).unwrap()
    }

    #[test]
    fn tokens_are_rounded_as_asked() {
        let pico = |pico| Tokens::from_parts(0, pico);
        assert_eq!(decimal("0.0000000000015").tokens(Round::Exactly), None);
        assert_eq!(decimal("0.0000000000015").tokens(Round::Up), pico(2));
        assert_eq!(decimal("0.0000000000015").tokens(Round::Down), pico(1));
        assert_eq!(Decimal { digits: 1, exponent: -300 }.tokens(Round::Up), pico(1));
        assert_eq!(decimal("4294967295").tokens(Round::Exactly), Some(Tokens::new(u32::MAX)));
        assert_eq!(decimal("4294967296").tokens(Round::Down), None);
        assert_eq!(Decimal { digits: 1, exponent: 300 }.tokens(Round::Down), None);
        assert_eq!(Decimal { digits: 0, exponent: 0 }.tokens(Round::Exactly), Some(Tokens::ZERO));
    }
}
