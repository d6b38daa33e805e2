//! [`QuotaCell`]: the current piece of a limiter's quota, which calls copy, and which `set_quota` replaces.
//!
//! A call reads its clock and then copies the piece, so a reading is never later than its terms. A
//! reading from before the piece is exact enough to be denied by: see [`Pace`].

use std::sync::Arc;
use std::time::Duration;

use crate::algorithm::{Carry, Era, Eras, Piece, Terms};
use crate::error::{SetQuotaError, SetQuotaErrorKind};
use crate::quota::{CarryOver, Quota, QuotaChange};
use crate::sync::{Mutex, OnceLock, lock};
use crate::word::{Earned, Exact, Layout, Pace, Reading, Units};

use super::published::{Published, Words};
use super::published_eras::PublishedEras;

/// The words of a piece.
const PIECE: usize = 10;

/// Limiter time leaps at least this many nanoseconds when an era begins. So a call from before whose
/// clock is ahead by less does not write a word of the new era.
const LEAP: u64 = 1 << 20;

/// The limiter time from which on no era begins.
const LAST_ERA: u64 = 1 << 58;

/// The current piece of a limiter's quota.
pub(crate) struct QuotaCell {
    /// The current piece; empty if the quota never changed.
    piece: Published<PIECE>,
    /// The last eras. An era is published before its first piece.
    eras: PublishedEras,
    /// The highest quota that the limiter will have. The words have its layout.
    highest: Quota,
    /// The units that its buckets earn by limiter time.
    earned: Exact,
    current: Mutex<Current>,
}

/// The current quota, for those that change it.
struct Current {
    quota: Quota,
    piece: Piece,
    eras: Eras,
}

/// The quota cell of a lone limiter, made when it is needed for the first time.
pub(crate) struct LazyQuota(OnceLock<Arc<QuotaCell>>);

impl LazyQuota {
    pub(crate) const fn new() -> Self {
        LazyQuota(OnceLock::new())
    }

    pub(crate) fn on(cell: Arc<QuotaCell>) -> Self {
        LazyQuota(OnceLock::from(cell))
    }

    /// Returns the cell, if it was needed before.
    #[inline]
    pub(crate) fn get(&self) -> Option<&Arc<QuotaCell>> {
        self.0.get()
    }

    pub(crate) fn get_or_make(&self, quota: &Quota) -> &Arc<QuotaCell> {
        self.0.get_or_init(|| Arc::new(QuotaCell::unchanged(*quota)))
    }
}

impl QuotaCell {
    /// Makes the cell of a limiter with this quota, which may not be above the highest.
    pub(crate) fn new(highest: Quota, quota: Quota) -> Result<Self, SetQuotaError> {
        let cell = QuotaCell::unchanged(highest);
        if quota != highest {
            let origin = Reading::from_nanos(0);
            cell.set(&mut lock(&cell.current), QuotaChange::keep(quota), || origin, None)?;
        }
        Ok(cell)
    }

    /// Makes the cell of a limiter that has its highest quota.
    fn unchanged(highest: Quota) -> Self {
        let (origin, (tokens, nanos)) = (Reading::from_nanos(0), highest.rate_in_nanos());
        let units = u128::from(tokens) * u128::from(highest.layout().per_token());
        let earned = Exact::new(highest.layout().earned(), units, nanos);
        let piece = Piece {
            earned,
            pace: Pace { start: origin, at_start: origin, slope: Pace::FULL, last: Reading::MAX },
            capacity: highest.layout().capacity(),
            debt: debt(highest.layout(), &highest),
            initial: highest.initial_units(),
            paused_until: origin,
            era: origin,
        };
        QuotaCell {
            piece: Published::new(),
            eras: PublishedEras::new(),
            highest,
            earned,
            current: Mutex::new(Current { quota: highest, piece, eras: Eras::NONE }),
        }
    }

    /// Returns the layout of the words.
    #[inline]
    pub(crate) fn layout(&self) -> &Layout {
        self.highest.layout()
    }

    /// Returns the current quota.
    pub(crate) fn quota(&self) -> Quota {
        lock(&self.current).quota
    }

    /// Returns whether the quota has ever changed.
    #[inline]
    pub(crate) fn has_changed(&self) -> bool {
        !self.piece.is_empty()
    }

    /// Returns the current terms. The caller has read its clock before.
    #[inline]
    pub(crate) fn terms(&self) -> Terms<'_> {
        match self.piece() {
            Some(piece) => Terms::changed(self.layout(), piece, &self.eras),
            None => Terms::of(self.layout()),
        }
    }

    /// Returns the current piece; `None` if the quota never changed. The caller has read its clock before.
    #[inline]
    pub(super) fn piece(&self) -> Option<Piece> {
        self.piece.read(|words| read_piece(words, self.earned))
    }

    /// Replaces the quota, as of a reading of the clock. `clip`, if there is one, is called before a higher
    /// burst: it clips every bucket at the old burst, so that no era has to begin.
    pub(crate) fn change(
        &self,
        change: QuotaChange,
        now: impl Fn() -> Reading,
        clip: Option<&dyn Fn()>,
    ) -> Result<(), SetQuotaError> {
        self.set(&mut lock(&self.current), change, now, clip)
    }

    /// Returns the highest quota.
    pub(crate) fn highest(&self) -> &Quota {
        &self.highest
    }

    /// Admits nothing for `duration` from now, or until the end of an earlier pause if that is later.
    pub(crate) fn pause(&self, duration: Duration, now: impl Fn() -> Reading) {
        let mut current = lock(&self.current);
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let until = Reading::from_nanos(now().nanos().saturating_add(nanos));
        current.piece.paused_until = current.piece.paused_until.max(until);
        self.publish(&current.piece);
    }

    fn set(
        &self,
        current: &mut Current,
        change: QuotaChange,
        now: impl Fn() -> Reading,
        clip: Option<&dyn Fn()>,
    ) -> Result<(), SetQuotaError> {
        let (layout, quota) = (self.layout(), change.quota);
        self.check(&quota)?;
        let units = |tokens| Units(layout.units_down(tokens) as u64);
        let old = current.piece;
        let capacity = units(quota.capacity());
        let slope = Pace::slope_of(quota.rate_in_nanos(), self.highest.rate_in_nanos());
        let carry = match change.carry {
            CarryOver::Keep if capacity <= old.capacity => None,
            CarryOver::Keep => match clip {
                Some(clip) => {
                    clip();
                    None
                }
                None => Some(Carry::Keep),
            },
            CarryOver::Proportional => Some(Carry::Scale { capacity, debt: debt(layout, &self.highest) }),
            CarryOver::Reset => Some(Carry::Fill(capacity)),
        };
        let (start, at_start, era) = match carry {
            None => {
                let start = now().max(old.pace.start);
                (start, old.pace.at(start).floor, old.era)
            }
            Some(carry) => {
                self.check_era(old.pace.at(now().max(old.pace.start)).floor)?;
                let start = self.end_era(&old, &now).max(old.pace.start);
                let before = old.pace.at(start).floor;
                let at_start = self.era_start(before);
                current.eras = current.eras.with(Era {
                    start: at_start,
                    before: self.earned.at(before),
                    after: self.earned.near_ceil(at_start),
                    capacity: old.capacity,
                    carry,
                });
                self.eras.publish(&current.eras);
                (start, at_start, at_start)
            }
        };
        let initial = quota.initial_amount().min(quota.capacity());
        current.piece = Piece {
            pace: Pace { start, at_start, slope, last: Reading::MAX },
            capacity,
            debt: debt(layout, &quota),
            initial: units(initial),
            era,
            ..old
        };
        current.quota = quota;
        self.publish(&current.piece);
        Ok(())
    }

    /// Returns an error if the quota is above the highest.
    pub(crate) fn check(&self, quota: &Quota) -> Result<(), SetQuotaError> {
        let highest = &self.highest;
        let error = |kind| Err(SetQuotaError(kind));
        if quota.is_faster_than(highest) {
            return error(SetQuotaErrorKind::Rate { asked: quota.rate(), highest: highest.rate() });
        }
        if quota.capacity() > highest.capacity() {
            return error(SetQuotaErrorKind::Burst { asked: quota.capacity(), highest: highest.capacity() });
        }
        if quota.debt_limit() > highest.debt_limit() {
            return error(SetQuotaErrorKind::Debt { asked: quota.debt_limit(), highest: highest.debt_limit() });
        }
        if self.layout().units_down(quota.capacity()) == 0 {
            return error(SetQuotaErrorKind::TooFine { asked: quota.capacity(), unit: highest.resolution() });
        }
        Ok(())
    }

    /// Returns an error if no era can begin after this limiter time. Ticks that are longer than half of the
    /// range have no second one.
    fn check_era(&self, at: Reading) -> Result<(), SetQuotaError> {
        let is_too_late = self.era_start(at).nanos() >= LAST_ERA;
        if is_too_late { Err(SetQuotaError(SetQuotaErrorKind::TooManyEras)) } else { Ok(()) }
    }

    /// Ends the era, and returns the reading at which it ended: no call that begins later reads an earlier
    /// time in it. Limiter time stands still for calls that come before the next piece is published.
    fn end_era(&self, old: &Piece, now: impl Fn() -> Reading) -> Reading {
        /// Publishes the old piece again if the clock panics.
        struct Undo<'a>(&'a QuotaCell, &'a Piece, bool);

        impl Drop for Undo<'_> {
            fn drop(&mut self) {
                if self.2 {
                    self.0.publish(self.1);
                }
            }
        }

        let last = old.pace.at(now().max(old.pace.start)).floor;
        self.publish(&Piece { pace: Pace { last, ..old.pace }, ..*old });
        let mut undo = Undo(self, old, true);
        let end = now();
        undo.2 = false;
        end
    }

    /// Returns the first instant of a tick that is after `before` and the leap.
    fn era_start(&self, before: Reading) -> Reading {
        let after_leap = Reading::from_nanos(before.nanos() + LEAP);
        self.layout().next_tick(after_leap)
    }

    fn publish(&self, piece: &Piece) {
        self.piece.publish(piece_words(piece));
    }
}

/// Returns the words of a piece, in the order in which [`read_piece`] reads them.
fn piece_words(&Piece { earned: _, pace, capacity, debt, initial, paused_until, era }: &Piece) -> [u64; PIECE] {
    let [start, at_start, last, paused_until, era] =
        [pace.start, pace.at_start, pace.last, paused_until, era].map(Reading::nanos);
    let [m, s] = pace.slope.to_words();
    [start, at_start, m, s, last, capacity.0, debt.0, initial.0, paused_until, era]
}

#[inline]
fn read_piece(words: Words<'_, PIECE>, earned: Exact) -> Piece {
    let (units, reading) = (|at| Units(words.at(at)), |at| Reading::from_valid(words.at(at)));
    let slope = Earned::from_words([words.at(2), words.at(3)]);
    Piece {
        earned,
        pace: Pace { start: reading(0), at_start: reading(1), slope, last: reading(4) },
        capacity: units(5),
        debt: units(6),
        initial: units(7),
        paused_until: reading(8),
        era: reading(9),
    }
}

fn debt(layout: &Layout, quota: &Quota) -> Units {
    // A debt limit fits beside the capacity in a count's 62 bits.
    Units(layout.units_down(quota.debt_limit()) as u64)
}
