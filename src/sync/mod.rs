//! Atomics, locks and threads: the standard library's, or loom's when the models are built. Only `clock`,
//! which is not modelled, uses the standard library's beside these.

mod atomics;
#[cfg(feature = "std")]
mod locks;
#[cfg(feature = "std")]
mod memory;
#[cfg(feature = "std")]
mod panics;
#[cfg(feature = "std")]
mod shards;
#[cfg(feature = "std")]
mod threads;

#[cfg(feature = "std")]
pub(crate) use atomics::fence;
pub(crate) use atomics::{AtomicU64, Hint, Ordering, const_unless_loom};
#[cfg(feature = "std")]
pub(crate) use locks::{Condvar, Mutex, MutexGuard, OnceLock, lock, try_lock, wait_for, yield_now};
#[cfg(feature = "std")]
pub(crate) use locks::{RwLock, RwLockReadGuard, read_lock, write_under};
#[cfg(feature = "std")]
pub(crate) use memory::{Pair, zeroed};
#[cfg(feature = "std")]
pub(crate) use panics::{ignore_panic, in_drop};
#[cfg(feature = "std")]
pub(crate) use shards::Shards;
#[cfg(feature = "std")]
pub(crate) use threads::{PLACES, own_place, place};
