//! [`Values`]: headers whose values share one allocation.

use std::ops::Range;

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
    /// Returns the names, and the places of the values in the text.
    fn places(&self) -> impl Iterator<Item = (&'static HeaderName, Range<usize>)> {
        let begins = [0].into_iter().chain(self.ends);
        let places = begins.zip(self.ends).map(|(begin, end)| begin as usize..end as usize);
        NAMES.iter().zip(places).filter(|(_, place)| !place.is_empty())
    }

    fn fields(&self) -> impl Iterator<Item = (&'static HeaderName, HeaderValue)> {
        // Printable ASCII is a value.
        self.places()
            .filter_map(|(name, place)| Some((name, HeaderValue::from_maybe_shared(self.text.slice(place)).ok()?)))
    }

    /// Adds the headers to a map that has none of them.
    pub(super) fn insert_into(&self, map: &mut HeaderMap) {
        self.fields().for_each(|(name, value)| drop(map.insert(name, value)));
    }

    /// Adds the headers to a map: see [`Headers::write_to`](super::fields::Headers::write_to).
    pub(crate) fn merge_into(&self, map: &mut HeaderMap) {
        map.reserve(self.places().count());
        for (name, value) in self.fields() {
            let is_list = [Field::RateLimitPolicy, Field::RateLimit].iter().any(|&list| NAMES[list as usize] == *name);
            if is_list {
                map.append(name, value);
            } else {
                map.entry(name).or_insert(value);
            }
        }
    }
}
