//! The permits of a concurrency limit: a packed word, and a queue for callers that wait.
//!
//! **The word counts.** One atomic word ([`PermitWord`]) has the limit, the permits in flight,
//! and the mark *queued*. To take a permit is one compare-exchange, and to give it back is one subtraction. Both
//! find the mark in the word that they change.
//!
//! **The queue grants.** A caller that finds no permit takes the lock of the queue (`queue`), and
//! either takes a permit after all, or marks the word, in one step. While the word is queued, a call takes no
//! permit by itself, and a thread that gives a permit back also serves the queue: under its lock, it takes the
//! permit again for the first waiter. So a permit is never promised and free at the same time.
//!
//! The list of waiters, and the dispatcher that refuses waiters at their deadlines, are those of
//! [`queue`](crate::queue). Unlike there, the word stays in its cell. A timer only refuses, and refusals do not
//! need the word.
//!
//! [`internals::permits`](crate::internals::permits) has the proofs.

mod cell;
mod keyed;
mod lone;
mod queue;
mod source;
mod word;

pub(crate) use keyed::KeyedPermits;
pub(crate) use lone::{Permits, Unavailable};
pub(crate) use queue::{Entered, PermitRefusal, PermitRequest, PermitWaiter};
pub(crate) use source::PermitSource;
pub(crate) use word::PermitWord;
