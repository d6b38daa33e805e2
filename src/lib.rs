//! A rate limiter: a token bucket in one atomic word, for one limit or for each of millions of keys.
//!
//! A bucket holds at most a *burst* of tokens, is refilled at a constant *rate*, and admits a call if it holds the
//! call's cost. The whole state is one `AtomicU64`. An admission reads the clock, and then compares and swaps that
//! word, and tries again if another thread was faster. A denial does not write to the bucket. Neither takes a lock,
//! unless callers wait on that bucket or the key is new. Callers that choose to wait join the bucket's queue, and get
//! tokens before later calls of the same priority. All state is in this process.
//!
//! - Use it: [Quick start](#quick-start), [Which method](#which-method), [Quotas](#quotas), [Costs](#costs),
//!   [Keys](#keys), [Several limits](#several-limits)
//! - Wait and settle: [Waiting](#waiting), [Reservations](#reservations), [Priorities](#priorities),
//!   [Concurrency](#concurrency)
//! - Run it: [Statistics](#statistics), [Time](#time), [Proxies and IPv6](#proxies-and-ipv6), [Errors](#errors)
//! - Rely on it: [Guarantees](#guarantees), [Sharing](#sharing-and-memory-ordering), [Features](#features)
//! - Further pages: [`testing`] with a mock clock; [`llm_limits`], the limits of LLM APIs; [`from_python`], the methods
//!   of Python's limiter libraries; [`internals`], the layout and the arithmetic of a bucket's word, and the proofs of
//!   the guarantees
//!
//! # Quick start
//!
//! A [`Quota`] is a rate and a burst. A [`RateLimiter`] enforces it, and can be a `static`:
//!
//! ```
//! use brimful::{Quota, RateLimiter};
//!
//! static API: RateLimiter = RateLimiter::new(Quota::per_second(100).burst(200));
//!
//! assert!(API.allow()); // serve
//! ```
//!
//! A limiter that is made at run time, `RateLimiter::new("100/s burst 200".parse()?)`, is shared by reference, or in an
//! [`Arc`](std::sync::Arc).
//!
//! # Which method
//!
//! | purpose | method |
//! |---|---|
//! | get yes or no | [`allow`](RateLimiter::allow) |
//! | get yes, or when to retry | [`try_acquire`](RateLimiter::try_acquire), [`try_acquire_n`](RateLimiter::try_acquire_n) |
//! | get the numbers for response headers | [`decide`](RateLimiter::decide). [`leaving(0).peek()`](Bucket::peek) returns the same numbers and takes nothing |
//! | wait until the tokens are there | [`acquire`](RateLimiter::acquire), [`acquire_n`](RateLimiter::acquire_n) with `.await` or [`.wait()`](Acquire::wait); for threads also [`acquire_blocking`](RateLimiter::acquire_blocking), [`acquire_n_blocking`](RateLimiter::acquire_n_blocking) |
//! | wait, but no longer than a timeout | the same with [`.within(timeout)`](Acquire::within) or [`.until(deadline_ns)`](Acquire::until) |
//! | wait in a spawned task | [`acquire_n_owned`](RateLimiter::acquire_n_owned) |
//! | pay now for a cost that is known later | [`try_reserve_n`](RateLimiter::try_reserve_n), [`try_reserve_n_owned`](RateLimiter::try_reserve_n_owned); [`reserve_n`](RateLimiter::reserve_n) waits; [`settle_later`](RateLimiter::settle_later) makes a reservation of tokens that another method took |
//! | leave tokens for other calls | [`background`](RateLimiter::background), [`leaving`](RateLimiter::leaving) |
//! | limit a function | [`wrap`](RateLimiter::wrap), [`wrap_blocking`](RateLimiter::wrap_blocking) |
//! | give the time instead of reading the clock | [`at`](RateLimiter::at) |
//! | look, and take nothing | [`available_tokens`](RateLimiter::available_tokens): what a call could take now; [`balance`](RateLimiter::balance): what the bucket holds, negative if a [`commit`](#reservations) took it below zero; [`time_until`](RateLimiter::time_until): how long until a cost can be taken |
//! | add tokens, or fill the bucket | [`add_tokens`](RateLimiter::add_tokens), [`reset`](RateLimiter::reset) |
//! | change the quota | [`set_quota`](RateLimiter::set_quota) |
//! | admit nothing for a time | [`pause_for`](RateLimiter::pause_for) |
//! | end all waits | [`close`](RateLimiter::close) |
//! | admit every call (replaces `Option<RateLimiter>`) | [`unlimited`](RateLimiter::unlimited) |
//!
//! A *verb* is a method that takes tokens, waits for them, or looks at the bucket. `leaving` and `background` return a
//! view of the limiter, a [`Bucket`]. `at` returns a [`BucketAt`], which has only the verbs that do not wait. Views
//! compose: `limiter.at(now_ns).leaving(20).try_acquire()`.
//!
//! # Quotas
//!
//! For whole rates there are [`Quota::per_second`], [`per_minute`](Quota::per_minute), [`per_hour`](Quota::per_hour),
//! [`per_day`](Quota::per_day), and [`Quota::new`] for any period. [`quota!`] reads text such as `100/s burst 200` at
//! compile time, and [`parse`](str::parse) at run time. [`Quota::try_from_rate`] takes fractions. The burst is the
//! amount per period (100 for `per_second(100)`), unless [`burst`](Quota::burst) sets another. A bucket starts full,
//! unless [`initial`](Quota::initial) sets fewer tokens.
//!
//! A quota of n per period, with its default burst of n, can admit nearly 2n in a period that begins with a full
//! bucket: the burst, and what the bucket earns meanwhile. If a server counts the calls in a window,
//! [`Quota::at_most(n, window)`](Quota::at_most) makes the quota that admits at most n tokens in any window of that
//! length (with its first instant, and without its last), if costs are whole tokens. Its burst is n/2, rounded up, so
//! its lasting rate is about n/2 per window. As text: `at most 100 in 1min`.
//!
//! Every `Quota` that exists is valid. If a number is invalid, a constructor panics, which in a constant is a compile
//! error. For configured numbers, [`try_new`](Quota::try_new) and [`try_burst`](Quota::try_burst) return an error
//! instead. A bucket has one quota. To check a call against several quotas, use a
//! [`CompositeLimiter`](#several-limits). [`Quotas`] is a list of quotas with names: `short: 100/s; daily: 50000/day`.
//!
//! **A quota can be changed** while calls take tokens and wait: every rate limiter has
//! [`set_quota`](RateLimiter::set_quota). A [`QuotaChange`] says whether the bucket's tokens, or its
//! [debt](#reservations), are kept, scaled or reset. A call that overlaps the change is decided by either quota, a
//! later call by the new one. The grant times of waiters are computed anew at once. On a keyed limiter, the time that a
//! change takes does not depend on the number of keys, only on the number of keys that have waiters. The rate, the
//! burst and the debt limit may not exceed those of the first quota, unless the builder sets a higher quota by
//! [`up_to`](RateLimiterBuilder::up_to). [`pause_for`](RateLimiter::pause_for) makes the limiter admit nothing for a
//! time, such as the one in a server's `Retry-After`: until it ends, calls that do not wait are refused with the time
//! left, and so are waiters with an earlier deadline; the others go on waiting. A
//! [`DemandLimit`](adaptive::DemandLimit) follows its calls: after each period, a second by default, its refill becomes
//! the mean of the refill so far and the tokens that calls asked for in that period, rounded up, and never above a
//! maximum.
//!
//! A limiter counts in *units*. One unit is usually a fraction of a token. At the highest rates, such as 10⁹/s, it is a
//! whole token. A token is a whole number of units, so whole costs are not rounded. If a token is earned in a whole
//! number of nanoseconds (100/s, 60/min, 5000/h), a unit is the amount earned in one nanosecond. At nearly all other
//! rates (3/s, 7/min), it is the amount earned in 1 to 2.5 ns. [`Quota::resolution`] returns the unit in tokens, and
//! its documentation lists the quotas with coarser units.
//!
//! Costs are rounded up to whole units, and bursts and debt limits down. Durations are rounded up to whole nanoseconds.
//! So the wait that [`time_until`](RateLimiter::time_until) or [`retry_after`](RateLimited::retry_after) returns is
//! sufficient if no other call comes first. It is also the shortest: one nanosecond earlier, the limiter would still
//! refuse. A header in whole seconds must be rounded up too: see `examples/headers.rs`.
//!
//! # Costs
//!
//! A cost is an `impl Into<`[`Tokens`]`>`. Integer literals and values of type `u32` convert. Other numbers come from
//! `Tokens::try_from(2.5)?` or from text. A cost of zero charges nothing, and is always admitted, even by an empty
//! bucket, except during a pause. A cost above the burst can never be admitted under this quota and returns an error at
//! once; with `leaving(n)`, so does a cost above the burst less n.
//!
//! # Keys
//!
//! A [`KeyedRateLimiter`] has a bucket for each key: an address, a user, any hashable type, even [tuples of
//! references](KeyedRateLimiter#keys-of-several-parts). It stores a 59-bit hash in place of the key. Among ten million
//! keys, the probability that two share a bucket is about 1 in 10 000. The default hasher resists collisions that an
//! attacker chooses. The limiter takes 20 to 50 bytes for each key, 30 on average, for keys of any type; the memory for
//! keys never exceeds [`memory_limit`](KeyedRateLimiter::memory_limit). **A full bucket is like a new one** (unless the
//! quota sets [`initial`](Quota::initial): then a forgotten key starts with that amount again), so a key whose bucket
//! has been full for [10 seconds](KeyedRateLimiterBuilder::forget_after) is forgotten when a new key needs its place in
//! the table. [`max_keys`](KeyedRateLimiterBuilder::max_keys) bounds the known keys, a million by default. At that
//! limit, a new key replaces a key whose bucket is full, for however short a time, if a short search finds one. If not,
//! it *evicts*, of a few keys, the one whose bucket is closest to full. With [`OnFull::Deny`], or if each of them holds
//! less than a token, the new key is refused. The table has parts, each with its own lock. After an eviction, a new key
//! in that part [starts with at most the tokens that the evicted key would hold by then](OnFull::EvictLeastDebt), so an
//! eviction gives no key any tokens. While a flood of new keys lasts, other new keys may be denied too. A key whose
//! bucket holds less than a token is never evicted. All this needs no clean-up call and no background thread.
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
//!
//! let client = clients.key("192.0.2.7"); // a `Bucket`, with every verb
//! assert_eq!(client.available_tokens().floor(), 9.0);
//! assert!(client.leaving(5).try_acquire_n(4).is_ok());
//! # Ok::<(), brimful::BuildError>(())
//! ```
//!
//! The most common verbs are also methods of the limiter, with the key first. Further methods are
//! [`try_acquire_many`](KeyedRateLimiter::try_acquire_many), which overlaps the memory accesses of many keys,
//! [`remove`](KeyedRateLimiter::remove) and [`clear`](KeyedRateLimiter::clear).
//!
//! # Waiting
//!
//! [`acquire`](RateLimiter::acquire) waits until the tokens are there. It returns a future that works on any runtime;
//! [`acquire_blocking`](RateLimiter::acquire_blocking) is the same for a thread. Tasks and threads share one queue.
//!
//! ```
//! use brimful::{AcquireError, MockClock, Quota, RateLimiter};
//! use std::time::Duration;
//!
//! static API: RateLimiter = RateLimiter::new(Quota::per_second(1000).burst(5));
//!
//! let granted = API.acquire_n_blocking(2)?; // in a task: `API.acquire_n(2).await?`
//! println!("granted after {:?}, at {} ns", granted.waited(), granted.granted_at());
//!
//! let limiter = RateLimiter::with_clock(Quota::per_second(10).burst(2), MockClock::new());
//! assert!(limiter.try_acquire_n(2).is_ok());
//! // The deadline cannot be met, so this returns at once. (The clock stands still.)
//! let refused = limiter.acquire_n(2).within(Duration::from_millis(199)).wait().unwrap_err();
//! assert!(matches!(refused, AcquireError::TooLate(_)));
//! assert_eq!(refused.retry_after(), Some(Duration::from_millis(200)));
//! # Ok::<(), brimful::AcquireError>(())
//! ```
//!
//! **Waiters of the same priority are served in order of arrival, regardless of their costs.** A waiter for 50 tokens
//! is not overtaken by calls for one. While callers wait, the tokens in the bucket are for them: calls that do not wait
//! are refused, unless they have a higher [priority](#priorities) than every waiter, or cost nothing.
//! [`retry_after`](RateLimited::retry_after) and [`time_until`](RateLimiter::time_until) include the waiters that come
//! first.
//!
//! **A dropped wait loses no tokens.** Later waiters move up, and tokens that were granted to a future that has not
//! completed are given back. Nothing is charged before the grant.
//!
//! **A wait that cannot meet its deadline is refused at once**, because the costs of the waiters ahead are known.
//! [`within`](Acquire::within) and [`until`](Acquire::until) set the deadline. If a later `commit` takes the bucket
//! into [debt](#reservations), waits that can no longer meet their deadlines fail at that moment. A wait that is
//! delayed by calls of a higher priority fails at its deadline.
//!
//! **Waiters are never granted tokens early**, and usually at most a millisecond [late](RateLimiter#lateness). The
//! default [`Timer`] is a thread that all limiters of the process share. With the feature `tokio`, `TokioTimer` wakes
//! waiters from within a tokio runtime, if the builder is [given one](RateLimiterBuilder::timer). A clock can supply
//! its own timer, as [`MockClock`] does.
//!
//! **A delayed task can make several calls in quick succession**, because the [window bound](#guarantees) applies to
//! grants ([`granted_at`](Granted::granted_at)) and not to the moment at which a task resumes. A delayed task finishes
//! the granted call, and can then make up to a burst of calls at once. If an executor holds up several tasks for a time
//! d, the calls in a window are bounded by `burst + rate × (window + d)`. If the service that is called does not
//! tolerate this, use a loop of [`try_acquire`](RateLimiter::try_acquire) that sleeps for `retry_after`: each decision
//! is made while the task runs, but the order of arrival is lost. Or give each wait a short
//! [`within(t)`](Acquire::within): then tasks that are held up at the same time are granted at most `burst + rate × t`,
//! however long it lasts. (Their calls may come on top of the burst that the bucket has earned since.)
//!
//! **A task that always finds tokens does not yield**: its `.await` completes at once, and it can keep the other tasks
//! of its thread from running. [`Acquire`](Acquire#yielding) shows how to make such waits count against tokio's budget.
//!
//! **The queue is bounded.** [`max_waiters`](RateLimiterBuilder::max_waiters) is 1 048 576 by default. A keyed limiter
//! has [65 536 for each key](KeyedRateLimiterBuilder::max_waiters). If the queue is full, a further call fails with
//! [`QueueFull`]. But if it has a higher [priority](#priorities) than the last waiter, it is queued by its priority,
//! and the last waiter fails. The waiters of one bucket can have at most 64 different priorities besides the highest; a
//! further one fails with `QueueFull`. [`max_waiting_keys`](KeyedRateLimiterBuilder::max_waiting_keys), 131 072 by
//! default, bounds the keys that callers wait on. Such a key has a queue of its own and is not forgotten. Across keys,
//! waiters are served in the order in which their tokens become available.
//!
//! **Jitter.** [`jitter`](Acquire::jitter) delays the completion of a granted wait by a random time: the tokens are
//! charged at the grant, later waiters are not delayed, and until it completes, the wait counts towards `max_waiters`.
//!
//! [`close`](RateLimiter::close) ends all present and future waits on a `RateLimiter` with an error, for a shutdown.
//! Calls that do not wait still work. (A [`ConcurrencyLimit`](ConcurrencyLimit::close) that is closed refuses those
//! too.) [`wrap`](RateLimiter::wrap) makes an async function wait for a token before each call, and
//! [`wrap_blocking`](RateLimiter::wrap_blocking) does so for other functions. The function takes one argument; use a
//! tuple for several. The documentation of `wrap` has a recipe for spawned tasks.
//!
//! # Reservations
//!
//! A [`Reservation`] holds tokens that were taken for a cost that is known later.
//! [`commit(actual)`](Reservation::commit) gives back the rest, or charges the missing tokens. A charge can take the
//! bucket into *debt*: below zero, by default by at most one burst; [`max_debt`](Quota::max_debt) sets another bound.
//! `commit` returns the number of tokens that this bound left uncharged. [`cancel`](Reservation::cancel), or dropping
//! the reservation, gives all tokens back.
//!
//! **To count only failures**, reserve before the attempt and cancel on success. Attempts that run at the same time
//! hold their tokens, so together they cannot exceed the limit:
//!
//! ```
//! use brimful::{KeyedRateLimiter, MockClock, Quota, TryAcquireError};
//!
//! let logins = KeyedRateLimiter::<str, _>::with_clock(Quota::per_hour(3), MockClock::new());
//! let login = |user: &str, password: &str| {
//!     let attempt = logins.key(user).try_reserve_n(1)?;
//!     let correct = password == "secret";
//!     if correct {
//!         attempt.cancel();
//!     } else {
//!         attempt.commit(1);
//!     }
//!     Ok::<bool, TryAcquireError>(correct)
//! };
//! assert!((0..10).all(|_| login("alice", "secret") == Ok(true)));
//! assert!((0..3).all(|_| login("alice", "guess") == Ok(false)));
//! assert!(login("alice", "secret").is_err());
//! ```
//!
//! # Priorities
//!
//! A call can require that `n` tokens stay in the bucket: [`leaving(n)`](RateLimiter::leaving), or
//! [`background()`](RateLimiter::background), which leaves a fifth of the burst, unless the builder sets another share.
//! **The less a call leaves, the higher its priority.** A plain call need not leave any tokens, and has the highest
//! priority. Waiters that leave less are served first; waiters that leave the same are served in order of arrival. A
//! call passes all waiters of lower priority, even if it does not wait. So background work never takes the last tokens,
//! and waits while other calls keep fewer tokens in the bucket than the background call costs and must leave. See
//! [`Bucket`].
//!
//! # Concurrency
//!
//! A rate bounds the calls that begin in a period. A [`ConcurrencyLimit`] bounds the calls that run at the same time:
//! each holds a [`Permit`], which is given back when it is dropped, even during a panic. A [`KeyedConcurrencyLimit`]
//! has a limit for each key, and uses memory only for keys in use. Waiters are served in order of arrival;
//! [`resize`](ConcurrencyLimit::resize) changes the limit, and a limit of 0 admits none until the next `resize`.
//!
//! ```
//! use brimful::ConcurrencyLimit;
//!
//! static DATABASE: ConcurrencyLimit = ConcurrencyLimit::new(16);
//!
//! let permit = DATABASE.acquire_blocking()?; // in a task: `DATABASE.acquire().await?`
//! drop(permit);
//! # Ok::<(), brimful::AcquirePermitError>(())
//! ```
//!
//! # Several limits
//!
//! A [`CompositeLimiter`] holds several quotas at once, and a [`KeyedCompositeLimiter`] holds them for each key. A call
//! is charged to all of them or to none. The error names the limit that refused the call. If several did, it names the
//! one with the longest wait. [`decide`](CompositeLimiter::decide) returns the numbers of each. Waiters are served in
//! order, and are charged when all limits admit them.
//!
//! ```
//! use brimful::CompositeLimiter;
//!
//! let limiter = CompositeLimiter::new("short: 100/s burst 200; daily: 50000/day".parse()?);
//! if let Err(refused) = limiter.try_acquire_n(201) {
//!     println!("{refused}"); // limit "short": a cost of 201 tokens can never be admitted …
//! }
//! # Ok::<(), brimful::ParseQuotaError>(())
//! ```
//!
//! [`AllOf`] joins, for one call, limits that differ in kind, key and cost: the limiter of all requests, a tenant's
//! bucket, a user's LLM tokens, a [`ConcurrencyLimit`]. It too charges all or none. A
//! [`ModelLimiter`](model::ModelLimiter) limits the calls to LLM APIs: see [`llm_limits`].
//!
//! # Statistics
//!
//! A limiter whose builder was asked for [`stats`](RateLimiterBuilder::stats) counts its calls and tokens by outcome,
//! its waits, refunds, changes of the quota, and keys. [`stats()`](RateLimiter::stats) returns them as [`Stats`], which
//! can be printed; [`take_stats()`](RateLimiter::take_stats) also resets the counters. A limiter made by
//! [`RateLimiter::new`] has none.
//!
//! A limiter of several quotas counts each call once, and the refusals of each limit ([`CompositeLimiter::stats`]). A
//! concurrency limit counts its permits ([`ConcurrencyLimit::stats`]).
//!
//! If the builder was asked for [`top_denied(k)`](KeyedRateLimiterBuilder::top_denied), a keyed limiter also counts
//! denials for each key, approximately and in fixed memory. [`top_denied()`](KeyedRateLimiter::top_denied) returns the
//! [ids](KeyedRateLimiter::key_id) of the k keys with the highest counts, and by how much each count can be too high.
//! They are ids because a limiter keeps no keys.
//!
//! With the features `metrics` and `tracing`, `emit_stats()` passes the statistics to the program's metrics recorder
//! and tracing subscriber, with the limiter's [name](RateLimiterBuilder::name) and the names of its limits as labels,
//! and never with a key. Calls on the limiter only raise counters. The program decides when to emit: in a task that
//! calls `emit_stats()` every ten seconds, or by `emit_stats_every(period)` in code that runs often anyway.
//!
//! # Time
//!
//! The default clock, [`QuantaClock`], reads the CPU's time-stamp counter if it can be calibrated and, on Linux, unless
//! the kernel says that it does not trust it. If not, it reads [`Instant`](std::time::Instant). [`clock_health`]
//! reports which, and why. The clock's first use calibrates it, which takes about 5 ms. Pass any other [`Clock`] to
//! [`RateLimiter::with_clock`]. A `Clock` has one required method, which returns the nanoseconds since an origin near
//! the start of the program. [`CoarseClock`] loads the time of its last update, which is usually at most a millisecond
//! old. [`at(now_ns)`](RateLimiter::at) takes the time instead of reading the clock, for replays and simulations. Do
//! not mix it with the clock on one limiter, unless the times have the clock's origin.
//!
//! The [window bound](#guarantees) holds for every clock: each call is decided by its own reading, even after another
//! thread has seen a later one. A reading that is behind sees fewer tokens, never more. Before a call is denied by a
//! reading that may be behind, it reads the clock once more. A reading that is far ahead adds at most one burst. Once a
//! call has been admitted by such a reading, correct readings see an emptier bucket until the clock catches up;
//! [`reset`](RateLimiter::reset) ends this.
//!
//! [`MockClock`] stands still until it is moved, and drives waiters too, so no test has to sleep. Tokio's paused time
//! does not drive the default clock: waiters on that clock are served in real time. See [`testing`].
//!
//! # Proxies and IPv6
//!
//! Behind a proxy, the peer address is the proxy's, and one bucket would serve all clients. Use the forwarded client
//! address, but only from proxies you trust: a client can write any `X-Forwarded-For` header, and so choose a new key
//! for each request. Read that header from the right, and take the first address that is not a trusted proxy's. The
//! crate `brimful-tower` does this, and has the middleware for servers.
//!
//! Key IPv6 clients by their /64 prefix, because one client usually controls all 2⁶⁴ addresses of its prefix. Turn
//! v4-mapped addresses into IPv4, so that a client has the same bucket on an IPv4 and on a dual-stack socket:
//!
//! ```
//! use std::net::{IpAddr, Ipv6Addr};
//!
//! fn client_key(address: IpAddr) -> IpAddr {
//!     match address.to_canonical() {
//!         IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & (!0 << 64))),
//!         v4 => v4,
//!     }
//! }
//!
//! let key = |text: &str| client_key(text.parse().unwrap()).to_string();
//! assert_eq!(key("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
//! assert_eq!(key("::ffff:192.0.2.7"), "192.0.2.7");
//! ```
//!
//! # Errors
//!
//! A call that returns an error has charged nothing. All errors implement [`Error`](std::error::Error).
//!
//! - [`TryAcquireError`]: the tokens are not there yet ([`RateLimited`], with
//!   [`retry_after`](RateLimited::retry_after), which counts from the decision); the cost is above the burst, or above
//!   the burst less what the call leaves ([`ExceedsBurst`]); a keyed limiter has no room for a new key ([`TableFull`]).
//! - [`AcquireError`], of waits: [`ExceedsBurst`], [`TableFull`]; the wait cannot end in time ([`TooLate`], with the
//!   time it would take); the queue is full ([`QueueFull`]); the key was removed meanwhile ([`KeyRemoved`]); the
//!   limiter was closed ([`LimiterClosed`]).
//! - [`TryAcquirePermitError`] and [`AcquirePermitError`], of concurrency limits: no permit is free ([`NoPermit`]), the
//!   deadline has passed ([`TimedOut`]), the queue is full, or the limit was closed.
//! - [`LimitError`] and [`CompositeAcquireError`], of several limits: the limit that refused the call, with its error;
//!   or a concurrency limit that was joined twice ([`JoinedTwice`]).
//! - [`QuotaError`], [`QuotasError`], [`ParseQuotaError`], [`TokensError`], [`BuildError`], of construction, and
//!   [`SetQuotaError`], of a change: they name the mistake and the correction.
//!
//! <a id="promises"></a>
//!
//! # Guarantees
//!
//! 1. **Window bound.** For all `a ≤ b`, consider the calls whose clock reading lies in `[a, b]`. Let `G` be the cost
//!    granted to them (acquired and reserved), and `R` the tokens that were added while they changed the bucket: after
//!    the first change, and before the last (by refunds, by [`add_tokens`](RateLimiter::add_tokens) or
//!    [`reset`](RateLimiter::reset), or because a key was removed). Then `G − R` ≤ `burst + rate × (b − a)`, with any
//!    number of threads, in any interleaving, with readings that stall, differ between cores or run backwards. A reset,
//!    or the removal of a key, adds the tokens that a new bucket starts with, minus those that the bucket held. If the
//!    quota [changes](RateLimiter::set_quota), the bound is the burst at time `a` plus the integral of the rate from
//!    `a` to `b`; a call that overlaps a change counts under either quota, and tokens that a reset or a scaling adds
//!    count in `R`. If a change is under way at `a`, `a` is taken to be the moment at which that change began. A call
//!    that waits counts at the instant of its grant, which [`granted_at`](Granted::granted_at) returns. Here `rate` is
//!    the stored rate: less than one part in 2⁶² above the quota's, also after changes. `G` leaves out the tokens that
//!    a [`commit`](Reservation::commit) charges beyond its reservation. With them, the bound is higher by the debt
//!    limit.
//! 2. **No lost tokens.** Let a limiter be full, and then let calls of cost `c` come so often that it is never full
//!    again. If it denies a call a time `T` after the first one, it has admitted more than `burst + rate × T − c`, less
//!    two units. If the cores' clocks differ by `σ`, subtract `rate × σ`. For calls that wait, a timer that wakes the
//!    queue late can lower this number. An *ideal* bucket refills continuously, and charges the same amounts, which are
//!    whole units. A limiter never counts more tokens than an ideal bucket holds (except for the rate's own rounding,
//!    less than an eighth of a unit in 18 years), and always less than two units fewer, however many operations have
//!    run. Once the quota has changed, amounts are rounded twice, so the two units become four. Each change also loses
//!    less than one unit, or less than four if it does not keep the tokens or if it raises the burst.
//! 3. **Charge once, or not at all.** A call that is refused, that is dropped while it waits, or whose clock or hasher
//!    panics, is not charged. A refund adds exactly the tokens that were taken, or fewer if the bucket is full then. A
//!    reservation is settled once: by [`commit`](Reservation::commit), by [`cancel`](Reservation::cancel), or when it
//!    is dropped.
//! 4. **FIFO.** Waiters that leave the same number of tokens are served in order of arrival, regardless of their costs.
//!    A waiter joins the queue at the first poll of its future, or when a thread begins to wait. A call of the same
//!    priority that begins after that never overtakes the waiter, unless the call costs nothing.
//! 5. **Bounded.** A [`KeyedRateLimiter`] never has more keys than configured, nor takes more memory for them than
//!    `memory_limit` returns. Forgetting a key never gives it more than an ideal bucket would have held. Waiters, and
//!    the keys that they wait on, never exceed the builder's limits. The first four guarantees hold for each key by
//!    itself, except that two keys whose hashes agree share a bucket, and that an evicted key, or a new key beside
//!    evicted ones, may start with fewer tokens.
//! 6. **Total.** After construction, no input makes a call panic. Every [`Quota`] that exists is valid. The guarantees
//!    hold for 18 years (2⁵⁹ ns) of the limiter's clock; after that, no bucket is refilled.
//!
//! Time is the time of the limiter's clock; [`clock_health`] reports that clock's own error. The proofs are in
//! [`internals`].
//!
//! # Sharing and memory ordering
//!
//! An admission is one load, one reading of the clock, one multiplication and one compare-exchange, if no other thread
//! interferes. A denial may read the clock once more. Threads on one limiter share one cache line, which limits their
//! throughput. A `RateLimiter` fills that line, and on common processors its neighbour, so that no other data shares
//! it. While callers wait on a bucket, each call on this bucket holds the queue's lock for about as long as a decision
//! takes. A `commit` of more than was reserved also looks, under the lock, at every waiter up to the last one with a
//! deadline. No waiter is woken, and no timer is touched, under that lock.
//!
//! All changes of a bucket are totally ordered; a denial or a look such as `peek` orders nothing. Do not publish data
//! through a limiter. See [Memory ordering](RateLimiter#memory-ordering).
//!
//! # Features
//!
//! - `std`, on by default: the default clock, [`MockClock`], [`RateLimiter::new`], builders, waiting,
//!   [`OwnedReservation`], changes of quotas, and the keyed, composite, concurrency, model and demand limiters. Without
//!   it: quotas, tokens, errors, and limiters that do not wait, with a clock that the caller supplies. The crate always
//!   needs `alloc` and 64-bit atomics.
//! - `serde`: [`Quota`] and [`Quotas`] are written as strings. They are read from a string, or from a map with a `rate`
//!   and optionally a `burst`, an `initial` and a `debt`, which are numbers or strings. [`Quotas`] can also be a list
//!   of such strings and maps; in this list, a map can have a `name`. Binary formats read only strings. With the
//!   feature `arbitrary_precision` of `serde_json`, amounts must be strings.
//! - `tokio`, which enables `std`: `TokioTimer`, for limiters whose builder is given one. Tokio's tasks can wait
//!   without it too.
//! - `metrics` and `tracing`, which enable `std`: `emit_stats`, which passes statistics to the program's metrics
//!   recorder and tracing subscriber.
#![cfg_attr(not(feature = "std"), no_std)]
#![cfg_attr(docsrs, feature(doc_cfg))]
// The guide covers all features.
#![cfg_attr(not(feature = "std"), allow(rustdoc::broken_intra_doc_links, rustdoc::private_intra_doc_links))]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(all(test, not(feature = "std")))]
extern crate std;

#[doc = include_str!("from_python.md")]
pub mod from_python {}

#[cfg(all(feature = "std", not(brimful_loom)))]
#[doc = include_str!("llm_limits.md")]
pub mod llm_limits {}

#[doc = include_str!("internals.md")]
pub mod internals {
    #[doc = include_str!("internals/word.md")]
    pub mod word {}

    #[doc = include_str!("internals/table.md")]
    pub mod table {}

    #[doc = include_str!("internals/queue.md")]
    pub mod queue {}

    #[doc = include_str!("internals/permits.md")]
    pub mod permits {}

    #[doc = include_str!("internals/composite.md")]
    pub mod composite {}
}

#[cfg(all(feature = "std", not(brimful_loom)))]
#[doc = include_str!("testing.md")]
pub mod testing {}

#[cfg(feature = "std")]
pub mod adaptive;
mod algorithm;
mod cell;
mod clock;
#[cfg(feature = "std")]
mod composite;
#[cfg(feature = "std")]
mod concurrency;
mod error;
mod limiter;
#[cfg(feature = "std")]
pub mod model;
#[cfg(feature = "std")]
mod permits;
#[cfg(feature = "std")]
mod queue;
mod quota;
mod stats;
mod sync;
#[cfg(feature = "std")]
mod table;
mod tokens;
mod word;

pub use clock::Clock;
#[cfg(all(feature = "std", not(brimful_loom)))]
pub use clock::MockClock;
#[cfg(feature = "tokio")]
pub use clock::TokioTimer;
#[cfg(feature = "std")]
pub use clock::{ClockHealth, ClockSource, CoarseClock, CoarseUpkeep, QuantaClock, Timer, clock_health};
#[cfg(feature = "std")]
pub use composite::{
    AcquireAll, AcquireCause, AllOf, Charge, CompositeAcquire, CompositeAcquireError, CompositeBucket,
    CompositeBucketAt, CompositeDecision, CompositeLimiter, CompositeLimiterBuilder, CompositeReservation,
    CompositeReserve, Held, KeyedCompositeLimiter, KeyedCompositeLimiterBuilder, LimitCause, LimitError,
    OwnedCompositeAcquire, OwnedCompositeReservation, OwnedCompositeReserve, PermitCharge,
};
#[cfg(feature = "std")]
pub use concurrency::{
    AcquirePermit, ConcurrencyLimit, ConcurrencyLimitBuilder, KeyedConcurrencyLimit, KeyedConcurrencyLimitBuilder,
    OwnedAcquirePermit, OwnedPermit, Permit,
};
#[cfg(feature = "std")]
pub use error::{AcquireError, KeyRemoved, LimiterClosed, QueueFull, QueueLimit, TooLate};
#[cfg(feature = "std")]
pub use error::{AcquirePermitError, JoinedTwice, NoPermit, TimedOut, TryAcquirePermitError};
#[cfg(feature = "std")]
pub use error::{BuildError, SetQuotaError};
pub use error::{ExceedsBurst, QuotaError, QuotasError, RateLimited, TableFull, TryAcquireError};
#[cfg(feature = "std")]
pub use limiter::{Acquire, Granted, OwnedAcquire, Reserve, WrapFuture};
pub use limiter::{Bucket, BucketAt, Decision, RateLimiter, Reservation};
#[cfg(feature = "std")]
pub use limiter::{
    KeyedRateLimiter, KeyedRateLimiterBuilder, OwnedReservation, RateLimiterBuilder, SipHasher, SipState,
};
#[cfg(feature = "std")]
pub use quota::QuotaChange;
pub use quota::{ParseQuotaError, Quota, QuotaTextError, Quotas};
#[cfg(feature = "std")]
pub use stats::{CompositeStats, DeniedKey, KeyId, KeyStats, LimitStats, PermitStats, Stats, TopDenied};
#[cfg(feature = "std")]
pub use table::{FullEvent, OnFull};
pub use tokens::{Tokens, TokensError};

/// Compiles the README's examples.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
