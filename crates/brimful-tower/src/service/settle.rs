//! [`Settlement`]: the cost of a request, by its response.

use std::fmt;

use brimful::Tokens;
use http::{Extensions, HeaderMap, Response, StatusCode};

use super::event::{Event, Events};

/// A response without its body, by reference, for a function that [settles](crate::RateLimitLayerBuilder::settle) the
/// cost of its request.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ResponseHead<'a> {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: &'a HeaderMap,
    /// The values that the service added.
    pub extensions: &'a Extensions,
    /// The [cost](crate::RateLimitLayerBuilder::cost) of the request.
    pub cost: Tokens,
}

impl<'a> ResponseHead<'a> {
    pub(super) fn new<B>(response: &'a Response<B>, cost: Tokens) -> Self {
        let (status, headers, extensions) = (response.status(), response.headers(), response.extensions());
        ResponseHead { status, headers, extensions, cost }
    }
}

/// The end of the body of a response.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct BodyEnd<'a> {
    /// The bytes of the body that the server took from it, without trailers.
    pub bytes: u64,
    /// Whether the whole body was taken: it did not fail, and was not dropped before its end. A body that is dropped after as
    /// many bytes as it has is complete, if its size is known by its hint or by the header `Content-Length`.
    pub is_complete: bool,
    /// The trailers, if the body has them.
    pub trailers: Option<&'a HeaderMap>,
    /// The [cost](crate::RateLimitLayerBuilder::cost) of the request.
    pub cost: Tokens,
}

/// A function that settles the cost of a request by its response.
pub(super) type Settle = Box<dyn Fn(&ResponseHead<'_>) -> Settlement + Send + Sync>;

/// Settles the requests of a layer.
pub(super) struct Settler {
    pub(super) settle: Settle,
    pub(super) events: Events,
}

impl Settler {
    /// Reports the part of a cost that was not charged.
    pub(super) fn report(&self, cost: Tokens, uncharged: Tokens) {
        if !uncharged.is_zero() {
            self.events.report(&Event::Uncharged { cost, uncharged });
        }
    }
}

/// A function that settles the cost of a request by the end of its response.
pub(super) type SettleAtEnd = Box<dyn FnOnce(&BodyEnd<'_>) -> Tokens + Send + Sync>;

/// The cost of a request: known by the head of its response, or only when the body ends. A function that
/// [settles](crate::RateLimitLayerBuilder::settle) returns it.
pub struct Settlement(pub(super) When);

pub(super) enum When {
    Now(Tokens),
    AtEnd(SettleAtEnd),
}

impl Settlement {
    /// The request has cost this.
    pub fn now(cost: impl Into<Tokens>) -> Self {
        Settlement(When::Now(cost.into()))
    }

    /// The request has cost what the function returns when the body of its response has ended, has failed, or is dropped.
    ///
    /// A function that captures no values is stored without an allocation, and one that captures values takes one for each
    /// response. If it panics, the request costs its [cost](BodyEnd::cost).
    ///
    /// # Examples
    ///
    /// A client that goes away in the middle of the body cannot choose a lower cost:
    ///
    /// ```
    /// use brimful::{KeyedRateLimiter, Quota, Tokens};
    /// use brimful_tower::key::ClientAddress;
    /// use brimful_tower::{RateLimitLayer, Settlement};
    /// use std::sync::Arc;
    ///
    /// let limiter = Arc::new(KeyedRateLimiter::new(Quota::per_minute(100).max_debt(1_000)));
    /// let layer = RateLimitLayer::builder(limiter, ClientAddress::new())
    ///     .cost(|_| Tokens::new(10))
    ///     .settle(|_| {
    ///         Settlement::at_end(|end| {
    ///             if !end.is_complete {
    ///                 return end.cost;
    ///             }
    ///             Tokens::new(u32::try_from(end.bytes.div_ceil(1024)).unwrap_or(u32::MAX))
    ///         })
    ///     })
    ///     .build();
    /// ```
    pub fn at_end(cost: impl FnOnce(&BodyEnd<'_>) -> Tokens + Send + Sync + 'static) -> Self {
        Settlement(When::AtEnd(Box::new(cost)))
    }
}

impl From<Tokens> for Settlement {
    fn from(cost: Tokens) -> Self {
        Settlement::now(cost)
    }
}

impl fmt::Debug for Settlement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            When::Now(cost) => f.debug_tuple("Settlement").field(cost).finish(),
            When::AtEnd(_) => f.write_str("Settlement(at the end of the body)"),
        }
    }
}
