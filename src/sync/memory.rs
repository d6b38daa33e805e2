//! The memory of a table.

use alloc::boxed::Box;

use super::atomics::AtomicU64;

/// Two words side by side.
pub(crate) type Pair = [AtomicU64; 2];

/// Allocates `pairs` pairs of zeros; `None` if there is no memory. The system provides fresh pages
/// when they are first written.
#[cfg(not(brimful_loom))]
pub(crate) fn zeroed(pairs: usize) -> Option<Box<[Pair]>> {
    bytemuck::allocation::try_zeroed_slice_box(pairs).ok()
}

#[cfg(brimful_loom)]
pub(crate) fn zeroed(pairs: usize) -> Option<Box<[Pair]>> {
    Some((0..pairs).map(|_| [AtomicU64::new(0), AtomicU64::new(0)]).collect())
}
