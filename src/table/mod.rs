//! The keyed table: fingerprints to buckets, with lock-free hits and bounded memory.
//!
//! A **slot** holds a fingerprint and the packed word of its tenant's bucket. Four slots are a
//! **line** (one cache line), and two lines are a **group**. A key has four candidate lines: its
//! home line, the other line of that group, and the two lines of a second group. A call for a known
//! key loads its word and swaps it. Between the two it checks that the slot is still the key's; it
//! takes no lock. Tenants come, go and move under the lock of their **stripe**: every n-th group
//! belongs to one stripe, and both groups of a key belong to the same stripe.
//!
//! | file | concern |
//! |---|---|
//! | `fingerprint` | a key's hash, and the lines that it belongs in |
//! | `slots` | the memory, a slot, and a tenant in its slot |
//! | `policy` | the policy for a new key at a full table |
//! | `config` | the configuration of a table, and the bounds on its size |
//! | `state` | the table, its stripes, and finding a key |
//! | `stripe` | a stripe under its lock: placing, displacing and forgetting tenants |
//! | `eviction` | room for a new key when the table is full |
//! | `growth` | sweeping for buckets that may be forgotten, and doubling |
//! | `op` | an operation on a bucket, in a slot or out of it |
//! | `queued` | keys that callers wait on |
//! | `verbs` | the operations that limiters call |
//! | `change` | changes of the quota |
//! | `sizes` | the memory that a table takes |
//!
//! [`internals::table`](crate::internals::table) explains the protocol and proves it.

mod change;
mod config;
mod eviction;
mod fingerprint;
mod growth;
mod op;
mod policy;
mod queued;
mod sizes;
mod slots;
mod state;
mod stripe;
mod verbs;

pub(crate) use config::{Hook, MOST_KEYS, TableConfig, Waiters};
pub(crate) use fingerprint::Fingerprint;
pub use policy::{FullEvent, OnFull};
pub(crate) use queued::Arrival;
pub(crate) use sizes::{keys_within, memory_limit};
pub(crate) use slots::InSlot;
pub(crate) use state::Table;
