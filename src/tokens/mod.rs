//! Amounts of tokens, and the decimal numbers that they are made from.

mod amount;
mod convert;
mod decimal;
mod error;

pub(crate) use amount::PICO;
pub use amount::Tokens;
pub(crate) use decimal::{Decimal, Round};
pub use error::TokensError;
