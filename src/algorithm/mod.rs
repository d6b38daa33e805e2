//! Pure steps over a [`Word`](crate::word::Word), with one file per algorithm.

pub(crate) mod token_bucket;
