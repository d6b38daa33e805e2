//! [`ModelQuota`]: the limits of one model.

use std::time::Duration;

use crate::error::QuotaError;
use crate::permits::PermitWord;
use crate::quota::Quota;

use super::dimension::Dimension;

/// The name of the quota of models that are not listed.
pub(super) const DEFAULT: &str = "default";

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);

/// The limits of one model: any of requests per minute, tokens per minute, input tokens and output tokens per minute
/// apart, requests and tokens per day, and parallel requests. A dimension that is not set has no limit.
///
/// # Bounds
///
/// Each dimension but the last is a token bucket: it is full at first, holds one minute's (or day's) worth, and is
/// refilled continuously. So any window of length w has at most `limit + limit × w / minute`: 60 requests per minute
/// admit at most 119 in the first minute, and 60 in every minute on average. With [`strict`](ModelQuota::strict), no
/// window of a minute (or a day) has more than the limit; then a bucket holds half of the limit, rounded up, and is
/// refilled by the rest, so about half of the limit is used on average if calls come at an even pace. Choose it if
/// the server counts in windows and nothing above its limit may ever reach it.
///
/// These are bounds of what is charged at the grant, which is the estimate, less what is given back in the window. They
/// hold whatever [hints](crate::model::ModelLimiter::observe) say. A [commit](crate::model::Permit::commit) of more than
/// the estimate is charged later, down to a debt of one burst. Every call of the model waits until the debt is paid, also
/// one whose estimate has nothing in that dimension: so a dimension that no estimate counts is bounded by its debt alone,
/// to its rate on average.
///
/// An estimate above a burst is refused at once. A burst is at most 2³² − 1: of a higher limit the rate counts in full, and
/// the burst is what [statistics](crate::model::DimensionStats) show as the limit.
///
/// # Examples
///
/// ```
/// use brimful::model::ModelQuota;
///
/// let quota = ModelQuota::new().rpm(500).tpm(40_000).max_parallel_requests(10);
/// assert_eq!(quota.rpm, Some(500));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ModelQuota {
    /// Requests per minute.
    pub rpm: Option<u64>,
    /// Tokens per minute, input and output together.
    pub tpm: Option<u64>,
    /// Input tokens per minute.
    pub input_tpm: Option<u64>,
    /// Output tokens per minute.
    pub output_tpm: Option<u64>,
    /// Requests per day of 24 hours.
    pub rpd: Option<u64>,
    /// Tokens per day, input and output together.
    pub tpd: Option<u64>,
    /// Requests in flight.
    pub max_parallel_requests: Option<u64>,
    /// Set if no minute and no day may have more than the limit.
    pub strict: bool,
}

/// The reason why a number is no limit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Fault {
    Zero,
    TooManySlots(u64),
    Quota(QuotaError),
}

/// Declares the setter of each dimension.
macro_rules! setters {
    ($($(#[$doc:meta])* $name:ident;)*) => {
        $(
            $(#[$doc])*
            #[must_use]
            pub const fn $name(mut self, most: u64) -> Self {
                self.$name = Some(most);
                self
            }
        )*
    };
}

impl ModelQuota {
    /// Returns a quota without limits.
    #[must_use]
    pub const fn new() -> Self {
        ModelQuota {
            rpm: None,
            tpm: None,
            input_tpm: None,
            output_tpm: None,
            rpd: None,
            tpd: None,
            max_parallel_requests: None,
            strict: false,
        }
    }

    setters! {
        /// Sets the requests per minute.
        rpm;
        /// Sets the tokens per minute, input and output together.
        tpm;
        /// Sets the input tokens per minute.
        input_tpm;
        /// Sets the output tokens per minute.
        output_tpm;
        /// Sets the requests per day.
        rpd;
        /// Sets the tokens per day, input and output together.
        tpd;
        /// Sets the requests in flight: 2³¹ − 1 at most.
        max_parallel_requests;
    }

    /// Bounds every window of a minute, and of a day, by the limit itself. See [Bounds](ModelQuota#bounds).
    #[must_use]
    pub const fn strict(mut self) -> Self {
        self.strict = true;
        self
    }

    /// Returns the limit of a dimension; `None` if it has none.
    #[must_use]
    pub const fn limit(&self, dimension: Dimension) -> Option<u64> {
        match dimension {
            Dimension::Rpm => self.rpm,
            Dimension::Tpm => self.tpm,
            Dimension::InputTpm => self.input_tpm,
            Dimension::OutputTpm => self.output_tpm,
            Dimension::Rpd => self.rpd,
            Dimension::Tpd => self.tpd,
            Dimension::MaxParallelRequests => self.max_parallel_requests,
        }
    }

    #[cfg(feature = "serde")]
    pub(super) const fn limit_mut(&mut self, dimension: Dimension) -> &mut Option<u64> {
        match dimension {
            Dimension::Rpm => &mut self.rpm,
            Dimension::Tpm => &mut self.tpm,
            Dimension::InputTpm => &mut self.input_tpm,
            Dimension::OutputTpm => &mut self.output_tpm,
            Dimension::Rpd => &mut self.rpd,
            Dimension::Tpd => &mut self.tpd,
            Dimension::MaxParallelRequests => &mut self.max_parallel_requests,
        }
    }

    /// Returns the quota of each dimension that has a bucket and a limit.
    pub(super) fn buckets(&self) -> Result<Vec<(Dimension, Quota)>, (Dimension, Fault)> {
        let mut buckets = Vec::new();
        for dimension in Dimension::ALL {
            let Some(most) = self.limit(dimension) else { continue };
            if most == 0 {
                return Err((dimension, Fault::Zero));
            }
            let window = match dimension {
                Dimension::MaxParallelRequests if most > PermitWord::MOST as u64 => {
                    return Err((dimension, Fault::TooManySlots(most)));
                }
                Dimension::MaxParallelRequests => continue,
                Dimension::Rpd | Dimension::Tpd => DAY,
                _ => MINUTE,
            };
            let quota = if self.strict { Quota::at_most(most, window) } else { Quota::try_new(most, window) };
            buckets.push((dimension, quota.map_err(|error| (dimension, Fault::Quota(error)))?));
        }
        Ok(buckets)
    }

    /// Returns the number of slots for requests in flight.
    pub(super) fn slots(&self) -> usize {
        self.max_parallel_requests.and_then(|most| usize::try_from(most).ok()).unwrap_or(PermitWord::MOST)
    }
}
