//! [`QuotaCell`]: the current piece of a limiter's quota, which calls copy, and which `set_quota` replaces.
//!
//! A call reads its clock and then copies the piece, so a reading is never later than its terms. A
//! reading from before the piece is exact enough to be denied by: see [`Pace`].
//!
//! # Memory ordering
//!
//! The writer holds the lock. It writes the piece to the slot that calls do not read, and then raises
//! the version, with release. A call loads the version, copies that slot, and loads the version again. All
//! loads of the slot acquire, and all its stores release. So a call that copied a value of the next piece
//! but one also sees the version of the next, and copies again.

use std::sync::Arc;
use std::time::Duration;

use crate::algorithm::{Carry, Era, Eras, MOST_ERAS, Piece, Terms};
use crate::error::{SetQuotaError, SetQuotaErrorKind};
use crate::quota::{CarryOver, Quota, QuotaChange};
use crate::sync::{AtomicU64, Mutex, OnceLock, Ordering, lock};
use crate::word::{Layout, Pace, Reading, Units};

/// The words of a piece beside its eras, and of an era.
const FIXED: usize = 9;
const ERA: usize = 6;

/// The words of a piece.
type Slot = [AtomicU64; FIXED + ERA * MOST_ERAS];

/// Limiter time leaps at least this many nanoseconds when an era begins. So a call from before whose
/// clock is ahead by less does not write a word of the new era.
const LEAP: u64 = 1 << 20;

/// The limiter time from which on no era begins.
const LAST_ERA: u64 = 1 << 58;

/// The current piece of a limiter's quota.
pub(crate) struct QuotaCell {
    /// The number of pieces so far; zero if the quota never changed.
    version: AtomicU64,
    /// The current piece is in the slot of the version's parity.
    slots: [Slot; 2],
    /// The highest quota that the limiter will have. The words have its layout.
    highest: Quota,
    current: Mutex<Current>,
}

/// The current quota, for those that change it.
struct Current {
    quota: Quota,
    piece: Piece,
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
        let origin = Reading::from_nanos(0);
        let piece = Piece {
            pace: Pace { start: origin, at_start: origin, slope: Pace::FULL, last: Reading::MAX },
            capacity: highest.layout().capacity(),
            debt: debt(highest.layout(), &highest),
            initial: highest.initial_units(),
            paused_until: origin,
            eras: Eras::NONE,
        };
        QuotaCell {
            version: AtomicU64::new(0),
            slots: [(); 2].map(|()| [(); FIXED + ERA * MOST_ERAS].map(|()| AtomicU64::new(0))),
            highest,
            current: Mutex::new(Current { quota: highest, piece }),
        }
    }

    /// Returns the layout of the words.
    pub(crate) fn layout(&self) -> &Layout {
        self.highest.layout()
    }

    /// Returns the current quota.
    pub(crate) fn quota(&self) -> Quota {
        lock(&self.current).quota
    }

    /// Returns whether the quota has ever changed. Relaxed: a call that sees the old value overlaps the
    /// change.
    #[inline]
    pub(crate) fn has_changed(&self) -> bool {
        self.version.load(Ordering::Relaxed) != 0
    }

    /// Returns the current terms. The caller has read its clock before.
    #[inline]
    pub(crate) fn terms(&self) -> Terms<'_> {
        loop {
            let version = self.version.load(Ordering::Acquire);
            if version == 0 {
                return Terms::of(self.layout());
            }
            let piece = self.copy(version);
            // Relaxed: see the memory ordering above.
            if self.version.load(Ordering::Relaxed) == version {
                return Terms::changed(self.layout(), piece);
            }
        }
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
        let (start, at_start, eras) = match carry {
            None => {
                let start = now().max(old.pace.start);
                (start, old.pace.at(start).floor, old.eras)
            }
            Some(carry) => {
                self.check_era(old.pace.at(now().max(old.pace.start)).floor)?;
                let start = self.end_era(&old, &now).max(old.pace.start);
                let before = old.pace.at(start).floor;
                let at_start = self.era_start(before);
                let era = Era {
                    start: at_start,
                    before: layout.earned().at(before),
                    after: layout.earned().near_ceil(at_start),
                    capacity: old.capacity,
                    carry,
                };
                (start, at_start, old.eras.with(era))
            }
        };
        let initial = quota.initial_amount().min(quota.capacity());
        current.piece = Piece {
            pace: Pace { start, at_start, slope, last: Reading::MAX },
            capacity,
            debt: debt(layout, &quota),
            initial: units(initial),
            eras,
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
        // Relaxed: the version is written only under the lock.
        let version = self.version.load(Ordering::Relaxed) + 1;
        let slot = &self.slots[(version & 1) as usize];
        for (place, word) in slot.iter().zip(words(piece)) {
            place.store(word, Ordering::Release);
        }
        self.version.store(version, Ordering::Release);
    }

    /// Copies the piece of a version. It is torn if the version has changed since.
    #[inline]
    fn copy(&self, version: u64) -> Piece {
        let slot = &self.slots[(version & 1) as usize];
        let word = |at: usize| slot[at].load(Ordering::Acquire);
        let (units, reading) = (|at| Units(word(at)), |at| Reading::from_nanos(word(at)));
        Piece {
            pace: Pace { start: reading(0), at_start: reading(1), slope: word(2), last: reading(3) },
            capacity: units(4),
            debt: units(5),
            initial: units(6),
            paused_until: reading(7),
            eras: if word(8) == 0 { Eras::NONE } else { copy_eras(slot) },
        }
    }
}

/// Copies the eras of a piece.
#[cold]
fn copy_eras(slot: &Slot) -> Eras {
    let word = |at: usize| slot[at].load(Ordering::Acquire);
    let mut eras = Eras::NONE;
    // Never more than there are places, also if the copy is torn.
    for at in (0..MOST_ERAS).take(word(8) as usize) {
        let first = FIXED + ERA * at;
        let [start, before, after, capacity, debt, next] = [0, 1, 2, 3, 4, 5].map(|place| word(first + place));
        let carry = match debt {
            0 => Carry::Keep,
            FILL => Carry::Fill(Units(next)),
            debt => Carry::Scale { capacity: Units(next), debt: Units(debt - 1) },
        };
        let [before, after, capacity] = [before, after, capacity].map(Units);
        eras = eras.with(Era { start: Reading::from_nanos(start), before, after, capacity, carry });
    }
    eras
}

/// In the place of a debt: the era begins with full buckets.
const FILL: u64 = u64::MAX;

/// Returns the words of a piece, in the order in which [`QuotaCell::copy`] reads them.
fn words(piece: &Piece) -> impl Iterator<Item = u64> + use<'_> {
    let Piece { pace, capacity, debt, initial, paused_until, ref eras } = *piece;
    let fixed: [u64; FIXED] = [
        pace.start.nanos(),
        pace.at_start.nanos(),
        pace.slope,
        pace.last.nanos(),
        capacity.0,
        debt.0,
        initial.0,
        paused_until.nanos(),
        eras.count as u64,
    ];
    let of_era = |era: &Era| -> [u64; ERA] {
        let (debt, capacity) = match era.carry {
            Carry::Keep => (0, Units(0)),
            Carry::Fill(capacity) => (FILL, capacity),
            Carry::Scale { capacity, debt } => (debt.0 + 1, capacity),
        };
        [era.start.nanos(), era.before.0, era.after.0, era.capacity.0, debt, capacity.0]
    };
    fixed.into_iter().chain(eras.iter().flat_map(of_era))
}

fn debt(layout: &Layout, quota: &Quota) -> Units {
    // A debt limit fits beside the capacity in a count's 62 bits.
    Units(layout.units_down(quota.debt_limit()) as u64)
}
