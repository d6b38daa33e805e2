//! The token bucket: what a call does to a word. No function here handles a special word;
//! the limiter decides what those mean.

use crate::tokens::Tokens;
use crate::word::{Intercept, Layout, Level, Product, Reading, Units, Word};

/// What is asked of a bucket, in units below 2⁶³.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ask {
    /// What is charged.
    pub(crate) cost: Units,
    /// What has to be there: the cost, and what is to be left.
    pub(crate) needed: Units,
}

impl Ask {
    /// `n` tokens, of a bucket that `leaving` tokens are to be left in.
    #[inline(always)]
    pub(crate) const fn new(layout: &Layout, n: Tokens, leaving: Tokens) -> Self {
        let cost = layout.cost(n);
        if leaving.is_zero() {
            return Ask { cost, needed: cost };
        }
        let (needed, most) = (cost.0 + layout.cost(leaving).0, Layout::MOST_COST.0);
        Ask { cost, needed: Units(if needed > most { most } else { needed }) }
    }

    /// What is to be left in the bucket.
    pub(crate) const fn leaving(self) -> Units {
        Units(self.needed.0 - self.cost.0)
    }
}

/// What becomes of a word when something is asked of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Write `next` and the call is admitted. `held` is what the bucket held before.
    Admitted { next: Word, held: Units },
    /// Nothing is written. `deficit` units are missing, always so where more is needed than the
    /// capacity; `stale` where the reading is from an earlier tick than the word, so that a
    /// second look may tell another tale.
    Denied { deficit: Units, stale: bool },
    /// The word is special, or was written in a later tick than the reading's.
    Cold,
}

/// Asks at `now`. With `ahead`, a word may stand ahead of the reading's
/// tick, as a table's slots do, and is no cold case then.
#[inline(always)]
pub(crate) const fn step(layout: &Layout, word: Word, now: Reading, ask: Ask, ahead: bool) -> Step {
    let (age, lead, tick) = if ahead {
        (layout.age_from_ahead(word, now), layout.lead(), later(layout, word, now))
    } else {
        // Whatever is not cold was not written after the reading's tick, so that tick is the
        // next word's.
        (layout.age(word, now), 0, layout.tick(now))
    };
    let earned = layout.earned().product(now);
    if age <= layout.horizon() + lead {
        let count = word.bits().wrapping_add(earned.floor().0) & layout.mask();
        // Branches, not conditional moves: a limiter that is mostly full, or mostly not, is
        // predicted, and the chain from the clock to the write is shorter.
        if count < layout.full() {
            let needed = layout.offset() + ask.needed.0;
            if count < needed {
                return Step::Denied { deficit: Units(needed - count), stale: false };
            }
            let next = Word::from_bits(tick | (word.bits().wrapping_sub(ask.cost.0) & layout.mask()));
            return Step::Admitted { next, held: Units(count - layout.offset()) };
        }
    } else if age > Layout::OLDEST + lead {
        return Step::Cold;
    }
    admit_full(layout, earned, tick, ask)
}

#[inline(always)]
const fn admit_full(layout: &Layout, earned: Product, tick: u64, ask: Ask) -> Step {
    let left = layout.full() as i64 - ask.needed.0 as i64;
    if left < layout.offset() as i64 {
        return Step::Denied { deficit: Units((layout.offset() as i64 - left) as u64), stale: false };
    }
    let empty = layout.full().wrapping_sub(ask.cost.0);
    // The count of capacity − cost − near_ceil, in the order that has the clock last.
    let count = empty.wrapping_add(earned.minus_near_ceil()) & layout.mask();
    Step::Admitted { next: Word::from_bits(tick | count), held: layout.capacity() }
}

/// [`step`] for any word that is not special, the late ones included.
pub(crate) const fn step_exact(layout: &Layout, word: Word, now: Reading, ask: Ask, ahead: bool) -> Step {
    match step(layout, word, now, ask, ahead) {
        Step::Cold => {}
        settled => return settled,
    }
    let (Intercept(x), tick) = (intercept(layout, word, now), layout.tick_of(word));
    let held = x + layout.earned().at(now).0 as i64;
    if held >= layout.capacity().0 as i64 {
        return admit_full(layout, layout.earned().product(now), tick, ask);
    }
    if held < ask.needed.0 as i64 {
        // Far ahead, the word may be 2⁶⁰ units short, and what is needed anything below 2⁶³.
        return Step::Denied { deficit: Units(ask.needed.0.wrapping_sub(held as u64)), stale: true };
    }
    let next = layout.word(Intercept(x - ask.cost.0 as i64), tick);
    Step::Admitted { next, held: Units(held as u64) }
}

/// The intercept of a bucket that is full at `now`.
#[inline]
pub(crate) const fn full(layout: &Layout, now: Reading) -> Intercept {
    Intercept(layout.capacity().0 as i64 - layout.earned().near_ceil(now).0 as i64)
}

/// The intercept of a word that is not special; of one so old that it is surely full at `now`,
/// that of a bucket full at `now`.
pub(crate) const fn intercept(layout: &Layout, word: Word, now: Reading) -> Intercept {
    match stored_intercept(layout, word, now) {
        Some(intercept) => intercept,
        None => full(layout, now),
    }
}

/// The intercept that a word holds; `None` where it is so old that it is surely full at `now`.
const fn stored_intercept(layout: &Layout, word: Word, now: Reading) -> Option<Intercept> {
    let age = layout.age(word, now);
    if age > layout.horizon() && age <= Layout::OLDEST { None } else { Some(kept(layout, word)) }
}

/// The intercept that a word that is not special holds, be it full or not: exact at the start of
/// its own tick, whatever the time is.
pub(crate) const fn kept(layout: &Layout, word: Word) -> Intercept {
    let earned = layout.earned().at(layout.start(word)).0;
    let count = word.bits().wrapping_add(earned) & layout.mask();
    Intercept(count as i64 - layout.offset() as i64 - earned as i64)
}

/// What a word that is not special holds at `now`.
pub(crate) const fn level(layout: &Layout, word: Word, now: Reading) -> Level {
    let capacity = layout.capacity().0 as i64;
    let Some(Intercept(x)) = stored_intercept(layout, word, now) else { return Level(capacity) };
    let held = x + layout.earned().at(now).0 as i64;
    Level(if held > capacity { capacity } else { held })
}

/// Which words say, at one reading, that their bucket is full. A special one does not.
#[cfg(feature = "std")]
#[derive(Clone, Copy)]
pub(crate) struct Fullness<'a> {
    layout: &'a Layout,
    now: Reading,
    earned: u64,
}

#[cfg(feature = "std")]
impl<'a> Fullness<'a> {
    #[inline]
    pub(crate) const fn at(layout: &'a Layout, now: Reading) -> Self {
        Fullness { layout, now, earned: layout.earned().at(now).0 }
    }

    #[inline]
    pub(crate) const fn of(&self, word: Word) -> bool {
        let layout = self.layout;
        let age = layout.age_from_ahead(word, self.now);
        if age <= layout.horizon() + layout.lead() {
            word.bits().wrapping_add(self.earned) & layout.mask() >= layout.full()
        } else if age <= Layout::OLDEST + layout.lead() {
            true
        } else {
            !word.is_special() && level(layout, word, self.now).0 == layout.capacity().0 as i64
        }
    }
}

/// The word of a bucket that has been full since the clock's origin.
pub(crate) const fn brimful(layout: &Layout) -> Word {
    layout.word(Intercept(layout.capacity().0 as i64), 0)
}

/// The word of a bucket that begins at `now` with `initial`, at most the capacity.
pub(crate) const fn born(layout: &Layout, now: Reading, initial: Units) -> Word {
    let Intercept(full) = full(layout, now);
    let x = full - (layout.capacity().0 - initial.0) as i64;
    layout.word(Intercept(x), layout.tick(now))
}

/// Gives `amount` back, clipped at the capacity as of `now` or the start of the word's tick,
/// whichever is later; with `ahead`, of the tick in which it was written at the earliest. Returns
/// the word and what was added.
pub(crate) const fn give_back(layout: &Layout, word: Word, now: Reading, amount: u128, ahead: bool) -> (Word, Units) {
    let Intercept(x) = intercept(layout, word, now);
    let start = if ahead { layout.earliest(word) } else { layout.start(word) };
    let Intercept(brim) = full(layout, if start.nanos() > now.nanos() { start } else { now });
    if brim <= x {
        return (word, Units(0));
    }
    let room = (brim - x) as u64;
    let added = if amount < room as u128 { amount as u64 } else { room };
    (layout.word(Intercept(x + added as i64), later(layout, word, now)), Units(added))
}

/// Charges as much of `amount` as leaves at most `debt`. Returns the word and what was charged.
pub(crate) const fn charge(layout: &Layout, debt: Units, word: Word, now: Reading, amount: u128) -> (Word, Units) {
    let Intercept(x) = intercept(layout, word, now);
    let Intercept(brim) = full(layout, now);
    let x = if x > brim { brim } else { x };
    let room = x + layout.earned().at(now).0 as i64 + debt.0 as i64;
    if room <= 0 {
        return (word, Units(0));
    }
    let charged = if amount < room as u128 { amount as u64 } else { room as u64 };
    (layout.word(Intercept(x - charged as i64), later(layout, word, now)), Units(charged))
}

/// The same bucket with its word marked by a later tick. It is as full as a bucket can be that was
/// written at the earliest for that tick, which keeps its count in range, whatever the time is.
#[cfg(feature = "std")]
pub(crate) const fn marked(layout: &Layout, word: Word, tick: u64) -> Word {
    let Intercept(x) = kept(layout, word);
    let Intercept(brim) = full(layout, layout.earliest(Word::from_bits(tick)));
    layout.word(Intercept(if x < brim { x } else { brim }), tick)
}

/// Fills the bucket as of `now`. A word's tick does not fall: this is for words that are not
/// written more than a tick later than the reading.
#[cfg(feature = "std")]
pub(crate) const fn refilled(layout: &Layout, word: Word, now: Reading) -> Word {
    layout.word(full(layout, now), later(layout, word, now))
}

/// The word of the least that a bucket may hold that is full at `now`, for all that is known.
#[cfg(feature = "std")]
pub(crate) const fn forgotten(layout: &Layout, now: Reading) -> Word {
    let x = layout.capacity().0 as i64 - layout.earned().at(now).0 as i64;
    layout.word(Intercept(x), layout.tick(now))
}

/// The word of a bucket that holds no more than either.
#[cfg(feature = "std")]
pub(crate) const fn lower(layout: &Layout, a: Word, b: Word) -> Word {
    let (Intercept(x), Intercept(y)) = (kept(layout, a), kept(layout, b));
    let (a_tick, b_tick) = (layout.tick_of(a), layout.tick_of(b));
    layout.word(Intercept(if x < y { x } else { y }), if a_tick > b_tick { a_tick } else { b_tick })
}

/// The later of a word's tick and a reading's, in place: a word's tick never falls.
#[inline]
const fn later(layout: &Layout, word: Word, now: Reading) -> u64 {
    let (bits, eighths) = (word.bits(), now.eighths());
    (if bits > eighths { bits } else { eighths }) & !layout.mask()
}
