//! [`ResponseFuture`]: the response to a request.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use brimful::Tokens;
use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::body::ResponseBody;
use super::limiter::Limiter;
use super::options::Options;
use crate::headers::merge;
use crate::key::KeyExtractor;

pin_project! {
    /// The response to a request: of the service, or the answer to a request that was refused.
    ///
    /// # Cancel safety
    ///
    /// If it is dropped while the request waits for its tokens, the request gives up its place, and nothing is charged.
    /// After that, its tokens are spent.
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
        state: State<S::Future, Box<Waiting<S, B, E, L>>>,
    }
}

pin_project! {
    #[project = StateProjected]
    enum State<F, W> {
        Serving { #[pin] future: F, headers: Option<HeaderMap> },
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
    /// The service has the request. The headers are for its response.
    #[inline]
    pub(super) fn serving(future: S::Future, headers: Option<HeaderMap>) -> Self {
        ResponseFuture { state: State::Serving { future, headers } }
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
{
    type Output = Result<Response<ResponseBody<R>>, S::Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let next = match state.as_mut().project() {
                StateProjected::Serving { future, headers } => {
                    let mut response = ready!(future.poll(context))?.map(ResponseBody::of_service);
                    if let Some(headers) = headers.take() {
                        merge(response.headers_mut(), headers);
                    }
                    return Poll::Ready(Ok(response));
                }
                StateProjected::Waiting { waiting } => match ready!(waiting.poll(context)) {
                    Ok(Served::By(future, headers)) => State::Serving { future, headers },
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
    is_granted: bool,
    /// Taken by the service.
    request: Option<Request<B>>,
    service: S,
    options: Arc<Options<E, L>>,
}

/// The end of a wait.
enum Served<F> {
    By(F, Option<HeaderMap>),
    Refused(Response<Bytes>),
}

impl<S, B, E, L> Waiting<S, B, E, L>
where
    S: Service<Request<B>>,
    E: KeyExtractor,
    L: Limiter<E::Key>,
{
    pub(super) fn new(
        wait: L::Wait,
        decision: L::Decision,
        key: E::Key,
        request: Request<B>,
        service: S,
        options: Arc<Options<E, L>>,
    ) -> Self {
        Waiting { wait, decision, key, is_granted: false, request: Some(request), service, options }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<Served<S::Future>, S::Error>> {
        if !self.is_granted {
            if let Err(error) = ready!(Pin::new(&mut self.wait).poll(context)) {
                return Poll::Ready(Ok(Served::Refused(self.options.answer_late(&self.decision, &error))));
            }
            self.is_granted = true;
        }
        ready!(self.service.poll_ready(context))?;
        let mut request = self.request.take().expect("the future has not completed yet");
        let options = &self.options;
        let mut headers = None;
        if options.on_admitted || options.in_extensions {
            // A look: a cost of zero charges nothing.
            let decision = options.limiter.decide(&self.key, Tokens::ZERO);
            headers = options.admitted(&decision);
            if options.in_extensions {
                request.extensions_mut().insert(decision);
            }
        }
        Poll::Ready(Ok(Served::By(self.service.call(request), headers)))
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
            State::Serving { .. } => "serving",
            State::Waiting { .. } => "waiting",
            State::Answered { .. } => "answered",
        };
        f.debug_struct("ResponseFuture").field("state", &state).finish_non_exhaustive()
    }
}
