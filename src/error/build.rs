//! The error of builders.

use core::error::Error;
use core::fmt;

use super::limit_name::LimitName;
use super::set_quota::SetQuotaError;
use super::show::shows_message;

/// The reason for which a builder returned no limiter.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct BuildError(pub(crate) BuildErrorKind);

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum BuildErrorKind {
    NoQuota,
    AboveHighest(SetQuotaError),
    LimitAboveHighest(LimitName, SetQuotaError),
    NoSuchLimit(LimitName),
    Quota(&'static str),
    NoKeys,
    TooManyKeys { asked: u64, most: u64 },
    TooFewBytes { asked: u64, least: u64 },
    TooManyBytes { asked: u64, most: u64 },
    NoMemory { bytes: u64 },
}

impl BuildError {
    /// Returns the same error, for a limiter of several quotas: it names the limit, if it comes from one.
    pub(crate) fn of_limit(self, name: LimitName) -> Self {
        match self.0 {
            BuildErrorKind::AboveHighest(above) => BuildError(BuildErrorKind::LimitAboveHighest(name, above)),
            _ => self,
        }
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            BuildErrorKind::NoQuota => {
                f.write_str("a limiter needs a quota: call `.quota(Quota::per_second(100))` before `.build()`")
            }
            BuildErrorKind::AboveHighest(above) => write!(f, "the first quota: {above}"),
            BuildErrorKind::LimitAboveHighest(name, above) => write!(f, "limit {name:?}: the first quota: {above}"),
            BuildErrorKind::NoSuchLimit(name) => {
                write!(f, "`up_to` names the limit {name:?}, and there is none: the names are those of `quotas`")
            }
            BuildErrorKind::Quota(message) => f.write_str(message),
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

shows_message!(BuildError);

impl Error for BuildError {}
