//! The limits of a server, read from the headers of its responses.
//!
//! [`FromHeaders`] adds [`from_headers`](FromHeaders::from_headers) to [`ServerHints`](brimful::model::ServerHints).

mod from_headers;
mod ietf;
mod members;
mod time;
mod vendors;

pub use from_headers::FromHeaders;
