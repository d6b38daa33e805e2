//! [`Charge`]: the tokens that a call was really charged.

use crate::tokens::Tokens;

use super::amounts::{Amounts, tokens};
use super::dimension::Dimension;

/// The charge of a call: in each dimension the amount of its last settlement, or else the tokens that were really charged.
///
/// A bucket may not charge all of an amount, at its debt limit, and may not take all of it back, when it is full. As soon
/// as that happens, the tokens that were really charged are kept apart. Then a settlement
///
/// - for more than was really charged charges the difference;
/// - for less gives back no more than the last amount was: the tokens that a full bucket could not take back are lost,
///   but they count as charged.
pub(super) struct Charge {
    amounts: Amounts,
    /// The epoch of the model in which the call was admitted.
    epoch: u64,
    /// By dimension. `None` if the amounts were really charged.
    real: Option<Box<[Tokens; Dimension::ALL.len()]>>,
}

/// The change of a bucket by a settlement.
#[derive(Clone, Copy)]
pub(super) enum Change {
    Charge(Tokens),
    GiveBack(Tokens),
}

impl Charge {
    #[inline]
    pub(super) fn new(amounts: Amounts, epoch: u64) -> Self {
        Charge { amounts, epoch, real: None }
    }

    #[inline]
    pub(super) fn amounts(&self) -> &Amounts {
        &self.amounts
    }

    #[inline]
    pub(super) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Returns the change of a bucket by a settlement for other amounts; `None` if there is none.
    #[inline]
    pub(super) fn change(&self, dimension: Dimension, to: &Amounts) -> Option<Change> {
        let (before, after) = (self.amounts.in_dimension(dimension), to.in_dimension(dimension));
        match &self.real {
            _ if before == after => None,
            Some(real) => change_of_real(before, real[dimension as usize], after),
            None if after > before => Some(Change::Charge(tokens(after - before))),
            None => Some(Change::GiveBack(tokens(before - after))),
        }
    }

    /// Records that a bucket was changed, but for `missing` tokens. The dimensions are settled in order.
    #[inline]
    pub(super) fn changed(&mut self, dimension: Dimension, to: &Amounts, change: Change, missing: Tokens) {
        if self.real.is_some() || !missing.is_zero() {
            self.record(dimension, to, change, missing);
        }
    }

    #[cold]
    #[inline(never)]
    fn record(&mut self, dimension: Dimension, to: &Amounts, change: Change, missing: Tokens) {
        let amounts = self.amounts;
        // Those before were settled in full.
        let so_far = |of: Dimension| tokens(if of < dimension { to } else { &amounts }.in_dimension(of));
        let real = &mut self.real.get_or_insert_with(|| Box::new(Dimension::ALL.map(so_far)))[dimension as usize];
        *real = match change {
            Change::Charge(n) => real.saturating_add(n.saturating_sub(missing)),
            Change::GiveBack(n) => real.saturating_sub(n.saturating_sub(missing)),
        };
    }

    /// The call is settled for these amounts.
    #[inline]
    pub(super) fn settled(&mut self, to: Amounts) {
        self.amounts = to;
    }
}

#[cold]
fn change_of_real(before: u64, real: Tokens, after: u64) -> Option<Change> {
    let (most, after) = (tokens(before).min(real), tokens(after));
    match after {
        _ if after > real => Some(Change::Charge(after.saturating_sub(real))),
        _ if after < most => Some(Change::GiveBack(most.saturating_sub(after))),
        _ => None,
    }
}
