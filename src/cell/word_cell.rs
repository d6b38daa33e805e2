//! The atomic word, and its only compare-exchange loops: the short loop of a call for tokens, which
//! is inlined into the caller, and the loop for everything else.
//!
//! # Memory ordering
//!
//! The word is the bucket's whole state, so its modification order is all that the promises rest
//! on. No clock reading has to be ordered with it. Loads of a lone limiter's cell are relaxed,
//! because a denial or a peek orders nothing. Loads of a table's slot acquire: see
//! [`Location::LOAD`]. Every write is an acquire-release read-modify-write, so that the work of a
//! thread before it gave tokens back happens before the work of a thread that is admitted with
//! those tokens. On weakly ordered machines a load may return an older word than another core has
//! written. That is a reading of the past: the compare-exchange then fails, or a denial is checked
//! again.

use crate::algorithm::token_bucket::{self, Demand, Started, Step};
use crate::sync::{AtomicU64, Ordering, const_unless_loom};
use crate::tokens::Tokens;
use crate::word::{Layout, Reading, Units, Word};

use super::read_order::ReadOrderHint;

/// The source of a call's readings. The cell asks for a first reading, and for at most one more. It
/// asks for the second if a denial was decided on a reading that may have been overtaken, by
/// another call's swap or because the word was loaded after the reading. The second reading
/// *replaces* the first, also when it is earlier. A call is decided at its last reading, and the
/// window bound counts the call there.
pub(crate) trait TimeSource: Copy {
    fn read(&mut self) -> Reading;
    fn reread(&mut self) -> Option<Reading>;
}

/// A single reading, without a second one.
#[derive(Clone, Copy)]
pub(crate) struct FixedTime(pub(crate) Reading);

impl TimeSource for FixedTime {
    #[inline]
    fn read(&mut self) -> Reading {
        self.0
    }

    fn reread(&mut self) -> Option<Reading> {
        None
    }
}

/// The place of a bucket's word, and the meaning of special words in that place.
pub(crate) trait Location {
    /// The ordering of loads. It is acquire if [`is_here`](Location::is_here) reads memory that was
    /// written before the word.
    const LOAD: Ordering = Ordering::Relaxed;

    /// Returns whether the cell still holds this bucket. Called after every load of the word and
    /// before the word is used, because the slots of a table change tenants.
    #[inline(always)]
    fn is_here(&self) -> bool {
        true
    }

    /// Returns the hint for the order of load and clock; `None` if the load always comes first.
    #[inline(always)]
    fn order(&self) -> Option<&ReadOrderHint> {
        None
    }

    fn resolve(&self, seen: Word) -> Resolved;
}

/// The meaning of a word.
#[derive(Clone, Copy)]
pub(crate) enum Resolved {
    /// A bucket whose state is this word.
    Bucket,
    /// A bucket that its first call starts with this amount.
    NotStarted(Units),
    /// No limit.
    Unlimited,
    /// A bucket whose word is elsewhere: in another slot, or in a queue's state.
    #[cfg_attr(not(feature = "std"), allow(dead_code))]
    Elsewhere,
}

/// The outcome of a call for tokens.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Taken {
    /// The call was charged. `held` less `cost` is the level that a snapshot at the same reading
    /// finds.
    Admitted { cost: Units, held: Units, now: Reading },
    /// Nothing was charged: `deficit` of the `needed` units were missing. They are missing for good
    /// if `needed` is more than the capacity.
    Denied { needed: Units, deficit: Units, now: Reading },
    /// There is no limit.
    Unlimited,
    /// Nothing was charged: a full table has no slot for the bucket. It may have one when `deficit`
    /// units more than at `now` have been earned.
    #[cfg_attr(not(feature = "std"), allow(dead_code))]
    TableFull { deficit: Units, now: Reading },
}

/// An atomic word, stored as it is or mixed with a key.
pub(crate) trait AtomicWord {
    fn load(&self, ordering: Ordering) -> Word;

    /// Replaces the word if it is still `seen`; if not, returns the current word, loaded with
    /// `reload`.
    fn compare_exchange(&self, seen: Word, next: Word, reload: Ordering) -> Result<(), Word>;
}

impl AtomicWord for AtomicU64 {
    #[inline]
    fn load(&self, ordering: Ordering) -> Word {
        Word::from_bits(self.load(ordering))
    }

    #[inline]
    fn compare_exchange(&self, seen: Word, next: Word, reload: Ordering) -> Result<(), Word> {
        let swapped = self.compare_exchange(seen.bits(), next.bits(), Ordering::AcqRel, reload);
        swapped.map(drop).map_err(Word::from_bits)
    }
}

/// A slot's word. Every word but CLAIMED is stored combined with its tenant's fingerprint by
/// exclusive or, so that equal words of different tenants are different bits.
#[cfg(feature = "std")]
#[derive(Clone, Copy)]
pub(crate) struct MixedWord<'a> {
    atomic: &'a AtomicU64,
    /// Bits of the fingerprint; none at or above bit 62.
    mix: u64,
}

#[cfg(feature = "std")]
impl AtomicWord for MixedWord<'_> {
    /// CLAIMED becomes another special word, which no load takes for a bucket.
    #[inline]
    fn load(&self, ordering: Ordering) -> Word {
        Word::from_bits(self.atomic.load(ordering) ^ self.mix)
    }

    #[inline]
    fn compare_exchange(&self, seen: Word, next: Word, reload: Ordering) -> Result<(), Word> {
        let (seen, next) = (seen.bits() ^ self.mix, next.bits() ^ self.mix);
        let swapped = self.atomic.compare_exchange(seen, next, Ordering::AcqRel, reload);
        swapped.map(drop).map_err(|bits| Word::from_bits(bits ^ self.mix))
    }
}

/// The decision of one round of the loop.
enum Next<T> {
    /// Swap this word in. Return the result if the swap succeeds.
    Swap(Word, T),
    /// Return without a write.
    Return(T),
    /// Return without a write, unless the clock can be read again.
    Recheck(T),
}

/// The cell of one bucket's word, in a lone limiter or in a table's slot.
pub(crate) struct Cell<A = AtomicU64>(A);

impl Cell {
    const_unless_loom! {
        pub(crate) const fn new(word: Word) -> Cell {
            Cell(AtomicU64::new(word.bits()))
        }
    }

    /// Hands the word over to the queue, whose lock the caller holds. Every compare-exchange that
    /// is under way fails.
    #[cfg(feature = "std")]
    pub(crate) fn hand_over(&self) -> Word {
        Word::from_bits(self.0.swap(Word::IN_QUEUE.bits(), Ordering::AcqRel))
    }

    /// Hands the word back from the queue, whose lock the caller holds. Release: a call that is
    /// admitted by the word sees the work that was done before tokens were given back to the queue.
    #[cfg(feature = "std")]
    pub(crate) fn hand_back(&self, word: Word) {
        self.0.store(word.bits(), Ordering::Release);
    }
}

#[cfg(feature = "std")]
impl<'a> Cell<MixedWord<'a>> {
    #[inline]
    pub(crate) fn mixed(atomic: &'a AtomicU64, mix: u64) -> Self {
        Cell(MixedWord { atomic, mix })
    }

    /// Claims the slot, which ends a tenancy, if the word is still `seen`. An earlier charge makes
    /// the claim fail, and a later charge fails.
    pub(crate) fn claim(&self, seen: Word) -> Result<(), Word> {
        let MixedWord { atomic, mix } = self.0;
        let claimed = Word::CLAIMED.bits();
        let swapped = atomic.compare_exchange(seen.bits() ^ mix, claimed, Ordering::AcqRel, Ordering::Relaxed);
        swapped.map(drop).map_err(|bits| Word::from_bits(bits ^ mix))
    }

    /// Begins a tenancy. Release: a call that loads the word sees the fingerprint that was stored
    /// before it.
    pub(crate) fn settle_in(&self, word: Word) {
        self.0.atomic.store(word.bits() ^ self.0.mix, Ordering::Release);
    }
}

impl<A: AtomicWord> Cell<A> {
    #[inline]
    pub(crate) fn load(&self, ordering: Ordering) -> Word {
        self.0.load(ordering)
    }

    /// Takes the cost of `n` if `leaving` tokens are left then. Returns `Err` if this short loop
    /// cannot decide. Nothing was charged then, and [`take_cold`](Cell::take_cold) can decide.
    // The caller turns each outcome into its answer at once, in registers. So the cold outcome is
    // not merged with the others here.
    // Always inlined: otherwise the cost of the call is added to that of the clock. The cost in
    // units is computed after the clock was read, so that it needs no register across that read.
    #[inline(always)]
    pub(crate) fn take<L: Location>(
        &self,
        layout: &Layout,
        location: &L,
        (n, leaving): (Tokens, Tokens),
        mut source: impl TimeSource,
    ) -> Result<Taken, Seen> {
        let order = location.order();
        let clock_first = order.is_some_and(ReadOrderHint::clock_first);
        let (now, mut word);
        if clock_first {
            now = source.read();
            word = self.load(L::LOAD);
        } else {
            word = self.load(L::LOAD);
            now = source.read();
        }
        let demand = Demand::new(layout, n, leaving);
        let mut overtaken = clock_first;
        // No spin hint: a failed compare-exchange brings the cache line here, and a pause would
        // give it away.
        loop {
            if !location.is_here() {
                return Err(Seen { word, now, overtaken });
            }
            match token_bucket::step(layout, word, now, demand) {
                Step::Admitted { next, held } => match self.0.compare_exchange(word, next, L::LOAD) {
                    Ok(()) => return Ok(Taken::Admitted { cost: demand.cost, held, now }),
                    Err(current) => {
                        if let (Some(order), false) = (order, overtaken) {
                            order.on_cas_failure(now);
                        }
                        (word, overtaken) = (current, true);
                    }
                },
                Step::Denied { deficit, stale: false } if !overtaken => {
                    return Ok(Taken::Denied { needed: demand.needed, deficit, now });
                }
                step => {
                    if let (Some(order), true, Step::Denied { .. }) = (order, clock_first, step) {
                        order.on_denial();
                    }
                    return Err(Seen { word, now, overtaken });
                }
            }
        }
    }

    /// Takes in one attempt. Returns `None` if it does not decide, because another call came
    /// between or the word is cold to the fast step. Nothing was charged then. `demand` is called
    /// after the clock was read.
    #[cfg(feature = "std")]
    #[inline(always)]
    pub(crate) fn take_once<L: Location>(
        &self,
        layout: &Layout,
        location: &L,
        demand: impl FnOnce() -> Demand,
        mut source: impl TimeSource,
    ) -> Option<Taken> {
        let word = self.load(L::LOAD);
        let now = source.read();
        let demand = demand();
        if !location.is_here() {
            return None;
        }
        match token_bucket::step(layout, word, now, demand) {
            Step::Admitted { next, held } => {
                self.0.compare_exchange(word, next, Ordering::Relaxed).ok()?;
                Some(Taken::Admitted { cost: demand.cost, held, now })
            }
            Step::Denied { deficit, .. } => Some(Taken::Denied { needed: demand.needed, deficit, now }),
            Step::Cold => None,
        }
    }

    /// Takes with the exact steps alone, for any word. Returns `None` if the bucket is not in this
    /// cell.
    #[cfg(feature = "std")]
    pub(crate) fn take_at_length<L: Location>(
        &self,
        layout: &Layout,
        location: &L,
        demand: Demand,
        mut source: impl TimeSource,
    ) -> Option<Taken> {
        let word = self.load(L::LOAD);
        let now = source.read();
        self.take_cold(layout, location, demand, source, Seen { word, now, overtaken: false })
    }

    /// Continues after the short loop: if the word is special or was written after the reading, or
    /// if a denial may have been overtaken. Returns `None` if the bucket is not in this cell.
    pub(crate) fn take_cold<L: Location>(
        &self,
        layout: &Layout,
        location: &L,
        demand: Demand,
        source: impl TimeSource,
        seen: Seen,
    ) -> Option<Taken> {
        let Demand { cost, needed } = demand;
        self.cas_loop::<L, _>(seen, source, |seen, now, overtaken| {
            if !location.is_here() {
                return Next::Return(None);
            }
            let denied = |deficit| Some(Taken::Denied { needed, deficit, now });
            let admitted = |held| Some(Taken::Admitted { cost, held, now });
            let initial = match location.resolve(seen) {
                Resolved::Bucket => None,
                Resolved::NotStarted(initial) => Some(initial),
                Resolved::Unlimited => return Next::Return(Some(Taken::Unlimited)),
                Resolved::Elsewhere => return Next::Return(None),
            };
            if let Some(initial) = initial {
                return match token_bucket::start(layout, now, initial, demand) {
                    Started::Admitted { next, held } => Next::Swap(next, admitted(held)),
                    // A denied call starts the bucket too, or it would never begin to refill.
                    Started::Denied { next, deficit } => Next::Swap(next, denied(deficit)),
                };
            }
            match token_bucket::step_exact(layout, seen, now, demand) {
                Step::Admitted { next, held } => Next::Swap(next, admitted(held)),
                Step::Denied { deficit, stale } if stale || overtaken => Next::Recheck(denied(deficit)),
                Step::Denied { deficit, .. } => Next::Return(denied(deficit)),
                Step::Cold => unreachable!("only special words are cold to the exact step"),
            }
        })
    }

    /// Replaces the word by the result of `change`, and returns the amount that was added or
    /// charged, or zero if there is no limit. Returns `None` if the bucket is not in this cell.
    #[cold]
    pub(crate) fn change<L: Location>(
        &self,
        layout: &Layout,
        location: &L,
        mut source: impl TimeSource,
        change: impl Fn(Word, Reading) -> (Word, Units),
    ) -> Option<Units> {
        let word = self.load(L::LOAD);
        let now = source.read();
        self.cas_loop::<L, _>(Seen { word, now, overtaken: false }, source, |seen, now, _| {
            if !location.is_here() {
                return Next::Return(None);
            }
            let word = match location.resolve(seen) {
                Resolved::Bucket => seen,
                Resolved::NotStarted(initial) => token_bucket::started(layout, now, initial),
                Resolved::Unlimited => return Next::Return(Some(Units(0))),
                Resolved::Elsewhere => return Next::Return(None),
            };
            let (next, amount) = change(word, now);
            if next == seen { Next::Return(Some(amount)) } else { Next::Swap(next, Some(amount)) }
        })
    }

    /// Swaps in the word that `decide` computes, and repeats until the swap succeeds. `decide`
    /// receives the word, the reading, and whether another call may have changed the word since
    /// that reading.
    ///
    /// The loop ends: a swap fails only if another call has succeeded, and the clock is read again
    /// at most once.
    /// at most once.
    fn cas_loop<L: Location, T>(
        &self,
        Seen { mut word, mut now, mut overtaken }: Seen,
        mut source: impl TimeSource,
        decide: impl Fn(Word, Reading, bool) -> Next<T>,
    ) -> T {
        loop {
            match decide(word, now, overtaken) {
                Next::Swap(next, settled) => match self.0.compare_exchange(word, next, L::LOAD) {
                    Ok(()) => return settled,
                    Err(current) => (word, overtaken) = (current, true),
                },
                Next::Return(settled) => return settled,
                Next::Recheck(settled) => match source.reread() {
                    Some(reading) => (now, overtaken) = (reading, false),
                    None => return settled,
                },
            }
        }
    }
}

/// What a round of the loop decides on.
#[derive(Clone, Copy)]
pub(crate) struct Seen {
    word: Word,
    now: Reading,
    /// Whether another call may have changed the word since the reading.
    overtaken: bool,
}
