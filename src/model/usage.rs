//! [`Usage`]: the tokens of one call.

/// The tokens of one call to a model, estimated before it or counted after it.
///
/// A pair is input and output. A number alone is input: for a model that has no limit of the output alone, or for a call
/// whose output is not estimated. Such a call reserves no output; the output of its [commit](crate::model::Permit::commit)
/// is charged then, and later calls [wait](crate::model::ModelQuota#bounds) if it was too much.
///
/// # Examples
///
/// ```
/// use brimful::model::Usage;
///
/// assert_eq!(Usage::from((1_200, 300)), Usage { input: 1_200, output: 300 });
/// assert_eq!(Usage::from(1_500).total(), 1_500);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Usage {
    /// The tokens of the prompt.
    pub input: u64,
    /// The tokens of the answer.
    pub output: u64,
}

impl Usage {
    /// Returns the input and the output together, at most `u64::MAX`.
    #[must_use]
    pub const fn total(self) -> u64 {
        self.input.saturating_add(self.output)
    }
}

/// Input and output.
impl From<(u64, u64)> for Usage {
    fn from((input, output): (u64, u64)) -> Self {
        Usage { input, output }
    }
}

/// Input alone.
impl From<u64> for Usage {
    fn from(input: u64) -> Self {
        Usage { input, output: 0 }
    }
}
