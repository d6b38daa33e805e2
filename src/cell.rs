//! The atomic word, and its only compare-and-swap loops: the short one of a call for tokens,
//! which is inlined into the caller, and the one of everything else.
//!
//! # Memory ordering
//!
//! The word is the bucket's whole state, so its modification order is all that the promises
//! rest on; no clock reading has to be ordered with it. Loads are relaxed: a denial or a peek
//! orders nothing. Every write is an acquire-release read-modify-write, so that what a thread
//! did before it gave tokens back happens before what a thread does that is admitted with
//! them. On weakly ordered machines a load may return an older word than another core has
//! written; that is a reading of the past, which the swap then refuses or a denial looks at
//! again.

mod order;

use core::borrow::Borrow;

use crate::algorithm::token_bucket::{self, Ask, Step};
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

/// Where a cell's bucket lives.
pub(crate) trait Home {
    /// How the word is loaded: acquiring, where [`is_here`](Home::is_here) looks at something
    /// that was written before it.
    const LOAD: Ordering = Ordering::Relaxed;

    /// Whether words may stand ahead of their writers.
    const AHEAD: bool = false;

    /// Whether the bucket still lives in this cell: asked after every load of the word, before
    /// the word is used. A table's slots change tenants.
    #[inline(always)]
    fn is_here(&self) -> bool {
        true
    }

    /// Whether a call for tokens reads the clock before it loads the word; `None` where it never does.
    #[inline(always)]
    fn order(&self) -> Option<&Order> {
        None
    }

    /// What a word is to be stepped on as.
    fn at_home(&self, seen: Word, now: Reading) -> Found;

    /// Takes from a bucket that is gone from its cell, where the home knows the way.
    fn take_elsewhere(&self, _: Ask, _: impl Now) -> Option<Taken> {
        None
    }
}

/// What a word stands for.
pub(crate) enum Found {
    /// A bucket: the word that was seen, or the one that an absent bucket has.
    Bucket(Word),
    /// No limit.
    Unlimited,
    /// A bucket that is elsewhere by now: in another slot, or lent to a queue.
    #[cfg_attr(not(feature = "std"), allow(dead_code))]
    Gone,
}

/// What became of a call for tokens.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Taken {
    /// The bucket `held` so much before.
    Admitted { cost: Units, held: Units, now: Reading },
    /// Nothing was charged; `deficit` units were missing of those needed, for good where these are
    /// more than the capacity.
    Denied { needed: Units, deficit: Units, now: Reading },
    /// There is no limit.
    Unlimited,
    /// Nothing was charged: there is no place for the bucket in a table. One may come free when `deficit`
    /// units more than at `now` have been earned.
    #[cfg_attr(not(feature = "std"), allow(dead_code))]
    Refused { deficit: Units, now: Reading },
}

/// What a caller is told.
///
/// A trait and not a closure, so that its inlining is not left to chance: each way out of
/// [`Cell::take`] then has an answer of its own, and the one from the swap to the caller no
/// branch.
pub(crate) trait Reply: Copy {
    type Answer;

    fn to(self, taken: Taken) -> Self::Answer;
}

/// A reply that also knows what to do where the bucket is not in its cell any longer. Nothing was
/// charged then.
pub(crate) trait Follow: Reply {
    fn gone(self) -> Self::Answer;
}

/// A reply where the home always knows the way.
#[derive(Clone, Copy)]
pub(crate) struct Led<R>(pub(crate) R);

impl<R: Reply> Reply for Led<R> {
    type Answer = R::Answer;

    #[inline(always)]
    fn to(self, taken: Taken) -> R::Answer {
        self.0.to(taken)
    }
}

impl<R: Reply> Follow for Led<R> {
    fn gone(self) -> R::Answer {
        unreachable!("the home knows the way")
    }
}

/// The outcome itself.
#[derive(Clone, Copy)]
pub(crate) struct AsIs;

impl Reply for AsIs {
    type Answer = Taken;

    #[inline(always)]
    fn to(self, taken: Taken) -> Taken {
        taken
    }
}

/// The outcome itself; `None` where the bucket is gone.
#[cfg(feature = "std")]
#[derive(Clone, Copy)]
pub(crate) struct AsTaken;

#[cfg(feature = "std")]
impl Reply for AsTaken {
    type Answer = Option<Taken>;

    #[inline(always)]
    fn to(self, taken: Taken) -> Option<Taken> {
        Some(taken)
    }
}

#[cfg(feature = "std")]
impl Follow for AsTaken {
    #[inline(always)]
    fn gone(self) -> Option<Taken> {
        None
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

/// One bucket's word: its own, or a slot's of a table.
pub(crate) struct Cell<A = AtomicU64>(A);

impl Cell {
    const_unless_loom! {
        pub(crate) const fn new(word: Word) -> Cell {
            Cell(AtomicU64::new(word.bits()))
        }
    }

    /// Lends the word to the queue, whose lock is held, whatever it is. Whoever is about to swap
    /// it fails.
    #[cfg(feature = "wait")]
    pub(crate) fn lend(&self) -> Word {
        Word::from_bits(self.0.swap(Word::LENT.bits(), Ordering::AcqRel))
    }

    /// The word comes home from the queue, whose lock is held. Release: whoever is admitted by it
    /// sees what was done before tokens were given back to the queue.
    #[cfg(feature = "wait")]
    pub(crate) fn come_home(&self, word: Word) {
        self.0.store(word.bits(), Ordering::Release);
    }
}

#[cfg(feature = "std")]
impl<'a> Cell<&'a AtomicU64> {
    #[inline]
    pub(crate) fn at(word: &'a AtomicU64) -> Self {
        Cell(word)
    }

    /// Ends a tenancy, if the word is still the one seen: whoever charged it meanwhile makes
    /// this fail, and whoever tries to charge it after this fails.
    pub(crate) fn claim(&self, seen: Word) -> Result<(), Word> {
        self.swap_in(seen, Word::CLAIMED, Ordering::Relaxed)
    }

    /// Begins a tenancy, or goes on with a claimed one. Release: whoever sees the word sees the
    /// fingerprint that was stored before it.
    pub(crate) fn settle_in(&self, word: Word) {
        self.0.store(word.bits(), Ordering::Release);
    }
}

impl<A: Borrow<AtomicU64>> Cell<A> {
    #[inline]
    pub(crate) fn load(&self, ordering: Ordering) -> Word {
        Word::from_bits(self.0.borrow().load(ordering))
    }

    #[inline]
    fn swap_in(&self, seen: Word, next: Word, reload: Ordering) -> Result<(), Word> {
        self.0
            .borrow()
            .compare_exchange(seen.bits(), next.bits(), Ordering::AcqRel, reload)
            .map(drop)
            .map_err(Word::from_bits)
    }

    /// Takes what `n` costs if `leaving` tokens are left then, or nothing, and returns what `reply`
    /// makes of it.
    // Always inlined: what is not waits for the call on top of the clock. The cost is worked
    // out after the clock was read, so that it needs no register across that call.
    #[inline(always)]
    pub(crate) fn take<H: Home, R: Follow>(
        &self,
        layout: &Layout,
        home: &H,
        (n, leaving): (Tokens, Tokens),
        mut source: impl Now,
        reply: R,
    ) -> R::Answer {
        let order = home.order();
        let clock_first = order.is_some_and(Order::clock_first);
        let (now, mut word);
        if clock_first {
            now = source.first();
            word = self.load(H::LOAD);
        } else {
            word = self.load(H::LOAD);
            now = source.first();
        }
        let ask = Ask::new(layout, n, leaving);
        let mut overtaken = clock_first;
        // No spin hint: a failed swap brings the line here, and a pause would give it away.
        loop {
            if !home.is_here() {
                return reply.gone();
            }
            match token_bucket::step(layout, word, now, ask, H::AHEAD) {
                Step::Admitted { next, held } => match self.swap_in(word, next, H::LOAD) {
                    Ok(()) => return reply.to(Taken::Admitted { cost: ask.cost, held, now }),
                    Err(current) => {
                        if let (Some(order), false) = (order, overtaken) {
                            order.lost(now);
                        }
                        (word, overtaken) = (current, true);
                    }
                },
                Step::Denied { deficit, stale: false } if !overtaken => {
                    return reply.to(Taken::Denied { needed: ask.needed, deficit, now });
                }
                step => {
                    if let (Some(order), true, Step::Denied { .. }) = (order, clock_first, step) {
                        order.denied();
                    }
                    return match self.take_cold(layout, home, ask, source, Seen { word, now, overtaken }) {
                        Some(taken) => reply.to(taken),
                        None => reply.gone(),
                    };
                }
            }
        }
    }

    /// Goes on where the word is special or was written after the reading, or where a denial
    /// may have been overtaken. `None` where the bucket is gone, and the home does not know where.
    #[cold]
    #[inline(never)]
    fn take_cold<H: Home>(&self, layout: &Layout, home: &H, ask: Ask, source: impl Now, seen: Seen) -> Option<Taken> {
        self.take_here(layout, home, ask, source, seen).or_else(|| home.take_elsewhere(ask, source))
    }

    /// Takes from a bucket that came back to its cell, if it is still there.
    #[cfg(feature = "wait")]
    pub(crate) fn retake<H: Home>(&self, layout: &Layout, home: &H, ask: Ask, mut source: impl Now) -> Option<Taken> {
        let word = self.load(H::LOAD);
        let now = source.first();
        self.take_here(layout, home, ask, source, Seen { word, now, overtaken: false })
    }

    fn take_here<H: Home>(&self, layout: &Layout, home: &H, ask: Ask, source: impl Now, seen: Seen) -> Option<Taken> {
        let Ask { cost, needed } = ask;
        self.settle::<H, _>(seen, source, |seen, now, overtaken| {
            if !home.is_here() {
                return Verdict::Stand(None);
            }
            let word = match home.at_home(seen, now) {
                Found::Bucket(word) => word,
                Found::Unlimited => return Verdict::Stand(Some(Taken::Unlimited)),
                Found::Gone => return Verdict::Stand(None),
            };
            let denied = |deficit| Some(Taken::Denied { needed, deficit, now });
            match token_bucket::step_exact(layout, word, now, ask, H::AHEAD) {
                Step::Admitted { next, held } => Verdict::Write(next, Some(Taken::Admitted { cost, held, now })),
                // The first call starts the bucket, also where it is denied: else it would
                // never begin to fill.
                Step::Denied { deficit, .. } if seen.is_special() => Verdict::Write(word, denied(deficit)),
                Step::Denied { deficit, stale } if stale || overtaken => Verdict::Doubt(denied(deficit)),
                Step::Denied { deficit, .. } => Verdict::Stand(denied(deficit)),
                Step::Cold => unreachable!("only special words are cold to the exact step"),
            }
        })
    }

    /// Replaces the word by `change` of it, and returns what was added or charged by that:
    /// nothing, where there is no limit. `None` where the bucket has moved from this cell.
    #[cold]
    pub(crate) fn change<H: Home>(
        &self,
        home: &H,
        mut source: impl Now,
        change: impl Fn(Word, Reading) -> (Word, Units),
    ) -> Option<Units> {
        let word = self.load(H::LOAD);
        let now = source.first();
        self.settle::<H, _>(Seen { word, now, overtaken: false }, source, |seen, now, _| {
            if !home.is_here() {
                return Verdict::Stand(None);
            }
            let word = match home.at_home(seen, now) {
                Found::Bucket(word) => word,
                Found::Unlimited => return Verdict::Stand(Some(Units(0))),
                Found::Gone => return Verdict::Stand(None),
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
    fn settle<H: Home, T>(
        &self,
        Seen { mut word, mut now, mut overtaken }: Seen,
        mut source: impl Now,
        decide: impl Fn(Word, Reading, bool) -> Verdict<T>,
    ) -> T {
        loop {
            match decide(word, now, overtaken) {
                Verdict::Write(next, settled) => match self.swap_in(word, next, H::LOAD) {
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
struct Seen {
    word: Word,
    now: Reading,
    overtaken: bool,
}
