//! [`ResponseBody`]: the body of a response, or of an answer to a refused request.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::Response;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::hold::Hold;
use crate::limits::Held;

pin_project! {
    /// The body of a response of the service, or of the middleware's own response to a request that was refused.
    ///
    /// The body of a response of the service also has what its request holds until the response ends, of the type `H` of the
    /// limiter: a permit, or tokens that are [settled](crate::RateLimitLayerBuilder::settle) then. The end is the last
    /// frame, an error, or the drop of the body.
    pub struct ResponseBody<B, H: Held> {
        #[pin]
        kind: Kind<B, H>,
    }
}

pin_project! {
    #[project = KindProjected]
    enum Kind<B, H: Held> {
        Plain { #[pin] body: B },
        // `None` when it was settled.
        Holding { #[pin] body: B, hold: Option<Hold<H>> },
        // `None` when it was sent, or is empty.
        Own { text: Option<Bytes> },
    }
}

impl<B: Body, H: Held> ResponseBody<B, H> {
    pub(super) fn of_service(response: Response<B>, hold: Option<Hold<H>>) -> Response<Self> {
        match hold.and_then(|hold| hold.head(&response)) {
            Some(hold) => response.map(|body| ResponseBody { kind: Kind::Holding { body, hold: Some(hold) } }),
            None => response.map(ResponseBody::plain),
        }
    }
}

impl<B, H: Held> ResponseBody<B, H> {
    #[inline]
    pub(super) fn plain(body: B) -> Self {
        ResponseBody { kind: Kind::Plain { body } }
    }

    pub(super) fn own(text: Bytes) -> Self {
        ResponseBody { kind: Kind::Own { text: Some(text).filter(|text| !text.is_empty()) } }
    }
}

impl<B, H> Body for ResponseBody<B, H>
where
    B: Body,
    B::Data: From<Bytes>,
    H: Held,
{
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        match self.project().kind.project() {
            KindProjected::Plain { body } => body.poll_frame(context),
            KindProjected::Holding { mut body, hold: place } => {
                let frame = ready!(body.as_mut().poll_frame(context));
                if let Some(hold) = place.take() {
                    *place = hold.frame(frame.as_ref(), body.is_end_stream());
                }
                Poll::Ready(frame)
            }
            KindProjected::Own { text } => Poll::Ready(text.take().map(|text| Ok(Frame::data(text.into())))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Plain { body } | Kind::Holding { body, .. } => body.is_end_stream(),
            Kind::Own { text } => text.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Plain { body } | Kind::Holding { body, .. } => body.size_hint(),
            Kind::Own { text } => SizeHint::with_exact(text.as_ref().map_or(0, |text| text.len() as u64)),
        }
    }
}

impl<B, H: Held> fmt::Debug for ResponseBody<B, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Plain { .. } | Kind::Holding { .. } => f.debug_struct("ResponseBody").finish_non_exhaustive(),
            Kind::Own { text } => f.debug_tuple("ResponseBody").field(text).finish(),
        }
    }
}
