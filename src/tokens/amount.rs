//! [`Tokens`]: an amount of tokens, with twelve decimals.

use core::fmt;

/// An amount of tokens: the cost of a call, or the size of a burst. It ranges from 0 to 4 294 967
/// 295.999 999 999 999, in steps of 10⁻¹² token.
///
/// `u32` is the only number that converts by itself, so that a literal works for every
/// `impl Into<Tokens>`. All other numbers can be out of range, and go through [`Tokens::try_from`]:
/// write `Tokens::try_from(2.5)?` where `2.5` does not compile, and `Tokens::try_from(len)?` for a
/// `u64` or a `usize`. Text is parsed, and [`Tokens::from_parts`] makes a fraction in a constant.
///
/// A limiter counts in units that its quota chose ([`Quota::resolution`]). A cost that is not a
/// whole number of units is rounded *up*.
///
/// [`Quota::resolution`]: crate::Quota::resolution
///
/// # Examples
///
/// ```
/// use brimful::Tokens;
///
/// let cost: Tokens = "2.5".parse()?;
/// assert_eq!(cost, Tokens::try_from(2.5)?);
/// assert_eq!(cost.to_string(), "2.5");
/// assert!(cost < Tokens::from(3));
/// # Ok::<(), brimful::TokensError>(())
/// ```
///
/// A call that costs a fraction:
///
/// ```
/// use brimful::{MockClock, Quota, RateLimiter, Tokens};
///
/// let limiter = RateLimiter::with_clock(Quota::per_second(10), MockClock::new());
/// limiter.try_acquire_n(Tokens::try_from(2.5)?)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A float alone does not compile:
///
/// ```compile_fail,E0277
/// # use brimful::{MockClock, Quota, RateLimiter};
/// # let limiter = RateLimiter::with_clock(Quota::per_second(10), MockClock::new());
/// let taken = limiter.try_acquire_n(2.5);
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tokens {
    // Twelve bytes and four-byte alignment, where a `u64` fraction would make it sixteen.
    // The derived order is the numeric one because the fields stand by weight.
    whole: u32,
    micro: u32,
    pico: u32,
}

/// Parts of 10⁻¹² token in one token.
pub(crate) const PICO: u64 = 1_000_000_000_000;
const MICRO: u64 = 1_000_000;

impl Tokens {
    /// No tokens.
    pub const ZERO: Tokens = Tokens::new(0);
    /// One token.
    pub const ONE: Tokens = Tokens::new(1);
    /// The largest amount, 10⁻¹² below 2³².
    pub const MAX: Tokens = Tokens { whole: u32::MAX, micro: 999_999, pico: 999_999 };

    /// Returns an amount of whole tokens.
    #[inline]
    #[must_use]
    pub const fn new(whole: u32) -> Self {
        Tokens { whole, micro: 0, pico: 0 }
    }

    /// Returns `whole` tokens and `pico` parts of 10⁻¹² token; `None` if `pico` is a token or more.
    #[must_use]
    pub const fn from_parts(whole: u32, pico: u64) -> Option<Self> {
        if pico >= PICO {
            return None;
        }
        Some(Tokens { whole, micro: (pico / MICRO) as u32, pico: (pico % MICRO) as u32 })
    }

    /// Returns the whole tokens, rounded down.
    #[inline]
    #[must_use]
    pub const fn whole(self) -> u32 {
        self.whole
    }

    /// Returns the fraction beyond [`whole`](Tokens::whole), in parts of 10⁻¹² token.
    #[inline]
    #[must_use]
    pub const fn pico(self) -> u64 {
        self.micro as u64 * MICRO + self.pico as u64
    }

    /// Returns whether the amount is zero.
    #[inline]
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.whole == 0 && self.micro == 0 && self.pico == 0
    }

    /// Returns the nearest `f64`.
    #[must_use]
    pub fn as_f64(self) -> f64 {
        f64::from(self.whole) + self.pico() as f64 / PICO as f64
    }

    /// Returns the sum, or [`Tokens::MAX`] if the sum is larger.
    #[must_use]
    pub const fn saturating_add(self, other: Tokens) -> Tokens {
        Self::from_pico(self.total_pico() + other.total_pico())
    }

    /// Returns the difference, or [`Tokens::ZERO`] if `other` is larger.
    #[must_use]
    pub const fn saturating_sub(self, other: Tokens) -> Tokens {
        Self::from_pico(self.total_pico().saturating_sub(other.total_pico()))
    }

    /// Returns the whole amount in parts of 10⁻¹² token.
    pub(crate) const fn total_pico(self) -> u128 {
        self.whole as u128 * PICO as u128 + self.pico() as u128
    }

    /// Returns the three numbers of the amount in one, so that it is passed in registers.
    #[inline]
    pub(crate) const fn to_bits(self) -> u128 {
        (self.whole as u128) << 64 | (self.micro as u128) << 32 | self.pico as u128
    }

    /// Returns the amount of these [bits](Tokens::to_bits).
    #[inline]
    pub(crate) const fn from_bits(bits: u128) -> Tokens {
        Tokens { whole: (bits >> 64) as u32, micro: (bits >> 32) as u32, pico: bits as u32 }
    }

    /// Returns an amount of `total` parts of 10⁻¹² token, clipped at [`Tokens::MAX`].
    pub(crate) const fn from_pico(total: u128) -> Tokens {
        if total > Tokens::MAX.total_pico() {
            return Tokens::MAX;
        }
        let (whole, pico) = (total / PICO as u128, (total % PICO as u128) as u64);
        Tokens { whole: whole as u32, micro: (pico / MICRO) as u32, pico: (pico % MICRO) as u32 }
    }
}

impl From<u32> for Tokens {
    #[inline]
    fn from(whole: u32) -> Self {
        Tokens::new(whole)
    }
}

impl fmt::Display for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.pico() == 0 {
            return write!(f, "{}", self.whole);
        }
        let (mut fraction, mut digits) = (self.pico(), 12);
        while fraction % 10 == 0 {
            fraction /= 10;
            digits -= 1;
        }
        write!(f, "{}.{fraction:0digits$}", self.whole)
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tokens({self})")
    }
}
