//! [`Text`]: the values of all headers, in one allocation.

use bytes::Bytes;

/// Enough for the values of two limits.
const INLINE: usize = 128;

/// A text that is written on the stack as long as it is short, and is then shared by the values that are parts of it.
pub(super) struct Text {
    short: Short,
    /// The whole text, if it is long.
    long: Vec<u8>,
}

struct Short {
    bytes: [u8; INLINE],
    len: usize,
}

impl AsRef<[u8]> for Short {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl Text {
    pub(super) fn new() -> Self {
        Text { short: Short { bytes: [0; INLINE], len: 0 }, long: Vec::new() }
    }

    pub(super) fn len(&self) -> usize {
        if self.long.is_empty() { self.short.len } else { self.long.len() }
    }

    #[inline]
    pub(super) fn push(&mut self, text: &[u8]) {
        let end = self.short.len + text.len();
        match self.short.bytes.get_mut(self.short.len..end) {
            Some(place) if self.long.is_empty() => {
                place.copy_from_slice(text);
                self.short.len = end;
            }
            _ => self.push_long(text),
        }
    }

    #[cold]
    fn push_long(&mut self, text: &[u8]) {
        if self.long.is_empty() {
            self.long.extend(self.short.as_ref());
        }
        self.long.extend(text);
    }

    /// Writes a number in decimal digits.
    #[inline]
    pub(super) fn push_number(&mut self, mut number: u64) {
        // A `u64` has 20 digits at most.
        let (mut digits, mut begin) = ([0; 20], 20);
        while number >= 10 {
            let pair = (number % 100) as u8;
            digits[begin - 2..begin].copy_from_slice(&[b'0' + pair / 10, b'0' + pair % 10]);
            begin -= 2;
            number /= 100;
        }
        // An odd number of digits, or zero.
        if number > 0 || begin == 20 {
            begin -= 1;
            digits[begin] = b'0' + number as u8;
        }
        self.push(&digits[begin..]);
    }

    /// Returns the text. Its parts share its memory.
    pub(super) fn into_bytes(self) -> Bytes {
        if self.long.is_empty() { Bytes::from_owner(self.short) } else { Bytes::from_owner(self.long) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_of_any_length_is_kept() {
        for (chunk, times) in [(1, 127), (1, 128), (1, 129), (7, 18), (7, 19), (100, 30), (300, 1), (128, 1), (128, 2)]
        {
            let mut text = Text::new();
            let expected: Vec<u8> = (0..chunk * times).map(|n| (n % 251) as u8).collect();
            for (nth, part) in expected.chunks(chunk).enumerate() {
                assert_eq!(text.len(), nth * chunk);
                text.push(part);
            }
            assert_eq!(text.into_bytes(), expected, "{chunk} × {times}");
        }
    }

    #[test]
    fn numbers_are_decimal() {
        for number in [0, 1, 9, 10, 99, 100, 1_234_567_890, u64::MAX] {
            let mut text = Text::new();
            text.push_number(number);
            assert_eq!(text.into_bytes(), number.to_string());
        }
    }
}
