//! [`Values`]: headers whose values share one allocation.

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};

use super::text::Text;

/// The headers of a decision, in the order in which they are written.
#[derive(Clone, Copy)]
pub(super) enum Field {
    RetryAfter,
    RateLimitPolicy,
    RateLimit,
    XLimit,
    XRemaining,
    XReset,
}

const FIELDS: usize = 6;

static NAMES: [HeaderName; FIELDS] = [
    RETRY_AFTER,
    HeaderName::from_static("ratelimit-policy"),
    HeaderName::from_static("ratelimit"),
    HeaderName::from_static("x-ratelimit-limit"),
    HeaderName::from_static("x-ratelimit-remaining"),
    HeaderName::from_static("x-ratelimit-reset"),
];

/// The headers while they are written, as parts of one text.
pub(super) struct Writer {
    text: Text,
    /// The ends of the values in the text. A header that is left out ends where the one before it does.
    ends: [u32; FIELDS],
}

impl Writer {
    pub(super) fn new() -> Self {
        Writer { text: Text::new(), ends: [0; FIELDS] }
    }

    /// Adds a header that comes after those before, whose value the function writes: printable ASCII. An empty value is no
    /// header.
    #[inline]
    pub(super) fn write(&mut self, field: Field, value: impl FnOnce(&mut Text)) {
        value(&mut self.text);
        // A text is far shorter than 4 GB.
        self.ends[field as usize..].fill(self.text.len() as u32);
    }

    pub(super) fn finish(self) -> Values {
        let text = if self.text.len() == 0 { Bytes::new() } else { self.text.into_bytes() };
        Values { text, ends: self.ends }
    }
}

/// The headers of a decision.
pub(crate) struct Values {
    text: Bytes,
    ends: [u32; FIELDS],
}

impl Values {
    /// Passes on each header. The last value takes the text with it.
    #[inline]
    fn each(mut self, mut add: impl FnMut(&'static HeaderName, HeaderValue)) {
        let mut begin = 0;
        for (name, end) in NAMES.iter().zip(self.ends) {
            if end == begin {
                continue;
            }
            let value = self.text.split_to((end - begin) as usize);
            begin = end;
            // Printable ASCII is a value.
            if let Ok(value) = HeaderValue::from_maybe_shared(value) {
                add(name, value);
            }
        }
    }

    /// Adds the headers to a map that has none of them.
    pub(super) fn insert_into(self, map: &mut HeaderMap) {
        self.each(|name, value| drop(map.insert(name, value)));
    }

    /// Adds the headers to a map: see [`Headers::write_to`](super::fields::Headers::write_to).
    pub(crate) fn merge_into(self, map: &mut HeaderMap) {
        map.reserve(FIELDS);
        self.each(|name, value| {
            let is_list = [Field::RateLimitPolicy, Field::RateLimit].iter().any(|&list| NAMES[list as usize] == *name);
            if is_list {
                map.append(name, value);
            } else {
                map.entry(name).or_insert(value);
            }
        });
    }
}
