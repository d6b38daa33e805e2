//! [`Quota`]: a rate and a burst, valid by construction, with the layout of its words; [`Quotas`]: several.

mod name;
mod quotas;
mod rate;
#[cfg(feature = "serde")]
mod serde;
mod text;
mod value;
mod window;

pub use quotas::Quotas;
pub use text::{ParseQuotaError, QuotaTextError};
pub use value::Quota;
