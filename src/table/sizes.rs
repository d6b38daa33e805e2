//! The memory that a table takes, in bytes.

use super::config::{MOST_KEYS, max_groups, max_overflow, stripes};
use super::slots::Memory;
use super::state::{STRIPE_BYTES, Table};

/// The most bytes that a key without a slot takes: in a B-tree all of whose nodes are as empty as
/// they may be, with five of eleven entries of two words and six edges.
const OVERFLOW_BYTES: u64 = 42;

/// The bytes of a table with so many groups, and so many keys in no slot.
pub(super) const fn bytes(max_keys: u64, groups: u64, overflow: u64) -> u64 {
    let fixed = size_of::<Table>() as u64 + stripes(max_keys) * STRIPE_BYTES;
    Memory::bytes(groups) + overflow * OVERFLOW_BYTES + fixed
}

/// The most bytes of a table for so many keys.
pub(crate) const fn memory_limit(max_keys: u64) -> u64 {
    let overflow = max_overflow(max_keys);
    // The root of a B-tree may be emptier than its other nodes.
    const ROOTS: u64 = 512;
    bytes(max_keys, max_groups(max_keys), overflow) + stripes(max_keys) * ROOTS
}

/// The most keys that a table of so many bytes can hold.
pub(crate) const fn keys_within(bytes: u64) -> u64 {
    // The bytes rise with the keys: the largest count is found by bisection.
    let (mut fits, mut too_many) = (0, MOST_KEYS + 1);
    while too_many - fits > 1 {
        let middle = fits + (too_many - fits) / 2;
        if memory_limit(middle) <= bytes { fits = middle } else { too_many = middle }
    }
    fits
}
