//! [`Quota`]: a rate and a burst, valid by construction, with the layout of its words.

#[cfg(feature = "std")]
mod change;
mod rate;
#[cfg(feature = "serde")]
mod serde;
mod text;
mod value;

#[cfg(feature = "std")]
pub(crate) use change::CarryOver;
#[cfg(feature = "std")]
pub use change::QuotaChange;
pub use text::{ParseQuotaError, QuotaTextError, Quotas};
pub use value::Quota;
