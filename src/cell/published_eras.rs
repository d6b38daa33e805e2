//! [`PublishedEras`]: the log of a limiter's eras, which calls copy.

use crate::algorithm::{Carry, Era, EraLog, Eras, MOST_ERAS};
use crate::word::{Reading, Units};

use super::published::{Published, Words};

/// The words of an era, and of all eras.
const ERA: usize = 6;
const ERAS: usize = 1 + ERA * MOST_ERAS;

/// In the place of a debt: the era begins with full buckets.
const FILL: u64 = u64::MAX;

/// The last eras.
pub(super) struct PublishedEras(Published<ERAS>);

impl PublishedEras {
    pub(super) fn new() -> Self {
        PublishedEras(Published::new())
    }

    /// Replaces the eras. One thread at a time calls this.
    pub(super) fn publish(&self, eras: &Eras) {
        let eras = eras.iter();
        self.0.publish(std::iter::once(eras.len() as u64).chain(eras.flat_map(words)));
    }
}

impl EraLog for PublishedEras {
    fn eras(&self) -> Eras {
        self.0.read(read).unwrap_or(Eras::NONE)
    }
}

/// Returns the words of an era, in the order in which [`read`] reads them.
fn words(era: &Era) -> [u64; ERA] {
    let (debt, capacity) = match era.carry {
        Carry::Keep => (0, Units(0)),
        Carry::Fill(capacity) => (FILL, capacity),
        Carry::Scale { capacity, debt } => (debt.0 + 1, capacity),
    };
    [era.start.nanos(), era.before.0, era.after.0, era.capacity.0, debt, capacity.0]
}

#[cold]
fn read(words: Words<'_, ERAS>) -> Eras {
    let mut eras = Eras::NONE;
    // Never more than there are places, also if the copy is torn.
    for nth in (0..MOST_ERAS).take(words.at(0) as usize) {
        let first = 1 + ERA * nth;
        let [start, before, after, capacity, debt, next] = [0, 1, 2, 3, 4, 5].map(|place| words.at(first + place));
        let carry = match debt {
            0 => Carry::Keep,
            FILL => Carry::Fill(Units(next)),
            debt => Carry::Scale { capacity: Units(next), debt: Units(debt - 1) },
        };
        let [before, after, capacity] = [before, after, capacity].map(Units);
        eras = eras.with(Era { start: Reading::from_valid(start), before, after, capacity, carry });
    }
    eras
}
