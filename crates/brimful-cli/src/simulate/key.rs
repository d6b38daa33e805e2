//! Keys: values of fields of a request.

use std::collections::HashMap;

use crate::text;

/// The bytes of a length, which stands before each value of a key but the last.
const LENGTH: usize = size_of::<u32>();

/// Joins values of several fields in one buffer. Different lists of values are different keys.
#[derive(Default)]
pub(crate) struct Joiner {
    joined: Vec<u8>,
}

impl Joiner {
    pub(crate) fn join<'a>(&'a mut self, mut values: impl Iterator<Item = &'a [u8]>) -> &'a [u8] {
        let Some(first) = values.next() else { return b"" };
        let Some(mut last) = values.next() else { return first };
        self.joined.clear();
        self.push(first);
        for value in values {
            self.push(last);
            last = value;
        }
        self.joined.extend_from_slice(last);
        &self.joined
    }

    fn push(&mut self, value: &[u8]) {
        // Lines are much shorter than four gigabytes.
        let length = u32::try_from(value.len()).unwrap_or(u32::MAX);
        self.joined.extend_from_slice(&length.to_le_bytes());
        self.joined.extend_from_slice(value);
    }
}

/// The keys of a log, numbered in the order in which they come.
pub(crate) struct Keys {
    fields: usize,
    numbers: HashMap<Box<[u8]>, u32>,
}

impl Keys {
    /// Returns no keys yet; each key has as many values as there are `fields`.
    pub(crate) fn new(fields: usize) -> Self {
        Keys { fields, numbers: HashMap::new() }
    }

    /// Whether keys have fields. If not, all requests share one bucket.
    pub(crate) fn have_fields(&self) -> bool {
        self.fields > 0
    }

    pub(crate) fn number(&mut self, key: &[u8]) -> u32 {
        match self.numbers.get(key) {
            Some(&number) => number,
            None => {
                let number = u32::try_from(self.numbers.len()).unwrap_or(u32::MAX);
                self.numbers.insert(key.into(), number);
                number
            }
        }
    }

    /// Returns the values of keys, as `show` writes them. All keys are found in one pass.
    pub(crate) fn values(&self, numbers: &[u32], show: Show) -> Vec<Vec<String>> {
        let places: HashMap<u32, usize> = numbers.iter().copied().zip(0..).collect();
        let mut found = vec![Vec::new(); numbers.len()];
        for (key, number) in &self.numbers {
            if let Some(&place) = places.get(number) {
                found[place] = values(key, self.fields, show);
            }
        }
        found
    }
}

/// Writes a value of a key.
pub(crate) type Show = fn(&[u8]) -> String;

/// Writes the beginning of a value, with control characters escaped for a terminal.
pub(crate) fn excerpt(value: &[u8]) -> String {
    const SHOWN: usize = 60;
    text::excerpt(value, SHOWN)
}

/// Writes all of a value, for JSON, which escapes control characters itself.
pub(crate) fn whole(value: &[u8]) -> String {
    String::from_utf8_lossy(value).into_owned()
}

fn values(mut key: &[u8], fields: usize, show: Show) -> Vec<String> {
    let mut values = Vec::with_capacity(fields);
    for _ in 1..fields {
        let Some((length, rest)) = key.split_first_chunk::<LENGTH>() else { break };
        let (value, rest) = rest.split_at(rest.len().min(u32::from_le_bytes(*length) as usize));
        values.push(show(value));
        key = rest;
    }
    values.push(show(key));
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_values_make_one_key() {
        let (mut keys, mut joiner) = (Keys::new(3), Joiner::default());
        for (values, number) in [
            (["a", "bc", "d"], 0),
            (["ab", "c", "d"], 1),
            (["a", "bcd", ""], 2),
            (["a", "bc", "d"], 0),
            (["", "\x1b", "é"], 3),
            (["a\x1fb", "c", ""], 4),
            (["a", "b\x1fc", ""], 5),
            (["\0\0", "\0\0", "\0"], 6),
            (["\0", "\0\0", "\0\0"], 7),
        ] {
            assert_eq!(keys.number(joiner.join(values.iter().map(|value| value.as_bytes()))), number, "{values:?}");
        }
        assert_eq!(keys.values(&[3, 0, 2], excerpt), [["", "\\x1b", "\\xc3\\xa9"], ["a", "bc", "d"], ["a", "bcd", ""]]);
        assert_eq!(keys.values(&[3, 4], whole), [["", "\x1b", "é"], ["a\x1fb", "c", ""]]);
    }

    #[test]
    fn one_value_is_its_own_key() {
        let (mut keys, mut joiner) = (Keys::new(1), Joiner::default());
        for (value, number) in [("abc", 0), ("", 1), ("abc", 0)] {
            assert_eq!(keys.number(joiner.join(std::iter::once(value.as_bytes()))), number, "{value}");
        }
        assert_eq!(keys.values(&[1, 0], whole), [[""], ["abc"]]);
    }
}
