//! [`RateLimitLayer`] and its builder.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use brimful::Tokens;
use bytes::Bytes;
use http::{Method, Response};
use tower_layer::Layer;

use super::answer::Refusal;
use super::exempt::Exempt;
use super::options::Options;
use super::rate_limit::RateLimit;
use super::settle::{ResponseHead, Settlement};
use crate::headers::IetfDraft;
use crate::key::{KeyExtractor, OnMissingKey, RequestHead};
use crate::limits::Limiter;

/// A layer that limits requests: their rate, or those that are in flight.
///
/// It is made of a [limiter](Limiter) of `brimful` and of the [key](crate::key) of a request. The limiter has the quotas and the
/// buckets, which all clones of the layer and of its services share. It stays usable from outside: for its statistics, to
/// change a quota, or to be shared with another layer.
///
/// A request takes its tokens in `call`. If they are there, the request goes to the service. If not, the response is 429
/// with `Retry-After`, the fields `RateLimit` and `RateLimit-Policy`, and problem details in JSON; or the request
/// [waits](RateLimitLayerBuilder::wait_up_to) in the limiter's queue.
///
/// For several named quotas at once, use a [`KeyedCompositeLimiter`](brimful::KeyedCompositeLimiter): all of them are
/// charged, or none. For several keys, use several layers. A [concurrency limit](Limiter) is a layer too: the request holds
/// its permit until the body of the response ends. Put it outside of the limit of a rate, so that it costs no tokens if it is
/// refused.
///
/// # Examples
///
/// ```
/// use brimful::{KeyedRateLimiter, Quota};
/// use brimful_tower::RateLimitLayer;
/// use brimful_tower::key::{Everyone, HeaderKey};
/// use bytes::Bytes;
/// use http::{HeaderName, Request, Response, StatusCode};
/// use http_body_util::Full;
/// use std::convert::Infallible;
/// use std::sync::Arc;
/// use tower::{ServiceBuilder, ServiceExt, service_fn};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let api_key = HeaderKey::new(HeaderName::from_static("x-api-key"));
/// let limiter = Arc::new(KeyedRateLimiter::new(Quota::per_minute(60).burst(1)));
/// let service = ServiceBuilder::new()
///     .layer(RateLimitLayer::new(limiter.clone(), api_key))
///     .service(service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("hello")))));
///
/// let request = || Request::builder().header("x-api-key", "alice").body(());
/// assert_eq!(service.clone().oneshot(request()?).await?.status(), StatusCode::OK);
/// let refused = service.clone().oneshot(request()?).await?;
/// assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
/// assert_eq!(refused.headers()["retry-after"], "1");
/// assert_eq!(limiter.len(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
pub struct RateLimitLayer<E, L> {
    options: Arc<Options<E, L>>,
}

impl<E, L> RateLimitLayer<E, L>
where
    E: KeyExtractor,
    L: Limiter<E::Key>,
{
    /// Returns a layer with this limiter and this key.
    pub fn new(limiter: Arc<L>, key: E) -> Self {
        RateLimitLayer::builder(limiter, key).build()
    }

    /// Returns a builder, for the settings.
    pub fn builder(limiter: Arc<L>, key: E) -> RateLimitLayerBuilder<E, L> {
        RateLimitLayerBuilder {
            options: Options {
                key,
                limiter,
                policy: Cow::Borrowed("default"),
                cost: None,
                settle: None,
                charges_later: false,
                exempt: Exempt::default(),
                longest_wait: Duration::ZERO,
                on_missing_key: OnMissingKey::default(),
                on_admitted: false,
                draft: Some(IetfDraft::default()),
                x_rate_limit: false,
                in_extensions: false,
                handler: None,
            },
        }
    }
}

impl<S, E, L> Layer<S> for RateLimitLayer<E, L> {
    type Service = RateLimit<S, E, L>;

    fn layer(&self, service: S) -> RateLimit<S, E, L> {
        RateLimit::new(service, self.options.clone())
    }
}

impl<E, L> Clone for RateLimitLayer<E, L> {
    fn clone(&self) -> Self {
        RateLimitLayer { options: self.options.clone() }
    }
}

impl<E, L> fmt::Debug for RateLimitLayer<E, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimitLayer").field("policy", &self.options.policy).finish_non_exhaustive()
    }
}

/// A builder of a [`RateLimitLayer`], made by [`RateLimitLayer::builder`].
#[must_use = "a builder does nothing until `build`"]
pub struct RateLimitLayerBuilder<E, L> {
    options: Options<E, L>,
}

impl<E, L> RateLimitLayerBuilder<E, L> {
    /// Sets the name of the policy in headers and answers, for a limiter of one quota: by default `default`. A limiter of
    /// several quotas has names.
    pub fn policy(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.options.policy = name.into();
        self
    }

    /// Sets the function that returns the cost of a request. By default each costs one token.
    ///
    /// A cost of zero is always admitted. A cost above the burst never is, and its response has no `Retry-After`.
    pub fn cost(mut self, cost: impl Fn(&RequestHead<'_>) -> Tokens + Send + Sync + 'static) -> Self {
        self.options.cost = Some(Box::new(cost));
        self
    }

    /// Sets the function that says what a request has cost, by its response: at once, or when the body ends.
    ///
    /// A request takes its [cost](RateLimitLayerBuilder::cost) when it is admitted. The settlement gives back the rest, or
    /// charges the tokens that are missing, which may take the bucket into debt, by default down to a burst below zero
    /// ([`Quota::max_debt`](brimful::Quota::max_debt)). Further requests are then refused until the debt is earned.
    ///
    /// A request costs its cost, and the function is not asked, if the service fails, or if the client goes away before the
    /// response is there. So a client that goes away does not avoid the charge. A layer that makes responses of errors has
    /// to be inside of this one.
    ///
    /// The headers of responses show the bucket before the settlement. A concurrency limit takes one permit for each request,
    /// and settles nothing.
    ///
    /// # Examples
    ///
    /// Count failed logins only. Attempts that run at the same time hold their tokens, so that they cannot exceed the limit
    /// together. With [`charge_later`](RateLimitLayerBuilder::charge_later) they hold none.
    ///
    /// ```
    /// use brimful::{KeyedRateLimiter, Quota};
    /// use brimful_tower::key::ClientAddress;
    /// use brimful_tower::{RateLimitLayer, Settlement};
    /// use http::StatusCode;
    /// use std::sync::Arc;
    ///
    /// let limiter = Arc::new(KeyedRateLimiter::new(Quota::per_hour(5)));
    /// let failed_logins = RateLimitLayer::builder(limiter, ClientAddress::new())
    ///     .settle(|response| Settlement::now(u32::from(response.status == StatusCode::UNAUTHORIZED)))
    ///     .build();
    /// ```
    ///
    /// Charge a token for each 1024 bytes that were sent, and nothing if the server fails:
    ///
    /// ```
    /// # use brimful::{KeyedRateLimiter, Quota, Tokens};
    /// # use brimful_tower::key::ClientAddress;
    /// # use brimful_tower::{RateLimitLayer, Settlement};
    /// # use std::sync::Arc;
    /// # let limiter = Arc::new(KeyedRateLimiter::new(Quota::per_hour(5)));
    /// let by_size = RateLimitLayer::builder(limiter, ClientAddress::new())
    ///     .settle(|response| match response.status.is_server_error() {
    ///         true => Settlement::now(0),
    ///         false => Settlement::at_end(|end| {
    ///             Tokens::new(u32::try_from(end.bytes.div_ceil(1024)).unwrap_or(u32::MAX))
    ///         }),
    ///     })
    ///     .build();
    /// ```
    pub fn settle(mut self, settle: impl Fn(&ResponseHead<'_>) -> Settlement + Send + Sync + 'static) -> Self {
        self.options.settle = Some(Arc::new(settle));
        self
    }

    /// Charges a request only when its response is [settled](RateLimitLayerBuilder::settle). Before that, it is admitted if
    /// its cost is there, and takes nothing.
    ///
    /// All requests in flight can find the same tokens. So the requests that are charged in a time t are at most
    /// `burst + rate × t`, and as many more as were in flight at once. The requests beyond the burst take the bucket into
    /// debt, and its limit of debt leaves the rest uncharged. Without this setting, no request is admitted beyond the quota,
    /// but requests that turn out to cost nothing can be refused while others are in flight.
    ///
    /// A request that [waits](RateLimitLayerBuilder::wait_up_to) takes its tokens at the end of its wait. Without a function
    /// that settles, the setting has no effect.
    pub fn charge_later(mut self) -> Self {
        self.options.charges_later = true;
        self
    }

    /// Lets a request wait for its tokens, if they are there within this time: by default, no request waits. Requests with
    /// the same key are served in order of arrival.
    ///
    /// A request that would wait longer is refused at once. Choose a time below the timeouts of the server and of its
    /// clients. A request that waits is kept in memory, without its body if the body is a stream; the builder of the limiter
    /// bounds the waiters.
    ///
    /// A waiting request counts in the limiter's statistics as a denied call and as a wait.
    pub fn wait_up_to(mut self, longest: Duration) -> Self {
        self.options.longest_wait = longest;
        self
    }

    /// Exempts the requests with these methods.
    pub fn exempt_methods(mut self, methods: impl IntoIterator<Item = Method>) -> Self {
        self.options.exempt.methods(methods);
        self
    }

    /// Exempts the requests with these paths; a path that ends in `*`, such as `/static/*`, is all that begin with the text
    /// before it.
    ///
    /// The path is compared as the client sent it, with regard to case. A path with a step such as `..` behind the
    /// beginning, or with an encoded dot or slash, is not exempt, because a server may resolve it to another path.
    pub fn exempt_paths<'a>(mut self, paths: impl IntoIterator<Item = &'a str>) -> Self {
        paths.into_iter().for_each(|path| self.options.exempt.path(path));
        self
    }

    /// Sets the answer to a request without a key: by default it is refused.
    pub fn on_missing_key(mut self, on_missing_key: OnMissingKey) -> Self {
        self.options.on_missing_key = on_missing_key;
        self
    }

    /// Adds the headers of the decision to responses of the service too. By default only refused requests have them.
    pub fn headers_on_admitted(mut self) -> Self {
        self.options.on_admitted = true;
        self
    }

    /// Sets the version of the IETF's draft for `RateLimit` and `RateLimit-Policy`; `None` for neither. By default it is the
    /// latest.
    pub fn ietf(mut self, draft: Option<IetfDraft>) -> Self {
        self.options.draft = draft;
        self
    }

    /// Adds `X-RateLimit-*` to the headers: see [`Headers::x_rate_limit`](crate::headers::Headers::x_rate_limit).
    pub fn x_rate_limit(mut self) -> Self {
        self.options.x_rate_limit = true;
        self
    }

    /// Puts the decision into the extensions of an admitted request: a [`Decision`](brimful::Decision), or a
    /// [`CompositeDecision`](brimful::CompositeDecision) of several quotas; of a concurrency limit, `Result<(),
    /// TryAcquirePermitError>`. After a wait, it is a look at the bucket. By
    /// default it is not, because this allocates.
    pub fn decision_in_extensions(mut self) -> Self {
        self.options.in_extensions = true;
        self
    }

    /// Sets the function that answers refused requests. By default that is [`Refusal::into_response`].
    pub fn on_refused(mut self, handler: impl Fn(Refusal<'_>) -> Response<Bytes> + Send + Sync + 'static) -> Self {
        self.options.handler = Some(Box::new(handler));
        self
    }

    /// Returns the layer.
    pub fn build(mut self) -> RateLimitLayer<E, L> {
        self.options.charges_later &= self.options.settle.is_some();
        RateLimitLayer { options: Arc::new(self.options) }
    }
}

impl<E, L> fmt::Debug for RateLimitLayerBuilder<E, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimitLayerBuilder").field("policy", &self.options.policy).finish_non_exhaustive()
    }
}
