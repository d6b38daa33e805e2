//! [`Serving`]: the response of the service to an admitted request.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::Response;
use http_body::Body;
use pin_project_lite::pin_project;

use super::body::ResponseBody;
use super::hold::Hold;
use crate::headers::Values;
use crate::limits::Held;

pin_project! {
    /// The service has the request. The tokens or the permit that it holds go to the body of its response.
    pub(super) struct Serving<F, H: Held> {
        #[pin]
        future: F,
        hold: Option<Hold<H>>,
        headers: Option<Values>,
    }
}

impl<F, H: Held> Serving<F, H> {
    pub(super) fn new(future: F, hold: Option<Hold<H>>, headers: Option<Values>) -> Self {
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

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        match this.future.poll(context) {
            Poll::Ready(Ok(mut response)) => {
                if let Some(headers) = this.headers.take() {
                    headers.merge_into(response.headers_mut());
                }
                Poll::Ready(Ok(ResponseBody::of_service(response, this.hold.take())))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => Poll::Pending,
        }
    }
}
