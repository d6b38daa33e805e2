//! The memory of a table: slots, in sets.

use crate::cell::Cell;
use crate::sync::{AtomicU64, Ordering, Pair, zeroed};
use crate::word::{Layout, Word};

use super::address::Fingerprint;

/// The slots of a set: two cache lines, so that a key is mostly found with one. The models have
/// two, and every path of the real ones.
pub(super) const SLOTS: usize = if cfg!(brimful_loom) { 2 } else { 8 };

/// A key is in one of the slots of its homes.
pub(super) type Set = [Pair; SLOTS];

/// What a set takes, in bytes.
pub(super) const SET_BYTES: u64 = (SLOTS * size_of::<Pair>()) as u64;

/// One bucket's place: a fingerprint, and the packed word.
///
/// ```text
/// fingerprint  0                 never used
///              even, not 0       vacant; the last tenant's tick, and bit 1
///              odd               a tenant's
/// word         CLAIMED           while it is vacant, or its tenant is coming or going
///              else              the tenant's
/// ```
#[derive(Clone, Copy)]
pub(super) struct Slot<'a>(&'a Pair);

/// Marks a vacant slot that was used, also where the last tick is 0.
const USED: u64 = 2;

impl<'a> Slot<'a> {
    /// The fingerprint's word. Acquire: whoever sees a tenant's fingerprint sees the slot claimed
    /// for it, or later.
    #[inline]
    fn fingerprint(self) -> u64 {
        self.0[0].load(Ordering::Acquire)
    }

    /// Whose it is.
    #[inline]
    pub(super) fn tenant(self) -> Option<Fingerprint> {
        Fingerprint::from_bits(self.fingerprint())
    }

    #[inline]
    pub(super) fn is_of(self, fingerprint: Fingerprint) -> bool {
        self.fingerprint() == fingerprint.bits()
    }

    #[inline]
    pub(super) fn cell(self) -> Cell<&'a AtomicU64> {
        Cell::at(&self.0[1])
    }

    pub(super) fn word(self) -> Word {
        self.cell().load(Ordering::Acquire)
    }

    /// Claims a tenant's slot, whoever charges it meanwhile, and returns its last word.
    pub(super) fn claim_any(self) -> Word {
        let mut word = self.word();
        while let Err(current) = self.cell().claim(word) {
            word = current;
        }
        word
    }

    /// Where the slot is vacant, whether it was used, and its last tick.
    pub(super) fn vacancy(self, layout: &Layout) -> Option<Option<u64>> {
        match self.fingerprint() {
            0 => Some(None),
            odd if odd & 1 == 1 => None,
            even => Some(Some(even & !layout.mask())),
        }
    }

    /// A tenant moves in. The slot is vacant, or claimed, and its shard's lock is held.
    ///
    /// The fingerprint before the word, both released: whoever finds the new tenant's word in the
    /// slot finds its fingerprint too, and so does not take it for the old one's. A slot that was
    /// never used is claimed first, so that nobody steps on its zero.
    pub(super) fn move_in(self, fingerprint: Fingerprint, word: Word) {
        if self.fingerprint() == 0 {
            self.cell().settle_in(Word::CLAIMED);
        }
        self.0[0].store(fingerprint.bits(), Ordering::Release);
        self.cell().settle_in(word);
    }

    /// Its tenant, whose claimed word was `word`, is gone.
    pub(super) fn move_out(self, layout: &Layout, word: Word) {
        self.0[0].store(layout.tick_of(word) | USED, Ordering::Release);
    }
}

/// The slots of a set.
#[inline]
pub(super) fn slots(set: &Set) -> impl Iterator<Item = Slot<'_>> {
    set.iter().map(Slot)
}

/// The slot of that tenant.
///
/// All slots are compared, without a branch: where a key is in its set is random, and a wrong
/// guess of the processor's would cost more than to look at all.
#[inline]
pub(super) fn search(set: &Set, fingerprint: Fingerprint) -> Option<Slot<'_>> {
    let (lower, upper) = set.split_at(SLOTS / 2);
    // Two chains of conditional moves are half as long as one.
    let find = |pairs: &[Pair], start| {
        let mut found = SLOTS;
        for (place, pair) in pairs.iter().enumerate() {
            found = if Slot(pair).is_of(fingerprint) { start + place } else { found };
        }
        found
    };
    set.get(find(lower, 0).min(find(upper, SLOTS / 2))).map(Slot)
}

/// Whether a slot of the set is vacant.
#[inline]
pub(super) fn has_room(set: &Set) -> bool {
    set.iter().any(|pair| Slot(pair).tenant().is_none())
}

/// The sets of all shards, each shard's side by side.
///
/// The memory is reserved once and for all, and never moved: the operating system provides its
/// pages as they are first written to.
pub(super) struct Memory {
    pairs: Box<[Pair]>,
    /// The pairs before the first set, so that sets do not straddle cache lines.
    skip: usize,
}

impl Memory {
    /// `None` where there is not so much.
    pub(super) fn new(sets: u64) -> Option<Self> {
        let pairs = zeroed(usize::try_from(sets).ok()?.checked_mul(SLOTS)?.checked_add(SLOTS)?)?;
        let skip = pairs.as_ptr().align_offset(SET_BYTES as usize);
        // An address that is no multiple of a pair's size cannot be mended.
        let skip = if skip < SLOTS { skip } else { 0 };
        Some(Memory { pairs, skip })
    }

    /// The pairs before the first set.
    pub(super) fn skip(&self) -> usize {
        self.skip
    }

    /// The set that begins with this pair.
    #[inline]
    pub(super) fn set(&self, pair: usize) -> Option<&Set> {
        self.pairs.get(pair..)?.first_chunk()
    }
}
