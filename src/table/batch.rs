//! Many keys at once.

use std::hint::black_box;

use super::slots::slots;
use super::{Fingerprint, Table};

impl Table {
    /// Asks for the memory in which a key is looked for first, and does not wait for it.
    #[inline]
    pub(crate) fn touch(&self, key: Fingerprint) {
        let homes = self.homes_of(key);
        if let Some(set) = self.memory.set(homes.pair(key.first(homes.sets()))) {
            // A set is two cache lines.
            black_box(slots(set).step_by(4).fold(false, |found, slot| found | slot.is_of(key)));
        }
    }
}
