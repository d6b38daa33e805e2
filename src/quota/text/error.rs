//! The errors of a quota's text: what is wrong, and where.

use alloc::boxed::Box;
use core::error::Error;
use core::fmt::{self, Write as _};
use core::ops::Range;

/// The place and the reason of an error in a quota's text, for constants. [`ParseQuotaError`] also
/// has the text.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct QuotaTextError {
    pub(super) message: &'static str,
    pub(super) start: usize,
    pub(super) end: usize,
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

/// The reason why a text is not a [`Quota`](crate::Quota), and the offending part.
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
    pub(in crate::quota) fn new(text: &str, error: QuotaTextError) -> Self {
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
