//! brimful
#![cfg_attr(not(feature = "std"), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod algorithm;
mod cell;
mod clock;
mod decimal;
mod error;
mod limiter;
mod quota;
mod sync;
mod tokens;
mod word;

pub use clock::*;
pub use error::{BuildError, ExceedsBurst, QuotaError, RateLimited, TokensError, TryAcquireError};
pub use limiter::*;
pub use quota::{ParseQuotaError, Quota, QuotaTextError};
pub use tokens::Tokens;
