//! The terms that a call is decided under: the layout of the words, and for a limiter whose quota has
//! changed, the current piece.

use crate::word::{Due, Intercept, Layout, Moment, Reading, Units, Word};

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
    piece: Option<Piece>,
}

impl<'a> Terms<'a> {
    /// Returns the terms of a limiter whose quota never changed.
    #[inline(always)]
    pub(crate) const fn of(layout: &'a Layout) -> Self {
        Terms {
            layout,
            #[cfg(feature = "std")]
            piece: None,
        }
    }

    /// Returns the terms of a limiter whose quota has changed.
    #[cfg(feature = "std")]
    pub(crate) const fn changed(layout: &'a Layout, piece: Piece) -> Self {
        Terms { layout, piece: Some(piece) }
    }

    /// Returns the current piece; `None` if the quota never changed.
    #[cfg(feature = "std")]
    #[inline]
    pub(crate) const fn piece(&self) -> Option<&Piece> {
        self.piece.as_ref()
    }

    /// Returns whether the quota never changed.
    #[inline]
    pub(crate) const fn are_plain(&self) -> bool {
        #[cfg(feature = "std")]
        return self.piece.is_none();
        #[cfg(not(feature = "std"))]
        true
    }

    /// Returns the most that a bucket holds.
    #[inline]
    pub(crate) const fn capacity(&self) -> Units {
        #[cfg(feature = "std")]
        if let Some(piece) = &self.piece {
            return piece.capacity;
        }
        self.layout.capacity()
    }

    /// Returns how far below zero a commit may take a bucket; `None` if the quota never changed.
    pub(crate) const fn debt(&self) -> Option<Units> {
        #[cfg(feature = "std")]
        if let Some(piece) = &self.piece {
            return Some(piece.debt);
        }
        None
    }

    /// Returns whether nothing is admitted at `now`.
    #[inline]
    pub(crate) fn are_paused(&self, now: Reading) -> bool {
        #[cfg(feature = "std")]
        if let Some(piece) = &self.piece {
            return now < piece.paused_until;
        }
        _ = now;
        false
    }

    /// Returns the limiter time of a reading.
    #[inline]
    pub(super) fn moment(&self, now: Reading) -> Moment {
        #[cfg(feature = "std")]
        if let Some(piece) = &self.piece {
            return piece.moment(now);
        }
        Moment::of(now)
    }

    /// Returns the units earned at `now`.
    #[inline]
    pub(crate) fn earned_at(&self, now: Reading) -> Units {
        self.layout.earned().at(self.moment(now).floor)
    }

    /// Returns the intercept that a word holds, whether its bucket is full or not.
    pub(super) fn stored_intercept(&self, word: Word) -> Intercept {
        let stored = stored_intercept(self.layout, word);
        #[cfg(feature = "std")]
        if let Some(piece) = &self.piece {
            return piece.carry(self.layout.tick_of(word), stored);
        }
        stored
    }

    /// Returns the tick of a word that is written at a moment in place of a word of tick `before`.
    #[inline]
    pub(super) fn tick(&self, before: u64, at: Moment) -> u64 {
        // The later time, which is never before the time by which the intercept is clipped.
        let tick = self.layout.tick(at.near);
        #[cfg(feature = "std")]
        if let Some(piece) = &self.piece {
            return before.max(tick).max(piece.era_tick());
        }
        if before > tick { before } else { tick }
    }

    /// Returns the instant at which a bucket that misses `deficit` units at `now` has earned them, and
    /// calls are admitted.
    #[inline]
    pub(crate) fn due(&self, now: Reading, deficit: Units) -> Due {
        #[cfg(feature = "std")]
        if let Some(piece) = &self.piece {
            let at = piece.earned_by(self.layout.earned(), now, deficit);
            return Due::at_reading(now, at.map(|at| at.max(piece.paused_until)));
        }
        Due::new(self.layout.earned(), now, deficit)
    }

    /// Returns the instant at which a bucket that misses `deficit` units at `now` has earned them, also in
    /// a pause.
    pub(crate) fn earned_by(&self, now: Reading, deficit: Units) -> Due {
        #[cfg(feature = "std")]
        if let Some(piece) = &self.piece {
            return Due::at_reading(now, piece.earned_by(self.layout.earned(), now, deficit));
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
