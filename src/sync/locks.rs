//! Locks that outlive a panic, and what a thread waits with.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

#[cfg(not(brimful_loom))]
pub(crate) use std::sync::Condvar;

#[cfg(brimful_loom)]
pub(crate) use loom::sync::Condvar;

#[cfg(not(brimful_loom))]
pub(crate) use std::sync::{Mutex, MutexGuard};

#[cfg(brimful_loom)]
pub(crate) use loom::sync::{Mutex, MutexGuard};

#[cfg(not(brimful_loom))]
pub(crate) use std::sync::{RwLock, RwLockReadGuard};

#[cfg(brimful_loom)]
pub(crate) use loom::sync::{RwLock, RwLockReadGuard};

#[cfg(not(brimful_loom))]
pub(crate) use std::thread::yield_now;

#[cfg(brimful_loom)]
pub(crate) use loom::thread::yield_now;

/// Not loom's, which has none: the models set their cells before their threads start.
pub(crate) use std::sync::OnceLock;

/// Locks the mutex, also if a thread panicked while it held the lock: a panic leaves no work under
/// a lock half done in this crate.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Locks for readers, as [`lock`].
#[inline]
pub(crate) fn read_lock<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

/// Locks for a writer, who changes the value by `change`, as [`lock`].
pub(crate) fn write_under<T, R>(lock: &RwLock<T>, change: impl FnOnce(&mut T) -> R) -> R {
    change(&mut lock.write().unwrap_or_else(PoisonError::into_inner))
}

/// Waits on `condvar` until its flag is set, and clears the flag. Returns whether it was set within
/// `most`; in loom, time does not pass.
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
pub(crate) fn try_lock<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    match mutex.try_lock() {
        Ok(guard) => Some(guard),
        Err(std::sync::TryLockError::Poisoned(error)) => Some(error.into_inner()),
        Err(std::sync::TryLockError::WouldBlock) => None,
    }
}
