//! Atomics, and functions that are `const` unless the models are built.

#[cfg(not(brimful_loom))]
pub(crate) use core::sync::atomic::{AtomicU64, Ordering};

#[cfg(brimful_loom)]
pub(crate) use loom::sync::atomic::{AtomicU64, Ordering};

#[cfg(all(feature = "std", not(brimful_loom)))]
pub(crate) use core::sync::atomic::fence;

#[cfg(all(feature = "std", brimful_loom))]
pub(crate) use loom::sync::atomic::fence;

/// A number whose values are all correct at any time. Models that branched on it would show no more.
pub(crate) type Hint = core::sync::atomic::AtomicU8;

/// Declares functions `const`, except under loom, whose atomics cannot be made in a constant.
macro_rules! const_unless_loom {
    ($( $(#[$meta:meta])* $vis:vis const fn $name:ident ( $($arg:ident : $ty:ty),* $(,)? ) -> $ret:ty $body:block )*) => {
        $(
            #[cfg(not(brimful_loom))]
            $(#[$meta])* $vis const fn $name($($arg: $ty),*) -> $ret $body

            #[cfg(brimful_loom)]
            $(#[$meta])* $vis fn $name($($arg: $ty),*) -> $ret $body
        )*
    };
}
pub(crate) use const_unless_loom;
