//! Every error type of the crate: small, and written by hand.

#[cfg(feature = "std")]
mod acquire;
#[cfg(feature = "std")]
mod build;
#[cfg(feature = "std")]
mod limit_name;
#[cfg(feature = "std")]
mod permit;
mod quota;
mod quotas;
#[cfg(feature = "std")]
mod set_quota;
mod show;
mod try_acquire;

#[cfg(feature = "std")]
pub use acquire::{AcquireError, KeyRemoved, LimiterClosed, QueueFull, QueueLimit, TooLate};
#[cfg(feature = "std")]
pub use build::BuildError;
#[cfg(feature = "std")]
pub(crate) use build::BuildErrorKind;
#[cfg(feature = "std")]
pub(crate) use limit_name::LimitName;
#[cfg(feature = "std")]
pub use permit::{AcquirePermitError, JoinedTwice, NoPermit, TimedOut, TryAcquirePermitError};
pub use quota::QuotaError;
pub(crate) use quota::QuotaErrorKind;
pub use quotas::QuotasError;
pub(crate) use quotas::QuotasErrorKind;
#[cfg(feature = "std")]
pub use set_quota::SetQuotaError;
#[cfg(feature = "std")]
pub(crate) use set_quota::SetQuotaErrorKind;
pub(crate) use show::Wait;
pub use try_acquire::{ExceedsBurst, RateLimited, TableFull, TryAcquireError};
