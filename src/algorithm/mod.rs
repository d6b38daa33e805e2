//! Pure steps over a [`Word`](crate::word::Word), with one file per algorithm.
//! [`internals::word`](crate::internals::word#the-rules) has the rules and the proofs.

pub(crate) mod token_bucket;
