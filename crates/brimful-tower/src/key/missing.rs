//! [`MissingKey`]: a request without a key.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;

use http::{HeaderName, StatusCode};

/// The reason for which a request has no key. Its text names the remedy.
#[derive(Clone, PartialEq, Eq)]
pub struct MissingKey(Reason);

#[derive(Clone, PartialEq, Eq)]
enum Reason {
    Peer { extension: &'static str },
    Extension { name: &'static str },
    Header(HeaderName),
    Repeated(HeaderName),
    Other { status: StatusCode, text: Cow<'static, str> },
}

impl MissingKey {
    /// Returns an error with this text, for a [`KeyFn`](crate::key::KeyFn) or another extractor. The status is the one
    /// of the response: 400 if the client is to change its request, 500 if the server has to be configured.
    pub fn new(status: StatusCode, text: impl Into<Cow<'static, str>>) -> Self {
        MissingKey(Reason::Other { status, text: text.into() })
    }

    pub(super) fn peer<T>() -> Self {
        MissingKey(Reason::Peer { extension: std::any::type_name::<T>() })
    }

    pub(super) fn extension<T>() -> Self {
        MissingKey(Reason::Extension { name: std::any::type_name::<T>() })
    }

    pub(super) fn header(name: HeaderName) -> Self {
        MissingKey(Reason::Header(name))
    }

    pub(super) fn repeated(name: HeaderName) -> Self {
        MissingKey(Reason::Repeated(name))
    }

    /// Returns the status for a response: 500 if an extension is missing, because the server has to be configured; 400 if
    /// a header is missing, because the client has to send it.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match &self.0 {
            Reason::Peer { .. } | Reason::Extension { .. } => StatusCode::INTERNAL_SERVER_ERROR,
            Reason::Header(_) | Reason::Repeated(_) => StatusCode::BAD_REQUEST,
            Reason::Other { status, .. } => *status,
        }
    }

    /// Returns whether the key is there, but is not one.
    pub(crate) fn is_repeated(&self) -> bool {
        matches!(self.0, Reason::Repeated(_))
    }

    /// Returns the text for a client. How to set a server up is nothing for clients.
    pub(crate) fn text_for_client(&self) -> Cow<'static, str> {
        match self.status().is_server_error() {
            true => "the server cannot tell whose request this is".into(),
            false => self.to_string().into(),
        }
    }
}

impl fmt::Display for MissingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Reason::Peer { extension } => write!(
                f,
                "the request has no extension `{extension}` with the address of its peer: serve axum's router with \
                 `into_make_service_with_connect_info::<SocketAddr>()`, or insert the extension in a layer that runs \
                 before the rate limit"
            ),
            Reason::Extension { name } => {
                write!(f, "the request has no extension `{name}`: insert it in a layer that runs before the rate limit")
            }
            Reason::Header(name) => write!(f, "the request has no header `{name}`: send it"),
            Reason::Repeated(name) => write!(f, "the request has several headers `{name}`: send one"),
            Reason::Other { text, .. } => f.write_str(text),
        }
    }
}

impl fmt::Debug for MissingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MissingKey(\"{self}\")")
    }
}

impl Error for MissingKey {}

/// The answer to a request without a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnMissingKey {
    /// Refuse it, with the [status](MissingKey::status) and the text of the error. If the status is 500 or above, the text is
    /// for the server alone: the [event](crate::Event::Refused) has it, and the client gets a general one.
    #[default]
    Refuse,
    /// Admit it, without a limit. If the key is something that the client sends, such as a header, a client has no limit
    /// if it leaves the key out. So the server must not serve such a request as that of a known client.
    ///
    /// A request that has the [header](crate::key::HeaderKey) of its key several times is refused all the same, with 400: the
    /// server may use one of them, and the request must not be without a limit. An error that a
    /// [`KeyFn`](crate::key::KeyFn) makes by [`MissingKey::new`] is admitted, whatever its reason.
    Admit,
}
