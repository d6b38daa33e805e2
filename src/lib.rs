//! A rate limiter: a token bucket in one atomic word, for one limit or for each of millions of
//! keys.
//!
//! A bucket holds at most a *burst* of tokens, earns them at a constant *rate*, and admits a
//! call that finds its cost there. All of its state is one `AtomicU64`, so a decision reads
//! the clock and swaps that word, takes no lock, and never waits for another thread. Who would
//! rather wait for the tokens than be refused stands in one fair queue.
//!
//! - [Quick start](#quick-start)
//! - [Keys](#keys)
//! - [Waiting](#waiting)
//! - [Which verb](#which-verb)
//! - [Promises](#promises)
//! - [Units and rounding](#units-and-rounding)
//! - [Clocks](#clocks)
//! - [Errors](#errors)
//! - [Testing](#testing)
//! - [Sharing, cost and memory ordering](#sharing-cost-and-memory-ordering)
//! - [Features](#features)
//! - [`from_python`]: the verbs of Python's limiters, and ours
//! - [`internals`]: the word derived, the queue explained, the promises proved
//!
//! # Quick start
//!
//! A [`Quota`] is a rate and a burst; a [`RateLimiter`] holds to it. A limiter for the whole
//! process is a `static`:
//!
//! ```
//! use brimful::{Quota, RateLimiter};
//!
//! static API: RateLimiter = RateLimiter::new(Quota::per_second(100).burst(200));
//!
//! if API.allow() {
//!     // serve
//! }
//! ```
//!
//! One that is made at run time is shared by reference, or in an [`Arc`](std::sync::Arc):
//!
//! ```
//! use brimful::{Quota, RateLimiter};
//! use std::sync::Arc;
//!
//! let quota: Quota = "100/s burst 200".parse()?;
//! let limiter = Arc::new(RateLimiter::new(quota));
//! let workers: Vec<_> = (0..4)
//!     .map(|_| {
//!         let limiter = limiter.clone();
//!         std::thread::spawn(move || limiter.try_acquire_n(3).is_ok())
//!     })
//!     .collect();
//! for worker in workers {
//!     assert!(worker.join().unwrap());
//! }
//! # Ok::<(), brimful::ParseQuotaError>(())
//! ```
//!
//! # Keys
//!
//! A [`KeyedRateLimiter`] has a bucket for each key: an address, a user, an API key, every type that
//! hashes. It takes 20 to 40 bytes a key, whatever the keys are, and never more than its limit. **A
//! full bucket carries almost no information**, so a key that was not used for a while is forgotten
//! when its place is needed. No clean-up has to be called, and no thread runs one.
//!
//! ```
//! use brimful::{KeyedRateLimiter, OnFull, Quota};
//!
//! let clients = KeyedRateLimiter::<String>::builder()
//!     .quota(Quota::per_minute(60).burst(10))
//!     .max_keys(100_000)
//!     .on_full(OnFull::Deny)
//!     .build()?;
//! assert!(clients.allow("192.0.2.7"));
//! assert_eq!(clients.available_tokens("192.0.2.7").floor(), 9.0);
//! assert_eq!(clients.len(), 1);
//! # Ok::<(), brimful::BuildError>(())
//! ```
//!
//! # Waiting
//!
//! [`acquire`](RateLimiter::acquire) waits until the tokens are there. It is a future, for any
//! runtime and without one; [`acquire_blocking`](RateLimiter::acquire_blocking) is the same for a
//! thread. Tasks and threads stand in one queue, and a `static` limiter has one too.
//!
//! ```
//! use brimful::{Quota, RateLimiter};
//!
//! static API: RateLimiter = RateLimiter::new(Quota::per_second(1000).burst(5));
//!
//! # async_io::block_on(async {
//! API.acquire().await?; // was there
//! API.acquire_n(5).await?; // the fifth token comes in a millisecond later
//! # Ok::<(), brimful::AcquireError>(())
//! # }).unwrap();
//!
//! let granted = API.acquire_n_blocking(2)?; // by a thread
//! println!("granted after {:?}, at {} ns", granted.waited(), granted.granted_at());
//! # Ok::<(), brimful::AcquireError>(())
//! ```
//!
//! **First come, first served, whatever it costs.** A call for 50 waits for 50, and is not
//! overtaken by calls for one. So while somebody waits, calls that do not wait are refused too, and
//! their [`retry_after`](RateLimited::retry_after) counts all who come first, as does
//! [`time_until`](RateLimiter::time_until). What the bucket holds meanwhile
//! ([`available_tokens`](RateLimiter::available_tokens)) is for those who wait.
//!
//! **A wait that is dropped loses nothing.** Whoever comes after it moves up; what it was granted
//! without having been told is given back. Nothing is charged before the grant, so whoever waits
//! has not paid.
//!
//! **The grant is what counts.** The window bound holds for the instants of the grants, which
//! [`Granted::granted_at`] tells. A busy executor may run those who were granted their tokens
//! one after the other all at once.
//!
//! ## Deadlines
//!
//! [`try_acquire_for`](RateLimiter::try_acquire_for) and
//! [`try_acquire_until`](RateLimiter::try_acquire_until), or [`within`](Acquire::within) and
//! [`until`](Acquire::until) on any wait, say how long it may take. **What cannot end in time is
//! refused at once**, since what those ahead cost is known. Where a commit goes into debt while one
//! waits, those who will be late by it are refused then; those who are kept waiting by calls of a
//! higher priority, at the deadline.
//!
//! ```
//! use brimful::{AcquireError, MockClock, Quota, RateLimiter};
//! use std::time::Duration;
//!
//! let limiter = RateLimiter::with_clock(Quota::per_second(10).burst(2), MockClock::new());
//! assert!(limiter.try_acquire_n(2).is_ok());
//!
//! // The clock stands still: this returns because it does not wait.
//! let refused = limiter.try_acquire_n_for_blocking(2, Duration::from_millis(199)).unwrap_err();
//! assert!(matches!(refused, AcquireError::TooLate(_)));
//! assert_eq!(refused.retry_after(), Some(Duration::from_millis(200)));
//! ```
//!
//! ## Priorities
//!
//! A call may be told to take only what leaves some tokens in the bucket:
//! [`leaving`](RateLimiter::leaving), or [`background`](RateLimiter::background) for a share of the
//! burst that the builder sets, a fifth unless told otherwise. **What a call leaves is its
//! priority**: among those who wait, who leaves less is served first, whenever it came; those who
//! leave as much are served in their order. A call that leaves less passes them, whether it waits
//! or not. So background work never takes the last tokens, and waits for as long as other work
//! keeps coming.
//!
//! ```
//! use brimful::{MockClock, Quota, RateLimiter};
//!
//! let limiter = RateLimiter::with_clock(Quota::per_second(10).burst(10), MockClock::new());
//! let background = limiter.background();
//! # async_io::block_on(async {
//! background.acquire_n(8).await?;
//! assert!(!background.allow()); // two are left, for others:
//! limiter.acquire_n(2).await?;
//! # Ok::<(), brimful::AcquireError>(())
//! # }).unwrap();
//! ```
//!
//! ## Functions that are limited
//!
//! [`wrap`](RateLimiter::wrap) makes of an async function one that waits for a token first, and
//! [`wrap_blocking`](RateLimiter::wrap_blocking) does so for one that is not async. The function
//! has one argument; several are a tuple.
//!
//! ```
//! use brimful::{Quota, RateLimiter};
//!
//! static API: RateLimiter = RateLimiter::new(Quota::per_second(100).burst(10));
//!
//! let get = API.wrap_blocking(|(host, path): (&str, &str)| format!("https://{host}{path}"));
//! assert_eq!(get(("example.org", "/index"))?, "https://example.org/index");
//! # Ok::<(), brimful::AcquireError>(())
//! ```
//!
//! ## Timers, lateness and crowds
//!
//! A limiter has one timer, however many wait, and on how many keys. By default it is one of
//! [async-io](https://docs.rs/async-io)'s, whose one thread serves the whole process, whatever the
//! runtime. With the feature `tokio`, `TokioTimer` wakes the waiters from within a runtime of tokio's, if
//! the builder is [given one](RateLimiterBuilder::timer); it also serves waiters in tokio's paused time.
//! A clock may bring its own, as [`MockClock`] does; any other is a [`Timer`] of yours.
//!
//! **Nobody is served early.** Whoever is alone is served as soon as the timer fires; where several
//! are due within a millisecond they are served by one look, up to a millisecond late, and each is
//! woken once. What comes in until then is kept, up to the burst: one of two milliseconds' worth or
//! more keeps the full rate.
//!
//! [`jitter`](Acquire::jitter) lets those who waited go on at random instants after their grants.
//! No more than [`max_waiters`](RateLimiterBuilder::max_waiters) wait at a time; more are refused.
//! In a keyed limiter a key has a queue of its own for as long as somebody waits on it, and is not
//! forgotten meanwhile; tasks on all keys are served in the order in which they are due; no more than
//! [`max_waiting_keys`](KeyedRateLimiterBuilder::max_waiting_keys) are waited on.
//!
//! # Which verb
//!
//! | you want | use |
//! |---|---|
//! | yes or no | [`allow`](RateLimiter::allow) |
//! | yes, or when to come back | [`try_acquire`](RateLimiter::try_acquire), [`try_acquire_n`](RateLimiter::try_acquire_n) |
//! | the numbers for response headers too | [`decide`](RateLimiter::decide) |
//! | to wait until the tokens are there | [`acquire`](RateLimiter::acquire), [`acquire_n`](RateLimiter::acquire_n); [`acquire_blocking`](RateLimiter::acquire_blocking), [`acquire_n_blocking`](RateLimiter::acquire_n_blocking) |
//! | to wait, but no longer than that | [`try_acquire_for`](RateLimiter::try_acquire_for), [`try_acquire_n_for`](RateLimiter::try_acquire_n_for), [`try_acquire_until`](RateLimiter::try_acquire_until), and their forms `*_blocking` |
//! | to take only what others can spare | [`background`](RateLimiter::background), [`leaving`](RateLimiter::leaving), [`try_acquire_leaving`](RateLimiter::try_acquire_leaving) |
//! | to limit a function | [`wrap`](RateLimiter::wrap), [`wrap_blocking`](RateLimiter::wrap_blocking) |
//! | to pay now for what is only known later | [`try_reserve_n`](RateLimiter::try_reserve_n), [`try_reserve_n_owned`](RateLimiter::try_reserve_n_owned) |
//! | to look, without taking | [`available_tokens`](RateLimiter::available_tokens), [`balance`](RateLimiter::balance), [`time_until`](RateLimiter::time_until) |
//! | to give tokens, or to forget | [`add_tokens`](RateLimiter::add_tokens), [`reset`](RateLimiter::reset) |
//! | no limit, without an `Option` | [`unlimited`](RateLimiter::unlimited) |
//!
//! Each that does not wait has a form `*_at(now_ns, ..)` that takes the time instead of reading the
//! clock. A [`KeyedRateLimiter`] has the same verbs with the key first (but not the functions), and
//! [`try_acquire_many`](KeyedRateLimiter::try_acquire_many), [`peek`](KeyedRateLimiter::peek),
//! [`remove`](KeyedRateLimiter::remove), [`clear`](KeyedRateLimiter::clear). Which quota:
//! [`Quota::per_second`] and its sisters, [`quota!`] for text that is checked at compile time,
//! [`Quota::try_from_rate`] for fractions.
//!
//! # Promises
//!
//! 1. **Window bound.** For all a ≤ b: the cost granted (acquired and reserved) to calls whose
//!    clock reading lies in [a, b], less what every give-back (cancel, commit of less,
//!    [`add_tokens`](RateLimiter::add_tokens), [`reset`](RateLimiter::reset)) added between the
//!    first and the last of them, is at most `burst + rate × (b − a)`. With any number of
//!    threads, in any interleaving, with readings that stall, differ between cores or run
//!    backwards. A call that waits counts at the instant of its grant, which
//!    [`granted_at`](Granted::granted_at) tells; it may hear of it later. The rate is the word's, higher than the quota's by less than one part in
//!    2⁶³. What a [`commit`](Reservation::commit) charges beyond its reservation is not
//!    granted; counted with it, the bound is `+ debt`.
//! 2. **No lost tokens.** A limiter that is full once, and then asked so often for a cost c
//!    that it is never full again, admits at least `burst + rate × T − c` less two units in a
//!    time T, less rate × σ where the cores' clocks disagree by σ. Where calls wait, their queue
//!    asks, when its timer wakes it. What a limiter holds is never above the exact value (but for
//!    the rate's own rounding, less than an eighth of a unit in 18 years) and never two units or
//!    more below it, however many operations have run.
//! 3. **Charge once, or not at all.** A call that is denied, refused, dropped while it waits, or
//!    panics, changes nothing. Giving back returns exactly the cost, clipped at the burst. A reservation is
//!    settled once: by [`commit`](Reservation::commit), by [`cancel`](Reservation::cancel), or
//!    when it is dropped.
//! 4. **FIFO.** Within a priority class whoever waits is served in order of arrival, whatever it
//!    asked for; a call that begins after an enqueue has completed never overtakes it. An enqueue
//!    is the first poll of a wait; a class is what a call leaves in the bucket.
//! 5. **Bounded.** A [`KeyedRateLimiter`] never has more keys than it may, nor takes more memory
//!    for them than it states. Forgetting a key never gives it more than its exact bucket would have
//!    held. No more wait, and on no more keys, than the builder was told. The first four promises
//!    hold for each key by itself.
//! 6. **Total.** No input panics after construction. Every [`Quota`] that exists is valid. A
//!    limiter is exact for 18 years (2⁵⁹ ns) of its clock, and earns nothing after.
//!
//! Time is as the limiter's clock tells it; the clock's own error is [`clock_health`]'s to
//! tell. The proofs are in [`internals`].
//!
//! # Units and rounding
//!
//! A limiter counts in whole *units*, a fraction of a token that the quota chose: what is
//! earned in one nanosecond, where a token takes a whole number of nanoseconds (100/s, 60/min,
//! 5000/h), and nothing is ever rounded. At other rates (3/s, 7/min) it is what is earned in
//! one to two and a half. [`Quota::resolution`] is the unit, in tokens: 10⁻⁷ at 100/s, much
//! of a token at the highest rates, a whole one at 10⁹/s. Units are coarser in time only where
//! finer ones do not fit: where burst and debt together take some fifty years to refill, or
//! one token a month.
//!
//! Rounding has a side: costs up to a unit, bursts and debts down, durations up to the
//! nanosecond. The instant that [`time_until`](RateLimiter::time_until) or
//! [`retry_after`](RateLimited::retry_after) names is sufficient, and one nanosecond earlier is
//! not. A header in whole seconds has to be rounded up too: see `examples/headers.rs`.
//!
//! Between two units, a full bucket that is taken from starts counting at the later one.
//! So at the rates that are rounded, a second call for all of the rest may be refused for up
//! to three nanoseconds after the first; and where every call costs the whole burst (a burst
//! of 1, say), the bucket is full whenever it admits, and each loses up to a unit: at 3/s, 5
//! parts in 10⁹ of the rate.
//!
//! # Clocks
//!
//! The default, [`QuantaClock`], reads the CPU's time-stamp counter where the operating system
//! trusts it, and [`Instant`](std::time::Instant) where not; [`clock_health`] tells which, and
//! why. Its first use calibrates it, which takes about 5 ms. Any other [`Clock`] goes to
//! [`RateLimiter::with_clock`]: one method, which returns nanoseconds since an origin near its
//! start. [`CoarseClock`] tells the time as of a while ago, in a load.
//!
//! The promises hold whatever the clock does, because a reading counts as itself: it is never
//! replaced by a later one that another thread has seen. A reading that is behind sees fewer
//! tokens, never more; a denial by one from an earlier tick than the last write (a tick is about
//! as long as the bucket takes to refill), or that another thread overtook, reads the clock once
//! more before it stands. A reading far ahead earns at most a burst. Once it was recorded (a call
//! was admitted by it), correct readings see an empty bucket until they catch up;
//! [`reset`](RateLimiter::reset) cures that.
//!
//! Do not mix the `*_at` forms with the others on one limiter, unless the times have the
//! clock's origin.
//!
//! # Errors
//!
//! [`TryAcquireError`] says whether to come back ([`RateLimited`], with
//! [`retry_after`](RateLimited::retry_after), computed when asked for) or not to
//! ([`ExceedsBurst`]: the cost is above the burst); a keyed limiter that is full says so of a new
//! key ([`TableFull`]). Nothing was charged.
//!
//! [`AcquireError`] is of those who wait, where there is nothing to wait for: the cost is above the
//! burst ([`ExceedsBurst`]), it takes longer than it may ([`TooLate`]: when it would have ended), as
//! many wait as may ([`QueueFull`]), a new key has no place ([`TableFull`]), or the key was removed
//! meanwhile ([`Forgotten`]). Nothing was charged either.
//!
//! [`QuotaError`], [`ParseQuotaError`], [`TokensError`] and [`BuildError`] come from construction and say what
//! would be right. All implement [`Error`](std::error::Error).
//!
//! # Testing
//!
//! [`MockClock`] stands still until it is told to move; clones share the time. Make your code
//! generic over the limiter's clock, or have it take the time and use the `*_at` forms:
//!
//! ```
//! use brimful::{MockClock, Quota, RateLimiter, TryAcquireError};
//! use std::time::Duration;
//!
//! let clock = MockClock::new();
//! let limiter = RateLimiter::with_clock(Quota::per_minute(5), clock.clone());
//! assert!(limiter.try_acquire_n(5).is_ok());
//!
//! let refused = limiter.try_acquire().unwrap_err();
//! let wait = refused.retry_after().unwrap();
//! assert_eq!(wait, Duration::from_secs(12));
//!
//! clock.advance(wait - Duration::from_nanos(1));
//! assert!(!limiter.allow());
//! clock.advance(Duration::from_nanos(1));
//! assert!(limiter.allow());
//! assert!(matches!(limiter.try_acquire_n(6), Err(TryAcquireError::ExceedsBurst(_))));
//! ```
//!
//! It drives those who wait as well, so that no test has to sleep. [`testing`] is the page on that:
//! how code is given its clock, waits by hand, under a runtime and by threads, keys, and clocks
//! that go wrong.
//!
//! # Sharing, cost and memory ordering
//!
//! A decision is one load, one reading of the clock, one multiplication and one
//! compare-and-swap; a denial writes nothing and divides nothing. Reading the clock is most of
//! it: `cargo xtask bench contention` in the repository measures both, beside peers. Threads
//! on one limiter share one cache line, which is its ceiling. A limiter has that line (and on
//! common processors its neighbour) to itself, so put it where it stays: in a `static`, in an
//! `Arc`.
//!
//! While somebody waits, calls on that bucket take the lock of its queue, for about as long as a
//! decision takes; nobody is woken, and no timer is touched, under it.
//!
//! Every change of a bucket is one acquire-release operation on one word, or is made under that
//! lock, so all changes are totally ordered, and what a thread did before it gave tokens back happens before what a
//! thread does that is admitted by a later change. Loads are relaxed: a denial, or a look,
//! orders nothing, and may be of a bucket a moment ago. Do not publish data through a limiter.
//!
//! # Features
//!
//! - `std`, on by default: the clocks, [`RateLimiter::new`], [`RateLimiter::unlimited`],
//!   [`RateLimiter::builder`], [`OwnedReservation`], [`KeyedRateLimiter`], and calls that leave
//!   tokens for others. Without it: quotas, tokens, errors, and limiters that are driven by a clock
//!   of yours ([`RateLimiter::with_clock`]). `alloc` and 64-bit atomics are needed in any case.
//! - `wait`, on by default, with `std`: the verbs that wait, for tasks on any runtime and for
//!   threads.
//! - `serde`: [`Quota`] and [`Quotas`] are written as texts. They are read from that, or from a map
//!   with a `rate` and, if need be, a `burst`, an `initial` and a `debt`, each a number or a text;
//!   [`Quotas`] also from a list of either. Binary formats know the text only, and so does
//!   `serde_json` for numbers where its `arbitrary_precision` is on.
//! - `tokio`, with `wait`: `TokioTimer`, for limiters whose builder is told to use it. Nothing else
//!   changes: without it, those who wait may be tasks of tokio's as well.
#![cfg_attr(not(feature = "std"), no_std)]
// The guide is of all features.
#![cfg_attr(not(feature = "wait"), allow(rustdoc::broken_intra_doc_links, rustdoc::private_intra_doc_links))]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(all(test, not(feature = "std")))]
extern crate std;

#[doc = include_str!("from_python.md")]
pub mod from_python {}

#[doc = include_str!("internals.md")]
pub mod internals {}

#[cfg(all(feature = "wait", not(brimful_loom)))]
#[doc = include_str!("testing.md")]
pub mod testing {}

mod algorithm;
mod cell;
mod clock;
mod decimal;
mod error;
mod limiter;
mod quota;
mod sync;
#[cfg(feature = "std")]
mod table;
mod tokens;
#[cfg(feature = "wait")]
mod wait;
mod word;

pub use clock::Clock;
#[cfg(all(feature = "std", not(brimful_loom)))]
pub use clock::MockClock;
#[cfg(feature = "tokio")]
pub use clock::TokioTimer;
#[cfg(feature = "std")]
pub use clock::{ClockHealth, ClockSource, CoarseClock, CoarseUpkeep, QuantaClock, Timer, clock_health};
#[cfg(feature = "std")]
pub use error::BuildError;
#[cfg(feature = "wait")]
pub use error::{AcquireError, Forgotten, QueueFull, TooLate};
pub use error::{ExceedsBurst, QuotaError, RateLimited, TableFull, TokensError, TryAcquireError};
#[cfg(feature = "wait")]
pub use limiter::{Acquire, Granted, KeyedAcquire, Limited, OwnedAcquire, OwnedKeyedAcquire};
pub use limiter::{Decision, RateLimiter, Reservation};
#[cfg(feature = "std")]
pub use limiter::{
    KeyedRateLimiter, KeyedRateLimiterBuilder, KeyedReservation, Leaving, OwnedKeyedReservation, OwnedReservation,
    RateLimiterBuilder, SipHasher, SipState,
};
pub use quota::{ParseQuotaError, Quota, QuotaTextError, Quotas};
#[cfg(feature = "std")]
pub use table::{FullEvent, OnFull};
pub use tokens::Tokens;

/// Compiles the README's examples.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
