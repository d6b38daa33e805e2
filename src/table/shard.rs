//! What a shard's lock guards, beside the right to change tenants.

use std::collections::BTreeMap;
#[cfg(feature = "wait")]
use std::sync::Arc;

#[cfg(feature = "wait")]
use crate::wait::Queue;
use crate::word::Word;

use super::Fingerprint;

pub(super) struct Shard {
    /// Buckets in slots and in the overflow.
    pub(super) keys: u64,
    /// The set to be tidied next.
    pub(super) hand: u64,
    /// The most sets that it may have.
    pub(super) most_sets: u64,
    /// Whether the last look found a full bucket: then there are more.
    pub(super) finds: bool,
    /// A bucket that holds no more than any that was forgotten.
    pub(super) ghost: Option<Word>,
    /// Buckets for which no slot was open. Slots take one tenant a tick, so this is where those
    /// go that are removed and made anew all the time, or whose hashes were chosen to collide.
    pub(super) overflow: BTreeMap<Fingerprint, Word>,
    /// Buckets that somebody waits on, or did a moment ago: they are nowhere else.
    #[cfg(feature = "wait")]
    pub(super) waiting: BTreeMap<Fingerprint, Arc<Queue>>,
    /// The last of those that were looked at, to see whether somebody still does.
    #[cfg(feature = "wait")]
    pub(super) last_asked: Option<Fingerprint>,
}

impl Shard {
    pub(super) fn new(most_sets: u64) -> Self {
        Shard {
            keys: 0,
            hand: 0,
            most_sets,
            finds: false,
            ghost: None,
            overflow: BTreeMap::new(),
            #[cfg(feature = "wait")]
            waiting: BTreeMap::new(),
            #[cfg(feature = "wait")]
            last_asked: None,
        }
    }
}
