//! The memory that a table takes, in bytes.

use crate::cell::QuotaCell;

use super::config::{MOST_KEYS, max_groups, max_overflow, stripes};
use super::slots::Memory;
use super::state::{STRIPE_BYTES, Table};

/// The most bytes that a key in the overflow takes: in a B-tree whose nodes are all as empty as
/// they may be, with five of eleven entries of two words and six edges.
const OVERFLOW_BYTES: u64 = 42;

/// Returns the bytes of a table with `groups` groups and `overflow` keys in the overflow.
pub(super) const fn bytes(max_keys: u64, groups: u64, overflow: u64) -> u64 {
    let fixed = (size_of::<Table>() + size_of::<QuotaCell>()) as u64 + stripes(max_keys) * STRIPE_BYTES;
    Memory::bytes(groups) + overflow * OVERFLOW_BYTES + fixed
}

/// Returns the most bytes of a table for `max_keys` keys.
pub(crate) const fn memory_limit(max_keys: u64) -> u64 {
    let overflow = max_overflow(max_keys);
    // The root of a B-tree may be emptier than its other nodes.
    const ROOTS: u64 = 512;
    bytes(max_keys, max_groups(max_keys), overflow) + stripes(max_keys) * ROOTS
}

/// Returns the most keys that a table of `bytes` bytes can hold.
pub(crate) const fn keys_within(bytes: u64) -> u64 {
    // The bytes rise with the keys: the largest count is found by bisection.
    let (mut fits, mut too_many) = (0, MOST_KEYS + 1);
    while too_many - fits > 1 {
        let middle = fits + (too_many - fits) / 2;
        if memory_limit(middle) <= bytes { fits = middle } else { too_many = middle }
    }
    fits
}
