//! The only access to atomics: the standard library's, or loom's when the models are built.

#[cfg(not(brimful_loom))]
pub(crate) use core::sync::atomic::{AtomicU64, Ordering};

#[cfg(brimful_loom)]
pub(crate) use loom::sync::atomic::{AtomicU64, Ordering};

/// A flag whose values are all correct at any time. Models that branched on it would show no more.
pub(crate) type Hint = core::sync::atomic::AtomicBool;

#[cfg(feature = "std")]
use std::panic::{AssertUnwindSafe, catch_unwind};
#[cfg(feature = "std")]
use std::sync::PoisonError;
#[cfg(feature = "std")]
use std::time::{Duration, Instant};

#[cfg(all(feature = "std", not(brimful_loom)))]
pub(crate) use std::sync::Condvar;

#[cfg(all(feature = "std", brimful_loom))]
pub(crate) use loom::sync::Condvar;

#[cfg(all(feature = "std", not(brimful_loom)))]
pub(crate) use std::sync::{Mutex, MutexGuard};

#[cfg(all(feature = "std", brimful_loom))]
pub(crate) use loom::sync::{Mutex, MutexGuard};

#[cfg(all(feature = "std", not(brimful_loom)))]
pub(crate) use std::thread::yield_now;

#[cfg(all(feature = "std", brimful_loom))]
pub(crate) use loom::thread::yield_now;

/// Of the thread as it is: the models' threads do not panic.
#[cfg(feature = "std")]
pub(crate) use std::thread::panicking;

/// Not loom's, which has none: the models set their cells before their threads start.
#[cfg(feature = "std")]
pub(crate) use std::sync::OnceLock;

/// Locks the mutex, also if a thread panicked while it held the lock: a panic leaves no work under
/// a lock half done in this crate.
#[cfg(feature = "std")]
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits on `condvar` until its flag is set, and clears the flag. Returns whether it was set within
/// `most`; in loom, time does not pass.
#[cfg(feature = "std")]
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

/// Locks the mutex if it is free.
#[cfg(feature = "std")]
pub(crate) fn try_lock<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    match mutex.try_lock() {
        Ok(guard) => Some(guard),
        Err(std::sync::TryLockError::Poisoned(error)) => Some(error.into_inner()),
        Err(std::sync::TryLockError::WouldBlock) => None,
    }
}

/// Two words side by side.
#[cfg(feature = "std")]
pub(crate) type Pair = [AtomicU64; 2];

/// Allocates `pairs` pairs of zeros; `None` if there is no memory. The system provides fresh pages
/// when they are first written.
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

#[cfg(feature = "std")]
/// Runs user code and discards a panic.
pub(crate) fn ignore_panic(work: impl FnOnce()) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(work)) {
        // The payload of the panic may panic too when it is dropped.
        std::mem::forget(panic);
    }
}

#[cfg(feature = "std")]
/// Runs the work of a `drop`. A second panic while the thread panics would end the process, so it
/// is discarded.
pub(crate) fn in_drop(work: impl FnOnce()) {
    if panicking() {
        ignore_panic(work);
    } else {
        work();
    }
}
