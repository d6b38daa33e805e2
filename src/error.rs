//! Every error type of the crate: small, and written by hand.

use core::error::Error;
use core::fmt;
use core::time::Duration;

use crate::tokens::Tokens;
use crate::word::{Due, Layout};

/// A wait as `Debug` shows it: `never` if there is none that is long enough.
pub(crate) struct Wait(pub(crate) Option<Duration>);

impl fmt::Debug for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(wait) => wait.fmt(f),
            None => f.write_str("never"),
        }
    }
}

/// A type whose `Debug` shows how long to wait.
macro_rules! shows_wait {
    ($name:ident) => {
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).field("retry_after", &Wait(self.retry_after())).finish()
            }
        }
    };
}

/// A type whose `Debug` shows its message.
macro_rules! shows_message {
    ($name:ident) => {
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_tuple(stringify!($name)).field(&format_args!("\"{self}\"")).finish()
            }
        }
    };
}

/// The reason for which a call was not admitted. Nothing was charged.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TryAcquireError {
    /// The tokens are not there yet.
    RateLimited(RateLimited),
    /// The cost is above the burst, so the call can never be admitted.
    ExceedsBurst(ExceedsBurst),
    /// The key is new to a keyed limiter that is full of buckets in use.
    TableFull(TableFull),
}

impl TryAcquireError {
    /// Returns the time until the call is admitted, if nothing else takes tokens; `None` if it never is.
    /// Rounded up to the nanosecond. With [`TableFull`](TryAcquireError::TableFull) it is a guess.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            TryAcquireError::TableFull(full) => full.retry_after(),
            TryAcquireError::RateLimited(limited) => limited.retry_after(),
            TryAcquireError::ExceedsBurst(_) => None,
        }
    }
}

impl TryAcquireError {
    fn inner(&self) -> &(dyn Error + 'static) {
        match self {
            TryAcquireError::RateLimited(limited) => limited,
            TryAcquireError::ExceedsBurst(exceeds) => exceeds,
            TryAcquireError::TableFull(full) => full,
        }
    }
}

impl fmt::Display for TryAcquireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.inner(), f)
    }
}

impl fmt::Debug for TryAcquireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.inner(), f)
    }
}

// Each says all that is within: it has no source.
impl Error for TryAcquireError {}

/// The tokens are not there yet.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RateLimited(pub(crate) Due);

impl RateLimited {
    /// Returns the time from the refused call's reading of the clock until the tokens are there, if
    /// nothing else takes them. Exact and rounded up: that instant is sufficient, one nanosecond earlier
    /// is not. `None` if the instant lies beyond the 18 years that a clock's readings reach. Computed by
    /// this call.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.after()
    }
}

impl fmt::Display for RateLimited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.retry_after() {
            Some(wait) => write!(f, "rate limited: retry after {wait:?}"),
            None => f.write_str("rate limited: the tokens will not be there within the clock's range"),
        }
    }
}

shows_wait!(RateLimited);

impl Error for RateLimited {}

/// The cost, with the tokens that the call has to leave, is above the burst.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ExceedsBurst {
    requested: Tokens,
    leaving: Tokens,
    burst: Tokens,
}

impl ExceedsBurst {
    pub(crate) fn new(layout: &Layout, requested: Tokens, leaving: Tokens) -> Self {
        ExceedsBurst { requested, leaving, burst: layout.tokens_down(layout.capacity()) }
    }

    /// Returns the cost.
    #[must_use]
    pub fn requested(&self) -> Tokens {
        self.requested
    }

    /// Returns the tokens that the call had to leave in the bucket: usually none.
    #[must_use]
    pub fn leaving(&self) -> Tokens {
        self.leaving
    }

    /// Returns the most that the bucket ever holds: the quota's burst, rounded down to its resolution.
    #[must_use]
    pub fn burst(&self) -> Tokens {
        self.burst
    }
}

impl fmt::Display for ExceedsBurst {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ExceedsBurst { requested, leaving, burst } = self;
        write!(f, "a cost of {requested} tokens ")?;
        if !leaving.is_zero() {
            write!(f, "that leaves {leaving} ")?;
        }
        write!(f, "can never be admitted by a burst of {burst}: ask for less at a time, or raise the burst")
    }
}

/// `leaving` is shown if there is something to be left.
impl fmt::Debug for ExceedsBurst {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ExceedsBurst { requested, leaving, burst } = self;
        let mut debug = f.debug_struct("ExceedsBurst");
        debug.field("requested", &format_args!("{requested}"));
        if !leaving.is_zero() {
            debug.field("leaving", &format_args!("{leaving}"));
        }
        debug.field("burst", &format_args!("{burst}")).finish()
    }
}

impl Error for ExceedsBurst {}

/// The key is new to a keyed limiter, and all the buckets that it may have are in use.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TableFull(pub(crate) Due);

impl TableFull {
    /// Returns the time until a bucket in the new key's slots may be forgotten for it, if nothing else
    /// happens: one that is full, or with [`OnFull::EvictLeastDebt`](crate::OnFull::EvictLeastDebt) one
    /// that holds a token. That instant is sufficient for a slot. A slot elsewhere in the table may come
    /// free before. A bucket that does not start full starts then. `None` if there is no such instant
    /// within the 18 years that a clock's readings reach.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.after()
    }
}

impl fmt::Display for TableFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no room for a new key: every bucket is in use. Raise `max_keys`")?;
        match self.retry_after() {
            Some(wait) => write!(f, ", or retry after {wait:?}"),
            None => Ok(()),
        }
    }
}

shows_wait!(TableFull);

impl Error for TableFull {}

/// The reason for which a wait was refused, or ended without tokens. Nothing was charged.
#[cfg(feature = "std")]
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum AcquireError {
    /// The cost, with the tokens that the call has to leave, is above the burst, so the tokens can never
    /// be granted.
    ExceedsBurst(ExceedsBurst),
    /// The tokens cannot be granted in time.
    TooLate(TooLate),
    /// There are as many waiters, or keys with waiters, as permitted.
    QueueFull(QueueFull),
    /// The key is new to a keyed limiter that is full of buckets in use.
    TableFull(TableFull),
    /// The key was removed from its limiter during the wait.
    KeyRemoved(KeyRemoved),
}

#[cfg(feature = "std")]
impl AcquireError {
    /// Returns the time until a new wait for the same tokens would be granted; `None` if it would never
    /// be granted, or if the time is not known. Rounded up to the nanosecond.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            AcquireError::TooLate(late) => late.retry_after(),
            AcquireError::TableFull(full) => full.retry_after(),
            AcquireError::ExceedsBurst(_) | AcquireError::QueueFull(_) | AcquireError::KeyRemoved(_) => None,
        }
    }

    fn inner(&self) -> &(dyn Error + 'static) {
        match self {
            AcquireError::ExceedsBurst(exceeds) => exceeds,
            AcquireError::TooLate(late) => late,
            AcquireError::QueueFull(full) => full,
            AcquireError::TableFull(full) => full,
            AcquireError::KeyRemoved(removed) => removed,
        }
    }
}

#[cfg(feature = "std")]
impl fmt::Display for AcquireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.inner(), f)
    }
}

#[cfg(feature = "std")]
impl fmt::Debug for AcquireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.inner(), f)
    }
}

#[cfg(feature = "std")]
impl Error for AcquireError {}

/// A wait that cannot end in time.
#[cfg(feature = "std")]
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TooLate(pub(crate) Due);

#[cfg(feature = "std")]
impl TooLate {
    /// Returns the time from the refusal until a new wait for the same tokens would be granted, if no
    /// waiter gives up and nothing is given back. `None` if the instant lies beyond the 18 years that a
    /// clock's readings reach.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.after()
    }
}

#[cfg(feature = "std")]
impl fmt::Display for TooLate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.retry_after() {
            Some(Duration::ZERO) => f.write_str("the deadline has passed; the tokens are there"),
            Some(wait) => write!(f, "the tokens will not be there in time: it takes {wait:?}"),
            None => f.write_str("the tokens will not be there within the clock's range"),
        }
    }
}

#[cfg(feature = "std")]
shows_wait!(TooLate);

#[cfg(feature = "std")]
impl Error for TooLate {}

/// There are as many waiters, or keys with waiters, as permitted.
#[cfg(feature = "std")]
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct QueueFull(pub(crate) QueueLimit);

/// The limit that was reached.
#[cfg(feature = "std")]
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum QueueLimit {
    Waiters(u32),
    Keys(u64),
}

#[cfg(feature = "std")]
impl QueueFull {
    /// Returns the limit that was reached: of waiters, or of keys that callers wait on.
    #[must_use]
    pub fn limit(&self) -> u64 {
        match self.0 {
            QueueLimit::Waiters(most) => most.into(),
            QueueLimit::Keys(most) => most,
        }
    }
}

#[cfg(feature = "std")]
impl fmt::Display for QueueFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            QueueLimit::Waiters(most) => {
                write!(f, "the wait queue is full ({most} waiters): retry later, or raise `max_waiters`")
            }
            QueueLimit::Keys(most) => {
                write!(
                    f,
                    "callers wait on as many keys as permitted ({most}): retry later, or raise `max_waiting_keys`"
                )
            }
        }
    }
}

/// Shows which limit was reached.
#[cfg(feature = "std")]
impl fmt::Debug for QueueFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.0 {
            QueueLimit::Waiters(_) => "max_waiters",
            QueueLimit::Keys(_) => "max_waiting_keys",
        };
        f.debug_struct("QueueFull").field(name, &self.limit()).finish()
    }
}

#[cfg(feature = "std")]
impl Error for QueueFull {}

/// The key was removed, with its bucket, while callers waited on it.
#[cfg(feature = "std")]
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct KeyRemoved(pub(crate) ());

#[cfg(feature = "std")]
impl fmt::Display for KeyRemoved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the key was removed from the limiter during the wait: retry, on a new bucket")
    }
}

#[cfg(feature = "std")]
impl fmt::Debug for KeyRemoved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyRemoved")
    }
}

#[cfg(feature = "std")]
impl Error for KeyRemoved {}

/// The reason for which numbers do not make a [`Quota`](crate::Quota).
#[derive(Clone, Copy, PartialEq)]
pub struct QuotaError(pub(crate) QuotaErrorKind);

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum QuotaErrorKind {
    ZeroTokens,
    ZeroPeriod,
    TooFast {
        tokens: u64,
        period: Duration,
    },
    TooSlow {
        tokens: u64,
        period: Duration,
    },
    ZeroBurst,
    BurstTooFine {
        burst: Tokens,
    },
    #[cfg_attr(not(feature = "std"), allow(dead_code))]
    Rate(f64),
    #[cfg_attr(not(feature = "std"), allow(dead_code))]
    Capacity(f64),
}

impl QuotaError {
    /// The message without the values, for a panic in a constant.
    pub(crate) const fn message(self) -> &'static str {
        match self.0 {
            QuotaErrorKind::ZeroTokens => "a quota needs at least one token per period",
            QuotaErrorKind::ZeroPeriod => "a quota needs a period longer than zero",
            QuotaErrorKind::TooFast { .. } => "a rate above 1000000000 tokens per second: count in larger tokens",
            QuotaErrorKind::TooSlow { .. } => "a rate below one token per 10000 years: count in smaller tokens",
            QuotaErrorKind::ZeroBurst => "a quota needs a burst above zero, or nothing could ever be admitted",
            QuotaErrorKind::BurstTooFine { .. } => "a burst below what this rate can count: raise the burst to a token",
            QuotaErrorKind::Rate(_) => "a rate must be a finite number above zero",
            QuotaErrorKind::Capacity(_) => "a burst must be a finite number above zero and below 4294967296",
        }
    }
}

impl fmt::Display for QuotaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            QuotaErrorKind::TooFast { tokens, period } | QuotaErrorKind::TooSlow { tokens, period } => {
                let noun = if tokens == 1 { "token" } else { "tokens" };
                write!(f, "{tokens} {noun} per {period:?} is ")?;
            }
            QuotaErrorKind::BurstTooFine { burst } => write!(f, "a burst of {burst} tokens is ")?,
            QuotaErrorKind::Rate(value) | QuotaErrorKind::Capacity(value) => write!(f, "{value}: ")?,
            QuotaErrorKind::ZeroTokens | QuotaErrorKind::ZeroPeriod | QuotaErrorKind::ZeroBurst => {}
        }
        f.write_str(self.message())
    }
}

shows_message!(QuotaError);

impl Error for QuotaError {}

/// The reason for which a number or a text is not an amount of [`Tokens`].
#[derive(Clone, Copy, PartialEq)]
pub struct TokensError(Option<f64>);

impl TokensError {
    pub(crate) const fn number(number: f64) -> Self {
        TokensError(Some(number))
    }

    pub(crate) const fn text() -> Self {
        TokensError(None)
    }
}

impl fmt::Display for TokensError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(number) = self.0 {
            write!(f, "{number}: ")?;
        }
        f.write_str("an amount of tokens is a number from 0 up to 4294967295.999999999999, with at most 12 decimals")
    }
}

shows_message!(TokensError);

impl Error for TokensError {}

/// The reason for which a builder returned no limiter.
#[cfg(feature = "std")]
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct BuildError(pub(crate) BuildErrorKind);

#[cfg(feature = "std")]
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum BuildErrorKind {
    NoQuota,
    NoKeys,
    TooManyKeys { asked: u64, most: u64 },
    TooFewBytes { asked: u64, least: u64 },
    TooManyBytes { asked: u64, most: u64 },
    NoMemory { bytes: u64 },
}

#[cfg(feature = "std")]
impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            BuildErrorKind::NoQuota => {
                f.write_str("a limiter needs a quota: call `.quota(Quota::per_second(100))` before `.build()`")
            }
            BuildErrorKind::NoKeys => f.write_str(
                "max_keys is 0: a keyed limiter needs room for one key at least, or nothing could be admitted",
            ),
            BuildErrorKind::TooManyKeys { asked, most } => {
                write!(f, "max_keys is {asked}: a keyed limiter holds at most {most} keys; shard by limiter above that")
            }
            BuildErrorKind::TooFewBytes { asked, least } => {
                write!(f, "max_bytes is {asked}: a keyed limiter takes {least} bytes at least")
            }
            BuildErrorKind::TooManyBytes { asked, most } => {
                write!(f, "max_bytes is {asked}: a keyed limiter uses at most {most} bytes")
            }
            BuildErrorKind::NoMemory { bytes } => {
                write!(f, "{bytes} bytes for a table of that many keys cannot be reserved: lower max_keys or max_bytes")
            }
        }
    }
}

#[cfg(feature = "std")]
shows_message!(BuildError);

#[cfg(feature = "std")]
impl Error for BuildError {}
