//! The one door to atomics: the standard library's, or loom's when the models are built.

#[cfg(not(brimful_loom))]
pub(crate) use core::sync::atomic::{AtomicU64, Ordering};

#[cfg(brimful_loom)]
pub(crate) use loom::sync::atomic::{AtomicU64, Ordering};

/// A flag whose values are all right at any time: models that branched on it would show no more.
pub(crate) type Hint = core::sync::atomic::AtomicBool;

#[cfg(feature = "std")]
use std::sync::PoisonError;
#[cfg(feature = "wait")]
use std::time::{Duration, Instant};

#[cfg(all(feature = "wait", not(brimful_loom)))]
pub(crate) use std::sync::Condvar;

#[cfg(all(feature = "wait", brimful_loom))]
pub(crate) use loom::sync::Condvar;

#[cfg(all(feature = "std", not(brimful_loom)))]
pub(crate) use std::sync::{Mutex, MutexGuard};

#[cfg(all(feature = "std", brimful_loom))]
pub(crate) use loom::sync::{Mutex, MutexGuard};

#[cfg(all(feature = "wait", not(brimful_loom)))]
pub(crate) use std::thread::yield_now;

#[cfg(all(feature = "wait", brimful_loom))]
pub(crate) use loom::thread::yield_now;

/// Of the thread as it is: the models' threads do not panic.
#[cfg(feature = "wait")]
pub(crate) use std::thread::panicking;

/// What is made once. Not loom's, which has none: the models make it before their threads start.
#[cfg(feature = "wait")]
pub(crate) use std::sync::OnceLock;

/// The lock, also where a thread panicked while it held it: nothing that is done under a lock
/// here is left half done by a panic.
#[cfg(feature = "std")]
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits on `condvar` for its flag, which is taken, and tells whether it came within `most`; loom's
/// time does not pass.
#[cfg(feature = "wait")]
pub(crate) fn wait_for(condvar: &Condvar, flag: &Mutex<bool>, most: Duration) -> bool {
    let until = Instant::now().checked_add(most);
    let mut guard = lock(flag);
    while !*guard {
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        guard = match left {
            Some(Duration::ZERO) => return false,
            Some(left) => condvar.wait_timeout(guard, left).unwrap_or_else(PoisonError::into_inner).0,
            None => condvar.wait(guard).unwrap_or_else(PoisonError::into_inner),
        };
    }
    std::mem::take(&mut *guard)
}

/// The lock, if nobody holds it.
#[cfg(feature = "std")]
pub(crate) fn try_lock<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    match mutex.try_lock() {
        Ok(guard) => Some(guard),
        Err(std::sync::TryLockError::Poisoned(error)) => Some(error.into_inner()),
        Err(std::sync::TryLockError::WouldBlock) => None,
    }
}

/// Two words that lie side by side.
#[cfg(feature = "std")]
pub(crate) type Pair = [AtomicU64; 2];

/// So many pairs of zeros; `None` where there is no memory. Fresh pages come from the system as
/// they are first written to.
#[cfg(all(feature = "std", not(brimful_loom)))]
pub(crate) fn zeroed(pairs: usize) -> Option<alloc::boxed::Box<[Pair]>> {
    bytemuck::allocation::try_zeroed_slice_box(pairs).ok()
}

#[cfg(all(feature = "std", brimful_loom))]
pub(crate) fn zeroed(pairs: usize) -> Option<alloc::boxed::Box<[Pair]>> {
    Some((0..pairs).map(|_| [AtomicU64::new(0), AtomicU64::new(0)]).collect())
}

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
