//! The memory of a table, a slot, and a tenant in its slot.

use crate::cell::{Resolved, WordCell};
use crate::sync::{Ordering, Pair, zeroed};
use crate::word::Word;

use super::fingerprint::{Fingerprint, GROUP_SLOTS, LINE_SLOTS, LineIndex};

pub(super) const GROUP_BYTES: u64 = (GROUP_SLOTS * size_of::<Pair>()) as u64;

pub(super) type Line = [Pair; LINE_SLOTS];

/// The place of one bucket: a fingerprint with the number of the tenancy, and the packed word.
///
/// ```text
///               63 … 60   59 … 0
///              ┌─────────┬─────────────┐
/// fingerprint  │ tenancy │ 0           │  never used; tenancy 0
///              │ tenancy │ 2           │  vacant
///              │ tenancy │ fingerprint │  the tenant's, odd
///              └─────────┴─────────────┘
/// word         0                          never used
///              CLAIMED                    vacant, or the tenant is coming or going
///              word ^ fingerprint         the tenant's
/// ```
///
/// The tenancy counts the tenants, modulo 16.
#[derive(Clone, Copy)]
pub(super) struct Slot<'a>(&'a Pair);

/// Marks a vacant slot that was used.
const VACATED: u64 = 2;

const TENANCY: u64 = 1 << Fingerprint::BITS;

impl<'a> Slot<'a> {
    /// Returns the first half. Acquire: a thread that sees a tenant's fingerprint sees the slot as
    /// it was claimed for the tenant, or in a later state.
    #[inline]
    pub(super) fn bits(self) -> u64 {
        self.0[0].load(Ordering::Acquire)
    }

    /// Returns the tenant whose first half was `bits`.
    #[inline]
    pub(super) fn tenant(self, bits: u64) -> Option<InSlot<'a>> {
        Some(InSlot { slot: self, key: Fingerprint::from_slot(bits)?, bits })
    }

    /// Returns the tenant if it has this key.
    #[inline]
    fn tenant_of(self, key: Fingerprint) -> Option<InSlot<'a>> {
        let bits = self.bits();
        holds(bits, key).then_some(InSlot { slot: self, key, bits })
    }

    /// Moves a tenant in. The slot is vacant, and its stripe's lock is held.
    ///
    /// The fingerprint is stored before the word, both with release: a thread that finds the new
    /// tenant's word in the slot finds the new tenant's fingerprint too, and does not take the word
    /// for the last tenant's. A slot that was never used is claimed first, so that no call uses its
    /// zero.
    #[inline]
    pub(super) fn occupy(self, key: Fingerprint, word: Word) {
        // Relaxed: the first half is written only under the lock.
        let vacant = self.0[0].load(Ordering::Relaxed);
        if vacant & VACATED == 0 {
            self.0[1].store(Word::CLAIMED.bits(), Ordering::Release);
        }
        let tenancy = (vacant & !(TENANCY - 1)).wrapping_add(TENANCY);
        self.0[0].store(tenancy | key.bits(), Ordering::Release);
        self.0[1].store(word.bits() ^ key.bits(), Ordering::Release);
    }
}

/// A tenant in its slot, as it was found there.
#[derive(Clone, Copy)]
pub(crate) struct InSlot<'a> {
    slot: Slot<'a>,
    pub(super) key: Fingerprint,
    /// The slot's first half, which is different in every tenancy.
    bits: u64,
}

impl<'a> InSlot<'a> {
    /// The word, if the tenant is still here.
    pub(super) fn word(&self) -> Word {
        self.load()
    }

    /// Claims the slot, however often its word is charged meanwhile, and returns the last word.
    /// The stripe's lock is held.
    pub(super) fn claim(&self) -> Word {
        let mut word = self.word();
        while let Err(current) = self.swap(word, Word::CLAIMED.bits()) {
            word = current;
        }
        word
    }

    /// Claims the slot if its word is still `seen`.
    pub(super) fn claim_if(&self, seen: Word) -> bool {
        self.swap(seen, Word::CLAIMED.bits()).is_ok()
    }

    /// Moves the tenant out of the slot, which is claimed.
    pub(super) fn vacate(&self) -> Slot<'a> {
        let tenancy = self.bits & !(TENANCY - 1);
        self.slot.0[0].store(tenancy | VACATED, Ordering::Release);
        self.slot
    }

    /// Replaces the tenant's word by these bits if it is still `seen`; if not, returns the current
    /// word. Acquire, also if it fails: see [`load`](WordCell::load).
    #[inline]
    fn swap(&self, seen: Word, bits: u64) -> Result<(), Word> {
        let mix = self.key.bits();
        let swapped = self.slot.0[1].compare_exchange(seen.bits() ^ mix, bits, Ordering::AcqRel, Ordering::Acquire);
        swapped.map(drop).map_err(|bits| Word::from_bits(bits ^ mix))
    }
}

/// The word is stored combined with its tenant's fingerprint by exclusive or, so that equal words of
/// different tenants are different bits, and a compare-exchange for the last tenant fails.
impl WordCell for InSlot<'_> {
    /// CLAIMED becomes another special word, which no load takes for a bucket: no bit of a
    /// fingerprint is at or above bit 62.
    ///
    /// Acquire: if the word is of a later tenancy, so is the first half that
    /// [`is_here`](WordCell::is_here) then sees.
    #[inline]
    fn load(&self) -> Word {
        Word::from_bits(self.slot.0[1].load(Ordering::Acquire) ^ self.key.bits())
    }

    #[inline]
    fn compare_exchange(&self, seen: Word, next: Word) -> Result<(), Word> {
        self.swap(seen, next.bits() ^ self.key.bits())
    }

    /// Relaxed: this load is ordered after the load of the word, which acquires.
    #[inline(always)]
    fn is_here(&self) -> bool {
        self.slot.0[0].load(Ordering::Relaxed) == self.bits
    }

    fn resolve(&self, seen: Word) -> Resolved {
        if seen.is_special() { Resolved::Elsewhere } else { Resolved::Bucket }
    }
}

/// Returns the slots of a line.
#[inline]
fn slots(line: &Line) -> impl Iterator<Item = Slot<'_>> {
    line.iter().map(Slot)
}

/// Returns the tenants of a line.
pub(super) fn tenants(line: &Line) -> impl Iterator<Item = InSlot<'_>> {
    slots(line).filter_map(|slot| slot.tenant(slot.bits()))
}

/// Returns a vacant slot of a line. The lock of the line's stripe is held.
#[inline]
pub(super) fn vacant(line: &Line) -> Option<Slot<'_>> {
    slots(line).find(|slot| slot.bits() & 1 == 0)
}

/// Returns the tenant of a line that has this key.
#[inline]
fn find(line: &Line, key: Fingerprint) -> Option<InSlot<'_>> {
    slots(line).find(|slot| holds(slot.bits(), key)).and_then(|slot| slot.tenant_of(key))
}

/// Returns the tenant of a line that has this key, for a key that most probably is there. May miss
/// the key once in 2³¹.
///
/// There is no branch before the last check: the place of a key in its line is random, and a wrong
/// guess of the processor costs more than comparing all slots. The comparisons of the lower halves
/// only choose the slot, so they need no ordering.
#[inline(always)]
pub(super) fn search(line: &Line, key: Fingerprint) -> Option<InSlot<'_>> {
    let mut place = 0;
    for (at, pair) in line.iter().enumerate().skip(1) {
        let is_like = pair[0].load(Ordering::Relaxed) as u32 == key.bits() as u32;
        place = if is_like { at } else { place };
    }
    Slot(&line[place]).tenant_of(key)
}

/// All slots of one table.
///
/// The memory is reserved once and never moved: the operating system provides its pages when
/// they are first written to.
pub(super) struct Memory {
    pairs: Box<[Pair]>,
    /// The pairs before the first line, so that lines do not straddle cache lines.
    skip: u32,
}

impl Memory {
    /// Returns `None` if there is not enough memory.
    pub(super) fn new(groups: u64) -> Option<Self> {
        let pairs = zeroed(usize::try_from(Memory::bytes(groups)).ok()? / size_of::<Pair>())?;
        let skip = pairs.as_ptr().align_offset(GROUP_BYTES as usize);
        // An address that is not a multiple of a pair's size cannot be aligned.
        let skip = if skip < GROUP_SLOTS { skip as u32 } else { 0 };
        Some(Memory { pairs, skip })
    }

    /// Returns the bytes of `groups` groups, and of one more to align them.
    pub(super) const fn bytes(groups: u64) -> u64 {
        (groups + 1) * GROUP_BYTES
    }

    #[inline(always)]
    pub(super) fn line(&self, at: LineIndex) -> &Line {
        // Both numbers are small, so that the sum is known not to overflow, and one check is
        // enough.
        let first = self.skip as usize + at.first_slot() as u32 as usize;
        let Ok(line) = self.pairs[first..first + LINE_SLOTS].try_into() else { unreachable!("the length is right") };
        line
    }
}

/// The lines that a key may be in, best first: its home line, the other line of the home group,
/// and the lines of its second group.
#[derive(Clone, Copy)]
pub(super) struct Candidates<'a>(pub(super) [&'a Line; 4]);

impl<'a> Candidates<'a> {
    /// The number of candidate lines.
    pub(super) const LINES: usize = 4;

    /// Returns the key, if it is in one of the lines, and how many of the lines are better. The two
    /// lines of the second group are equally good.
    #[inline]
    pub(super) fn find(&self, key: Fingerprint) -> Option<(usize, InSlot<'a>)> {
        self.0.iter().enumerate().find_map(|(at, line)| Some((at.min(2), find(line, key)?)))
    }

    /// Returns the tenants, best line first.
    pub(super) fn tenants(&self) -> impl Iterator<Item = InSlot<'a>> + use<'a> {
        self.0.into_iter().flat_map(tenants)
    }

    /// Returns a vacant slot of the first `lines` lines, best first. It stays vacant only if the
    /// stripe's lock is held.
    #[inline]
    pub(super) fn vacant(&self, lines: usize) -> Option<Slot<'a>> {
        self.0[..lines].iter().find_map(|line| vacant(line))
    }
}

/// Returns whether the first half of a slot is that of this tenant, whatever the tenancy is.
#[inline]
const fn holds(bits: u64, key: Fingerprint) -> bool {
    (bits ^ key.bits()) << (u64::BITS - Fingerprint::BITS) == 0
}
