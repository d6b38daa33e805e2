//! Random and mutated headers, each against a second reading of its text that shares no code with the crate.
//!
//! `BRIMFUL_FUZZ_INPUTS` sets the inputs of each test: by default few, so that all of them take seconds.

mod forwarding;
mod random;
mod server_limits;
