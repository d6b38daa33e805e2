//! [`ResponseFuture`]: the response to a request.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use brimful::Tokens;
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_service::Service;

use super::body::ResponseBody;
use super::options::Options;
use super::serving::Serving;
use crate::key::KeyExtractor;
use crate::limits::Limiter;

pin_project! {
    /// The response to a request: of the service, or the answer to a request that was refused.
    ///
    /// # Cancel safety
    ///
    /// If it is dropped before the service has the request, the request gives up its place, and nothing is charged. After
    /// that, its tokens are spent, and a function that [settles](crate::RateLimitLayerBuilder::settle) is not asked: a
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

/// A request that waits for its tokens, and then for the service.
pub(super) struct Waiting<S, B, E, L>
where
    E: KeyExtractor,
    L: Limiter<E::Key>,
{
    wait: L::Wait,
    decision: L::Decision,
    key: E::Key,
    cost: Tokens,
    /// The tokens or the permit that were granted: given back if the service does not get the request.
    held: Option<L::Held>,
    /// Taken by the service.
    request: Option<Request<B>>,
    service: S,
    options: Arc<Options<E, L>>,
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
        (key, cost, decision): (E::Key, Tokens, L::Decision),
        longest: Duration,
        request: Request<B>,
        service: S,
        options: Arc<Options<E, L>>,
    ) -> Self {
        let wait = options.limiter.wait(&key, cost, longest);
        Waiting { wait, decision, key, cost, held: None, request: Some(request), service, options }
    }

    #[expect(clippy::type_complexity, reason = "a name for it would be read once")]
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<Served<Serving<S::Future, L::Held>>, S::Error>> {
        let options = &self.options;
        if self.held.is_none() {
            match ready!(Pin::new(&mut self.wait).poll(context)) {
                Ok(granted) => {
                    self.held = L::granted(granted).or_else(|| options.limiter.hold(&self.key, self.cost));
                }
                Err(error) => {
                    let request = self.request.as_ref().expect("the service has not got it yet");
                    let answer = options.answer_late(&request.into(), &self.key, &self.decision, &error);
                    return Poll::Ready(Ok(Served::Refused(answer)));
                }
            }
        }
        ready!(self.service.poll_ready(context))?;
        let mut request = self.request.take().expect("the future has not completed yet");
        let hold = self.held.take().and_then(|held| options.hold(held, self.cost));
        let mut headers = None;
        if options.on_admitted || options.in_extensions {
            // A look: a cost of zero charges nothing.
            let decision = L::decision(options.limiter.decide(&self.key, Tokens::ZERO));
            headers = options.headers_on_admitted(&self.key, &decision);
            if options.in_extensions {
                request.extensions_mut().insert(decision);
            }
        }
        Poll::Ready(Ok(Served::By(Serving::new(self.service.call(request), hold, headers))))
    }
}

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
