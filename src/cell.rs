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

use crate::algorithm::token_bucket::{self, Step};
use crate::sync::{AtomicU64, Ordering, const_unless_loom};
use crate::tokens::Tokens;
use crate::word::{Layout, Reading, Units, Word};

/// Where a call's readings come from. The cell asks for the first one after it has loaded the
/// word, and for at most one more: where a denial was decided on a reading that may have been
/// overtaken. The second *replaces* the first, also when it is earlier: a call stands on its
/// last reading, and the window bound counts it there.
pub(crate) trait Now {
    fn first(&mut self) -> Reading;
    fn again(&mut self) -> Option<Reading>;
}

/// What a special word stands for.
pub(crate) trait Home {
    /// The word to step on: the one `seen`, or the one that an absent bucket has at `now`;
    /// `None` where there is no limit.
    fn at_home(&self, seen: Word, now: Reading) -> Option<Word>;
}

/// What became of a call for tokens.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Taken {
    /// The bucket `held` so much before.
    Admitted { cost: Units, held: Units, now: Reading },
    /// Nothing was charged; `deficit` units were missing, for good where `cost` is above the
    /// capacity.
    Denied { cost: Units, deficit: Units, now: Reading },
    /// There is no limit.
    Unlimited,
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

/// One bucket's word.
pub(crate) struct Cell(AtomicU64);

impl Cell {
    const_unless_loom! {
        pub(crate) const fn new(word: Word) -> Cell {
            Cell(AtomicU64::new(word.bits()))
        }
    }

    #[inline]
    pub(crate) fn load(&self) -> Word {
        Word::from_bits(self.0.load(Ordering::Relaxed))
    }

    #[inline]
    fn swap_in(&self, seen: Word, next: Word) -> Result<(), Word> {
        self.0
            .compare_exchange(seen.bits(), next.bits(), Ordering::AcqRel, Ordering::Relaxed)
            .map(drop)
            .map_err(Word::from_bits)
    }

    /// Takes what `n` costs, or nothing.
    // Always inlined: what is not waits for the call on top of the clock. The cost is worked
    // out after the clock was read, so that it needs no register across that call.
    #[inline(always)]
    pub(crate) fn take(&self, layout: &Layout, home: &impl Home, n: Tokens, mut source: impl Now) -> Taken {
        let mut word = self.load();
        let now = source.first();
        let cost = layout.cost(n);
        let mut overtaken = false;
        // No spin hint: a failed swap brings the line here, and a pause would give it away.
        loop {
            match token_bucket::step(layout, word, now, cost) {
                Step::Admitted { next, held } => match self.swap_in(word, next) {
                    Ok(()) => return Taken::Admitted { cost, held, now },
                    Err(current) => (word, overtaken) = (current, true),
                },
                Step::Denied { deficit, stale: false } if !overtaken => return Taken::Denied { cost, deficit, now },
                _ => return self.take_cold(layout, home, cost, source, Seen { word, now, overtaken }),
            }
        }
    }

    /// Goes on where the word is special or was written after the reading, or where a denial
    /// may have been overtaken.
    #[cold]
    #[inline(never)]
    fn take_cold(&self, layout: &Layout, home: &impl Home, cost: Units, source: impl Now, seen: Seen) -> Taken {
        self.settle(seen, source, |seen, now, overtaken| {
            let Some(word) = home.at_home(seen, now) else { return Verdict::Stand(Taken::Unlimited) };
            match token_bucket::step_exact(layout, word, now, cost) {
                Step::Admitted { next, held } => Verdict::Write(next, Taken::Admitted { cost, held, now }),
                // The first call starts the bucket, also where it is denied: else it would
                // never begin to fill.
                Step::Denied { deficit, .. } if seen.is_special() => {
                    Verdict::Write(word, Taken::Denied { cost, deficit, now })
                }
                Step::Denied { deficit, stale } if stale || overtaken => {
                    Verdict::Doubt(Taken::Denied { cost, deficit, now })
                }
                Step::Denied { deficit, .. } => Verdict::Stand(Taken::Denied { cost, deficit, now }),
                Step::Cold => unreachable!("only special words are cold to the exact step"),
            }
        })
    }

    /// Replaces the word by `change` of it, and returns what was added or charged by that.
    #[cold]
    pub(crate) fn change(
        &self,
        home: &impl Home,
        mut source: impl Now,
        change: impl Fn(Word, Reading) -> (Word, Units),
    ) -> Units {
        let word = self.load();
        let now = source.first();
        self.settle(Seen { word, now, overtaken: false }, source, |seen, now, _| {
            let Some(word) = home.at_home(seen, now) else { return Verdict::Stand(Units(0)) };
            let (next, amount) = change(word, now);
            if next == seen { Verdict::Stand(amount) } else { Verdict::Write(next, amount) }
        })
    }

    /// The loop: swaps in what `decide` makes of the word, until the word is still the one that
    /// it was made of. `decide` is told the word, the reading, and whether another call has
    /// changed the word since that reading.
    ///
    /// It ends: a swap fails only where another call has succeeded, and the clock is read again
    /// at most once.
    fn settle<T>(
        &self,
        Seen { mut word, mut now, mut overtaken }: Seen,
        mut source: impl Now,
        decide: impl Fn(Word, Reading, bool) -> Verdict<T>,
    ) -> T {
        loop {
            match decide(word, now, overtaken) {
                Verdict::Write(next, settled) => match self.swap_in(word, next) {
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
