//! Pure steps over a [`Word`](crate::word::Word), with one file per algorithm.
//! [`internals::word`](crate::internals::word#the-rules) has the rules and the proofs.

#[cfg(feature = "std")]
mod era;
#[cfg(feature = "std")]
mod piece;
mod terms;
pub(crate) mod token_bucket;

#[cfg(feature = "std")]
pub(crate) use era::{Carry, Era, EraLog, Eras, MOST_ERAS};
#[cfg(feature = "std")]
pub(crate) use piece::Piece;
pub(crate) use terms::Terms;
