//! [`ThrottleFuture`]: the response to a call.

use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::answer::Answer;
use super::error::ThrottleError;
use super::limits::Limits;
use super::retries::Repeat;
use super::shared::{Retry, Shared, Timer};
use crate::limits::Begun;

/// An error of the service, or a [`ThrottleError`].
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

pin_project! {
    /// The response to a call: of the service, after the call has had its turn.
    ///
    /// # Cancel safety
    ///
    /// If it is dropped while the call waits, the call gives up its place, and nothing is charged. After that, the call
    /// counts as made.
    ///
    /// # Panics
    ///
    /// If it is polled after it has completed, as futures do.
    pub struct ThrottleFuture<S, B, P, R>
    where
        S: Service<Request<B>>,
        P: Limits<B>,
    {
        #[pin]
        state: State<S::Future, P::Turn, Attempt<S, B, P>>,
        shared: Arc<Shared<P, R>>,
    }
}

pin_project! {
    #[project = StateProjected]
    enum State<F, T, A> {
        // The turn is taken by the answer. The attempt is the next one, if there may be one.
        InFlight { #[pin] future: F, turn: Option<T>, next: Option<Box<A>> },
        // In a box, so that the future of a call that does not wait is small.
        Waiting { attempt: Option<Box<A>> },
        // `None` when it was returned.
        Failed { error: Option<ThrottleError> },
    }
}

/// A call that waits for its turn, or that may be repeated.
pub(super) struct Attempt<S, B, P>
where
    S: Service<Request<B>>,
    P: Limits<B>,
{
    begun: Option<Begun<P::Turn, P::Wait>>,
    /// Taken by the service.
    request: Option<Request<B>>,
    service: S,
    /// Before the call has its turn, so that nothing comes between the turn and the call.
    is_ready: bool,
    deadline: u64,
    /// The times that the call may be repeated after this attempt.
    left: u32,
    /// `None` for the first attempt.
    retry: Option<Retry>,
    /// The refusal after which the call is repeated. It is returned if the call does not leave in time.
    refusal: Option<S::Response>,
    /// The end of a retry's wait for the service.
    timer: Option<Timer>,
}

impl<S, B, P, R> ThrottleFuture<S, B, P, R>
where
    S: Service<Request<B>>,
    P: Limits<B>,
    R: Repeat<B>,
{
    pub(super) fn failed(error: ThrottleError, shared: Arc<Shared<P, R>>) -> Self {
        ThrottleFuture { state: State::Failed { error: Some(error) }, shared }
    }

    /// Makes the first attempt of a call. The service is ready.
    #[inline]
    pub(super) fn begin(
        begun: Begun<P::Turn, P::Wait>,
        request: Request<B>,
        service: &mut S,
        deadline: u64,
        shared: Arc<Shared<P, R>>,
    ) -> Self
    where
        S: Clone,
    {
        let attempt = |begun: Option<_>, request, service, left| {
            let is_ready = begun.is_some();
            Box::new(Attempt {
                begun,
                request: Some(request),
                service,
                is_ready,
                deadline,
                left,
                retry: None,
                refusal: None,
                timer: None,
            })
        };
        let state = match begun {
            Begun::Now(turn) => {
                let next = shared
                    .retries
                    .clone_request(&request)
                    .map(|(left, clone)| attempt(None, clone, service.clone(), left));
                shared.count_call();
                State::InFlight { future: service.call(request), turn: Some(turn), next }
            }
            begun => {
                // The service that is ready makes this call: what it has reserved is for this one.
                let next = service.clone();
                let ready = mem::replace(service, next);
                State::Waiting { attempt: Some(attempt(Some(begun), request, ready, u32::MAX)) }
            }
        };
        ThrottleFuture { state, shared }
    }
}

impl<S, B, P, R, T> Future for ThrottleFuture<S, B, P, R>
where
    S: Service<Request<B>, Response = Response<T>>,
    S::Error: Into<BoxError>,
    P: Limits<B>,
    R: Repeat<B>,
{
    type Output = Result<Response<T>, BoxError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let (mut state, shared) = (this.state, &**this.shared);
        loop {
            let next = match state.as_mut().project() {
                StateProjected::InFlight { future, turn, next } => {
                    let mut response = ready!(future.poll(context)).map_err(Into::into)?;
                    let mut answer = Answer::read(response.status(), response.headers(), &shared.pauses);
                    let next = next.take().filter(|_| shared.retries.wants(&answer));
                    let next = next.and_then(|next| next.again(shared));
                    answer.is_repeated = next.is_some();
                    if let Some(turn) = turn.take() {
                        shared.limits.answered(turn, &answer, &shared.pauses, &mut response);
                    }
                    match next {
                        Some(mut attempt) => {
                            attempt.refusal = Some(response);
                            State::Waiting { attempt: Some(attempt) }
                        }
                        None => return Poll::Ready(Ok(response)),
                    }
                }
                StateProjected::Waiting { attempt: place } => {
                    let mut attempt = place.take().expect("the future has not completed yet");
                    match attempt.poll(shared, context) {
                        Poll::Pending => {
                            *place = Some(attempt);
                            return Poll::Pending;
                        }
                        Poll::Ready(Ok(Left { future, turn, may_repeat })) => {
                            State::InFlight { future, turn: Some(turn), next: may_repeat.then_some(attempt) }
                        }
                        Poll::Ready(Err(error)) => return Poll::Ready(attempt.refusal.take().ok_or(error)),
                    }
                }
                StateProjected::Failed { error } => {
                    return Poll::Ready(Err(error.take().expect("the future has not completed yet").into()));
                }
            };
            state.set(next);
        }
    }
}

type LeftResult<F, T> = Result<Left<F, T>, BoxError>;

/// A call that has left.
struct Left<F, T> {
    future: F,
    turn: T,
    may_repeat: bool,
}

impl<S, B, P> Attempt<S, B, P>
where
    S: Service<Request<B>>,
    S::Error: Into<BoxError>,
    P: Limits<B>,
{
    /// Returns the attempt for a retry, unless the deadline is over or the budget has no retry left.
    fn again<R>(mut self: Box<Self>, shared: &Shared<P, R>) -> Option<Box<Self>> {
        self.request.as_ref()?;
        if shared.limits.now() >= self.deadline {
            return None;
        }
        self.retry = Some(shared.take_retry()?);
        self.is_ready = false;
        self.left -= 1;
        Some(self)
    }

    /// Makes the call when it has its turn, and keeps a clone of its request if it may be repeated.
    fn poll<R: Repeat<B>>(
        &mut self,
        shared: &Shared<P, R>,
        context: &mut Context<'_>,
    ) -> Poll<LeftResult<S::Future, P::Turn>> {
        if !self.is_ready {
            match self.service.poll_ready(context) {
                Poll::Ready(ready) => ready.map_err(Into::into)?,
                Poll::Pending => {
                    // It may wait for the end of the refusal, which is kept here.
                    let Some(retry) = &self.retry else { return Poll::Pending };
                    let deadline = self.timer.get_or_insert_with(|| retry.timer(self.deadline.saturating_add(1)));
                    let _ = ready!(Pin::new(deadline).poll(context));
                    return Poll::Ready(Err("the deadline is over".into()));
                }
            }
            (self.is_ready, self.timer) = (true, None);
        }
        let begun = match self.begun.take() {
            Some(begun) => begun,
            None => {
                // The service was ready too late. The refusal is returned instead of the error.
                if shared.limits.now() > self.deadline {
                    return Poll::Ready(Err("the deadline is over".into()));
                }
                let request = self.request.as_ref().expect("the call has not left yet");
                shared.limits.begin(request, self.deadline)?
            }
        };
        let turn = match begun {
            Begun::Now(turn) => turn,
            Begun::Later(mut wait) => match Pin::new(&mut wait).poll(context) {
                Poll::Ready(turn) => turn?,
                Poll::Pending => {
                    self.begun = Some(Begun::Later(wait));
                    return Poll::Pending;
                }
            },
        };
        match self.retry.take() {
            Some(retry) => retry.spend(),
            None => shared.count_call(),
        }
        self.refusal = None;
        let request = self.request.take().expect("the call has not left yet");
        if self.left > 0 {
            let clone = shared.retries.clone_request(&request);
            self.left = clone.as_ref().map_or(0, |(at_most, _)| self.left.min(*at_most));
            self.request = clone.map(|(_, clone)| clone);
        }
        Poll::Ready(Ok(Left { future: self.service.call(request), turn, may_repeat: self.left > 0 }))
    }
}

impl<S, B, P, R> fmt::Debug for ThrottleFuture<S, B, P, R>
where
    S: Service<Request<B>>,
    P: Limits<B>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::InFlight { .. } => "in flight",
            State::Waiting { .. } => "waiting",
            State::Failed { .. } => "failed",
        };
        f.debug_struct("ThrottleFuture").field("state", &state).finish_non_exhaustive()
    }
}
