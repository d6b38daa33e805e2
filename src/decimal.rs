//! Decimal numbers as people write them, exactly: `digits × 10^exponent`.

use core::fmt::Write as _;

use crate::tokens::{PICO, Tokens};

/// `digits × 10^exponent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Decimal {
    pub(crate) digits: u64,
    pub(crate) exponent: i32,
}

/// What to do with a part too small to be kept.
#[derive(Clone, Copy)]
pub(crate) enum Round {
    /// Refuse.
    Exactly,
    /// Costs: never charge less than was asked.
    Up,
    /// Bursts: never hold more than was asked.
    Down,
}

impl Decimal {
    /// Reads digits, with `_` between them and at most one point, from `bytes[from..]`. Returns
    /// the number and where it ended; `None` where there is no digit or too many of them.
    pub(crate) const fn parse(bytes: &[u8], from: usize) -> Option<(Decimal, usize)> {
        let (mut at, mut digits, mut exponent) = (from, 0u64, 0);
        let (mut any, mut point) = (false, false);
        while at < bytes.len() {
            match bytes[at] {
                digit @ b'0'..=b'9' => {
                    digits = match digits.checked_mul(10) {
                        Some(shifted) => match shifted.checked_add((digit - b'0') as u64) {
                            Some(sum) => sum,
                            None => return None,
                        },
                        None => return None,
                    };
                    exponent -= point as i32;
                    any = true;
                }
                b'_' if any => {}
                b'.' if !point => point = true,
                _ => break,
            }
            at += 1;
        }
        if any { Some((Decimal { digits, exponent }.trimmed(), at)) } else { None }
    }

    /// Reads all of `bytes`.
    pub(crate) fn parse_exactly(bytes: &[u8]) -> Option<Decimal> {
        Decimal::parse(bytes, 0).filter(|&(_, end)| end == bytes.len()).map(|(decimal, _)| decimal)
    }

    /// The shortest decimal that reads back as `number`; `None` for what is not a finite number
    /// from zero up.
    pub(crate) fn from_f64(number: f64) -> Option<Decimal> {
        if !number.is_finite() || number < 0.0 {
            return None;
        }
        let mut text = Buffer { bytes: [0; 32], len: 0 };
        // `{:e}` is at most 24 bytes long: 17 digits, a point, `e-308`.
        write!(text, "{:e}", number.abs()).ok()?;
        let text = &text.bytes[..text.len];
        let (mantissa, end) = Decimal::parse(text, 0)?;
        let exponent: i32 = core::str::from_utf8(&text[end + 1..]).ok()?.parse().ok()?;
        Some(Decimal { exponent: mantissa.exponent + exponent, ..mantissa }.trimmed())
    }

    /// Without zeros at the end of the digits.
    const fn trimmed(mut self) -> Decimal {
        if self.digits == 0 {
            return Decimal { digits: 0, exponent: 0 };
        }
        while self.digits % 10 == 0 {
            self.digits /= 10;
            self.exponent += 1;
        }
        self
    }

    /// The number times `factor`.
    pub(crate) const fn times(self, factor: u64) -> Option<Decimal> {
        match self.digits.checked_mul(factor) {
            Some(digits) => Some(Decimal { digits, ..self }.trimmed()),
            None => None,
        }
    }

    /// As tokens; `None` where it is too large, or has too many decimals to be kept exactly.
    pub(crate) const fn tokens(self, round: Round) -> Option<Tokens> {
        let exponent = self.exponent + 12;
        let scale = exponent.unsigned_abs();
        // 10³⁸ is the largest power of ten that fits; beyond it every number but 0 is out of
        // range one way, nothing the other way.
        let scale = 10u128.pow(if scale < 38 { scale } else { 38 });
        let digits = self.digits as u128;
        let pico = if exponent >= 0 {
            match digits.checked_mul(scale) {
                Some(pico) => pico,
                None => return None,
            }
        } else {
            match round {
                Round::Exactly if digits % scale != 0 => return None,
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
    fn tokens_are_rounded_as_asked() {
        let decimal = |text: &str| Decimal::parse_exactly(text.as_bytes()).unwrap();
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
