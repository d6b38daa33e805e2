//! [`Dimension`]: one of the limits of a model.

use std::fmt;

/// One of the limits of a model. Its text is the name of the field in a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Dimension {
    /// Requests per minute.
    Rpm,
    /// Tokens per minute, input and output together.
    Tpm,
    /// Input tokens per minute.
    InputTpm,
    /// Output tokens per minute.
    OutputTpm,
    /// Requests per day.
    Rpd,
    /// Tokens per day, input and output together.
    Tpd,
    /// Requests in flight.
    MaxParallelRequests,
}

impl Dimension {
    /// All dimensions, in the order in which they are shown.
    pub const ALL: [Dimension; 7] = [
        Dimension::Rpm,
        Dimension::Tpm,
        Dimension::InputTpm,
        Dimension::OutputTpm,
        Dimension::Rpd,
        Dimension::Tpd,
        Dimension::MaxParallelRequests,
    ];

    /// Returns the name of the field in a configuration: `"rpm"` and so on.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Dimension::Rpm => "rpm",
            Dimension::Tpm => "tpm",
            Dimension::InputTpm => "input_tpm",
            Dimension::OutputTpm => "output_tpm",
            Dimension::Rpd => "rpd",
            Dimension::Tpd => "tpd",
            Dimension::MaxParallelRequests => "max_parallel_requests",
        }
    }
}

impl fmt::Display for Dimension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
