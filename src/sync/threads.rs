//! A small number for each thread, for counters that threads do not share.

use std::cell::Cell;

use super::locks::{Mutex, lock};

/// The places that a thread has to itself for as long as it lives. In the models there is one.
const OWN: usize = if cfg!(brimful_loom) { 1 } else { 8 };
/// The places that the other threads share.
const SHARED: usize = if cfg!(brimful_loom) { 1 } else { 8 };
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

impl Given {
    const NONE: Given = Given { own: [false; OWN], shared: 0 };
}

#[cfg(not(brimful_loom))]
static GIVEN: Mutex<Given> = Mutex::new(Given::NONE);

#[cfg(not(brimful_loom))]
thread_local! {
    /// Without a destructor, so that it is one load, and is there until the thread ends.
    static PLACE: Cell<Place> = const { Cell::new(Place::NONE) };
    static LEASE: Lease = Lease::take();
}

// For one execution of a model. Leaked, because the last thread may end after loom has dropped the statics.
#[cfg(brimful_loom)]
loom::lazy_static! {
    static ref GIVEN: &'static Mutex<Given> = Box::leak(Box::new(Mutex::new(Given::NONE)));
}

#[cfg(brimful_loom)]
loom::thread_local! {
    static PLACE: Cell<Place> = Cell::new(Place::NONE);
    static LEASE: Lease = Lease::take();
}

/// Returns the place of this thread.
#[inline]
pub(crate) fn place() -> Place {
    match PLACE.with(Cell::get) {
        Place::NONE => first_place(),
        place => place,
    }
}

/// Returns the index of the place of this thread, if the thread has used one before and owns it.
#[inline(always)]
pub(crate) fn own_place() -> Option<usize> {
    let Place(place) = PLACE.with(Cell::get);
    (place < OWN).then_some(place)
}

#[cold]
#[inline(never)]
fn first_place() -> Place {
    // In a destructor after that of the lease, the thread shares a place.
    let place = LEASE.try_with(|lease| lease.place).unwrap_or(Place(OWN));
    PLACE.with(|own| own.set(place));
    place
}

/// The place of a thread, which is given back when the thread ends.
struct Lease {
    place: Place,
    given: &'static Mutex<Given>,
}

impl Lease {
    fn take() -> Self {
        let given: &'static Mutex<Given> = &GIVEN;
        let mut places = lock(given);
        let place = Place(match places.own.iter().position(|taken| !taken) {
            Some(free) => {
                places.own[free] = true;
                free
            }
            None => {
                places.shared = if places.shared + 1 < SHARED { places.shared + 1 } else { 0 };
                OWN + places.shared
            }
        });
        Lease { place, given }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // A model that has failed has ended.
        if cfg!(brimful_loom) && std::thread::panicking() {
            return;
        }
        // loom drops a thread's variables in any order.
        _ = PLACE.try_with(|own| own.set(Place(OWN)));
        if self.place.is_own() {
            lock(self.given).own[self.place.index()] = false;
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
