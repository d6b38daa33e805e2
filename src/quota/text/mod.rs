//! Quotas as text: `100/s burst 200`.

mod list;
mod parse;
mod show;
#[cfg(test)]
mod tests;

use alloc::boxed::Box;
use core::error::Error;
use core::fmt::{self, Write as _};
use core::ops::Range;
use core::str::FromStr;

use super::Quota;

pub use list::Quotas;
#[cfg(feature = "serde")]
pub(super) use parse::{Misfit, combined, rate, tokens};

/// Makes a [`Quota`] from a text that is checked at compile time: [`Quota::const_parse`] in a
/// `const` block.
///
/// # Examples
///
/// ```
/// use brimful::{Quota, quota};
///
/// assert_eq!(quota!("100/s burst 200"), Quota::per_second(100).burst(200));
/// ```
///
/// A text that is not a quota does not compile:
///
/// ```compile_fail,E0080
/// let quota = brimful::quota!("100/month");
/// ```
#[macro_export]
macro_rules! quota {
    ($text:expr) => {
        const {
            match $crate::Quota::const_parse($text) {
                ::core::result::Result::Ok(quota) => quota,
                ::core::result::Result::Err(error) => ::core::panic!("{}", error.message()),
            }
        }
    };
}

impl Quota {
    /// Parses a text such as `100/s burst 200`, in a constant at compile time. It parses the same
    /// texts as [`parse`](str::parse), with an error that borrows nothing and owns nothing.
    ///
    /// A text is a rate, followed by the clauses that differ from the defaults, in any order:
    ///
    /// | part | examples | meaning |
    /// |---|---|---|
    /// | rate | `100/s`, `10 per 5 minutes`, `0.5/s`, `1MiB/s`, `5k req/min` | an amount, `/` or `per`, a period |
    /// | `burst` | `burst 200`, `burst 2.5` | the most that a bucket holds; without it, the rate's amount, rounded up |
    /// | `initial` | `initial 0` | what a bucket starts with; without it, the burst |
    /// | `debt` | `debt 50` | how far below zero a commit may go; without it, the burst |
    ///
    /// An amount is a number such as `100`, `1_000` or `0.5`, then perhaps `k`, `M`, `G`, `T`
    /// (powers of 1000) or `Ki`, `Mi`, `Gi`, `Ti` (powers of 1024), `B`, and a word: `tokens`,
    /// `requests`, `req`. A period is a unit, `ns`, `us`, `ms`, `s`, `min`, `h`, `day`, `week`
    /// or its longer name, with or without a number before it. Months and years are refused,
    /// because they differ in length.
    ///
    /// Rates are exact: `0.1/s` is a token every ten seconds.
    ///
    /// # Errors
    ///
    /// Returns an error for a text of another form, for a rate or a burst that [`Quota::try_new`]
    /// or [`Quota::try_burst`] refuses, and for numbers that cannot be kept exactly.
    ///
    /// # Examples
    ///
    /// ```
    /// use brimful::Quota;
    ///
    /// const API: Quota = match Quota::const_parse("10 per 5 minutes burst 20") {
    ///     Ok(quota) => quota,
    ///     Err(error) => panic!("{}", error.message()),
    /// };
    /// assert_eq!(API, Quota::per_minute(2).burst(20));
    ///
    /// let error = Quota::const_parse("100/month").unwrap_err();
    /// assert_eq!(error.span(), 4..9);
    /// assert_eq!(error.message(), "a month has no fixed length: write \"30 days\"");
    /// ```
    pub const fn const_parse(text: &str) -> Result<Self, QuotaTextError> {
        parse::quota(text)
    }
}

/// Parses the same texts as [`Quota::const_parse`], with an error that shows the text.
impl FromStr for Quota {
    type Err = ParseQuotaError;

    fn from_str(text: &str) -> Result<Self, ParseQuotaError> {
        Quota::const_parse(text).map_err(|error| ParseQuotaError::new(text, error))
    }
}

/// The place and the reason of an error in a quota's text, for constants. [`ParseQuotaError`] also
/// has the text.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct QuotaTextError {
    message: &'static str,
    start: usize,
    end: usize,
}

impl QuotaTextError {
    /// Returns a message that says how to correct the text.
    #[must_use]
    pub const fn message(&self) -> &'static str {
        self.message
    }

    /// Returns the byte range of the offending part; empty if a part is missing.
    #[must_use]
    pub const fn span(&self) -> Range<usize> {
        self.start..self.end
    }
}

impl fmt::Display for QuotaTextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "bad quota at byte {}: {}", self.start, self.message)
    }
}

impl fmt::Debug for QuotaTextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QuotaTextError").field("span", &self.span()).field("message", &self.message).finish()
    }
}

impl Error for QuotaTextError {}

/// The reason why a text is not a [`Quota`], and the offending part.
///
/// [`Display`](fmt::Display) is one line that names the part; [`caret`](ParseQuotaError::caret)
/// points at it.
///
/// # Examples
///
/// ```
/// use brimful::Quota;
///
/// let error = "100/s bust 200".parse::<Quota>().unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     r#"bad quota at "bust": after the rate come "burst", "initial" or "debt", each with an amount"#,
/// );
/// assert_eq!(&error.text()[error.span()], "bust");
/// assert_eq!(error.caret().to_string(), "100/s bust 200\n      ^^^^");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct ParseQuotaError {
    text: Box<str>,
    error: QuotaTextError,
}

impl ParseQuotaError {
    pub(super) fn new(text: &str, error: QuotaTextError) -> Self {
        ParseQuotaError { text: text.into(), error }
    }

    /// Returns the whole text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the byte range of the offending part in the [`text`](ParseQuotaError::text); empty
    /// if a part is missing.
    #[must_use]
    pub fn span(&self) -> Range<usize> {
        self.error.span()
    }

    /// Returns the text with `^^^` on a second line, under the offending part. It is aligned by
    /// characters. Tabs, line ends and other control characters show as spaces.
    #[must_use]
    pub fn caret(&self) -> impl fmt::Display {
        Caret(self)
    }

    /// Returns the text before the offending part, and the part.
    fn before_and_part(&self) -> (&str, &str) {
        let upto = self.text.get(..self.error.end).unwrap_or(&self.text);
        upto.split_at_checked(self.error.start).unwrap_or((upto, ""))
    }
}

impl fmt::Display for ParseQuotaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Keeps the line short for any input.
        const LONGEST: usize = 40;
        let (_, part) = self.before_and_part();
        match part.char_indices().nth(LONGEST) {
            None if part.is_empty() => f.write_str("bad quota at the end")?,
            None => write!(f, "bad quota at {part:?}")?,
            Some((end, _)) => write!(f, "bad quota at {:?}…", &part[..end])?,
        }
        write!(f, ": {}", self.error.message)
    }
}

impl fmt::Debug for ParseQuotaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("ParseQuotaError");
        debug.field("text", &self.text).field("span", &self.span()).field("message", &self.error.message).finish()
    }
}

impl Error for ParseQuotaError {}

struct Caret<'a>(&'a ParseQuotaError);

impl fmt::Display for Caret<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for char in self.0.text.chars() {
            f.write_char(if char.is_control() { ' ' } else { char })?;
        }
        let (before, part) = self.0.before_and_part();
        let (indent, width) = (before.chars().count(), part.chars().count().max(1));
        f.write_char('\n')?;
        (0..indent).try_for_each(|_| f.write_char(' '))?;
        (0..width).try_for_each(|_| f.write_char('^'))
    }
}
