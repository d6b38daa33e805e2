//! Keys, as the values of a request's fields.

use std::collections::HashMap;

use crate::text;

/// Between the values of a key: the control character that is meant for it.
const BETWEEN: u8 = 0x1f;

/// Joins the values of several fields in one buffer.
#[derive(Default)]
pub(crate) struct Joiner {
    joined: Vec<u8>,
}

impl Joiner {
    pub(crate) fn join<'a>(&'a mut self, mut values: impl Iterator<Item = &'a [u8]>) -> &'a [u8] {
        let Some(first) = values.next() else { return b"" };
        let Some(second) = values.next() else { return first };
        self.joined.clear();
        self.joined.extend_from_slice(first);
        for value in std::iter::once(second).chain(values) {
            self.joined.push(BETWEEN);
            self.joined.extend_from_slice(value);
        }
        &self.joined
    }
}

/// The keys of a log, and their numbers in the order in which they come.
#[derive(Default)]
pub(crate) struct Keys {
    numbers: HashMap<Box<[u8]>, u32>,
}

impl Keys {
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

    /// Keys for people, at most `most` bytes of each of their values; all are found in one pass.
    pub(crate) fn names(&self, numbers: &[u32], most: usize) -> Vec<String> {
        let places: HashMap<u32, usize> = numbers.iter().copied().zip(0..).collect();
        let mut names = vec![String::new(); numbers.len()];
        for (key, number) in &self.numbers {
            if let Some(&place) = places.get(number) {
                names[place] = name(key, most);
            }
        }
        names
    }
}

fn name(key: &[u8], most: usize) -> String {
    let values: Vec<String> = key.split(|&byte| byte == BETWEEN).map(|value| text::excerpt(value, most)).collect();
    values.join(" + ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_values_make_one_key() {
        let (mut keys, mut joiner) = (Keys::default(), Joiner::default());
        for (values, number) in
            [(&["a", "bc"][..], 0), (&["ab", "c"], 1), (&["abc"], 2), (&["a", "bc"], 0), (&["", "\x1b"], 3), (&[], 4)]
        {
            assert_eq!(keys.number(joiner.join(values.iter().map(|value| value.as_bytes()))), number, "{values:?}");
        }
        assert_eq!(keys.names(&[3, 0], 9), [" + \\x1b", "a + bc"]);
    }
}
