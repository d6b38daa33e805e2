//! A small number for each thread, for counters that threads do not share.

use std::cell::Cell;
use std::sync::{Mutex, PoisonError};

/// The places that a thread has to itself for as long as it lives.
const OWN: usize = 8;
/// The places that the other threads share.
const SHARED: usize = 8;
/// The number of places.
pub(crate) const PLACES: usize = OWN + SHARED;

/// The place of a thread among [`PLACES`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place(usize);

impl Place {
    const NONE: Place = Place(usize::MAX);

    #[inline]
    pub(crate) fn index(self) -> usize {
        // So that an index into the places need not be checked.
        self.0 % PLACES
    }

    /// Returns whether no other thread writes to this place. A thread that has the place later sees all that
    /// this thread has written there.
    #[inline]
    pub(crate) fn is_own(self) -> bool {
        self.0 < OWN
    }
}

/// The places that have been given out.
struct Given {
    own: [bool; OWN],
    shared: usize,
}

static GIVEN: Mutex<Given> = Mutex::new(Given { own: [false; OWN], shared: 0 });

thread_local! {
    /// Without a destructor, so that it is one load, and is there until the thread ends.
    static PLACE: Cell<Place> = const { Cell::new(Place::NONE) };
    static LEASE: Lease = Lease::take();
}

/// Returns the place of this thread.
#[inline]
pub(crate) fn place() -> Place {
    match PLACE.get() {
        Place::NONE => first_place(),
        place => place,
    }
}

#[cold]
#[inline(never)]
fn first_place() -> Place {
    // In a destructor after that of the lease, the thread shares a place.
    let place = LEASE.try_with(|lease| lease.0).unwrap_or(Place(OWN));
    PLACE.set(place);
    place
}

/// The place of a thread, which is given back when the thread ends.
struct Lease(Place);

impl Lease {
    fn take() -> Self {
        let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
        // The models' threads share a place: an owned one is handed over by a lock that the models do not see.
        let free = given.own.iter().position(|taken| !taken).filter(|_| !cfg!(brimful_loom));
        Lease(Place(match free {
            Some(free) => {
                given.own[free] = true;
                free
            }
            None => {
                given.shared += 1;
                OWN + given.shared % SHARED
            }
        }))
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        PLACE.set(Place(OWN));
        if self.0.is_own() {
            GIVEN.lock().unwrap_or_else(PoisonError::into_inner).own[self.0.index()] = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_keeps_its_place_and_threads_own_different_ones() {
        assert!(place() == place());
        let places = std::sync::Mutex::new(Vec::new());
        let barrier = std::sync::Barrier::new(2 * PLACES);
        std::thread::scope(|scope| {
            for _ in 0..2 * PLACES {
                scope.spawn(|| {
                    let place = place();
                    // All threads have a place at the same time.
                    barrier.wait();
                    places.lock().unwrap().push(place);
                });
            }
        });
        let mut own: Vec<_> = places.into_inner().unwrap();
        assert!(own.iter().all(|place| place.index() < PLACES));
        own.retain(|place| place.is_own());
        let count = own.len();
        own.sort_by_key(|place| place.index());
        own.dedup();
        assert_eq!(own.len(), count, "two threads owned one place");
    }
}
