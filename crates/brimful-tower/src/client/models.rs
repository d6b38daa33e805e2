//! [`Models`]: turns by the limits of LLM APIs.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use brimful::model::{Dimension, DimensionHint, ModelAcquire, ModelHandle, ModelLimiter, Permit, ServerHints, Usage};
use brimful::{Clock, QuantaClock};
use http::{HeaderMap, Request, Response, StatusCode};

use super::answer::{Answer, Jitter, Outcome, Pauses};
use super::error::ThrottleError;
use super::gate::nanos;
use super::limits::Limits;
use crate::limits::Begun;

/// A function that reads the usage of a call from the head of its response.
type UsageOf = Box<dyn Fn(StatusCode, &HeaderMap) -> Option<Usage> + Send + Sync>;

/// The dimensions that a call is charged by its usage.
const OF_TOKENS: [Dimension; 3] = [Dimension::Tpm, Dimension::InputTpm, Dimension::OutputTpm];

/// Turns by the limits of LLM APIs: of a [`ModelLimiter`].
pub struct Models<F, C: Clock + Send + Sync + 'static = QuantaClock> {
    limiter: Arc<ModelLimiter<C>>,
    estimate: F,
    pub(super) usage: Option<UsageOf>,
    drawn: Mutex<Drawn>,
}

/// The random number of the pauses that are on.
#[derive(Default)]
struct Drawn {
    number: u64,
    /// The end of the last one, on the clock of the limiter.
    until: u64,
}

impl<F, C: Clock + Send + Sync + 'static> Models<F, C> {
    pub(super) fn new(limiter: Arc<ModelLimiter<C>>, estimate: F) -> Self {
        Models { limiter, estimate, usage: None, drawn: Mutex::default() }
    }

    /// Makes a pause longer at random: those of calls in flight together by the same part, or the longest of them would
    /// count.
    fn stretch(&self, pause: Duration, jitter: &Jitter) -> Duration {
        let now = self.limiter.clock().now();
        let mut drawn = self.drawn.lock().unwrap_or_else(PoisonError::into_inner);
        if now >= drawn.until {
            drawn.number = jitter.draw();
        }
        let pause = jitter.stretch(pause, drawn.number);
        drawn.until = drawn.until.max(now.saturating_add(nanos(pause)));
        pause
    }
}

impl<B, F, N, C> Limits<B> for Models<F, C>
where
    F: Fn(&Request<B>) -> (N, Usage) + Send + Sync + 'static,
    N: AsRef<str>,
    C: Clock + Send + Sync + 'static,
{
    type Turn = Permit<C>;
    type Wait = ModelTurn<C>;

    fn now(&self) -> u64 {
        self.limiter.clock().now()
    }

    fn begin(
        self: &Arc<Self>,
        request: &Request<B>,
        deadline: u64,
    ) -> Result<Begun<Permit<C>, ModelTurn<C>>, ThrottleError> {
        let (model, estimate) = (self.estimate)(request);
        let model = self.limiter.model(model.as_ref())?;
        Ok(match model.try_acquire(estimate) {
            Ok(permit) => Begun::Now(permit),
            Err(_) => {
                Begun::Later(ModelTurn { wait: model.acquire(estimate).until(deadline), model, estimate, deadline })
            }
        })
    }

    fn answered<R>(&self, mut permit: Permit<C>, answer: &Answer, pauses: &Pauses, response: &mut Response<R>) {
        let hints = match answer.outcome {
            Outcome::Refused(Some(pause)) | Outcome::Failed(pause) => {
                answer.hints.retry_after(self.stretch(pause, &pauses.jitter))
            }
            Outcome::Refused(None) | Outcome::Served(_) => answer.hints,
        };
        if !hints.is_refused() {
            let usage = self.usage.as_ref().and_then(|usage| usage(response.status(), response.headers()));
            let Some(usage) = usage else {
                // All but the tokens: the server has answered, whether the usage is ever known or not.
                let head = OF_TOKENS.iter().fold(hints, |hints, of| hints.dimension(*of, DimensionHint::new()));
                permit.observe(&head);
                if answer.is_repeated {
                    // The retry may wait for the slot of this call.
                    return;
                }
                let tokens = Tokens { hints, at: self.limiter.clock().now(), limiter: self.limiter.clone() };
                response.extensions_mut().insert(ModelCall::new(permit, tokens));
                return;
            };
            permit.commit(usage);
        }
        permit.observe(&hints);
    }
}

/// The hints about tokens in the head of a response.
struct Tokens<C: Clock + Send + Sync + 'static> {
    hints: ServerHints,
    /// The time of the head, on the clock of the limiter.
    at: u64,
    limiter: Arc<ModelLimiter<C>>,
}

impl<C: Clock + Send + Sync + 'static> Tokens<C> {
    /// Returns the most tokens that may be left by now: those of the head, and what the quota of the model has earned
    /// since; `None` if the model was removed.
    fn aged(&self, model: &str) -> Option<ServerHints> {
        let quota = self.limiter.model(model).ok()?.quota();
        let age = Duration::from_nanos(self.limiter.clock().now().saturating_sub(self.at));
        let mut hints = ServerHints::new();
        for dimension in OF_TOKENS {
            let (Some(left), Some(per_minute)) = (self.hints.of(dimension).remaining, quota.limit(dimension)) else {
                continue;
            };
            let earned = (u128::from(per_minute) * age.as_millis()).div_ceil(60_000);
            let left = left.saturating_add(u64::try_from(earned).unwrap_or(u64::MAX));
            hints = hints.dimension(dimension, DimensionHint::new().remaining(left));
        }
        Some(hints)
    }
}

/// A wait for a turn.
#[derive(Debug)]
pub struct ModelTurn<C: Clock + Send + Sync + 'static> {
    wait: ModelAcquire<C>,
    model: ModelHandle<C>,
    estimate: Usage,
    deadline: u64,
}

impl<C: Clock + Send + Sync + 'static> Future for ModelTurn<C> {
    type Output = Result<Permit<C>, ThrottleError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            match ready!(Pin::new(&mut self.wait).poll(context)) {
                // A pause has begun after the call had its turn.
                Ok(permit) if !self.model.paused().is_zero() => {
                    permit.cancel();
                    self.wait = self.model.acquire(self.estimate).until(self.deadline);
                }
                granted => return Poll::Ready(granted.map_err(ThrottleError::from)),
            }
        }
    }
}

/// A call to a model that a server has begun to answer, in the extensions of its response: for the usage that is known
/// when the body has ended. Clones are the same call.
///
/// It is in every response that is no [refusal](crate::FromHeaders) and whose headers have no usage, whatever its status;
/// but not in one after which the call was to be [repeated](crate::client::Retries), and which is returned because the retry
/// could not leave in time: that call is over, charged for its estimate.
///
/// While any clone is kept, the call counts as one in flight: if the quota of the model has
/// [`max_parallel_requests`](brimful::model::ModelQuota::max_parallel_requests), take it out of the response, and drop it
/// with the body. A response that is kept keeps it too.
///
/// If the usage is never known, the call is charged for its estimate, and what the server said about tokens is not taken
/// over. All else that it said has its effect with the head of the response.
///
/// # Examples
///
/// ```
/// use brimful::model::Usage;
/// use brimful_tower::client::ModelCall;
/// use bytes::Bytes;
/// use http::Response;
/// # fn usage_of(body: &Bytes) -> Usage { Usage { input: 1, output: body.len() as u64 } }
///
/// fn answered(mut response: Response<Bytes>) -> Bytes {
///     let call = response.extensions_mut().remove::<ModelCall>();
///     let body = response.into_body(); // or a stream, to its end
///     if let Some(call) = call {
///         call.commit(usage_of(&body));
///     }
///     body
/// }
/// ```
pub struct ModelCall<C: Clock + Send + Sync + 'static = QuantaClock>(Arc<Mutex<Call<C>>>);

struct Call<C: Clock + Send + Sync + 'static> {
    permit: Permit<C>,
    /// Observed after the commit, because the server's count may have the usage. `None` after that.
    tokens: Option<Tokens<C>>,
}

impl<C: Clock + Send + Sync + 'static> ModelCall<C> {
    fn new(permit: Permit<C>, tokens: Tokens<C>) -> Self {
        ModelCall(Arc::new(Mutex::new(Call { permit, tokens: Some(tokens) })))
    }

    /// Charges what the usage of the call so far has beyond its charge, as [`Permit::progress`]: for a stream.
    pub fn progress(&self, so_far: impl Into<Usage>) {
        self.with(|call| call.permit.progress(so_far));
    }

    /// Charges the actual usage instead of the estimate, as [`Permit::commit`], and takes over what the server said about
    /// tokens with the head of the response, and what may have been added since.
    pub fn commit(&self, actual: impl Into<Usage>) {
        self.with(|call| {
            call.permit.commit(actual);
            if let Some(hints) = call.tokens.take().and_then(|tokens| tokens.aged(call.permit.model())) {
                call.permit.observe(&hints);
            }
        });
    }

    fn with(&self, change: impl FnOnce(&mut Call<C>)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl<C: Clock + Send + Sync + 'static> Clone for ModelCall<C> {
    fn clone(&self) -> Self {
        ModelCall(self.0.clone())
    }
}

impl<C: Clock + Send + Sync + 'static> fmt::Debug for ModelCall<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ModelCall").finish_non_exhaustive()
    }
}
