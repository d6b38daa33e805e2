//! The token bucket: the steps from one word to the next. No function here handles a special word;
//! the limiter decides what a special word means.

use crate::tokens::Tokens;
use crate::word::{Intercept, Layout, Level, Product, Reading, Units, Word};

/// The demand of a call on a bucket, in units below 2⁶³.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Demand {
    /// The units that are charged.
    pub(crate) cost: Units,
    /// The units that have to be there: the cost, and the units to be left.
    pub(crate) needed: Units,
}

impl Demand {
    /// Returns the demand of `n` tokens that leaves `leaving` tokens in the bucket.
    #[inline(always)]
    pub(crate) const fn new(layout: &Layout, n: Tokens, leaving: Tokens) -> Self {
        let cost = layout.cost(n);
        if leaving.is_zero() {
            return Demand { cost, needed: cost };
        }
        let (needed, most) = (cost.0 + layout.cost(leaving).0, Layout::MOST_COST.0);
        Demand { cost, needed: Units(if needed > most { most } else { needed }) }
    }

    /// Returns the units to be left in the bucket.
    pub(crate) const fn leaving(self) -> Units {
        Units(self.needed.0 - self.cost.0)
    }
}

/// The outcome of a demand on a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The call is admitted when `next` is written. `held` less the cost is the amount that `next`
    /// holds at the same reading.
    Admitted { next: Word, held: Units },
    /// Nothing is written. `deficit` units are missing; it is never zero if more than the capacity
    /// is needed. `stale` is set if the reading is from an earlier tick than the word, so that a
    /// second reading may decide otherwise.
    Denied { deficit: Units, stale: bool },
    /// The word is special, or was written in a later tick than the reading's.
    Cold,
}

/// The outcome of the first demand on a bucket that does not start full. `next` is written in both
/// cases; otherwise the bucket would never begin to refill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Started {
    Admitted { next: Word, held: Units },
    Denied { next: Word, deficit: Units },
}

/// Returns the outcome of `demand` at `now`.
#[inline(always)]
pub(crate) const fn step(layout: &Layout, word: Word, now: Reading, demand: Demand) -> Step {
    // A word that is not cold was not written after the reading's tick, so the reading's tick is
    // the next word's tick.
    let (age, tick) = (layout.age(word, now), layout.tick(now));
    let earned = layout.earned().product(now);
    if age <= layout.horizon() {
        let count = word.bits().wrapping_add(earned.floor().0) & layout.mask();
        // Branches, not conditional moves: the processor predicts a limiter that is mostly full, or
        // mostly not, and the chain from the clock to the write is shorter.
        if count < layout.full() {
            let needed = layout.offset() + demand.needed.0;
            if count < needed {
                return Step::Denied { deficit: Units(needed - count), stale: false };
            }
            let next = Word::from_bits(tick | (word.bits().wrapping_sub(demand.cost.0) & layout.mask()));
            return Step::Admitted { next, held: Units(count - layout.offset()) };
        }
    } else if age > Layout::OLDEST {
        return Step::Cold;
    }
    step_full(layout, earned, tick, demand)
}

#[inline(always)]
const fn step_full(layout: &Layout, earned: Product, tick: u64, demand: Demand) -> Step {
    let left = layout.full() as i64 - demand.needed.0 as i64;
    if left < layout.offset() as i64 {
        return Step::Denied { deficit: Units((layout.offset() as i64 - left) as u64), stale: false };
    }
    let empty = layout.full().wrapping_sub(demand.cost.0);
    // The count of capacity − cost − near_ceil, in the order that adds the clock's value last.
    let count = empty.wrapping_add(earned.minus_near_ceil()) & layout.mask();
    Step::Admitted { next: Word::from_bits(tick | count), held: anchored(layout.capacity(), earned) }
}

/// Returns the units that a bucket that is anchored at a reading with `amount` holds at that
/// reading: `amount`, or a unit less if the reading lies between two units.
#[inline(always)]
const fn anchored(amount: Units, earned: Product) -> Units {
    Units(amount.0.wrapping_add(earned.floor().0).wrapping_add(earned.minus_near_ceil()))
}

/// Returns the outcome of the first demand on a bucket that starts at `now` with `initial`, which
/// is below the capacity. The start and the call are one step at one reading, so the call finds
/// exactly `initial`.
#[cold]
pub(crate) const fn start(layout: &Layout, now: Reading, initial: Units, demand: Demand) -> Started {
    let word = started(layout, now, initial);
    let held = anchored(initial, layout.earned().product(now));
    if initial.0 < demand.needed.0 {
        return Started::Denied { next: word, deficit: Units(demand.needed.0.wrapping_sub(held.0)) };
    }
    let Intercept(x) = stored_intercept(layout, word);
    let next = layout.word(Intercept(x - demand.cost.0 as i64), layout.tick(now));
    Started::Admitted { next, held }
}

/// Like [`step`], for any word that is not special, including a word from a later tick.
pub(crate) const fn step_exact(layout: &Layout, word: Word, now: Reading, demand: Demand) -> Step {
    match step(layout, word, now, demand) {
        Step::Cold => {}
        settled => return settled,
    }
    let (Intercept(x), tick) = (intercept(layout, word, now), layout.tick_of(word));
    let held = x + layout.earned().at(now).0 as i64;
    if held >= layout.capacity().0 as i64 {
        return step_full(layout, layout.earned().product(now), tick, demand);
    }
    if held < demand.needed.0 as i64 {
        // A word that is far ahead may be 2⁶⁰ units short, and the needed units may be any number
        // below 2⁶³.
        return Step::Denied { deficit: Units(demand.needed.0.wrapping_sub(held as u64)), stale: true };
    }
    let next = layout.word(Intercept(x - demand.cost.0 as i64), tick);
    Step::Admitted { next, held: Units(held as u64) }
}

/// Returns the intercept of a bucket that is full at `now`.
#[inline]
pub(crate) const fn full(layout: &Layout, now: Reading) -> Intercept {
    Intercept(layout.capacity().0 as i64 - layout.earned().near_ceil(now).0 as i64)
}

/// Returns the intercept of a word that is not special. If the word is so old that its bucket is
/// surely full, returns the intercept of a bucket that is full at `now`.
pub(crate) const fn intercept(layout: &Layout, word: Word, now: Reading) -> Intercept {
    if is_expired(layout, word, now) { full(layout, now) } else { stored_intercept(layout, word) }
}

/// Returns whether the word is so old that its bucket is surely full at `now`, and that its count
/// is then no longer exact.
const fn is_expired(layout: &Layout, word: Word, now: Reading) -> bool {
    let age = layout.age(word, now);
    age > layout.horizon() && age <= Layout::OLDEST
}

/// Returns the intercept that a word that is not special holds, whether its bucket is full or not.
/// It is exact at the start of the word's own tick, whatever the time is.
pub(crate) const fn stored_intercept(layout: &Layout, word: Word) -> Intercept {
    let earned = layout.earned().at(layout.start(word)).0;
    let count = word.bits().wrapping_add(earned) & layout.mask();
    Intercept(count as i64 - layout.offset() as i64 - earned as i64)
}

/// Returns the level of the bucket of a word that is not special, at `now`.
pub(crate) const fn level(layout: &Layout, word: Word, now: Reading) -> Level {
    let capacity = layout.capacity().0 as i64;
    if is_expired(layout, word, now) {
        return Level(capacity);
    }
    let held = stored_intercept(layout, word).0 + layout.earned().at(now).0 as i64;
    Level(if held > capacity { capacity } else { held })
}

/// Returns whether the bucket of a word is full at `now`; `false` for a special word. `earned` is
/// the amount earned at `now`, for callers that check many words.
#[cfg(feature = "std")]
#[inline]
pub(crate) const fn is_full_by(layout: &Layout, word: Word, now: Reading, earned: Units) -> bool {
    let age = layout.age(word, now);
    if age <= layout.horizon() {
        word.bits().wrapping_add(earned.0) & layout.mask() >= layout.full()
    } else if age <= Layout::OLDEST {
        true
    } else {
        !word.is_special() && level(layout, word, now).0 == layout.capacity().0 as i64
    }
}

/// Like [`is_full_by`], for one word.
#[cfg(feature = "std")]
pub(crate) const fn is_full(layout: &Layout, word: Word, now: Reading) -> bool {
    is_full_by(layout, word, now, layout.earned().at(now))
}

/// Returns the word of a bucket that has been full since the clock's origin.
pub(crate) const fn full_since_origin(layout: &Layout) -> Word {
    layout.word(Intercept(layout.capacity().0 as i64), 0)
}

/// Returns the word of a bucket that starts at `now` with `initial`, at most the capacity.
pub(crate) const fn started(layout: &Layout, now: Reading, initial: Units) -> Word {
    let Intercept(full) = full(layout, now);
    let x = full - (layout.capacity().0 - initial.0) as i64;
    layout.word(Intercept(x), layout.tick(now))
}

/// Gives `amount` back, clipped at the capacity as of `now` or the start of the word's tick,
/// whichever is later. Returns the next word and the units that were added.
pub(crate) const fn give_back(layout: &Layout, word: Word, now: Reading, amount: u128) -> (Word, Units) {
    let Intercept(x) = intercept(layout, word, now);
    let start = layout.start(word);
    let Intercept(most) = full(layout, if start.nanos() > now.nanos() { start } else { now });
    if most <= x {
        return (word, Units(0));
    }
    let room = (most - x) as u64;
    let added = if amount < room as u128 { amount as u64 } else { room };
    (layout.word(Intercept(x + added as i64), later(layout, word, now)), Units(added))
}

/// Charges as much of `amount` as leaves at most `debt`. Returns the next word and the units that
/// were charged.
pub(crate) const fn charge(layout: &Layout, debt: Units, word: Word, now: Reading, amount: u128) -> (Word, Units) {
    let Intercept(x) = intercept(layout, word, now);
    let Intercept(most) = full(layout, now);
    let x = if x > most { most } else { x };
    let room = x + layout.earned().at(now).0 as i64 + debt.0 as i64;
    if room <= 0 {
        return (word, Units(0));
    }
    let charged = if amount < room as u128 { amount as u64 } else { room as u64 };
    (layout.word(Intercept(x - charged as i64), later(layout, word, now)), Units(charged))
}

/// Returns a word that is a lower bound for every bucket that was full at `now`.
#[cfg(feature = "std")]
pub(crate) const fn least_full(layout: &Layout, now: Reading) -> Word {
    let x = layout.capacity().0 as i64 - layout.earned().at(now).0 as i64;
    layout.word(Intercept(x), layout.tick(now))
}

/// Returns the word of a bucket that holds the lesser amount of two buckets at every reading.
#[cfg(feature = "std")]
pub(crate) const fn min_of(layout: &Layout, a: Word, b: Word) -> Word {
    let (Intercept(x), Intercept(y)) = (stored_intercept(layout, a), stored_intercept(layout, b));
    let (a_tick, b_tick) = (layout.tick_of(a), layout.tick_of(b));
    layout.word(Intercept(if x < y { x } else { y }), if a_tick > b_tick { a_tick } else { b_tick })
}

/// Returns the later of a word's tick and a reading's, in place.
#[inline]
const fn later(layout: &Layout, word: Word, now: Reading) -> u64 {
    let (bits, eighths) = (word.bits(), now.eighths());
    (if bits > eighths { bits } else { eighths }) & !layout.mask()
}
