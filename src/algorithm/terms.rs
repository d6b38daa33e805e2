//! The terms that a call is decided under: the layout of the words, and for a limiter whose quota has
//! changed, the current piece.

use crate::word::{Due, Intercept, Layout, Moment, Reading, Units, Word};

#[cfg(feature = "std")]
use super::era::EraLog;
#[cfg(feature = "std")]
use super::piece::Piece;

/// The terms of a call.
///
/// Every reading and every `Due` is in the clock's time. Words, ticks and moments are in limiter time;
/// the terms convert between the two.
pub(crate) struct Terms<'a> {
    pub(crate) layout: &'a Layout,
    /// `None` if the quota never changed. Limiter time is the clock's then.
    #[cfg(feature = "std")]
    changed: Option<Changed<'a>>,
}

/// The terms beside the layout, if the quota has changed.
#[cfg(feature = "std")]
struct Changed<'a> {
    piece: Piece,
    log: &'a dyn EraLog,
}

impl<'a> Terms<'a> {
    /// Returns the terms of a limiter whose quota never changed.
    #[inline(always)]
    pub(crate) const fn of(layout: &'a Layout) -> Self {
        Terms {
            layout,
            #[cfg(feature = "std")]
            changed: None,
        }
    }

    /// Returns the terms of a limiter whose quota has changed.
    #[cfg(feature = "std")]
    #[inline]
    pub(crate) const fn changed(layout: &'a Layout, piece: Piece, log: &'a dyn EraLog) -> Self {
        Terms { layout, changed: Some(Changed { piece, log }) }
    }

    /// Returns the current piece; `None` if the quota never changed.
    #[cfg(feature = "std")]
    #[inline]
    pub(crate) const fn piece(&self) -> Option<&Piece> {
        match &self.changed {
            Some(Changed { piece, .. }) => Some(piece),
            None => None,
        }
    }

    /// Returns whether the quota never changed.
    #[inline]
    pub(crate) const fn are_plain(&self) -> bool {
        #[cfg(feature = "std")]
        return self.changed.is_none();
        #[cfg(not(feature = "std"))]
        true
    }

    /// Returns the most that a bucket holds.
    #[inline]
    pub(crate) const fn capacity(&self) -> Units {
        #[cfg(feature = "std")]
        if let Some(piece) = self.piece() {
            return piece.capacity;
        }
        self.layout.capacity()
    }

    /// Returns how far below zero a commit may take a bucket; `None` if the quota never changed.
    pub(crate) const fn debt(&self) -> Option<Units> {
        #[cfg(feature = "std")]
        if let Some(piece) = self.piece() {
            return Some(piece.debt);
        }
        None
    }

    /// Returns whether nothing is admitted at `now`.
    #[inline]
    pub(crate) fn are_paused(&self, now: Reading) -> bool {
        #[cfg(feature = "std")]
        if let Some(piece) = self.piece() {
            return now < piece.paused_until;
        }
        _ = now;
        false
    }

    /// Returns the limiter time of a reading.
    #[inline]
    pub(super) fn moment(&self, now: Reading) -> Moment {
        #[cfg(feature = "std")]
        if let Some(piece) = self.piece() {
            return piece.moment(now);
        }
        Moment::of(now)
    }

    /// Returns the units earned at `now`.
    #[inline]
    pub(crate) fn earned_at(&self, now: Reading) -> Units {
        self.earned_by_moment(self.moment(now))
    }

    /// Returns the units earned at a moment.
    #[inline]
    pub(super) fn earned_by_moment(&self, at: Moment) -> Units {
        #[cfg(feature = "std")]
        if let Some(piece) = self.piece() {
            return piece.earned.at(at.floor);
        }
        self.layout.earned().at(at.floor)
    }

    /// Returns the limiter time at which the era begins.
    #[cfg(feature = "std")]
    pub(super) fn era(&self) -> Reading {
        self.piece().map_or(Reading::from_nanos(0), |piece| piece.era)
    }

    /// Returns the intercept of a bucket that is full at a moment.
    pub(super) fn full(&self, at: Moment) -> Intercept {
        #[cfg(feature = "std")]
        if let Some(piece) = self.piece() {
            return Intercept(piece.capacity.0 as i64 - piece.earned.near_ceil(at.near).0 as i64);
        }
        Intercept(self.layout.capacity().0 as i64 - self.layout.earned().near_ceil(at.near).0 as i64)
    }

    /// Returns the intercept that a word holds, whether its bucket is full or not.
    pub(super) fn stored_intercept(&self, word: Word) -> Intercept {
        let stored = stored_intercept(self.layout, word);
        #[cfg(feature = "std")]
        if let Some(changed) = &self.changed {
            if self.layout.tick_of(word) < changed.piece.era_tick() {
                return self.carried(changed, self.layout.tick_of(word), stored);
            }
        }
        stored
    }

    /// Returns the intercept in this era of a bucket whose word has this intercept and this tick, of an older
    /// era.
    #[cfg(feature = "std")]
    #[cold]
    fn carried(&self, Changed { piece, log }: &Changed<'_>, tick: u64, stored: Intercept) -> Intercept {
        let Intercept(x) = log.eras().carry(piece.era, tick, stored);
        // If the log has forgotten this era, because a call was held up for so long, the bucket was not
        // carried over.
        Intercept(x.min(piece.capacity.0 as i64 - self.layout.earned().at(piece.era).0 as i64))
    }

    /// Returns the tick of a word that is written at a moment in place of a word of tick `before`.
    #[inline]
    pub(super) fn tick(&self, before: u64, at: Moment) -> u64 {
        // The later time, which is never before the time by which the intercept is clipped.
        let tick = self.layout.tick(at.near);
        #[cfg(feature = "std")]
        if let Some(piece) = self.piece() {
            return before.max(tick).max(piece.era_tick());
        }
        if before > tick { before } else { tick }
    }

    /// Returns the instant at which a bucket that misses `deficit` units at `now` has earned them, and
    /// calls are admitted.
    #[inline]
    pub(crate) fn due(&self, now: Reading, deficit: Units) -> Due {
        #[cfg(feature = "std")]
        if let Some(piece) = self.piece() {
            let due = piece.earned_by(now, deficit);
            if now < piece.paused_until {
                return Due::at_reading(now, due.at().map(|at| at.max(piece.paused_until)));
            }
            return due;
        }
        Due::new(self.layout.earned(), now, deficit)
    }

    /// Returns the instant at which a bucket that misses `deficit` units at `now` has earned them, also in
    /// a pause.
    pub(crate) fn earned_by(&self, now: Reading, deficit: Units) -> Due {
        #[cfg(feature = "std")]
        if let Some(piece) = self.piece() {
            return piece.earned_by(now, deficit);
        }
        Due::new(self.layout.earned(), now, deficit)
    }
}

/// Returns the intercept that a word that is not special holds, whether its bucket is full or not.
/// It is exact at the start of the word's own tick, whatever the time is.
pub(super) const fn stored_intercept(layout: &Layout, word: Word) -> Intercept {
    let earned = layout.earned().at(layout.start(word)).0;
    let count = word.bits().wrapping_add(earned) & layout.mask();
    Intercept(count as i64 - layout.offset() as i64 - earned as i64)
}
