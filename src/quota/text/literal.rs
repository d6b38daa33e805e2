//! The macro `quota!`, and the message with which a wrong text does not compile.

use super::error::QuotaTextError;
use crate::quota::value::Quota;

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
/// A text that is not a quota does not compile. The compiler's message has a caret under the
/// offending part:
///
/// ```compile_fail,E0080
/// let quota = brimful::quota!("100/month");
/// // a month has no fixed length: write "30 days"
/// //   100/month
/// //       ^^^^^
/// ```
#[macro_export]
macro_rules! quota {
    ($text:expr) => {
        const { $crate::Quota::__from_literal($text) }
    };
}

impl Quota {
    /// For [`quota!`](crate::quota!): panics if the text is not a quota.
    #[doc(hidden)]
    #[must_use]
    #[track_caller]
    pub const fn __from_literal(text: &str) -> Self {
        match Quota::const_parse(text) {
            Ok(quota) => quota,
            Err(error) => panic!("{}", Message::new(text, error).as_str()),
        }
    }
}

/// An error's message, the text, and a caret, on a line each. A panic in a constant shows a `&str`
/// and cannot format, so the bytes are laid out here.
pub(super) struct Message {
    bytes: [u8; Message::ROOM],
    len: usize,
}

impl Message {
    /// A longer text is not shown.
    const LONGEST: usize = 400;
    /// A message, and three times the text: as it is, the caret's indent and its width.
    const ROOM: usize = 1_536;
    /// Before the text and the caret.
    const INDENT: &[u8] = b"\n  ";

    pub(super) const fn new(text: &str, error: QuotaTextError) -> Self {
        let mut message = Message { bytes: [0; Message::ROOM], len: 0 };
        message.push(error.message.as_bytes());
        let bytes = text.as_bytes();
        if bytes.len() > Message::LONGEST {
            return message;
        }
        message.push(Message::INDENT);
        message.push_shown(bytes);
        message.push(Message::INDENT);
        message.repeat(b' ', chars(bytes, 0, error.start));
        let width = chars(bytes, error.start, error.end);
        message.repeat(b'^', if width == 0 { 1 } else { width });
        message
    }

    pub(super) const fn as_str(&self) -> &str {
        match core::str::from_utf8(self.bytes.split_at(self.len).0) {
            Ok(text) => text,
            Err(_) => unreachable!(),
        }
    }

    /// Adds a text. Control characters show as spaces, as in
    /// [`ParseQuotaError::caret`](super::ParseQuotaError::caret).
    const fn push_shown(&mut self, bytes: &[u8]) {
        let mut at = 0;
        while at < bytes.len() {
            let byte = bytes[at];
            // U+0080 to U+009F take two bytes.
            let two = byte == 0xc2 && matches!(bytes[at + 1], 0x80..=0x9f);
            self.repeat(if two || byte.is_ascii_control() { b' ' } else { byte }, 1);
            at += if two { 2 } else { 1 };
        }
    }

    const fn push(&mut self, bytes: &[u8]) {
        let mut at = 0;
        while at < bytes.len() {
            self.repeat(bytes[at], 1);
            at += 1;
        }
    }

    const fn repeat(&mut self, byte: u8, times: usize) {
        let end = self.len + times;
        while self.len < end {
            self.bytes[self.len] = byte;
            self.len += 1;
        }
    }
}

/// The characters in `bytes[from..to]` of a text.
const fn chars(bytes: &[u8], from: usize, to: usize) -> usize {
    let (mut at, mut chars) = (from, 0);
    while at < to {
        chars += (bytes[at] & 0xc0 != 0x80) as usize;
        at += 1;
    }
    chars
}
