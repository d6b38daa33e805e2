//! [`Amounts`]: the tokens that a call takes in each dimension.

use crate::tokens::Tokens;

use super::dimension::Dimension;
use super::usage::Usage;

/// The tokens, and the one request, that a call takes in each dimension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Amounts {
    requests: Tokens,
    total: Tokens,
    input: Tokens,
    output: Tokens,
}

impl Amounts {
    pub(super) const NOTHING: Amounts =
        Amounts { requests: Tokens::ZERO, total: Tokens::ZERO, input: Tokens::ZERO, output: Tokens::ZERO };

    /// Returns those of one request with this usage. An amount of 2³² or more is above every burst, and becomes
    /// [`Tokens::MAX`].
    pub(super) fn of(usage: Usage) -> Self {
        Amounts {
            requests: Tokens::ONE,
            total: tokens(usage.total()),
            input: tokens(usage.input),
            output: tokens(usage.output),
        }
    }

    /// Cuts the amount in a dimension to `most`.
    pub(super) fn clip(&mut self, dimension: Dimension, most: Tokens) {
        let amount = match dimension {
            Dimension::Rpm | Dimension::Rpd | Dimension::MaxParallelRequests => &mut self.requests,
            Dimension::Tpm | Dimension::Tpd => &mut self.total,
            Dimension::InputTpm => &mut self.input,
            Dimension::OutputTpm => &mut self.output,
        };
        *amount = (*amount).min(most);
    }

    /// Returns the amount in a dimension.
    #[inline]
    pub(super) fn in_dimension(&self, dimension: Dimension) -> Tokens {
        match dimension {
            Dimension::Rpm | Dimension::Rpd | Dimension::MaxParallelRequests => self.requests,
            Dimension::Tpm | Dimension::Tpd => self.total,
            Dimension::InputTpm => self.input,
            Dimension::OutputTpm => self.output,
        }
    }
}

fn tokens(n: u64) -> Tokens {
    u32::try_from(n).map_or(Tokens::MAX, Tokens::new)
}
