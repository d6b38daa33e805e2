//! The parts that the tests of the middleware share.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use brimful::{KeyedRateLimiter, MockClock, Quota};
use brimful_tower::key::HeaderKey;
use bytes::Bytes;
use http::{HeaderName, Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use tower::{Service, service_fn};

pub(crate) fn by_api_key() -> HeaderKey {
    HeaderKey::new(HeaderName::from_static("x-api-key"))
}

pub(crate) fn keyed<K>(quota: &str) -> Arc<KeyedRateLimiter<K, MockClock>> {
    Arc::new(KeyedRateLimiter::with_clock(quota.parse::<Quota>().unwrap(), MockClock::new()))
}

pub(crate) fn request(key: &str) -> Request<()> {
    Request::builder().header("x-api-key", key).body(()).unwrap()
}

/// Polls a future once.
pub(crate) fn poll<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// Returns the body, which is there at once.
pub(crate) fn body<B: Body<Data = Bytes, Error = Infallible>>(response: Response<B>) -> Bytes {
    let mut collected = Box::pin(response.into_body().collect());
    let Poll::Ready(Ok(collected)) = poll(collected.as_mut()) else { panic!("the body waits") };
    collected.to_bytes()
}

/// A service that answers with what the function returns.
pub(crate) fn answers<B, F>(answer: F) -> impl Service<Request<()>, Response = Response<B>, Error = Infallible> + Clone
where
    F: Fn(&Request<()>) -> Response<B> + Clone,
{
    service_fn(move |request| ready(Ok(answer(&request))))
}

/// Calls a service that is ready, and completes at once.
pub(crate) fn call<S, B>(service: &S, request: Request<()>) -> Response<B>
where
    S: Service<Request<()>, Response = Response<B>, Error = Infallible> + Clone,
{
    match poll(Box::pin(service.clone().call(request)).as_mut()) {
        Poll::Ready(Ok(response)) => response,
        Poll::Pending => panic!("the request waits"),
    }
}

/// Calls a service, and returns the status of the response, whose body is dropped.
pub(crate) fn status<S, B>(service: &S, request: Request<()>) -> u16
where
    S: Service<Request<()>, Response = Response<B>, Error = Infallible> + Clone,
{
    call(service, request).status().as_u16()
}

/// A body that has these frames, and does not say when it ends.
pub(crate) struct Frames {
    frames: VecDeque<Result<Frame<Bytes>, &'static str>>,
    size: Option<u64>,
}

impl Frames {
    pub(crate) fn new<const N: usize>(data: [&'static str; N]) -> Self {
        Frames { frames: data.into_iter().map(|data| Ok(Frame::data(data.into()))).collect(), size: None }
    }

    pub(crate) fn then(mut self, frame: Result<Frame<Bytes>, &'static str>) -> Self {
        self.frames.push_back(frame);
        self
    }

    pub(crate) fn sized(self, size: u64) -> Self {
        Frames { size: Some(size), ..self }
    }
}

impl Body for Frames {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
        Poll::Ready(self.frames.pop_front())
    }

    fn size_hint(&self) -> SizeHint {
        self.size.map(SizeHint::with_exact).unwrap_or_default()
    }
}

/// Takes frames of a body, and drops it.
pub(crate) fn take(body: impl Body, frames: usize) {
    let mut body = Box::pin(body);
    for _ in 0..frames {
        assert!(body.as_mut().poll_frame(&mut Context::from_waker(Waker::noop())).is_ready());
    }
}
