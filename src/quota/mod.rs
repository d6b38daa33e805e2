//! [`Quota`]: a rate and a burst, valid by construction, with the layout of its words; [`Quotas`]: several.

#[cfg(feature = "std")]
mod change;
mod name;
mod quotas;
mod rate;
#[cfg(feature = "serde")]
mod serde;
mod text;
mod value;
mod window;

#[cfg(feature = "std")]
pub(crate) use change::CarryOver;
#[cfg(feature = "std")]
pub use change::QuotaChange;
pub use quotas::Quotas;
pub use text::{ParseQuotaError, QuotaTextError};
pub use value::Quota;
