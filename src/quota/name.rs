//! The names of quotas in a list.

use alloc::boxed::Box;
use alloc::format;
use core::fmt;

use super::value::Quota;

/// The name of a quota: the name that it was given, or the text of the quota.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Name {
    text: Box<str>,
    is_given: bool,
}

/// The most bytes of a name that is given.
const LONGEST: usize = 31;

/// The reason that a text is not a name.
pub(super) const NO_NAME: &str =
    "a name has at most 31 characters: letters from a to z, digits, \"_\", \"-\" and \".\", as in \"daily: 50000/day\"";

/// The reason that a list has no second quota with this name.
pub(super) const TWICE: &str = "another quota of the list has this name: choose another name, or leave one out";

impl Name {
    /// Returns `None` if the text is not a name.
    pub(super) fn given(text: &str) -> Option<Self> {
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
        let is_valid = !text.is_empty() && text.len() <= LONGEST && text.bytes().all(is_name);
        is_valid.then(|| Name { text: text.into(), is_given: true })
    }

    /// Returns the text of the quota, which is never a name that can be given: it has a space.
    pub(super) fn of(quota: &Quota) -> Self {
        Name { text: format!("{quota}").into(), is_given: false }
    }

    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    /// Writes the quota with its name before it, if the name was given.
    pub(super) fn write(&self, quota: &Quota, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_given {
            write!(f, "{}: ", self.text)?;
        }
        write!(f, "{quota}")
    }
}
