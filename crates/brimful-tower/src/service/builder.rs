//! [`RateLimitLayerBuilder`]: the settings of a layer.

use std::borrow::Cow;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use brimful::Tokens;
use bytes::Bytes;
use http::{Method, Response};

use super::control::{Control, Settings};
use super::event::{Event, Events, Share};
use super::layer::RateLimitLayer;
use super::options::Options;
use super::refusal::{AnswerForm, Refusal};
use super::settle::{ResponseHead, Settle, Settlement, Settler};
use crate::checks::{Check, Finding, count_layers_at};
use crate::headers::IetfDraft;
use crate::key::{KeyExtractor, OnMissingKey, RequestHead};
use crate::limits::{Held, Limiter};

/// A builder of a [`RateLimitLayer`], made by [`RateLimitLayer::builder`].
#[must_use = "a builder does nothing until `build`"]
pub struct RateLimitLayerBuilder<E, L> {
    options: Options<E, L>,
    settle: Option<Settle>,
    settings: Settings,
    /// The place in the code that made the builder.
    place: &'static Location<'static>,
}

impl<E, L> RateLimitLayer<E, L>
where
    E: KeyExtractor,
    L: Limiter<E::Key>,
{
    /// Returns a layer with this limiter and this key.
    #[track_caller]
    pub fn new(limiter: Arc<L>, key: E) -> Self {
        RateLimitLayer::builder(limiter, key).build()
    }

    /// Returns a builder, for the settings.
    #[track_caller]
    pub fn builder(limiter: Arc<L>, key: E) -> RateLimitLayerBuilder<E, L> {
        RateLimitLayerBuilder {
            options: Options {
                key,
                limiter,
                policy: Cow::Borrowed("default"),
                cost: None,
                settle: None,
                charges_later: false,
                control: Arc::default(),
                on_missing_key: OnMissingKey::default(),
                on_admitted: false,
                draft: Some(IetfDraft::default()),
                x_rate_limit: false,
                in_extensions: false,
                needs_decision: false,
                form: AnswerForm::default(),
                handler: None,
                share: None,
            },
            settle: None,
            settings: Settings::default(),
            place: Location::caller(),
        }
    }
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
    /// ([`Quota::max_debt`](brimful::Quota::max_debt)). Further requests are then refused until the debt is earned. Tokens
    /// beyond the limit of debt are not charged, and are reported as [`Event::Uncharged`]: if a request can cost more than two
    /// bursts, set a higher limit.
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
    /// Charge a token for each 1024 bytes that were sent, and nothing if the server fails. A response of up to 64 MiB is
    /// charged as a whole:
    ///
    /// ```
    /// # use brimful::{KeyedRateLimiter, Quota, Tokens};
    /// # use brimful_tower::key::ClientAddress;
    /// # use brimful_tower::{RateLimitLayer, Settlement};
    /// # use std::sync::Arc;
    /// let limiter = Arc::new(KeyedRateLimiter::new(Quota::per_hour(10_000).max_debt(64 * 1024)));
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
        self.settle = Some(Box::new(settle));
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
    /// Of a rate, a request that would wait longer is refused at once. Of a concurrency limit, the time at which a permit is
    /// free is not known: a request waits this long, and is refused then. Choose a time below the timeouts of the server and of
    /// its clients. A request that waits is kept in memory, without its body if the body is a stream. The builder of the
    /// limiter bounds the waiters, by `max_waiters`: on each key of a rate to 65 536 by default, and of other limiters to
    /// 1 048 576. A request that finds the queue full is refused at once.
    ///
    /// A request that waits keeps what the inner service has reserved for it in `poll_ready`, such as a slot of
    /// `tower::limit::ConcurrencyLimit`: a few waiting requests of one key can keep all slots from the others. A
    /// [concurrency limit](crate::Limiter) in a layer inside of this one reserves nothing before the call.
    ///
    /// A waiting request counts in the limiter's statistics as a denied call and as a wait. Requests that wait for a
    /// [shared limiter](crate::Limiter#limiters-that-many-processes-share) have no order, and no bound on their number.
    pub fn wait_up_to(mut self, longest: Duration) -> Self {
        self.settings.longest_wait = longest;
        self
    }

    /// Exempts the requests with these methods.
    pub fn exempt_methods(mut self, methods: impl IntoIterator<Item = Method>) -> Self {
        self.settings.exempt.methods(methods);
        self
    }

    /// Exempts the requests with these paths; a path that ends in `*`, such as `/static/*`, is all that begin with the text
    /// before it.
    ///
    /// The path is that of the request as it comes to this layer, and is compared with regard to case. Within a router that
    /// cuts off the beginning of paths, as axum's does for the routes of `nest`, it is the rest: add the layer to the outer
    /// router, or exempt the rest. A path with a step such as `..` behind the
    /// beginning, or with an encoded dot or slash, is not exempt, because a server may resolve it to another path.
    pub fn exempt_paths<'a>(mut self, paths: impl IntoIterator<Item = &'a str>) -> Self {
        paths.into_iter().for_each(|path| self.settings.exempt.path(path));
        self
    }

    /// Sets the answer to a request without a key: by default it is refused.
    pub fn on_missing_key(mut self, on_missing_key: OnMissingKey) -> Self {
        self.options.on_missing_key = on_missing_key;
        self
    }

    /// Adds the headers of the decision to responses of the service too. By default only refused requests have them.
    ///
    /// A response that has `Retry-After` is left as it is: an inner layer, or the service, has refused the request, and a limit
    /// that admitted it could only name other times. If several layers add headers to a response, `RateLimit` and
    /// `RateLimit-Policy` have a line of each, and `X-RateLimit-*` are those of the innermost one, whether or not it is the
    /// tightest: add these in one layer only.
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
    /// TryAcquirePermitError>`; of a shared limiter, a `SharedDecision`. After a wait, it is a look at the bucket. A
    /// request that is exempt, or that is [admitted](OnMissingKey::Admit) without a key, has none: so let axum's handlers take
    /// `Option<Extension<Decision>>`. By default there is none, because this allocates.
    pub fn decision_in_extensions(mut self) -> Self {
        self.options.in_extensions = true;
        self
    }

    /// Sets the function that answers refused requests. By default that is [`Refusal::into_response`].
    pub fn on_refused(mut self, handler: impl Fn(Refusal<'_>) -> Response<Bytes> + Send + Sync + 'static) -> Self {
        self.options.handler = Some(Box::new(handler));
        self
    }

    /// Sets the form of the answer to a request that was refused: by default, problem details in JSON. Requests of gRPC are
    /// answered as such, unless the form is [`HeadersOnly`](AnswerForm::HeadersOnly).
    pub fn answer(mut self, form: AnswerForm) -> Self {
        self.options.form = form;
        self
    }

    /// Begins in shadow mode: admits all requests, and counts those that would have been refused. A [`Handle`](crate::Handle) reads
    /// the [count](crate::Handle::would_refuse), and ends the mode.
    ///
    /// The requests that would have been admitted take their tokens, and the others take none, so that the numbers are those
    /// of the real mode. No request waits. For one that would have [waited](RateLimitLayerBuilder::wait_up_to), a place in the
    /// limiter's queue takes its tokens in turn: it is not counted, and those behind it are counted if their wait would be too
    /// long. A place that is given up later, as when the limiter is paused, is not counted either. The places are kept in
    /// memory, without the requests, until their waits end, also if the mode ends before: at most about twice as many as
    /// requests would wait. The limiter's statistics have them as waits.
    ///
    /// A request that found no permit is counted at once, although it may have waited for one; so is one that a
    /// [shared limiter](crate::Limiter#limiters-that-many-processes-share) refused, because its waits are in no queue: the
    /// count of these limiters is an upper bound if requests may wait. Requests without a key are counted too. With
    /// [`headers_on_admitted`](RateLimitLayerBuilder::headers_on_admitted), responses have the headers, without
    /// `Retry-After`.
    pub fn shadow(mut self) -> Self {
        self.settings.is_shadow = true;
        self
    }

    /// Sets the function that [events](Event) are passed to: refusals, those that the shadow mode leaves out, used
    /// [shares](RateLimitLayerBuilder::share_used) of quotas, costs that were not charged, decisions by the policy for
    /// failures of a shared limiter, and findings of [checks](crate::checks).
    ///
    /// It runs on the thread of the request. A request that is admitted calls it only if a share is used, if its cost is
    /// beyond the limit of debt, or if that policy admits it.
    pub fn on_event(mut self, on_event: impl Fn(&Event<'_>) + Send + Sync + 'static) -> Self {
        self.settings.events = Events::new(on_event);
        self
    }

    /// Reports [`Event::ShareUsed`] when a request takes tokens of which this share is used then, and was not before: 0.8
    /// for 80 % of the burst of any limit. The share is rounded up to a token, and clipped to the range from 0 to 1; zero
    /// stands for the first token.
    ///
    /// A bucket that is refilled and used at about this share crosses it again and again. So at most 10 events a second are
    /// reported for all keys, after a burst of 10, and the next one has the number of those that were left out. A cost with a
    /// fraction counts as the next whole number, and may cross twice. Tokens that a request takes when it is
    /// [settled](RateLimitLayerBuilder::settle), or after a wait, are not seen.
    ///
    /// # Examples
    ///
    /// ```
    /// use brimful::{Quota, RateLimiter};
    /// use brimful_tower::key::Everyone;
    /// use brimful_tower::{Event, RateLimitLayer};
    /// use std::sync::Arc;
    ///
    /// let limiter = Arc::new(RateLimiter::new(Quota::per_day(10_000)));
    /// let layer = RateLimitLayer::builder(limiter, Everyone)
    ///     .share_used(0.8)
    ///     .on_event(|event| match event {
    ///         Event::ShareUsed { policy, decision, .. } => println!("{policy}: {} left", decision.remaining()),
    ///         Event::Refused { refusal, .. } => println!("refused by {:?}", refusal.violated),
    ///         _ => {}
    ///     })
    ///     .build();
    /// ```
    pub fn share_used(mut self, share: f64) -> Self {
        self.options.share = Some(Share::new(share));
        self
    }

    /// States the timeout of the server for a request, for the [check BT004](crate::checks#bt004). It changes nothing else.
    pub fn server_timeout(mut self, timeout: Duration) -> Self {
        self.settings.server_timeout = Some(timeout);
        self
    }
}

impl<E, L> RateLimitLayerBuilder<E, L>
where
    E: KeyExtractor,
    L: Limiter<E::Key>,
{
    /// Returns the layer. Its [checks](crate::checks) are reported to the function for
    /// [events](RateLimitLayerBuilder::on_event), and [`RateLimitLayer::checks`] returns them.
    pub fn build(self) -> RateLimitLayer<E, L> {
        let RateLimitLayerBuilder { mut options, settle, settings, place } = self;
        let events = settings.events.clone();
        let without_effect = without_effect(&options, settle.is_some(), events.are_read());
        let found = count_layers_at(place, &options.limiter).into_iter().chain(without_effect).collect();
        options.settle = settle.map(|settle| Arc::new(Settler { settle, events }));
        // A request has to be settled to be charged.
        options.charges_later &= options.settle.is_some();
        options.needs_decision = options.on_admitted || options.in_extensions || options.share.is_some();
        options.control = Arc::new(Control::new(settings, found));
        for finding in &options.control.checks() {
            options.report(&Event::Found { finding });
        }
        RateLimitLayer::from_options(options)
    }
}

/// Returns the settings that have no effect.
fn without_effect<E, L>(
    options: &Options<E, L>,
    settles: bool,
    reports: bool,
) -> impl Iterator<Item = Finding> + use<E, L>
where
    E: KeyExtractor,
    L: Limiter<E::Key>,
{
    let texts = [
        (
            options.charges_later && !settles,
            "`charge_later` has no effect without a function that settles: add `settle`",
        ),
        (settles && L::Held::LASTS, "a permit is not settled: `settle` has no effect on a concurrency limit"),
        (
            options.share.is_some() && L::Held::LASTS,
            "a permit has no quota of which a share is used: `share_used` has no effect on a concurrency limit",
        ),
        (
            options.on_admitted && L::Held::LASTS,
            "a permit has no numbers for headers: `headers_on_admitted` has no effect on a concurrency limit",
        ),
        (
            options.x_rate_limit && L::Held::LASTS,
            "a permit has no numbers for headers: `x_rate_limit` has no effect on a concurrency limit",
        ),
        (
            options.share.is_some() && !reports && !L::Held::LASTS,
            "`share_used` has no effect without a function for events: add `on_event`",
        ),
    ];
    texts.into_iter().filter(|(is_found, _)| *is_found).map(|(_, text)| Finding::new(Check::NoEffect, text))
}

impl<E, L> fmt::Debug for RateLimitLayerBuilder<E, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimitLayerBuilder").field("policy", &self.options.policy).finish_non_exhaustive()
    }
}
