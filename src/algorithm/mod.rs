//! Pure steps over a [`Word`](crate::word::Word), one file an algorithm.

pub(crate) mod token_bucket;
