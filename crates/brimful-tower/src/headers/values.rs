//! [`Values`]: headers whose values share one allocation.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::text::Text;

/// As many headers as a decision has at most.
const MOST: usize = 6;

/// Headers, as parts of one text.
pub(super) struct Values {
    text: Text,
    /// The names, and the ends of the values in the text.
    fields: [Option<(&'static HeaderName, usize)>; MOST],
}

impl Values {
    pub(super) fn new() -> Self {
        Values { text: Text::new(), fields: [None; MOST] }
    }

    /// Adds a header, whose value the function writes: printable ASCII. An empty value is no header.
    #[inline]
    pub(super) fn write(&mut self, name: &'static HeaderName, value: impl FnOnce(&mut Text)) {
        let begin = self.text.len();
        value(&mut self.text);
        let end = self.text.len();
        if let Some(place) = self.fields.iter_mut().find(|field| field.is_none()).filter(|_| end > begin) {
            *place = Some((name, end));
        }
    }

    #[inline]
    pub(super) fn insert_into(self, map: &mut HeaderMap) {
        let Values { text, fields } = self;
        if text.len() == 0 {
            return;
        }
        let (text, mut begin) = (text.into_bytes(), 0);
        for (name, end) in fields.into_iter().flatten() {
            // Printable ASCII is a value.
            if let Ok(value) = HeaderValue::from_maybe_shared(text.slice(begin..end)) {
                map.insert(name, value);
            }
            begin = end;
        }
    }
}
