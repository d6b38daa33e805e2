//! [`ThrottleLayer`] and its builder.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use brimful::model::{ModelLimiter, Usage};
use brimful::{Clock, RateLimiter};
use http::{HeaderMap, Request, StatusCode};
use tower_layer::Layer;

use super::answer::Pauses;
use super::keyed::Keyed;
use super::models::Models;
use super::retries::{NoRetries, Retries};
use super::shared::{Budget, Shared};
use super::throttle::Throttle;
use super::turns::Turns;
use crate::key::KeyExtractor;

/// A layer around a client that lets each call wait for its turn, so that the server need not refuse it.
///
/// It is for any service of requests and responses of the crate `http`: a client of `hyper-util`, or one of `reqwest` in
/// a `tower::service_fn`. It is made in one of two ways:
///
/// - [`new`](ThrottleLayer::new): by a limiter of `brimful` with a quota for each [key](crate::key) of a request, such as
///   its [host](crate::client::ByHost).
/// - [`of_models`](ThrottleLayer::of_models): by the limits of LLM APIs, a [`ModelLimiter`].
///
/// All clones of the layer and of its services share the limiter, which stays usable from outside.
///
/// A call leaves if its quota admits it, or waits in the limiter's queue, in order of arrival, until its
/// [deadline](ThrottleLayerBuilder::wait_up_to). If it cannot leave before, it fails with a
/// [`ThrottleError`](crate::client::ThrottleError), usually at once. A call whose turn has come as a pause begins waits
/// anew, behind the others that wait for the end of the pause.
///
/// The service within is ready before a call takes its turn. If it reserves something for the call in `poll_ready`, as
/// `tower`'s `ConcurrencyLimit` and `Buffer` do, that is held while the call waits, and freed if the call is dropped.
///
/// # What the server says
///
/// The headers of each response are [read](crate::FromHeaders). Absurd values are clamped, and malformed ones are ignored.
///
/// After a **refusal**, or status 503 with a time to retry, no call of the key leaves until then: neither a new one nor
/// one that waits. If a refusal names no time, it is the reset of a limit that has nothing left, or else a second, doubled
/// by each further refusal in a row, up to 64 seconds. Refusals of calls that were in flight together count as one. A pause
/// is at most a day after a refusal and five minutes after another answer, or a [time that you
/// set](ThrottleLayerBuilder::longest_pause), and longer at random by a [share](ThrottleLayerBuilder::jitter), so that clients that were refused
/// together do not return together.
///
/// For a layer of keys, that holds:
///
/// - After a pause, the calls come one by one, or those of two milliseconds at once, and not as a burst. Their rate is that
///   of the key's quota, of the fastest one if it has several. It is halved by each refusal, and goes up by a 64th of the
///   quota's rate with every fourth answer that is none, up to nine eighths of it while calls wait. When it is that of the
///   quota again, or ten minutes after a pause, and no call waits for it, all is as before.
/// - A pause can be [ended](ThrottleLayer::resume).
/// - A limit with **none left** pauses the calls until its reset, before the server has to refuse one. Some servers, such
///   as `OpenAI`'s, name the time at which the limit is full again, which is long after the next call is served: for those,
///   [ignore it](ThrottleLayerBuilder::ignore_remaining).
/// - A call takes its token before it waits for the end of a pause, and the [bound](brimful#guarantees) of the quota is one
///   of the times at which tokens are taken.
///
/// Also of a limiter that many processes share, a pause is one of this process: the others have theirs when the server
/// refuses their own calls.
///
/// For a layer of models, [`ModelLimiter::observe`] has the effect. A pause after a refusal that names no time is then not
/// longer at random, and may be longer than the time that you set.
///
/// # Examples
///
/// ```
/// use brimful_tower::client::{ByHost, HostLimits, Retries, ThrottleLayer};
/// use bytes::Bytes;
/// use http::{Request, Response};
/// use std::convert::Infallible;
/// use std::sync::Arc;
/// use std::time::Duration;
/// use tower::{ServiceBuilder, ServiceExt, service_fn};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let limits = HostLimits::new("10/s burst 1".parse()?)?.host("api.example.com".parse()?, "2/s; 5000/h".parse()?);
/// let throttle = ThrottleLayer::builder(Arc::new(limits), ByHost)
///     .wait_up_to(Duration::from_secs(20))
///     .retries(Retries::new(|request: &Request<Bytes>| Some(request.clone())))
///     .build();
///
/// // A client that makes the call.
/// let client = service_fn(async |_: Request<Bytes>| Ok::<_, Infallible>(Response::new(Bytes::from("hello"))));
/// let client = ServiceBuilder::new().layer(throttle).service(client);
///
/// let response = client.oneshot(Request::get("https://api.example.com/").body(Bytes::new())?).await?;
/// assert_eq!(response.into_body(), "hello");
/// # Ok::<(), brimful_tower::client::BoxError>(())
/// # }).unwrap();
/// ```
pub struct ThrottleLayer<P, R = NoRetries> {
    shared: Arc<Shared<P, R>>,
}

impl<E: KeyExtractor, L: Turns<E::Key>> ThrottleLayer<Keyed<E, L>> {
    /// Returns a layer with a quota for each key: of a [`KeyedRateLimiter`](brimful::KeyedRateLimiter), a
    /// [`KeyedCompositeLimiter`](brimful::KeyedCompositeLimiter), or [`HostLimits`](crate::client::HostLimits).
    pub fn new(limiter: Arc<L>, key: E) -> Self {
        ThrottleLayer::builder(limiter, key).build()
    }

    /// Returns a builder, for the settings.
    pub fn builder(limiter: Arc<L>, key: E) -> ThrottleLayerBuilder<Keyed<E, L>> {
        let clock = Arc::new(limiter.clock().clone());
        ThrottleLayerBuilder::new(Keyed::new(limiter, key), clock)
    }
}

impl<E: KeyExtractor, L: Turns<E::Key>, R> ThrottleLayer<Keyed<E, L>, R> {
    /// Returns the time until the pause of a key is over; zero if there is none.
    ///
    /// A clone of the layer is kept for this: all of them share their pauses. For models, see
    /// [`ModelLimiter::pause_for`] and [`ModelLimiter::resume`].
    #[must_use]
    pub fn paused(&self, key: &E::Key) -> Duration {
        self.shared.limits.gates.paused(key)
    }

    /// Ends the pause of a key, if there is one. The calls then come as after its end.
    pub fn resume(&self, key: &E::Key) {
        self.shared.limits.gates.resume(key);
    }
}

impl<F, C: Clock + Clone + Send + Sync + 'static> ThrottleLayer<Models<F, C>> {
    /// Returns a builder of a layer with the limits of LLM APIs. The function returns the name of the model that a request
    /// is for, and an estimate of its usage.
    ///
    /// The actual usage is charged with the [answer](ThrottleLayerBuilder::usage), or with the end of its body, by a
    /// [`ModelCall`](crate::client::ModelCall) in the extensions of the response.
    ///
    /// # Examples
    ///
    /// ```
    /// use brimful::model::{ModelLimiter, ModelQuota, Usage};
    /// use brimful_tower::client::{BoxError, ModelCall, ThrottleLayer};
    /// use http::{Request, Response};
    /// use std::sync::Arc;
    /// use tower::{Layer, ServiceExt, service_fn};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let limiter = ModelLimiter::builder().model("large", ModelQuota::new().tpm(30_000)).build()?;
    /// let limiter = Arc::new(limiter);
    /// let throttle = ThrottleLayer::of_models(limiter.clone(), |request: &Request<String>| {
    ///     ("large", Usage { input: request.body().len() as u64 / 4, output: 500 })
    /// });
    ///
    /// let client = service_fn(async |_: Request<String>| Ok::<_, BoxError>(Response::new("hello".to_owned())));
    /// let mut response = throttle.build().layer(client).oneshot(Request::new("Say hello.".to_owned())).await?;
    /// let call = response.extensions_mut().remove::<ModelCall>().expect("the answer to a call");
    /// call.commit((4, 1)); // as the body says
    /// # assert_eq!(limiter.stats_of("large").unwrap().dimension(brimful::model::Dimension::Tpm).unwrap().used, 5);
    /// # Ok::<(), BoxError>(())
    /// # }).unwrap();
    /// ```
    pub fn of_models<B, N>(limiter: Arc<ModelLimiter<C>>, estimate: F) -> ThrottleLayerBuilder<Models<F, C>>
    where
        F: Fn(&Request<B>) -> (N, Usage),
        N: AsRef<str>,
    {
        let clock = Arc::new(limiter.clock().clone());
        ThrottleLayerBuilder::new(Models::new(limiter, estimate), clock)
    }
}

impl<S, P, R> Layer<S> for ThrottleLayer<P, R> {
    type Service = Throttle<S, P, R>;

    fn layer(&self, service: S) -> Throttle<S, P, R> {
        Throttle::new(service, self.shared.clone())
    }
}

impl<P, R> Clone for ThrottleLayer<P, R> {
    fn clone(&self) -> Self {
        ThrottleLayer { shared: self.shared.clone() }
    }
}

impl<P, R> fmt::Debug for ThrottleLayer<P, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThrottleLayer").field("longest_wait", &self.shared.longest_wait).finish_non_exhaustive()
    }
}

/// A builder of a [`ThrottleLayer`].
#[must_use = "a builder does nothing until `build`"]
pub struct ThrottleLayerBuilder<P, R = NoRetries> {
    limits: P,
    clock: Arc<dyn Clock + Send + Sync>,
    longest_wait: Duration,
    pauses: Pauses,
    retries: R,
    budget: Option<Arc<Budget>>,
}

impl<P> ThrottleLayerBuilder<P> {
    fn new(limits: P, clock: Arc<dyn Clock + Send + Sync>) -> Self {
        let longest_wait = Duration::from_secs(60);
        ThrottleLayerBuilder {
            limits,
            clock,
            longest_wait,
            pauses: Pauses::default(),
            retries: NoRetries,
            budget: None,
        }
    }

    /// Repeats calls that were refused. By default no call is repeated.
    pub fn retries<F>(self, retries: Retries<F>) -> ThrottleLayerBuilder<P, Retries<F>> {
        let left = RateLimiter::with_clock(retries.floor, self.clock.clone());
        let budget = Some(Arc::new(Budget { left, share: retries.share }));
        let ThrottleLayerBuilder { limits, clock, longest_wait, pauses, .. } = self;
        ThrottleLayerBuilder { limits, clock, longest_wait, pauses, retries, budget }
    }
}

impl<P, R> ThrottleLayerBuilder<P, R> {
    /// Sets the time within which a call leaves, from its beginning and with all its retries: a minute by default. With a
    /// time of zero, a call leaves at once or fails.
    ///
    /// It bounds the time before the last attempt leaves, and not the time in which the server answers.
    pub fn wait_up_to(self, longest: Duration) -> Self {
        ThrottleLayerBuilder { longest_wait: longest, ..self }
    }

    /// Sets the most by which a pause gets longer at random, in percent: 10 by default.
    pub fn jitter(mut self, percent: u8) -> Self {
        self.pauses.jitter = self.pauses.jitter.with_percent(percent);
        self
    }

    /// Sets the longest pause, before the [jitter](ThrottleLayerBuilder::jitter), whatever the server says. By default it is
    /// a day after a refusal, and five minutes after another answer.
    ///
    /// It bounds also the pauses after refusals that name no time; but not those of a layer of models, which are up to 64
    /// seconds, by [`ModelLimiter::observe`].
    pub fn longest_pause(mut self, longest: Duration) -> Self {
        self.pauses.longest = Some(longest);
        self
    }

    /// Sets the source of random numbers, evenly distributed, for tests.
    pub fn random(mut self, random: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        self.pauses.jitter = self.pauses.jitter.with_random(random);
        self
    }

    /// Returns the layer.
    pub fn build(self) -> ThrottleLayer<P, R> {
        let ThrottleLayerBuilder { limits, longest_wait, pauses, retries, budget, .. } = self;
        ThrottleLayer { shared: Arc::new(Shared { limits: Arc::new(limits), longest_wait, pauses, retries, budget }) }
    }
}

impl<E: KeyExtractor, L: Turns<E::Key>, R> ThrottleLayerBuilder<Keyed<E, L>, R> {
    /// Sets the most keys that are paused, or slowed down after a pause, at a time: 16 384 by default. For a further one, the
    /// key is forgotten whose pause ends first; its next call may be refused again. A key takes about 500 bytes.
    pub fn max_paused(mut self, most: usize) -> Self {
        self.limits.max_paused(most);
        self
    }

    /// Lets calls go on after a response by which none is left. By default, they pause until the reset.
    pub fn ignore_remaining(mut self) -> Self {
        self.limits.ignores_remaining = true;
        self
    }
}

impl<F, C: Clock + Send + Sync + 'static, R> ThrottleLayerBuilder<Models<F, C>, R> {
    /// Sets the function that reads the usage of a call from the head of its response; `None` if that does not have it. It
    /// is asked for every response that is no refusal: an error may have used nothing.
    pub fn usage(mut self, usage: impl Fn(StatusCode, &HeaderMap) -> Option<Usage> + Send + Sync + 'static) -> Self {
        self.limits.usage = Some(Box::new(usage));
        self
    }
}

impl<P, R> fmt::Debug for ThrottleLayerBuilder<P, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThrottleLayerBuilder").field("longest_wait", &self.longest_wait).finish_non_exhaustive()
    }
}
