//! [`Amounts`]: the tokens that a call takes in each dimension.

use crate::tokens::Tokens;

use super::dimension::Dimension;
use super::usage::Usage;

/// The tokens, and the one request, that a call takes in each dimension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Amounts {
    requests: u64,
    total: u64,
    input: u64,
    output: u64,
}

impl Amounts {
    pub(super) const NOTHING: Amounts = Amounts { requests: 0, total: 0, input: 0, output: 0 };

    /// Returns those of one request with this usage.
    #[inline]
    pub(super) const fn of(usage: Usage) -> Self {
        Amounts { requests: 1, total: usage.total(), input: usage.input, output: usage.output }
    }

    /// Cuts the amount in a dimension to `most`.
    pub(super) fn clip(&mut self, dimension: Dimension, most: u64) {
        let amount = match dimension {
            Dimension::Rpm | Dimension::Rpd | Dimension::MaxParallelRequests => &mut self.requests,
            Dimension::Tpm | Dimension::Tpd => &mut self.total,
            Dimension::InputTpm => &mut self.input,
            Dimension::OutputTpm => &mut self.output,
        };
        *amount = (*amount).min(most);
    }

    /// Returns the higher amount of both in each dimension.
    pub(super) fn max(&self, other: &Self) -> Self {
        Amounts {
            requests: self.requests.max(other.requests),
            total: self.total.max(other.total),
            input: self.input.max(other.input),
            output: self.output.max(other.output),
        }
    }

    /// Returns the amount in a dimension.
    #[inline]
    pub(super) const fn in_dimension(&self, dimension: Dimension) -> u64 {
        match dimension {
            Dimension::Rpm | Dimension::Rpd | Dimension::MaxParallelRequests => self.requests,
            Dimension::Tpm | Dimension::Tpd => self.total,
            Dimension::InputTpm => self.input,
            Dimension::OutputTpm => self.output,
        }
    }
}

/// Returns an amount as tokens: 2³² or more, which is above every burst, as [`Tokens::MAX`].
#[inline]
pub(super) fn tokens(amount: u64) -> Tokens {
    u32::try_from(amount).map_or(Tokens::MAX, Tokens::new)
}
