//! Models of several limits that are charged together, one for each hazard. Empty without `--cfg brimful_loom`.
//!
//! Models of a composite run on a `CompositeLimiter` and on a key of a `KeyedCompositeLimiter`. Models of `AllOf` run
//! on rate limiters, and on keys of keyed ones. The clock advances at every reading. After the threads have ended,
//! no waiter may sleep while its tokens are there, and no timer may be armed for later than the first waiter is due.
//! Each waiter is woken once, and ends. All waiters are in one queue, and none is kept. Each limit was charged
//! exactly for the admitted calls.
//!
//! An outcome has the calls of each thread in order, and a bar between threads. The waits that were still pending
//! at the end are in a last column:
//!
//! | letter | the call |
//! |---|---|
//! | `+` | admitted: every limit was charged |
//! | `-` | refused: no limit was charged |
//! | `g` | settled a reservation |
//! | `a` | added tokens |
//! | `w` | joined the queue |
//! | `.` | was polled, and still waits |
//! | `l` | cancelled its wait |
//! | `t` | failed: the tokens are not there by the deadline |
//! | `T` | the same, found by the timer alone, after the threads had ended |
//! | `e` | failed: the composite is closed |
//! | `n` | failed: the key was removed |
//! | `z` | closed the composite |
//! | `x` | removed the key |
//! | `c` | removed all keys |
#![cfg(brimful_loom)]

mod keyed;
mod leaving;
mod overtaking;
mod returning;
mod rollback;
