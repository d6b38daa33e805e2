//! Where a key belongs: everything is read from its fingerprint.

use super::slots::SLOTS;

/// A key's hash, made odd: an even word in a fingerprint's place marks a vacant slot.
///
/// ```text
///  63 … 54   53 …… 32   31 …… 3   2 1   0
/// ┌────────┬───────────┬─────────┬─────┬───┐
/// │ shard  │ second    │ first   │     │ 1 │
/// │        │ home      │ home    │     │   │
/// └────────┴───────────┴─────────┴─────┴───┘
/// ```
///
/// The homes stand where they number slots: a set has eight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Fingerprint(u64);

/// The bits that choose the shard.
pub(super) const SHARD_BITS: u32 = 10;

/// Where the second home stands, above the first.
const SECOND: u32 = 32 - SLOTS.ilog2();

/// The most sets of a shard.
pub(super) const MOST_SETS: u64 = 1 << 24;

impl Fingerprint {
    /// Mixes the hash first, so that one whose high or low bits say little will do. The models
    /// choose where their keys go.
    #[inline]
    pub(crate) const fn of(hash: u64) -> Self {
        let mixed = if cfg!(brimful_loom) {
            hash
        } else {
            // A bijection: the high half into the low one, up by an odd factor, and down again.
            let x = (hash ^ (hash >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            x ^ (x >> 32)
        };
        Fingerprint(mixed | 1)
    }

    #[inline]
    pub(super) const fn bits(self) -> u64 {
        self.0
    }

    /// `None` for what marks a vacant slot.
    #[inline]
    pub(super) const fn from_bits(bits: u64) -> Option<Self> {
        if bits & 1 == 1 { Some(Fingerprint(bits)) } else { None }
    }

    /// What chooses the shard.
    #[inline]
    pub(super) const fn shard(self) -> usize {
        (self.0 >> (64 - SHARD_BITS)) as usize
    }

    /// The set that it belongs in.
    #[inline]
    pub(super) const fn first(self, sets: Sets) -> SetIndex {
        sets.home(self.0)
    }

    /// The set that it goes to where the first is full.
    #[inline]
    pub(super) const fn second(self, sets: Sets) -> SetIndex {
        sets.home(self.0 >> SECOND)
    }
}

/// A set of a shard, by the number of its first slot there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SetIndex(u32);

impl SetIndex {
    pub(super) const fn new(number: u64) -> Self {
        SetIndex(number as u32 * SLOTS as u32)
    }

    #[inline]
    pub(super) const fn first_slot(self) -> usize {
        self.0 as usize
    }
}

/// The number of a shard's sets, at least one. It grows by one set at a time, and each time only
/// the keys of one other set may find that their home is the new one: linear hashing (W. Litwin,
/// 1980).
///
/// ```text
///  63 …… 32   31 …… 0
/// ┌──────────┬────────┐
/// │ mask     │ slots  │
/// └──────────┴────────┘
/// mask    of as many bits of the hash as number the sets
/// slots   of all sets
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sets(u64);

impl Sets {
    pub(super) const fn new(count: u64) -> Self {
        let mask = (count.next_power_of_two() - 1) * SLOTS as u64;
        Sets((mask << 32) | (count * SLOTS as u64))
    }

    #[inline]
    pub(super) const fn from_bits(bits: u64) -> Self {
        Sets(bits)
    }

    pub(super) const fn bits(self) -> u64 {
        self.0
    }

    pub(super) const fn count(self) -> u64 {
        self.0 as u32 as u64 / SLOTS as u64
    }

    pub(super) const fn one_more(self) -> Self {
        Sets::new(self.count() + 1)
    }

    /// The set whose keys are divided with the next new one.
    pub(super) const fn divided(self) -> SetIndex {
        SetIndex::new(self.count() - (1 << self.count().ilog2()))
    }

    /// Whether every set has been divided as often as every other.
    pub(super) const fn is_even(self) -> bool {
        self.count().is_power_of_two()
    }

    /// As many bits of the hash as number the sets, one less where that is a set to come.
    #[inline]
    const fn home(self, hash: u64) -> SetIndex {
        let mask = (self.0 >> 32) as u32;
        let home = hash as u32 & mask;
        SetIndex(if home < self.0 as u32 { home } else { home & (mask >> 1) & mask })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every set of every count is somebody's home, and a key moves only to the new set.
    #[test]
    fn only_the_divided_set_gives_keys_to_the_new_one() {
        for count in 1..300 {
            let (before, after) = (Sets::new(count), Sets::new(count + 1));
            let mut reached = vec![false; count as usize];
            for hash in 0..4_096 {
                let (old, new) = (before.home(hash * SLOTS as u64), after.home(hash * SLOTS as u64));
                reached[old.first_slot() / SLOTS] = true;
                let divided = new == SetIndex::new(count) && old == before.divided();
                assert!(new == old || divided, "{count} sets, hash {hash}");
            }
            assert!(reached.iter().all(|&reached| reached));
        }
    }

    #[test]
    fn weak_hashes_are_spread() {
        for step in [1u64, 1 << 20, 1 << 32, 1 << 40] {
            let mut homes = std::collections::BTreeMap::new();
            for key in 0..4_096u64 {
                let fingerprint = Fingerprint::of(key.wrapping_mul(step));
                let home = (fingerprint.shard() >> 4, fingerprint.first(Sets::new(16)).first_slot());
                *homes.entry(home).or_insert(0) += 1;
            }
            // 1024 homes, four keys each on average.
            assert!(homes.len() > 900, "step {step}: {} homes", homes.len());
            assert!(homes.values().all(|&keys| keys < 20), "step {step}: {:?}", homes.values().max());
        }
    }
}
