//! [`Quotas`]: several quotas that hold at once, each with a name.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use super::name::{NO_NAME, Name, TWICE};
use super::text::{MOST, ParseQuotaError, list};
use super::value::Quota;
use crate::error::{QuotasError, QuotasErrorKind};

/// A list of quotas that hold at once, each with a name: `burst: 100/s; daily: 50000/day`.
///
/// A list has from one to [`MOST`](Quotas::MOST) quotas, in the given order. In text, the quotas are
/// separated by semicolons, and a name stands before its quota, with a colon. A name is optional: a
/// quota without one is called by its own text, such as `100/s burst 100`. Names are unique. A name has
/// at most 31 characters: letters from a to z, digits, `_`, `-` and `.`; the case of letters matters.
///
/// # Examples
///
/// ```
/// use brimful::{Quota, Quotas};
///
/// let quotas: Quotas = "100/s burst 200; daily: 50000/day".parse()?;
/// let (burst, daily) = (Quota::per_second(100).burst(200), Quota::per_day(50_000));
/// assert!(quotas.iter().eq([("100/s burst 200", burst), ("daily", daily)]));
/// assert_eq!(quotas.to_string(), "100/s burst 200; daily: 50000/day burst 50000");
///
/// let same = Quotas::named([("second", Quota::per_second(100)), ("daily", daily)])?;
/// assert_eq!(same, "second: 100/s; daily: 50000/day".parse()?);
///
/// let error = "100/s; daily: 5000/fortnight".parse::<Quotas>().unwrap_err();
/// assert_eq!(error.caret().to_string(), "100/s; daily: 5000/fortnight\n                   ^^^^^^^^^");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Quotas {
    /// One for each quota.
    names: Box<[Name]>,
    quotas: Box<[Quota]>,
}

impl Quotas {
    /// The most quotas of a list: 8.
    pub const MOST: usize = MOST;

    /// Returns a list of quotas without names of their own.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no quota or are more than [`MOST`](Quotas::MOST), or if two are
    /// equal.
    pub fn new(quotas: impl IntoIterator<Item = Quota>) -> Result<Self, QuotasError> {
        Quotas::checked(quotas.into_iter().map(|quota| Ok((Name::of(&quota), quota))))
    }

    /// Returns a list of quotas with names.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no quota or are more than [`MOST`](Quotas::MOST), if a text is not
    /// a name, or if two quotas have the same name.
    pub fn named<N: AsRef<str>>(quotas: impl IntoIterator<Item = (N, Quota)>) -> Result<Self, QuotasError> {
        Quotas::checked(quotas.into_iter().map(|(name, quota)| {
            let name = name.as_ref();
            Ok((Name::given(name).ok_or_else(|| refused(name, NO_NAME))?, quota))
        }))
    }

    /// Collects quotas with unique names.
    pub(super) fn checked(
        quotas: impl Iterator<Item = Result<(Name, Quota), QuotasError>>,
    ) -> Result<Self, QuotasError> {
        let mut found: Vec<(Name, Quota)> = Vec::new();
        for quota in quotas {
            let (name, quota) = quota?;
            if found.len() == MOST {
                return Err(QuotasError(QuotasErrorKind::TooMany { most: MOST }));
            }
            if found.iter().any(|(other, _)| *other == name) {
                return Err(refused(name.as_str(), TWICE));
            }
            found.push((name, quota));
        }
        if found.is_empty() { Err(QuotasError(QuotasErrorKind::Empty)) } else { Ok(Quotas::of(found)) }
    }

    /// Returns a list of one quota.
    #[cfg(feature = "serde")]
    pub(super) fn of_named((name, quota): (Name, Quota)) -> Self {
        Quotas { names: Box::new([name]), quotas: Box::new([quota]) }
    }

    fn of(quotas: Vec<(Name, Quota)>) -> Self {
        let (names, quotas): (Vec<_>, Vec<_>) = quotas.into_iter().unzip();
        Quotas { names: names.into(), quotas: quotas.into() }
    }

    /// Returns the quotas in their order, each with its name, or with its own text if it has no name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, Quota)> + DoubleEndedIterator + Clone {
        self.names.iter().map(Name::as_str).zip(self.quotas.iter().copied())
    }

    /// Returns the quotas in their order, without the names.
    #[must_use]
    pub fn as_slice(&self) -> &[Quota] {
        &self.quotas
    }

    /// Returns the name of the quota at `index`, or its own text if it has no name; `None` if there is no
    /// such quota.
    #[must_use]
    pub fn name(&self, index: usize) -> Option<&str> {
        self.names.get(index).map(Name::as_str)
    }
}

fn refused(name: &str, reason: &'static str) -> QuotasError {
    QuotasError(QuotasErrorKind::Name { name: name.into(), reason })
}

/// Makes a list of one quota, without a name of its own.
impl From<Quota> for Quotas {
    fn from(quota: Quota) -> Self {
        Quotas { names: Box::new([Name::of(&quota)]), quotas: Box::new([quota]) }
    }
}

/// Reads quotas as [`Quota::const_parse`] does, separated by semicolons, each perhaps with a name and a
/// colon before it.
impl FromStr for Quotas {
    type Err = ParseQuotaError;

    fn from_str(text: &str) -> Result<Self, ParseQuotaError> {
        list(text).map(Quotas::of).map_err(|error| ParseQuotaError::new(text, error))
    }
}

/// A short text that reads back as an equal list.
impl fmt::Display for Quotas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, (name, quota)) in self.names.iter().zip(&self.quotas).enumerate() {
            f.write_str(if nth == 0 { "" } else { "; " })?;
            name.write(quota, f)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Quotas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Quotas(\"{self}\")")
    }
}
