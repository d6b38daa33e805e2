//! The error of lists of quotas that are made in code.

use alloc::boxed::Box;
use core::error::Error;
use core::fmt;

use super::show::shows_message;

/// The reason for which quotas do not make a list of [`Quotas`](crate::Quotas).
#[derive(Clone, PartialEq, Eq)]
pub struct QuotasError(pub(crate) QuotasErrorKind);

#[derive(Clone, PartialEq, Eq)]
pub(crate) enum QuotasErrorKind {
    Empty,
    TooMany { most: usize },
    Name { name: Box<str>, reason: &'static str },
}

impl fmt::Display for QuotasError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            QuotasErrorKind::Empty => f.write_str("an empty list of quotas: one is needed at least"),
            QuotasErrorKind::TooMany { most } => write!(f, "a list has at most {most} quotas: leave some out"),
            QuotasErrorKind::Name { name, reason } => write!(f, "the name {name:?}: {reason}"),
        }
    }
}

shows_message!(QuotasError);

impl Error for QuotasError {}
