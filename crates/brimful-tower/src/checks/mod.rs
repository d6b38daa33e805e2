//! Checks of the settings of a layer.
//!
//! A [`Finding`] is a setting that probably limits less than was meant, with a code that does not change.
//! [`RateLimitLayer::checks`](crate::RateLimitLayer::checks) returns the findings: print them when the server starts. A
//! layer that has a function for [events](crate::RateLimitLayerBuilder::on_event) passes them to it too, as soon as they are
//! found: when it is built, by a request, or after a change by a [handle](crate::Handle).
//!
//! | code | finding | remedy |
//! |---|---|---|
//! | BT001 | a request came with a forwarding header, and its key is the address of the peer | [below](#bt001) |
//! | BT002 | many layers were built at one place of the code, each with a limiter of its own | [below](#bt002) |
//! | BT003 | all requests are exempt | [below](#bt003) |
//! | BT004 | a request can wait for longer than the server's timeout | [below](#bt004) |
//! | BT005 | a setting has no effect | [below](#bt005) |
//!
//! # BT001
//!
//! The server is probably behind a proxy. Its peer is then always the proxy, and all clients share one bucket: one client
//! can use up the limit of all. Name the proxies with
//! [`ClientAddress::behind`](crate::key::ClientAddress::behind). If there is no proxy, and clients send such headers by
//! themselves, say so with `behind(TrustedProxies::none())`.
//!
//! If proxies are named, the finding is that such a request came from another peer: a proxy has a new address, or there is a
//! further one. Or the proxies do not write the header that is read, or write no address in it: choose their header with
//! [`TrustedProxies::header`](crate::address::TrustedProxies::header). If they write `X-Real-IP` only, let them write one of
//! the others. A client that is not behind a proxy and sends such a header by itself causes the finding too.
//!
//! It is looked for in the first 1000 requests that are not exempt: the headers are `X-Forwarded-For`, `Forwarded` and
//! `X-Real-IP`.
//!
//! # BT002
//!
//! A layer that is built for each connection, or for each request, has new buckets each time, and limits nothing. Build the
//! layer, or the limiter, once, and clone it. The finding is that more than 64 layers were built at one place of the code,
//! each with another limiter than the eight before it. It is reported once for each place, by the layer that was one too many.
//!
//! # BT003
//!
//! The path `*` or `/*` is exempt, or all of `GET`, `POST`, `PUT`, `PATCH` and `DELETE` are.
//!
//! # BT004
//!
//! The server gives a request up before its wait can end, so that the client waits in vain. Give [`wait_up_to`](crate::RateLimitLayerBuilder::wait_up_to) a shorter time. The server's timeout is known
//! only by [`server_timeout`](crate::RateLimitLayerBuilder::server_timeout).
//!
//! # BT005
//!
//! [`charge_later`](crate::RateLimitLayerBuilder::charge_later) without a function that
//! [settles](crate::RateLimitLayerBuilder::settle);
//! [`share_used`](crate::RateLimitLayerBuilder::share_used) without a function for
//! [events](crate::RateLimitLayerBuilder::on_event); or, on a concurrency limit, whose permits have neither a cost nor
//! numbers, a function that settles, `share_used`,
//! [`headers_on_admitted`](crate::RateLimitLayerBuilder::headers_on_admitted) or
//! [`x_rate_limit`](crate::RateLimitLayerBuilder::x_rate_limit).

mod finding;
mod proxy;
mod sites;

pub use finding::{Check, Finding};
pub(crate) use proxy::ProxyWatch;
pub(crate) use sites::count_layers_at;
