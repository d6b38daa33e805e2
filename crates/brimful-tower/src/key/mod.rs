//! Keys of requests: by which clients a limit distinguishes.
//!
//! A [`KeyExtractor`] returns the key of a request, or a [`MissingKey`] with a text that names the remedy.
//!
//! | key | extractor |
//! |---|---|
//! | the address of the peer, or of the client behind proxies | [`ClientAddress`] |
//! | a header, such as an API key | [`HeaderKey`] |
//! | the path | [`PathKey`] |
//! | a value that another layer put into the extensions, such as a user | [`ExtensionKey`] |
//! | several of these | a tuple of them |
//! | anything else | [`KeyFn`] |
//! | one key for all requests | [`Everyone`] |

mod client_address;
mod extension;
mod extractor;
mod head;
mod header;
mod missing;
mod path;

pub use client_address::ClientAddress;
pub use extension::ExtensionKey;
pub use extractor::{Everyone, KeyExtractor, KeyFn};
pub use head::RequestHead;
pub use header::HeaderKey;
pub use missing::{MissingKey, OnMissingKey};
pub use path::{PathKey, RequestPath};
