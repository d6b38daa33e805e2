//! [`Quota`]: a rate and a burst, valid by construction, with the layout of its words.

mod rate;
#[cfg(feature = "serde")]
mod serde;
mod text;
mod value;
mod window;

pub use text::{ParseQuotaError, QuotaTextError, Quotas};
pub use value::Quota;
