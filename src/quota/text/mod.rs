//! Quotas as text: `100/s burst 200`.

mod error;
mod list;
mod literal;
mod parse;
mod read;
mod show;
#[cfg(test)]
mod tests;
mod words;

pub use error::{ParseQuotaError, QuotaTextError};
#[cfg(feature = "serde")]
pub(super) use list::named;
pub(super) use list::{MOST, list};
#[cfg(feature = "serde")]
pub(super) use parse::{Base, Misfit, combined, rate, tokens};
