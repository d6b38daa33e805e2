//! A key's fingerprint, and the lines that it belongs in.

/// The slots of a line, which is one cache line. In the models a line has one slot, and every path
/// that the real lines have.
pub(super) const LINE_SLOTS: usize = if cfg!(brimful_loom) { 1 } else { 4 };

/// The slots of a group, which is two lines.
pub(super) const GROUP_SLOTS: usize = 2 * LINE_SLOTS;

/// A key's hash, cut to 60 bits and made odd: an even number in a fingerprint's place marks a
/// vacant slot.
///
/// ```text
///  63 … 60   59 ……… 32       31       30 … 4          3        2 1   0
/// ┌────────┬──────────────┬────────┬───────────────┬────────┬─────┬───┐
/// │ 0      │ home group   │ home   │ second group  │ second │     │ 1 │
/// │        │              │ line   │               │ line   │     │   │
/// └────────┴──────────────┴────────┴───────────────┴────────┴─────┴───┘
/// ```
///
/// In a slot, the upper four bits count the slot's tenancies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Fingerprint(u64);

/// The lowest bit of the home group's number.
const HOME: u32 = 32;

/// The lowest bit of the second group's number.
const SECOND: u32 = 4;

/// The bits of a group's number.
pub(super) const GROUP_BITS: u32 = Fingerprint::BITS - HOME;

/// The bits of a slot's number within its group.
const SLOT_BITS: u32 = GROUP_SLOTS.ilog2();

impl Fingerprint {
    pub(super) const BITS: u32 = 60;

    /// Returns the fingerprint of a hash. Mixes the hash first, so that weak hashers are
    /// sufficient. The models choose the lines of their keys, and do not mix.
    #[inline]
    pub(crate) const fn of(hash: u64) -> Self {
        let mixed = if cfg!(brimful_loom) {
            hash
        } else {
            // Each bit of the hash reaches the lower half of the product or the upper one.
            let product = hash as u128 * 0x9e37_79b9_7f4a_7c15;
            product as u64 ^ (product >> 64) as u64
        };
        Fingerprint((mixed & ((1 << Fingerprint::BITS) - 1)) | 1)
    }

    /// Returns the fingerprint that the first half of a slot holds in its lower bits; `None` if the
    /// slot is vacant.
    #[inline]
    pub(crate) const fn from_slot(bits: u64) -> Option<Self> {
        if bits & 1 == 1 { Some(Fingerprint(bits & ((1 << Fingerprint::BITS) - 1))) } else { None }
    }

    #[inline]
    pub(crate) const fn bits(self) -> u64 {
        self.0
    }

    /// Returns the stripe: the lowest bits of the number of either group.
    #[inline]
    pub(super) const fn stripe(self, mask: usize) -> usize {
        (self.0 >> HOME) as usize & mask
    }

    /// Returns the number that chooses the home line.
    #[inline]
    const fn home(self) -> u32 {
        (self.0 >> (HOME - SLOT_BITS)) as u32
    }

    /// Returns the same for the second group. It has the same stripe, and is another group from two
    /// groups a stripe on: the lowest bit above the stripe's is the inverse of the home group's.
    const fn second(self, stripe_mask: usize) -> u32 {
        let stripes = (stripe_mask as u64 + 1) << SLOT_BITS;
        // The models choose both groups of their keys.
        let other = if cfg!(brimful_loom) { 0 } else { stripes as u32 };
        let same = ((stripe_mask as u64) << SLOT_BITS) as u32 | other;
        ((self.0 >> (SECOND - SLOT_BITS)) as u32 & !same) | ((self.home() ^ other) & same)
    }

    /// Returns the home line.
    #[inline]
    pub(super) const fn home_line(self, groups: Groups) -> LineIndex {
        groups.line(self.home())
    }

    /// Returns the better line of the second group.
    #[inline]
    pub(super) const fn second_line(self, groups: Groups, stripe_mask: usize) -> LineIndex {
        groups.line(self.second(stripe_mask))
    }
}

/// A line, identified by the number of its first slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LineIndex(u32);

impl LineIndex {
    #[inline]
    pub(super) const fn first_slot(self) -> usize {
        self.0 as usize
    }

    /// Returns the other line of the group.
    #[inline]
    pub(super) const fn other(self) -> Self {
        LineIndex(self.0 ^ LINE_SLOTS as u32)
    }

    pub(super) const fn group(self) -> u64 {
        self.0 as u64 / GROUP_SLOTS as u64
    }

    /// Returns the lines of a group.
    #[inline]
    pub(super) const fn of_group(group: u64) -> [Self; 2] {
        let first = LineIndex((group * GROUP_SLOTS as u64) as u32);
        [first, first.other()]
    }
}

/// The number of groups, at least one. It grows by one group at a time. Each time, only the keys of
/// one other group may find that they belong in the new group: linear hashing (W. Litwin, 1980).
///
/// ```text
///  63        62 …… 32   31 …… 0
/// ┌─────────┬──────────┬────────┐
/// │ uneven  │ count    │ mask   │
/// └─────────┴──────────┴────────┘
/// uneven  while the groups double: some are divided, others not yet
/// mask    the bits that number lines, once the groups have doubled
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Groups(u64);

/// The bit that chooses the line within its group.
const LINE_BIT: u32 = LINE_SLOTS as u32;

const UNEVEN: u64 = 1 << 63;

impl Groups {
    pub(super) const fn new(count: u64) -> Self {
        let mask = ((count.next_power_of_two() - 1) * GROUP_SLOTS as u64) | LINE_BIT as u64;
        let uneven = if count.is_power_of_two() { 0 } else { UNEVEN };
        Groups(uneven | (count << 32) | mask)
    }

    #[inline]
    pub(super) const fn from_bits(bits: u64) -> Self {
        Groups(bits)
    }

    pub(crate) const fn bits(self) -> u64 {
        self.0
    }

    #[inline]
    pub(super) const fn count(self) -> u64 {
        (self.0 & !UNEVEN) >> 32
    }

    #[inline]
    pub(super) const fn slots(self) -> u64 {
        self.count() * GROUP_SLOTS as u64
    }

    pub(super) const fn one_more(self) -> Self {
        Groups::new(self.count() + 1)
    }

    /// Returns the group whose keys are divided when the next group is added.
    pub(super) const fn divided(self) -> u64 {
        self.count() - (1 << self.count().ilog2())
    }

    /// Returns whether every group has been divided as often as every other.
    #[inline]
    pub(super) const fn is_even(self) -> bool {
        self.0 & UNEVEN == 0
    }

    /// Returns the line that a number chooses.
    #[inline]
    const fn line(self, number: u32) -> LineIndex {
        if self.is_even() { LineIndex(number & self.0 as u32) } else { self.uneven_line(number) }
    }

    /// Returns the line that a number chooses while the groups double: by one bit less if the group
    /// is still to come. Out of line, so that hits do not pay for it when the table is at rest.
    #[cold]
    #[inline(never)]
    const fn uneven_line(self, number: u32) -> LineIndex {
        let mask = self.0 as u32;
        let line = number & mask;
        let has_come = (line as u64) < self.slots();
        LineIndex(if has_come { line } else { line & ((mask >> 1) | LINE_BIT) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every line of every count is the home of some key, and a key moves only to the new group.
    #[test]
    fn only_the_divided_group_gives_keys_to_the_new_one() {
        for count in 1..300 {
            let (before, after) = (Groups::new(count), Groups::new(count + 1));
            let mut reached = vec![false; 2 * count as usize];
            for number in 0..4_096 {
                let number = number * LINE_SLOTS as u32;
                let (old, new) = (before.line(number), after.line(number));
                reached[old.first_slot() / LINE_SLOTS] = true;
                let divided = new.group() == count && old.group() == before.divided();
                assert!(new == old || divided, "{count} groups, number {number}");
            }
            assert!(reached.iter().all(|&reached| reached));
        }
    }

    #[test]
    fn both_groups_of_a_key_are_of_one_stripe() {
        for hash in 0..10_000 {
            let fingerprint = Fingerprint::of(hash);
            for count in 16..64 {
                let groups = Groups::new(count);
                let lines = [fingerprint.home_line(groups), fingerprint.second_line(groups, 15)];
                assert!(lines.iter().all(|line| line.group() % 16 == fingerprint.stripe(15) as u64));
                assert!(lines.iter().all(|line| line.group() < count));
                assert!(count < 32 || lines[0].group() != lines[1].group());
            }
        }
    }

    #[test]
    fn weak_hashes_are_spread() {
        for step in [1u64, 1 << 20, 1 << 32, 1 << 40] {
            let mut lines = std::collections::BTreeMap::new();
            for key in 0..4_096u64 {
                let fingerprint = Fingerprint::of(key.wrapping_mul(step));
                *lines.entry(fingerprint.home_line(Groups::new(512)).first_slot()).or_insert(0) += 1;
            }
            // 1024 lines, four keys each on average.
            assert!(lines.len() > 900, "step {step}: {} lines", lines.len());
            assert!(lines.values().all(|&keys| keys < 20), "step {step}: {:?}", lines.values().max());
        }
    }
}
