//! The token bucket: the steps from one word to the next. No function here handles a special word;
//! the limiter decides what a special word means.

#[cfg(feature = "std")]
use super::piece::Piece;
use super::terms::{Terms, stored_intercept};
use crate::tokens::Tokens;
use crate::word::{Intercept, Layout, Level, Moment, Product, Reading, Units, Word};

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
        Demand::in_units(layout.per_token(), n, leaving)
    }

    /// The same, with `per_token` units to a token.
    #[inline(always)]
    pub(crate) const fn in_units(per_token: u64, n: Tokens, leaving: Tokens) -> Self {
        let cost = Layout::cost(n, per_token);
        if leaving.is_zero() {
            return Demand { cost, needed: cost };
        }
        let (needed, most) = (cost.0 + Layout::cost(leaving, per_token).0, Layout::MOST_COST.0);
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
pub(crate) fn start(terms: &Terms<'_>, now: Reading, initial: Units, demand: Demand) -> Started {
    let layout = terms.layout;
    let (word, earned) = (started(terms, now, initial), terms.earned_at(now));
    let Intercept(x) = stored_intercept(layout, word);
    let held = x.wrapping_add(earned.0 as i64) as u64;
    if initial.0 < demand.needed.0 || terms.are_paused(now) {
        // Between two units, less than nothing may be held.
        let missing = if initial.0 < demand.needed.0 { demand.needed.0.wrapping_sub(held) } else { 0 };
        return Started::Denied { next: word, deficit: Units(missing) };
    }
    let next = layout.word(Intercept(x - demand.cost.0 as i64), layout.tick_of(word));
    Started::Admitted { next, held: Units(held) }
}

/// Like [`step`], for any word that is not special, including a word from a later tick, and under any
/// terms.
#[inline]
pub(crate) fn step_exact(terms: &Terms<'_>, word: Word, now: Reading, demand: Demand) -> Step {
    if terms.are_plain() {
        match step(terms.layout, word, now, demand) {
            Step::Cold => {}
            settled => return settled,
        }
    }
    step_any(terms, word, now, demand)
}

/// Like [`step_exact`], without the short way of [`step`].
#[cold]
fn step_any(terms: &Terms<'_>, word: Word, now: Reading, demand: Demand) -> Step {
    let layout = terms.layout;
    let (at, capacity) = (terms.moment(now), terms.capacity().0 as i64);
    let Intercept(x) = intercept(terms, word, at);
    let (earned, Intercept(full)) = (terms.earned_by_moment(at).0 as i64, terms.full(at));
    let held = (x + earned).min(capacity);
    if held < demand.needed.0 as i64 || terms.are_paused(now) {
        // A word that is far ahead may be 2⁶⁰ units short, and the needed units may be any number
        // below 2⁶³.
        let missing = if held < demand.needed.0 as i64 { demand.needed.0.wrapping_sub(held as u64) } else { 0 };
        let is_ahead = layout.tick_of(word) > layout.tick(at.floor);
        return Step::Denied { deficit: Units(missing), stale: is_ahead && held < capacity };
    }
    let x = x.min(full);
    let next = layout.word(Intercept(x - demand.cost.0 as i64), terms.tick(layout.tick_of(word), at));
    Step::Admitted { next, held: Units((x + earned) as u64) }
}

/// Like [`step`], if the quota has changed. Cold, too, are a pause, a reading from before the change, a demand above
/// the capacity, and a word that is of an older era or so old that its bucket is surely full.
#[cfg(feature = "std")]
#[inline(always)]
pub(crate) fn step_changed(layout: &Layout, piece: &Piece, word: Word, now: Reading, demand: Demand) -> Step {
    let pace = piece.pace;
    if now < pace.start || now < piece.paused_until || demand.needed > piece.capacity {
        return Step::Cold;
    }
    let at = pace.floor(now);
    if layout.age(word, at) > layout.horizon() || layout.tick_of(word) < piece.era_tick() {
        return Step::Cold;
    }
    let (offset, full) = (layout.offset(), layout.offset() + piece.capacity.0);
    let (earned, mut tick) = (piece.earned.at(at).0, layout.tick(at));
    let mut count = word.bits().wrapping_add(earned) & layout.mask();
    let needed = offset + demand.needed.0;
    if count < needed {
        return Step::Denied { deficit: Units(needed - count), stale: false };
    }
    // A full bucket refills from the near moment on, which earns at most two units more.
    if count + 2 >= full {
        let near = pace.near(now);
        let ahead = piece.earned.near_ceil(near).0 - earned;
        (count, tick) = (count.min(full - ahead), layout.tick(near));
    }
    let next = Word::from_bits(tick | (count.wrapping_sub(earned).wrapping_sub(demand.cost.0) & layout.mask()));
    Step::Admitted { next, held: Units(count.wrapping_sub(offset)) }
}

/// Returns the intercept of a word that is not special. If the word is so old that its bucket is
/// surely full, may return the intercept of a bucket that is full at that moment.
fn intercept(terms: &Terms<'_>, word: Word, at: Moment) -> Intercept {
    if terms.are_plain() && is_expired(terms.layout, word, at.floor) {
        return terms.full(at);
    }
    terms.stored_intercept(word)
}

/// Returns whether the word is so old that its bucket is surely full at `now`, unless the quota has
/// changed.
const fn is_expired(layout: &Layout, word: Word, now: Reading) -> bool {
    let age = layout.age(word, now);
    age > layout.horizon() && age <= Layout::OLDEST
}

/// Returns the intercept that a word holds, in the era of the terms.
#[cfg(feature = "std")]
pub(crate) fn current_intercept(terms: &Terms<'_>, word: Word) -> Intercept {
    terms.stored_intercept(word)
}

/// Returns the same bucket, in a word of this era that is clipped at the capacity as of `now`.
#[cfg(feature = "std")]
pub(crate) fn clipped(terms: &Terms<'_>, word: Word, now: Reading) -> Word {
    let at = terms.moment(now);
    let (Intercept(x), Intercept(full)) = (terms.stored_intercept(word), terms.full(at));
    terms.layout.word(Intercept(x.min(full)), terms.tick(terms.layout.tick_of(word), at))
}

/// Returns the same bucket, in a word of this era: as it is, or as it was when the era began.
#[cfg(feature = "std")]
pub(crate) fn carried(terms: &Terms<'_>, word: Word) -> Word {
    let before = terms.layout.tick_of(word);
    // A later tick would need an intercept that is clipped as of then.
    match terms.piece() {
        Some(piece) if before < piece.era_tick() => terms.layout.word(terms.stored_intercept(word), piece.era_tick()),
        _ => word,
    }
}

/// Returns the level of the bucket of a word that is not special, at `now`.
pub(crate) fn level(terms: &Terms<'_>, word: Word, now: Reading) -> Level {
    level_unbounded(terms, word, now).min(Level(terms.capacity().0 as i64))
}

/// Returns what the bucket of a word that is not special would hold at `now` if it could hold more than its
/// capacity; the capacity, if the word is so old that this cannot be told.
pub(crate) fn level_unbounded(terms: &Terms<'_>, word: Word, now: Reading) -> Level {
    let at = terms.moment(now);
    if terms.are_plain() && is_expired(terms.layout, word, at.floor) {
        return Level(terms.capacity().0 as i64);
    }
    Level(terms.stored_intercept(word).0 + terms.earned_by_moment(at).0 as i64)
}

/// Returns whether the bucket of a word is full at `now`; `false` for a special word. `earned` is
/// the amount earned at `now`, for callers that check many words.
#[cfg(feature = "std")]
#[inline]
pub(crate) fn is_full_by(terms: &Terms<'_>, word: Word, now: Reading, earned: Units) -> bool {
    if terms.are_plain() {
        let layout = terms.layout;
        let age = layout.age(word, now);
        if age <= layout.horizon() {
            return word.bits().wrapping_add(earned.0) & layout.mask() >= layout.full();
        } else if age <= Layout::OLDEST {
            return true;
        }
    }
    !word.is_special() && level(terms, word, now).0 == terms.capacity().0 as i64
}

/// Like [`is_full_by`], for one word.
#[cfg(feature = "std")]
pub(crate) fn is_full(terms: &Terms<'_>, word: Word, now: Reading) -> bool {
    is_full_by(terms, word, now, terms.earned_at(now))
}

/// Returns the word of a bucket that has been full since the clock's origin.
pub(crate) const fn full_since_origin(layout: &Layout) -> Word {
    layout.word(Intercept(layout.capacity().0 as i64), 0)
}

/// Returns the word of a bucket that is reset. It is full at every reading, unless the quota has
/// changed: then it is full at every reading of this era.
pub(crate) fn filled(terms: &Terms<'_>) -> Word {
    #[cfg(feature = "std")]
    if let Some(piece) = terms.piece() {
        return terms.layout.word(terms.full(Moment::of(piece.era)), piece.era_tick());
    }
    full_since_origin(terms.layout)
}

/// Returns the word of a bucket that starts at `now` with `initial`, at most the capacity.
pub(crate) fn started(terms: &Terms<'_>, now: Reading, initial: Units) -> Word {
    let at = terms.moment(now);
    let Intercept(full) = terms.full(at);
    let x = full - (terms.capacity().0 - initial.0) as i64;
    terms.layout.word(Intercept(x), terms.tick(0, at))
}

/// Gives `amount` back, clipped at the capacity as of `now` or the start of the word's tick,
/// whichever is later. Returns the next word and the units that were added.
pub(crate) fn give_back(terms: &Terms<'_>, word: Word, now: Reading, amount: u128) -> (Word, Units) {
    give_back_as_of(terms, word, now, now, amount)
}

/// The same, clipped at the capacity as of a reading `full` that is not before `now`.
pub(crate) fn give_back_as_of(
    terms: &Terms<'_>,
    word: Word,
    now: Reading,
    full: Reading,
    amount: u128,
) -> (Word, Units) {
    let (layout, at) = (terms.layout, terms.moment(now));
    let Intercept(x) = intercept(terms, word, at);
    let near = terms.moment(full).near.max(layout.start(word));
    let Intercept(most) = terms.full(Moment { near, ..at });
    if most <= x {
        return (word, Units(0));
    }
    let room = (most - x) as u64;
    let added = if amount < u128::from(room) { amount as u64 } else { room };
    (layout.word(Intercept(x + added as i64), terms.tick(layout.tick_of(word), at)), Units(added))
}

/// Charges as much of `amount` as leaves at most `debt`. Returns the next word and the units that
/// were charged.
pub(crate) fn charge(terms: &Terms<'_>, debt: Units, word: Word, now: Reading, amount: u128) -> (Word, Units) {
    let (layout, at) = (terms.layout, terms.moment(now));
    let (Intercept(x), Intercept(most)) = (intercept(terms, word, at), terms.full(at));
    let x = x.min(most);
    let room = x + terms.earned_by_moment(at).0 as i64 + debt.0 as i64;
    if room <= 0 {
        return (word, Units(0));
    }
    let charged = if amount < room as u128 { amount as u64 } else { room as u64 };
    (layout.word(Intercept(x - charged as i64), terms.tick(layout.tick_of(word), at)), Units(charged))
}

/// Returns a word that is a lower bound for every bucket that was full at `now`, and a full bucket at that reading.
#[cfg(feature = "std")]
pub(crate) fn least_full(terms: &Terms<'_>, now: Reading) -> Word {
    // The intercept and the tick are of one limiter time, which is in this era.
    let at = terms.moment(now).floor.max(terms.era());
    let x = terms.capacity().0 as i64 - terms.earned_by_moment(Moment::of(at)).0 as i64;
    terms.layout.word(Intercept(x), terms.tick(0, Moment::of(at)))
}

/// Returns the word of a bucket that holds the lesser amount of two buckets at every reading.
#[cfg(feature = "std")]
pub(crate) fn min_of(terms: &Terms<'_>, a: Word, b: Word) -> Word {
    let layout = terms.layout;
    let (Intercept(x), Intercept(y)) = (terms.stored_intercept(a), terms.stored_intercept(b));
    let tick = layout.tick_of(a).max(layout.tick_of(b));
    layout.word(Intercept(x.min(y)), terms.tick(tick, Moment::of(Reading::from_nanos(0))))
}
