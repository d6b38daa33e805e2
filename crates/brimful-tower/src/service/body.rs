//! [`ResponseBody`]: the body of a response, or of an answer to a refused request.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http::Response;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::hold::Hold;
use crate::limits::Held;

pin_project! {
    /// The body of a response of the service, or of the middleware's own response to a request that was refused.
    ///
    /// The body of a response of the service also has what its request holds until the response ends, of the type `H` of the
    /// limiter: a permit, or tokens that are [settled](crate::RateLimitLayerBuilder::settle) then. For tokens, the end is the
    /// last frame, an error, or the drop of the body. For a permit, it is what follows the last frame: so the body does not
    /// say that it [has ended](Body::is_end_stream) before the server has asked for more, and the server does that when it
    /// has place for more in its buffers. While a permit is held, a frame of more than 64 KiB comes in parts; that copies
    /// nothing if the data are [`Bytes`].
    pub struct ResponseBody<B, H: Held> {
        #[pin]
        kind: Kind<B, H>,
    }
}

pin_project! {
    #[project = KindProjected]
    enum Kind<B, H: Held> {
        Plain { #[pin] body: B },
        // `None` when it was settled; and the rest of a large frame, if a permit is held.
        Holding { #[pin] body: B, hold: Option<Hold<H>>, rest: Option<Box<Bytes>> },
        // `None` when it was sent, or is empty.
        Own { text: Option<Bytes> },
    }
}

/// The bytes of a frame while a permit is held. A server of HTTP/2 takes a frame as a whole, and asks for the next one at
/// once: after a large frame, nothing would be counted that a client does not read.
const PART: usize = 64 * 1024;

/// Takes the next frame from the rest of a large one.
fn next_part<D: From<Bytes>>(rest: &mut Option<Box<Bytes>>) -> Option<Frame<D>> {
    let bytes = rest.as_mut()?;
    let part = bytes.split_to(bytes.len().min(PART));
    if bytes.is_empty() {
        *rest = None;
    }
    Some(Frame::data(part.into()))
}

impl<B: Body, H: Held> ResponseBody<B, H> {
    pub(super) fn of_service(response: Response<B>, hold: Option<Hold<H>>) -> Response<Self> {
        match hold.and_then(|hold| hold.head(&response)) {
            Some(hold) => {
                response.map(|body| ResponseBody { kind: Kind::Holding { body, hold: Some(hold), rest: None } })
            }
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

/// An empty body, for the answers of other layers.
impl<B, H: Held> Default for ResponseBody<B, H> {
    fn default() -> Self {
        ResponseBody::own(Bytes::new())
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
            KindProjected::Holding { mut body, hold: place, rest } => {
                if let Some(part) = next_part(rest) {
                    return Poll::Ready(Some(Ok(part)));
                }
                let frame = ready!(body.as_mut().poll_frame(context));
                if let Some(hold) = place.take() {
                    *place = hold.frame(frame.as_ref(), body.is_end_stream());
                }
                let is_large = |data: &B::Data| data.remaining() > PART;
                match frame {
                    Some(Ok(frame))
                        if place.as_ref().is_some_and(Hold::needs_end) && frame.data_ref().is_some_and(is_large) =>
                    {
                        let Ok(mut data) = frame.into_data() else { unreachable!("it has data") };
                        // Of `Bytes`, this copies nothing.
                        *rest = Some(Box::new(data.copy_to_bytes(data.remaining())));
                        Poll::Ready(next_part(rest).map(Ok))
                    }
                    frame => Poll::Ready(frame),
                }
            }
            KindProjected::Own { text } => Poll::Ready(text.take().map(|text| Ok(Frame::data(text.into())))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Plain { body } => body.is_end_stream(),
            Kind::Holding { body, hold, .. } => !hold.as_ref().is_some_and(Hold::needs_end) && body.is_end_stream(),
            Kind::Own { text } => text.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Plain { body } => body.size_hint(),
            Kind::Holding { body, rest, .. } => {
                let (mut size, rest) = (body.size_hint(), rest.as_ref().map_or(0, |rest| rest.len() as u64));
                if let Some(most) = size.upper() {
                    size.set_upper(most.saturating_add(rest));
                }
                size.set_lower(size.lower().saturating_add(rest));
                size
            }
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
