//! [`Serving`]: the response of the service to an admitted request.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::header::RETRY_AFTER;
use http::{HeaderMap, Response};
use http_body::Body;
use pin_project_lite::pin_project;

use super::body::ResponseBody;
use super::hold::Hold;
use crate::headers::merge;
use crate::limits::Held;

pin_project! {
    /// The service has the request. The tokens or the permit that it holds go to the body of its response.
    pub(super) struct Serving<F, H: Held> {
        #[pin]
        future: F,
        hold: Option<Hold<H>>,
        headers: Option<HeaderMap>,
    }
}

impl<F, H: Held> Serving<F, H> {
    #[inline]
    pub(super) fn new(future: F, hold: Option<Hold<H>>, headers: Option<HeaderMap>) -> Self {
        Serving { future, hold, headers }
    }
}

impl<F, H, R, E> Future for Serving<F, H>
where
    F: Future<Output = Result<Response<R>, E>>,
    H: Held,
    R: Body,
{
    type Output = Result<Response<ResponseBody<R, H>>, E>;

    #[inline]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = ready!(this.future.poll(context))?;
        let mut response = ResponseBody::of_service(response, this.hold.take());
        // With `Retry-After`, an inner limit or the service has refused the request, and says all that a client has to know.
        if let Some(headers) = this.headers.take().filter(|_| !response.headers().contains_key(RETRY_AFTER)) {
            merge(response.headers_mut(), headers);
        }
        Poll::Ready(Ok(response))
    }
}
