//! How errors are shown.

use core::fmt;
use core::time::Duration;

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

pub(crate) use {shows_message, shows_wait};
