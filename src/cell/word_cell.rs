//! The atomic word, and the short loop of a call for tokens, which is inlined into the caller. The loop
//! for everything else is in [`cold`](super::cold).
//!
//! # Memory ordering
//!
//! The word is the bucket's whole state, so its modification order is all that the promises rest
//! on. No clock reading has to be ordered with it. Loads of a lone limiter's cell are relaxed,
//! because a denial or a peek orders nothing. Loads of a table's slot acquire: see
//! [`WordCell::is_here`]. Every write is an acquire-release read-modify-write, so that the work of a
//! thread before it gave tokens back happens before the work of a thread that is admitted with
//! those tokens. On weakly ordered machines a load may return an older word than another core has
//! written. That is a reading of the past: the compare-exchange then fails, or a denial is checked
//! again.

use crate::algorithm::Terms;
use crate::algorithm::token_bucket::{self, Demand, Step};
use crate::clock::Clock;
use crate::error::{ExceedsBurst, RateLimited, TableFull, TryAcquireError};
use crate::sync::{AtomicU64, Hint, Ordering, const_unless_loom};
use crate::tokens::Tokens;
use crate::word::{Due, Layout, Reading, Units, Word};

/// The source of a call's readings: a first one, and at most one more. The second is asked for if a
/// denial was decided on a reading that may have been overtaken, by another call's swap or because
/// the word was loaded after the reading. The second reading *replaces* the first, also when it is
/// earlier. A call is decided at its last reading, and the window bound counts the call there.
pub(crate) struct TimeSource<'a, C> {
    /// The first reading, or [`Reading::NONE`]. So that a source is passed in two registers.
    first: Reading,
    /// The clock of the readings that are still to be taken.
    clock: Option<&'a C>,
}

// Not derived: the clock itself need not be `Clone`.
impl<C> Clone for TimeSource<'_, C> {
    #[inline]
    fn clone(&self) -> Self {
        *self
    }
}

impl<C> Copy for TimeSource<'_, C> {}

impl<'a, C> TimeSource<'a, C> {
    /// The clock, for both readings.
    #[inline(always)]
    pub(crate) const fn clock(clock: &'a C) -> Self {
        TimeSource { first: Reading::NONE, clock: Some(clock) }
    }

    /// A reading that the caller gave, without a second one.
    #[inline(always)]
    pub(crate) const fn given(now: Reading) -> Self {
        TimeSource { first: now, clock: None }
    }

    /// A reading that was taken before, and the clock for a second one.
    #[cfg(feature = "std")]
    pub(crate) const fn cached(now: Reading, clock: &'a C) -> Self {
        TimeSource { first: now, clock: Some(clock) }
    }

    /// Returns whether the first reading may be older than the call.
    #[cfg(feature = "std")]
    #[inline(always)]
    const fn is_cached(&self) -> bool {
        self.clock.is_some() && !matches!(self.first, Reading::NONE)
    }

    /// The same source for a call that begins anew: the clock, if there is one.
    #[cfg(feature = "std")]
    pub(crate) const fn anew(self) -> Self {
        match self.clock {
            Some(clock) => TimeSource::clock(clock),
            None => self,
        }
    }
}

impl<C: Clock> TimeSource<'_, C> {
    #[inline(always)]
    pub(crate) fn read(self) -> Reading {
        match self.clock {
            Some(clock) if self.first == Reading::NONE => Reading::from_nanos(clock.now()),
            _ => self.first,
        }
    }

    /// Returns the second reading; `None` if there is none.
    #[cold]
    pub(super) fn reread(&mut self) -> Option<Reading> {
        self.clock.take().map(|clock| Reading::from_nanos(clock.now()))
    }
}

/// The order of the load of the word and the reading of the clock. Both are correct at any time.
///
/// The load comes first by default, so that a denial is true of one instant. If another thread
/// charges the bucket between a reading and a later load, the bucket may look empty as of that
/// reading, although it never was. But an admitted call has then held the loaded word for as long
/// as the clock takes to read. If threads take from one bucket at the same time, another thread has
/// usually swapped the word by then. So after failed compare-exchanges the clock is read first, and
/// once more if the result would be a denial. The first such denial restores the default.
pub(crate) struct ReadOrderHint(Hint);

/// The load comes first.
const LOAD_FIRST: u8 = 0;
/// The clock comes first.
const CLOCK_FIRST: u8 = 1;
/// Neither comes first: the word has moved to another cell for good.
#[cfg(feature = "std")]
const MOVED: u8 = 2;

impl ReadOrderHint {
    /// Starts with the load first.
    pub(crate) const fn new() -> Self {
        ReadOrderHint(Hint::new(LOAD_FIRST))
    }

    #[inline]
    fn get(&self) -> u8 {
        self.0.load(Ordering::Relaxed)
    }

    /// Returns whether the load does not come first.
    #[inline]
    fn clock_first(&self) -> bool {
        self.get() != LOAD_FIRST
    }

    #[cfg(feature = "std")]
    #[inline]
    fn has_moved(&self) -> bool {
        self.get() == MOVED
    }

    /// Called when a compare-exchange fails. Switches to clock-first with probability 1/1024, using
    /// the reading as the random source. All threads read the hint, so it must not change with
    /// every other call if some calls are admitted and some denied.
    #[cold]
    #[inline(never)]
    pub(crate) fn on_cas_failure(&self, now: Reading) {
        // The models switch it themselves, with a reading of zero.
        const MANY: u64 = if cfg!(brimful_loom) { u64::MAX } else { 1_024 };
        if now.nanos().is_multiple_of(MANY) {
            self.turn(LOAD_FIRST, CLOCK_FIRST);
        }
    }

    /// Called when a call is denied after the clock came first. Switches to load-first.
    #[cold]
    #[inline(never)]
    pub(crate) fn on_denial(&self) {
        self.turn(CLOCK_FIRST, LOAD_FIRST);
    }

    /// Called when the word has moved to another cell for good.
    #[cfg(feature = "std")]
    pub(crate) fn on_move(&self) {
        self.0.store(MOVED, Ordering::Relaxed);
    }

    fn turn(&self, from: u8, to: u8) {
        let _ = self.0.compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed);
    }
}

/// The cell of a bucket's word, and the meaning of special words there.
pub(crate) trait WordCell {
    fn load(&self) -> Word;

    /// Replaces the word if it is still `seen`; if not, returns the current word.
    fn compare_exchange(&self, seen: Word, next: Word) -> Result<(), Word>;

    /// Returns whether the cell still holds this bucket. Called after every load of the word and
    /// before the word is used, because the slots of a table change tenants. If this reads memory
    /// that was written before the word, the loads of the word have to acquire.
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

impl Taken {
    /// Returns the reading at which the call was decided; `None` if there is no limit.
    #[cfg(feature = "std")]
    pub(crate) fn read_at(self) -> Option<Reading> {
        match self {
            Taken::Admitted { now, .. } | Taken::Denied { now, .. } | Taken::TableFull { now, .. } => Some(now),
            Taken::Unlimited => None,
        }
    }

    /// Returns the answer to a call for `n` tokens that leaves `leaving`, by a quota that never changed.
    #[inline(always)]
    pub(crate) fn answer(self, layout: &Layout, (n, leaving): (Tokens, Tokens)) -> Result<(), TryAcquireError> {
        match self {
            Taken::Admitted { .. } | Taken::Unlimited => Ok(()),
            Taken::Denied { needed, .. } if needed > layout.capacity() => {
                Err(TryAcquireError::ExceedsBurst(exceeding(layout, n.to_bits(), leaving.to_bits())))
            }
            Taken::Denied { deficit, now, .. } => {
                Err(TryAcquireError::RateLimited(RateLimited(Due::new(layout.earned(), now, deficit))))
            }
            Taken::TableFull { deficit, now } => Err(TryAcquireError::TableFull(refused(layout, deficit, now))),
        }
    }

    /// Returns the answer by a quota that may have changed. Amounts are passed in registers.
    #[inline(always)]
    pub(crate) fn answer_by(self, terms: &Terms<'_>, requested: u128, leaving: u128) -> Result<(), TryAcquireError> {
        match self {
            Taken::Admitted { .. } | Taken::Unlimited => Ok(()),
            Taken::TableFull { deficit, now } => Err(TryAcquireError::TableFull(TableFull(terms.due(now, deficit)))),
            Taken::Denied { needed, deficit, now } => {
                if needed > terms.capacity() {
                    let [requested, leaving] = [requested, leaving].map(Tokens::from_bits);
                    let burst = terms.layout.tokens_down(terms.capacity());
                    return Err(TryAcquireError::ExceedsBurst(ExceedsBurst::new(requested, leaving, burst)));
                }
                Err(TryAcquireError::RateLimited(RateLimited(terms.due(now, deficit))))
            }
        }
    }
}

/// The inputs of a round of the compare-exchange loop.
#[derive(Clone, Copy)]
pub(crate) struct Seen {
    pub(super) word: Word,
    pub(super) now: Reading,
    /// Whether another call may have changed the word since the reading.
    pub(super) overtaken: bool,
}

#[cfg(feature = "std")]
impl Seen {
    /// The word has moved to another cell. Neither that cell nor the clock was read.
    #[cold]
    const fn moved() -> Seen {
        Seen { word: Word::IN_SECOND, now: Reading::NONE, overtaken: false }
    }
}

#[cold]
fn refused(layout: &Layout, deficit: Units, now: Reading) -> TableFull {
    TableFull(Due::new(layout.earned(), now, deficit))
}

/// For amounts that are passed in registers.
#[cold]
fn exceeding(layout: &Layout, requested: u128, leaving: u128) -> ExceedsBurst {
    let [requested, leaving] = [requested, leaving].map(Tokens::from_bits);
    ExceedsBurst::new(requested, leaving, layout.tokens_down(layout.capacity()))
}

/// Takes the cost of `n` if `leaving` tokens are left then. Returns `Err` if this short loop cannot
/// decide. Nothing was charged then, and [`take_cold`](super::take_cold) can decide.
// The caller turns each outcome into its answer at once, in registers. So the cold outcome is not
// merged with the others here.
// Always inlined: otherwise the cost of the call is added to that of the clock. The cost in units is
// computed after the clock was read, so that it needs no register across that read.
#[inline(always)]
pub(crate) fn take(
    cell: &impl WordCell,
    layout: &Layout,
    (n, leaving): (Tokens, Tokens),
    source: TimeSource<'_, impl Clock>,
) -> Result<Taken, Seen> {
    let order = cell.order();
    let clock_first = order.is_some_and(ReadOrderHint::clock_first);
    let (now, mut word);
    if clock_first {
        #[cfg(feature = "std")]
        if order.is_some_and(ReadOrderHint::has_moved) {
            return Err(Seen::moved());
        }
        now = source.read();
        word = cell.load();
    } else {
        word = cell.load();
        now = source.read();
    }
    let demand = Demand::new(layout, n, leaving);
    let mut overtaken = clock_first;
    // No spin hint: a failed compare-exchange brings the cache line here, and a pause would give it
    // away.
    loop {
        if !cell.is_here() {
            return Err(Seen { word, now, overtaken });
        }
        match token_bucket::step(layout, word, now, demand) {
            Step::Admitted { next, held } => match cell.compare_exchange(word, next) {
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

/// Takes in one attempt. Returns `None` if it does not decide, because another call came between, the
/// word is cold to the fast step, there is no demand, or a denial would be by a reading that is older than
/// the call. Nothing was charged then. `demand` is called after the clock was read.
#[cfg(feature = "std")]
#[inline(always)]
pub(crate) fn take_once(
    cell: &impl WordCell,
    layout: &Layout,
    demand: impl FnOnce() -> Option<Demand>,
    source: TimeSource<'_, impl Clock>,
) -> Option<Taken> {
    let word = cell.load();
    let now = source.read();
    let demand = demand()?;
    if !cell.is_here() {
        return None;
    }
    match token_bucket::step(layout, word, now, demand) {
        Step::Admitted { next, held } => {
            cell.compare_exchange(word, next).ok()?;
            Some(Taken::Admitted { cost: demand.cost, held, now })
        }
        Step::Denied { deficit, .. } if !source.is_cached() => {
            Some(Taken::Denied { needed: demand.needed, deficit, now })
        }
        _ => None,
    }
}

/// The word of a bucket, by itself.
pub(crate) struct Cell(AtomicU64);

impl Cell {
    const_unless_loom! {
        pub(crate) const fn new(word: Word) -> Cell {
            Cell(AtomicU64::new(word.bits()))
        }
    }

    /// Relaxed: a denial or a peek orders nothing.
    #[inline]
    pub(crate) fn load(&self) -> Word {
        Word::from_bits(self.0.load(Ordering::Relaxed))
    }

    #[inline]
    pub(crate) fn compare_exchange(&self, seen: Word, next: Word) -> Result<(), Word> {
        let swapped = self.0.compare_exchange(seen.bits(), next.bits(), Ordering::AcqRel, Ordering::Relaxed);
        swapped.map(drop).map_err(Word::from_bits)
    }

    /// As [`load`](Cell::load), for a limiter whose quota changes. Acquire: a call that sees a word sees the
    /// terms by which it was written.
    #[cfg(feature = "std")]
    #[inline]
    pub(crate) fn load_with_terms(&self) -> Word {
        Word::from_bits(self.0.load(Ordering::Acquire))
    }

    /// As [`compare_exchange`](Cell::compare_exchange), which acquires also if it fails, for the same reason.
    #[cfg(feature = "std")]
    #[inline]
    pub(crate) fn compare_exchange_with_terms(&self, seen: Word, next: Word) -> Result<(), Word> {
        let swapped = self.0.compare_exchange(seen.bits(), next.bits(), Ordering::AcqRel, Ordering::Acquire);
        swapped.map(drop).map_err(Word::from_bits)
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
        self.put(word);
    }

    /// Stores a word in a cell that no compare-exchange succeeds on.
    #[cfg(feature = "std")]
    pub(super) fn put(&self, word: Word) {
        self.0.store(word.bits(), Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_lost_swap_in_many_turns_it_and_a_denial_turns_it_back() {
        let (order, mut turns) = (ReadOrderHint::new(), 0);
        assert_eq!(order.get(), LOAD_FIRST);
        for nanos in 0..10_240 {
            order.on_cas_failure(Reading::from_nanos(nanos));
            turns += u32::from(order.get() == CLOCK_FIRST);
            order.on_denial();
            assert_eq!(order.get(), LOAD_FIRST);
        }
        assert_eq!(turns, 10);
    }

    #[test]
    fn nothing_turns_it_after_a_move() {
        let order = ReadOrderHint::new();
        order.on_move();
        order.on_cas_failure(Reading::from_nanos(0));
        order.on_denial();
        assert_eq!(order.get(), MOVED);
    }
}
