//! The atomic word, and its only compare-and-swap loops: the short one of a call for tokens,
//! which is inlined into the caller, and the one of everything else.
//!
//! # Memory ordering
//!
//! The word is the bucket's whole state, so its modification order is all that the promises
//! rest on; no clock reading has to be ordered with it. Loads of a lone cell are relaxed: a denial
//! or a peek orders nothing. Those of a table's slot acquire: see [`Location::LOAD`]. Every write is an acquire-release read-modify-write, so that what a thread
//! did before it gave tokens back happens before what a thread does that is admitted with
//! them. On weakly ordered machines a load may return an older word than another core has
//! written; that is a reading of the past, which the swap then refuses or a denial looks at
//! again.

mod order;

use crate::algorithm::token_bucket::{self, Ask, Started, Step};
use crate::sync::{AtomicU64, Ordering, const_unless_loom};
use crate::tokens::Tokens;
use crate::word::{Layout, Reading, Units, Word};

pub(crate) use order::Order;

/// Where a call's readings come from. The cell asks for the first one, and for at most one more: where
/// a denial was decided on a reading that may have been overtaken, by another's swap or because
/// the word was loaded after it. The second *replaces* the first, also when it is earlier: a call stands on its
/// last reading, and the window bound counts it there.
pub(crate) trait Now: Copy {
    fn first(&mut self) -> Reading;
    fn again(&mut self) -> Option<Reading>;
}

/// One reading, and no second look.
#[derive(Clone, Copy)]
pub(crate) struct Given(pub(crate) Reading);

impl Now for Given {
    #[inline]
    fn first(&mut self) -> Reading {
        self.0
    }

    fn again(&mut self) -> Option<Reading> {
        None
    }
}

/// The place of a bucket's word, and the meaning of special words there.
pub(crate) trait Location {
    /// The ordering of loads: acquire, if [`is_here`](Location::is_here) looks at something that
    /// was written before the word.
    const LOAD: Ordering = Ordering::Relaxed;

    /// Whether the cell still holds this bucket. Asked after every load of the word, before the
    /// word is used: the slots of a table change tenants.
    #[inline(always)]
    fn is_here(&self) -> bool {
        true
    }

    /// Which comes first, the load or the clock; `None` if the load always does.
    #[inline(always)]
    fn order(&self) -> Option<&Order> {
        None
    }

    fn resolve(&self, seen: Word) -> Resolved;
}

/// The meaning of a word.
#[derive(Clone, Copy)]
pub(crate) enum Resolved {
    /// A bucket in this state.
    Bucket,
    /// A bucket that its first call starts with this amount.
    NotStarted(Units),
    /// No limit.
    Unlimited,
    /// A bucket that is now elsewhere: in another slot, or lent to a queue.
    #[cfg_attr(not(feature = "std"), allow(dead_code))]
    Elsewhere,
}

/// The outcome of a call for tokens.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Taken {
    /// The call was charged. `held` less `cost` is what a look at the same reading finds.
    Admitted { cost: Units, held: Units, now: Reading },
    /// Nothing was charged: `deficit` units were missing of those needed, for good if more is
    /// needed than the capacity.
    Denied { needed: Units, deficit: Units, now: Reading },
    /// There is no limit.
    Unlimited,
    /// Nothing was charged: a full table has no place for the bucket. It may have one when
    /// `deficit` units more than at `now` have been earned.
    #[cfg_attr(not(feature = "std"), allow(dead_code))]
    Refused { deficit: Units, now: Reading },
}

/// An atomic word, as it is stored or mixed with a key.
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

/// A slot's word: every word but CLAIMED is stored combined with its tenant's fingerprint by
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
    /// CLAIMED becomes another special word, which no reading takes for a bucket.
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

/// What a round of the loop wants done.
enum Verdict<T> {
    /// Swap this word in, and settle if it is still the one that was seen.
    Write(Word, T),
    /// Settle without a write.
    Stand(T),
    /// Settle without a write, unless the clock can be read again.
    Doubt(T),
}

/// One bucket's word: a lone limiter's, or that of a table's slot.
pub(crate) struct Cell<A = AtomicU64>(A);

impl Cell {
    const_unless_loom! {
        pub(crate) const fn new(word: Word) -> Cell {
            Cell(AtomicU64::new(word.bits()))
        }
    }

    /// Lends the word to the queue, whose lock is held. Every compare-exchange that is under way
    /// fails.
    #[cfg(feature = "wait")]
    pub(crate) fn lend(&self) -> Word {
        Word::from_bits(self.0.swap(Word::LENT.bits(), Ordering::AcqRel))
    }

    /// Takes the word back from the queue, whose lock is held. Release: a call that is admitted
    /// by the word sees what was done before tokens were given back to the queue.
    #[cfg(feature = "wait")]
    pub(crate) fn come_home(&self, word: Word) {
        self.0.store(word.bits(), Ordering::Release);
    }
}

#[cfg(feature = "std")]
impl<'a> Cell<MixedWord<'a>> {
    #[inline]
    pub(crate) fn mixed(atomic: &'a AtomicU64, mix: u64) -> Self {
        Cell(MixedWord { atomic, mix })
    }

    /// Ends a tenancy if the word is still `seen`. A charge before this makes it fail, and a
    /// charge after it fails.
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

    /// Takes the cost of `n` if `leaving` tokens are left then. `Err`: this short loop cannot
    /// decide, and nothing was charged. [`take_cold`](Cell::take_cold) can.
    // The caller turns each outcome into its answer at once, in registers. So the cold outcome is
    // not merged with the others here.
    // Always inlined: otherwise the call waits on top of the clock. The cost is computed after
    // the clock was read, so that it needs no register across that read.
    #[inline(always)]
    pub(crate) fn take<L: Location>(
        &self,
        layout: &Layout,
        location: &L,
        (n, leaving): (Tokens, Tokens),
        mut source: impl Now,
    ) -> Result<Taken, Seen> {
        let order = location.order();
        let clock_first = order.is_some_and(Order::clock_first);
        let (now, mut word);
        if clock_first {
            now = source.first();
            word = self.load(L::LOAD);
        } else {
            word = self.load(L::LOAD);
            now = source.first();
        }
        let ask = Ask::new(layout, n, leaving);
        let mut overtaken = clock_first;
        // No spin hint: a failed swap brings the line here, and a pause would give it away.
        loop {
            if !location.is_here() {
                return Err(Seen { word, now, overtaken });
            }
            match token_bucket::step(layout, word, now, ask) {
                Step::Admitted { next, held } => match self.0.compare_exchange(word, next, L::LOAD) {
                    Ok(()) => return Ok(Taken::Admitted { cost: ask.cost, held, now }),
                    Err(current) => {
                        if let (Some(order), false) = (order, overtaken) {
                            order.lost(now);
                        }
                        (word, overtaken) = (current, true);
                    }
                },
                Step::Denied { deficit, stale: false } if !overtaken => {
                    return Ok(Taken::Denied { needed: ask.needed, deficit, now });
                }
                step => {
                    if let (Some(order), true, Step::Denied { .. }) = (order, clock_first, step) {
                        order.denied();
                    }
                    return Err(Seen { word, now, overtaken });
                }
            }
        }
    }

    /// Takes in one attempt. `None`: it does not decide, because another call came between or the
    /// word needs a closer look, and nothing was charged. `ask` is called after the clock was read.
    #[cfg(feature = "std")]
    #[inline(always)]
    pub(crate) fn take_once<L: Location>(
        &self,
        layout: &Layout,
        location: &L,
        ask: impl FnOnce() -> Ask,
        mut source: impl Now,
    ) -> Option<Taken> {
        let word = self.load(L::LOAD);
        let now = source.first();
        let ask = ask();
        if !location.is_here() {
            return None;
        }
        match token_bucket::step(layout, word, now, ask) {
            Step::Admitted { next, held } => {
                self.0.compare_exchange(word, next, Ordering::Relaxed).ok()?;
                Some(Taken::Admitted { cost: ask.cost, held, now })
            }
            Step::Denied { deficit, .. } => Some(Taken::Denied { needed: ask.needed, deficit, now }),
            Step::Cold => None,
        }
    }

    /// Takes by the exact steps alone, whatever the word is. `None`: the bucket is not in this cell.
    #[cfg(feature = "std")]
    pub(crate) fn take_at_length<L: Location>(
        &self,
        layout: &Layout,
        location: &L,
        ask: Ask,
        mut source: impl Now,
    ) -> Option<Taken> {
        let word = self.load(L::LOAD);
        let now = source.first();
        self.take_cold(layout, location, ask, source, Seen { word, now, overtaken: false })
    }

    /// Goes on from the short loop: if the word is special or was written after the reading, or
    /// if a denial may have been overtaken. `None`: the bucket is not in this cell.
    pub(crate) fn take_cold<L: Location>(
        &self,
        layout: &Layout,
        location: &L,
        ask: Ask,
        source: impl Now,
        seen: Seen,
    ) -> Option<Taken> {
        let Ask { cost, needed } = ask;
        self.settle::<L, _>(seen, source, |seen, now, overtaken| {
            if !location.is_here() {
                return Verdict::Stand(None);
            }
            let denied = |deficit| Some(Taken::Denied { needed, deficit, now });
            let admitted = |held| Some(Taken::Admitted { cost, held, now });
            let initial = match location.resolve(seen) {
                Resolved::Bucket => None,
                Resolved::NotStarted(initial) => Some(initial),
                Resolved::Unlimited => return Verdict::Stand(Some(Taken::Unlimited)),
                Resolved::Elsewhere => return Verdict::Stand(None),
            };
            if let Some(initial) = initial {
                return match token_bucket::start(layout, now, initial, ask) {
                    Started::Admitted { next, held } => Verdict::Write(next, admitted(held)),
                    // A denied call starts the bucket too, or it would never begin to refill.
                    Started::Denied { next, deficit } => Verdict::Write(next, denied(deficit)),
                };
            }
            match token_bucket::step_exact(layout, seen, now, ask) {
                Step::Admitted { next, held } => Verdict::Write(next, admitted(held)),
                Step::Denied { deficit, stale } if stale || overtaken => Verdict::Doubt(denied(deficit)),
                Step::Denied { deficit, .. } => Verdict::Stand(denied(deficit)),
                Step::Cold => unreachable!("only special words are cold to the exact step"),
            }
        })
    }

    /// Replaces the word by `change` of it, and returns the amount that was added or charged, or
    /// zero if there is no limit. `None`: the bucket is not in this cell.
    #[cold]
    pub(crate) fn change<L: Location>(
        &self,
        layout: &Layout,
        location: &L,
        mut source: impl Now,
        change: impl Fn(Word, Reading) -> (Word, Units),
    ) -> Option<Units> {
        let word = self.load(L::LOAD);
        let now = source.first();
        self.settle::<L, _>(Seen { word, now, overtaken: false }, source, |seen, now, _| {
            if !location.is_here() {
                return Verdict::Stand(None);
            }
            let word = match location.resolve(seen) {
                Resolved::Bucket => seen,
                Resolved::NotStarted(initial) => token_bucket::started(layout, now, initial),
                Resolved::Unlimited => return Verdict::Stand(Some(Units(0))),
                Resolved::Elsewhere => return Verdict::Stand(None),
            };
            let (next, amount) = change(word, now);
            if next == seen { Verdict::Stand(Some(amount)) } else { Verdict::Write(next, Some(amount)) }
        })
    }

    /// The loop: swaps in what `decide` makes of the word, until the word is still the one that
    /// it was made of. `decide` is told the word, the reading, and whether another call may
    /// have changed the word since that reading.
    ///
    /// It ends: a swap fails only where another call has succeeded, and the clock is read again
    /// at most once.
    fn settle<L: Location, T>(
        &self,
        Seen { mut word, mut now, mut overtaken }: Seen,
        mut source: impl Now,
        decide: impl Fn(Word, Reading, bool) -> Verdict<T>,
    ) -> T {
        loop {
            match decide(word, now, overtaken) {
                Verdict::Write(next, settled) => match self.0.compare_exchange(word, next, L::LOAD) {
                    Ok(()) => return settled,
                    Err(current) => (word, overtaken) = (current, true),
                },
                Verdict::Stand(settled) => return settled,
                Verdict::Doubt(settled) => match source.again() {
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
