//! [`Latest`]: a value that is read without a lock while it is replaced.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

/// A value that is read without a lock while another thread replaces it. The values that were replaced are kept until all is
/// dropped, so it is for values that are seldom replaced.
#[derive(Debug)]
pub(super) struct Latest<T> {
    first: T,
    /// The number of values that came after the first one. A reader acquires what the writer of a value has released.
    replaced: AtomicUsize,
    /// Block number b has place for 2^b values.
    blocks: [OnceLock<Box<[OnceLock<T>]>>; usize::BITS as usize],
    /// Held by the writer.
    writing: Mutex<()>,
}

impl<T> Latest<T> {
    pub(super) fn new(first: T) -> Self {
        let blocks = [const { OnceLock::new() }; usize::BITS as usize];
        Latest { first, replaced: AtomicUsize::new(0), blocks, writing: Mutex::new(()) }
    }

    #[inline]
    pub(super) fn get(&self) -> &T {
        match self.replaced.load(Ordering::Acquire) {
            0 => &self.first,
            // The value was there before the number.
            nth => self.place(nth).get().unwrap_or(&self.first),
        }
    }

    pub(super) fn set(&self, value: T) {
        let writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let nth = self.replaced.load(Ordering::Relaxed) + 1;
        let is_new = self.place(nth).set(value).is_ok();
        debug_assert!(is_new, "only this writer has the number");
        self.replaced.store(nth, Ordering::Release);
        drop(writing);
    }

    /// Returns the place of the value with this number, which is 1 or more.
    fn place(&self, nth: usize) -> &OnceLock<T> {
        let block = nth.ilog2();
        let size = 1 << block;
        let values = self.blocks[block as usize].get_or_init(|| (0..size).map(|_| OnceLock::new()).collect());
        &values[nth - size]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_value_is_read() {
        let latest = Latest::new(0);
        let first = latest.get();
        for n in 1..1_000 {
            latest.set(n);
            assert_eq!(*latest.get(), n);
        }
        assert_eq!(*first, 0, "a reader keeps what it has read");
    }

    #[test]
    fn readers_never_go_back() {
        let latest = Latest::new(0);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let mut last = 0;
                    while last < 5_000 {
                        let value = *latest.get();
                        assert!(value >= last, "{value} after {last}");
                        last = value;
                    }
                });
            }
            (1..=5_000).for_each(|n| latest.set(n));
        });
    }
}
