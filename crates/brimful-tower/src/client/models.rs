//! [`Models`]: turns by the limits of LLM APIs.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use brimful::model::{ModelAcquire, ModelLimiter, Permit, ServerHints, Usage};
use brimful::{Clock, QuantaClock};
use http::{HeaderMap, Request, Response};

use super::answer::{Answer, Jitter, Outcome};
use super::error::ThrottleError;
use super::limits::{Begun, Limits};

/// A function that reads the usage of a call from the headers of its response.
type UsageOf = Box<dyn Fn(&HeaderMap) -> Option<Usage> + Send + Sync>;

/// Turns by the limits of LLM APIs: of a [`ModelLimiter`].
pub struct Models<F, C: Clock + Send + Sync + 'static = QuantaClock> {
    limiter: Arc<ModelLimiter<C>>,
    estimate: F,
    pub(super) usage: Option<UsageOf>,
}

impl<F, C: Clock + Send + Sync + 'static> Models<F, C> {
    pub(super) fn new(limiter: Arc<ModelLimiter<C>>, estimate: F) -> Self {
        Models { limiter, estimate, usage: None }
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
            Err(_) => Begun::Later(ModelTurn(model.acquire(estimate).until(deadline))),
        })
    }

    fn answered<R>(&self, mut permit: Permit<C>, answer: &Answer, _: &Jitter, response: &mut Response<R>) {
        let hints = match answer.outcome {
            Outcome::Refused(Some(pause)) | Outcome::Failed(pause) => answer.hints.retry_after(pause),
            Outcome::Refused(None) | Outcome::Served(_) => answer.hints,
        };
        let usage = self.usage.as_ref().and_then(|usage| usage(response.headers()));
        match usage {
            _ if hints.is_refused() => {}
            Some(usage) => permit.commit(usage),
            None if response.status().is_success() => {
                response.extensions_mut().insert(ModelCall::new(permit, hints));
                return;
            }
            None => {}
        }
        permit.observe(&hints);
    }
}

/// A wait for a turn.
#[derive(Debug)]
pub struct ModelTurn<C: Clock + Send + Sync + 'static>(ModelAcquire<C>);

impl<C: Clock + Send + Sync + 'static> Future for ModelTurn<C> {
    type Output = Result<Permit<C>, ThrottleError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context).map_err(ThrottleError::from)
    }
}

/// A call to a model that a server has begun to answer, in the extensions of its response: for the usage that is known
/// when the body has ended. Clones are the same call.
///
/// While any clone is kept, the call counts as one in flight.
///
/// If the usage is never known, the call is charged for its estimate, and the limits in the headers of its response are
/// not taken over.
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
    /// Observed after the commit, because the server's count has the usage. `None` after that.
    hints: Option<ServerHints>,
}

impl<C: Clock + Send + Sync + 'static> ModelCall<C> {
    fn new(permit: Permit<C>, hints: ServerHints) -> Self {
        ModelCall(Arc::new(Mutex::new(Call { permit, hints: Some(hints) })))
    }

    /// Charges what the usage of the call so far has beyond its charge, as [`Permit::progress`]: for a stream.
    pub fn progress(&self, so_far: impl Into<Usage>) {
        self.with(|call| call.permit.progress(so_far));
    }

    /// Charges the actual usage instead of the estimate, as [`Permit::commit`], and takes over what the server said about
    /// its limits.
    pub fn commit(&self, actual: impl Into<Usage>) {
        self.with(|call| {
            call.permit.commit(actual);
            if let Some(hints) = call.hints.take() {
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
