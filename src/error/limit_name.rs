//! [`LimitName`]: the name of one limit among several.

use core::fmt;

/// The most bytes of a name.
const MOST_BYTES: usize = 31;

/// The name of a limit, held by value, so that an error that names a limit borrows nothing and costs no
/// allocation.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct LimitName {
    length: u8,
    bytes: [u8; MOST_BYTES],
}

impl LimitName {
    /// Returns the name; its beginning and an ellipsis if it is longer than [`MOST_BYTES`].
    pub(crate) fn new(name: &str) -> Self {
        const MORE: &str = "…";
        let (kept, more) = if name.len() <= MOST_BYTES {
            (name, "")
        } else {
            let end = (0..=MOST_BYTES - MORE.len()).rev().find(|&end| name.is_char_boundary(end)).unwrap_or(0);
            (&name[..end], MORE)
        };
        let mut bytes = [0; MOST_BYTES];
        bytes[..kept.len()].copy_from_slice(kept.as_bytes());
        let length = kept.len() + more.len();
        bytes[kept.len()..length].copy_from_slice(more.as_bytes());
        LimitName { length: length as u8, bytes }
    }

    pub(crate) fn as_str(&self) -> &str {
        // The bytes are those of a string, cut between characters.
        core::str::from_utf8(&self.bytes[..usize::from(self.length)]).unwrap_or_default()
    }
}

impl fmt::Debug for LimitName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_is_cut_between_characters() {
        for (name, shown) in [
            ("daily", "daily"),
            ("", ""),
            ("0123456789012345678901234567890", "0123456789012345678901234567890"),
            ("01234567890123456789012345678901", "0123456789012345678901234567…"),
            ("012345678901234567890123456ö789012", "012345678901234567890123456…"),
        ] {
            assert_eq!(LimitName::new(name).as_str(), shown);
        }
    }
}
