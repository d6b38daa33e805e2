//! Several quotas in one text: `100/s burst 200; 5000/h`.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Deref;
use core::str::FromStr;

use super::error::{ParseQuotaError, QuotaTextError};
use crate::quota::value::Quota;

/// A list of quotas that hold at once, with at least one: `100/s burst 200; 5000/h`.
///
/// In text, the quotas are separated by semicolons, in the given order. A limiter enforces one
/// quota: make one limiter for each, and reserve from all of them before you commit to any.
///
/// # Examples
///
/// ```
/// use brimful::{Quota, Quotas};
///
/// let quotas: Quotas = "100/s burst 200; 5000/h".parse()?;
/// assert_eq!(quotas[..], [Quota::per_second(100).burst(200), Quota::per_hour(5_000)]);
/// assert_eq!(quotas.to_string(), "100/s burst 200; 5000/h burst 5000");
///
/// let error = "100/s; 5000/fortnight".parse::<Quotas>().unwrap_err();
/// assert_eq!(error.caret().to_string(), "100/s; 5000/fortnight\n            ^^^^^^^^^");
/// # Ok::<(), brimful::ParseQuotaError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Quotas(Box<[Quota]>);

const MISSING: &str = "expected a quota, such as \"100/s\"";

impl Quotas {
    /// Returns the quotas of a list; `None` if the list is empty.
    #[must_use]
    pub fn new(quotas: impl Into<Box<[Quota]>>) -> Option<Self> {
        Some(Quotas(quotas.into())).filter(|quotas| !quotas.0.is_empty())
    }
}

/// Reads quotas as [`Quota::const_parse`] does, separated by semicolons.
impl FromStr for Quotas {
    type Err = ParseQuotaError;

    fn from_str(text: &str) -> Result<Self, ParseQuotaError> {
        let mut start = 0;
        let parts = text.split(';').map(|part| {
            let before = start;
            start += part.len() + 1;
            one(part).map_err(|error| shifted(error, before, text.len()))
        });
        let quotas: Result<Vec<Quota>, QuotaTextError> = parts.collect();
        let quotas = quotas.map_err(|error| ParseQuotaError::new(text, error))?;
        Ok(Quotas(quotas.into()))
    }
}

fn one(part: &str) -> Result<Quota, QuotaTextError> {
    let (start, end) = (part.len(), part.len());
    let missing = QuotaTextError { message: MISSING, start, end };
    if part.trim_ascii().is_empty() { Err(missing) } else { Quota::const_parse(part) }
}

/// Moves an error of a part to the whole text of `length` bytes, in which the part begins at `before`.
/// An error at the end of a part points at the semicolon.
fn shifted(error: QuotaTextError, before: usize, length: usize) -> QuotaTextError {
    let QuotaTextError { message, start, end } = error;
    let (start, end) = (start + before, end + before);
    let end = if start == end && end < length { end + 1 } else { end };
    QuotaTextError { message, start, end }
}

/// Makes a list of one quota.
impl From<Quota> for Quotas {
    fn from(quota: Quota) -> Self {
        Quotas(Box::new([quota]))
    }
}

impl Deref for Quotas {
    type Target = [Quota];

    fn deref(&self) -> &[Quota] {
        &self.0
    }
}

impl AsRef<[Quota]> for Quotas {
    fn as_ref(&self) -> &[Quota] {
        self
    }
}

impl IntoIterator for Quotas {
    type Item = Quota;
    type IntoIter = alloc::vec::IntoIter<Quota>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_vec().into_iter()
    }
}

impl<'a> IntoIterator for &'a Quotas {
    type Item = &'a Quota;
    type IntoIter = core::slice::Iter<'a, Quota>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// A short text that reads back as equal quotas.
impl fmt::Display for Quotas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, quota) in self.iter().enumerate() {
            f.write_str(if nth == 0 { "" } else { "; " })?;
            quota.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Quotas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Quotas(\"{self}\")")
    }
}
