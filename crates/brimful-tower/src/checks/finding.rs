//! [`Finding`]: a setting that probably limits less than was meant.

use std::borrow::Cow;
use std::fmt;

/// A check of the settings. The [codes](Check::code) do not change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Check {
    /// [BT001](crate::checks#bt001): a proxy is not trusted.
    ProxyNotTrusted,
    /// [BT002](crate::checks#bt002): the state is not shared.
    StateNotShared,
    /// [BT003](crate::checks#bt003): all requests are exempt.
    AllExempt,
    /// [BT004](crate::checks#bt004): a wait is longer than the server's timeout.
    WaitTooLong,
    /// [BT005](crate::checks#bt005): a setting has no effect.
    NoEffect,
}

impl Check {
    /// Returns the code, such as `BT001`.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Check::ProxyNotTrusted => "BT001",
            Check::StateNotShared => "BT002",
            Check::AllExempt => "BT003",
            Check::WaitTooLong => "BT004",
            Check::NoEffect => "BT005",
        }
    }
}

/// A setting that probably limits less than was meant. It is displayed with its code, and its text names the remedy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    check: Check,
    text: Cow<'static, str>,
}

impl Finding {
    pub(crate) fn new(check: Check, text: impl Into<Cow<'static, str>>) -> Self {
        Finding { check, text: text.into() }
    }

    /// Returns the check that found it.
    #[must_use]
    pub const fn check(&self) -> Check {
        self.check
    }

    /// Returns the text, without the code.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.check.code(), self.text)
    }
}
