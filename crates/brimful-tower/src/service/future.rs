//! [`ResponseFuture`]: the response to a request.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use brimful::Tokens;
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_service::Service;

use super::body::ResponseBody;
use super::options::{Options, Refused};
use super::serving::Serving;
use crate::key::KeyExtractor;
use crate::limits::Limiter;

pin_project! {
    /// The response to a request: of the service, or the answer to a request that was refused.
    ///
    /// # Cancel safety
    ///
    /// If it is dropped before the service has the request, the request gives up its place, and nothing is charged, unless
    /// a [shared limiter](crate::Limiter#limiters-that-many-processes-share) is just asked for the decision. After that, its tokens are spent, and a function that [settles](crate::RateLimitLayerBuilder::settle) is not asked: a
    /// client that goes away before the response cannot avoid the charge.
    ///
    /// # Panics
    ///
    /// If it is polled after it has completed, as futures do.
    pub struct ResponseFuture<S, B, E, L>
    where
        S: Service<Request<B>>,
        E: KeyExtractor,
        L: Limiter<E::Key>,
    {
        #[pin]
        state: State<S::Future, Serving<S::Future, L::Held>, Box<Waiting<S, B, E, L>>>,
    }
}

pin_project! {
    #[project = StateProjected]
    enum State<F, G, W> {
        // Most requests: they hold nothing, and their responses get no headers. So nothing else is moved with the future.
        Plain { #[pin] future: F },
        Serving { #[pin] serving: G },
        // In a box, so that the future of an admitted request is small.
        Waiting { waiting: W },
        // `None` when it was returned.
        Answered { response: Option<Response<Bytes>> },
    }
}

impl<S, B, E, L> ResponseFuture<S, B, E, L>
where
    S: Service<Request<B>>,
    E: KeyExtractor,
    L: Limiter<E::Key>,
{
    #[inline]
    pub(super) fn plain(future: S::Future) -> Self {
        ResponseFuture { state: State::Plain { future } }
    }

    pub(super) fn serving(serving: Serving<S::Future, L::Held>) -> Self {
        ResponseFuture { state: State::Serving { serving } }
    }

    pub(super) fn waiting(waiting: Waiting<S, B, E, L>) -> Self {
        ResponseFuture { state: State::Waiting { waiting: Box::new(waiting) } }
    }

    pub(super) fn answered(response: Response<Bytes>) -> Self {
        ResponseFuture { state: State::Answered { response: Some(response) } }
    }
}

impl<S, B, E, L, R> Future for ResponseFuture<S, B, E, L>
where
    S: Service<Request<B>, Response = Response<R>>,
    E: KeyExtractor,
    L: Limiter<E::Key>,
    R: Body,
{
    type Output = Result<Response<ResponseBody<R, L::Held>>, S::Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let next = match state.as_mut().project() {
                StateProjected::Plain { future } => {
                    return match future.poll(context) {
                        Poll::Ready(Ok(response)) => Poll::Ready(Ok(response.map(ResponseBody::plain))),
                        Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
                        Poll::Pending => Poll::Pending,
                    };
                }
                StateProjected::Serving { serving } => return serving.poll(context),
                StateProjected::Waiting { waiting } => match ready!(waiting.poll(context)) {
                    Ok(Served::By(serving)) => State::Serving { serving },
                    Ok(Served::Refused(response)) => State::Answered { response: Some(response) },
                    Err(error) => return Poll::Ready(Err(error)),
                },
                StateProjected::Answered { response } => {
                    let response = response.take().expect("the future has not completed yet");
                    return Poll::Ready(Ok(response.map(ResponseBody::own)));
                }
            };
            state.set(next);
        }
    }
}

/// A request that waits for its decision or its tokens, and then for the service.
pub(super) struct Waiting<S, B, E, L>
where
    E: KeyExtractor,
    L: Limiter<E::Key>,
{
    stage: Stage<L::Deciding, L::Wait, L::Decision>,
    key: E::Key,
    cost: Tokens,
    /// The tokens or the permit that were granted: given back if the service does not get the request.
    held: Option<L::Held>,
    /// Taken by the service, or by the answer.
    request: Option<Request<B>>,
    service: S,
    options: Arc<Options<E, L>>,
}

/// The stage of a wait.
pub(super) enum Stage<G, W, D> {
    /// For its decision.
    Deciding(G),
    /// For its tokens, after it was refused by this decision.
    Waiting(W, D),
    /// For the service. `None` when it was passed on.
    Granted(Option<D>),
}

/// The end of a wait.
enum Served<F> {
    By(F),
    Refused(Response<Bytes>),
}

impl<S, B, E, L> Waiting<S, B, E, L>
where
    S: Service<Request<B>>,
    E: KeyExtractor,
    L: Limiter<E::Key>,
{
    pub(super) fn new(
        stage: Stage<L::Deciding, L::Wait, L::Decision>,
        (key, cost): (E::Key, Tokens),
        request: Request<B>,
        service: S,
        options: Arc<Options<E, L>>,
    ) -> Self {
        Waiting { stage, key, cost, held: None, request: Some(request), service, options }
    }

    #[expect(clippy::type_complexity, reason = "a name for it would be read once")]
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<Served<Serving<S::Future, L::Held>>, S::Error>> {
        let decision = loop {
            let refused = match &mut self.stage {
                Stage::Deciding(deciding) => {
                    let outcome = ready!(Pin::new(deciding).poll(context));
                    self.decided(outcome)
                }
                Stage::Waiting(wait, _) => {
                    let waited = ready!(Pin::new(wait).poll(context));
                    self.waited(waited)
                }
                Stage::Granted(decision) => break decision,
            };
            if let Some(refused) = refused {
                return Poll::Ready(Ok(Served::Refused(refused)));
            }
        };
        ready!(self.service.poll_ready(context))?;
        let (options, mut request) = (&self.options, self.request.take().expect(NOT_PASSED));
        let mut decision = decision.take().expect(NOT_PASSED);
        let hold = self.held.take().and_then(|held| options.hold(held, self.cost));
        if options.on_admitted || options.in_extensions {
            decision = options.limiter.look(&self.key).unwrap_or(decision);
        }
        let headers = options.pass(&mut request, &self.key, decision);
        Poll::Ready(Ok(Served::By(Serving::new(self.service.call(request), hold, headers))))
    }

    /// Takes over the decision on the request. Returns the answer if it is refused.
    fn decided(&mut self, mut outcome: L::Outcome) -> Option<Response<Bytes>> {
        let (options, request) = (&self.options, self.request.as_ref().expect(NOT_PASSED));
        if L::allowed(&outcome) {
            let taken = if options.charges_later { Tokens::ZERO } else { self.cost };
            // The service may not be ready.
            self.held = options.limiter.held(&self.key, taken, &mut outcome, true);
            let decision = L::decision(outcome);
            options.report_degraded(&request.into(), &decision, true);
            options.find_shares(&request.into(), &self.key, &decision, taken);
            self.stage = Stage::Granted(Some(decision));
            return None;
        }
        self.stage = match options.refused(&request.into(), &self.key, self.cost, outcome) {
            Refused::Passes(decision) => Stage::Granted(Some(decision)),
            Refused::Waits(wait, decision) => Stage::Waiting(wait, decision),
            Refused::Is(decision) => {
                let request = self.request.take().expect(NOT_PASSED);
                return Some(options.answer_refused(request, &self.key, &decision));
            }
        };
        None
    }

    /// Takes over the end of a wait. Returns the answer if it was in vain.
    fn waited(&mut self, waited: Result<L::Granted, L::Error>) -> Option<Response<Bytes>> {
        let (options, request) = (&self.options, self.request.as_ref().expect(NOT_PASSED));
        let before = std::mem::replace(&mut self.stage, Stage::Granted(None));
        let Stage::Waiting(_, before) = before else { return None };
        match waited {
            Ok(granted) => {
                let decision = L::of_wait(&granted).unwrap_or(before);
                options.report_degraded(&request.into(), &decision, true);
                self.held = options.limiter.granted(&self.key, self.cost, granted);
                self.stage = Stage::Granted(Some(decision));
                None
            }
            Err(error) => Some(options.answer_late(&request.into(), &self.key, &before, &error)),
        }
    }
}

/// The request is there until the service gets it, or it is answered. After that, the future has completed.
const NOT_PASSED: &str = "the future has not completed yet";

impl<S, B, E, L> fmt::Debug for ResponseFuture<S, B, E, L>
where
    S: Service<Request<B>>,
    E: KeyExtractor,
    L: Limiter<E::Key>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Plain { .. } | State::Serving { .. } => "serving",
            State::Waiting { .. } => "waiting",
            State::Answered { .. } => "answered",
        };
        f.debug_struct("ResponseFuture").field("state", &state).finish_non_exhaustive()
    }
}
