//! [`Hold`]: the tokens or the permit that an admitted request holds until its response ends.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use brimful::Tokens;
use bytes::Buf;
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, Response};
use http_body::Frame;

use super::settle::{BodyEnd, ResponseHead, SettleAtEnd, Settler, When};
use crate::limits::Held;

/// Tokens that are settled once, by the head or the end of the response; or a permit. If it is dropped before, the request
/// costs its cost; or, if the body has begun, the cost of the part that was taken.
pub(super) struct Hold<H: Held> {
    /// `None` when it was settled.
    held: Option<H>,
    cost: Tokens,
    /// `None` if the request costs its cost.
    settler: Option<Arc<Settler>>,
    /// The function that returns the cost at the end.
    at_end: Option<SettleAtEnd>,
    bytes: u64,
    /// The bytes of the whole body, if they are known, by the body or by its header.
    size: Option<u64>,
}

impl<H: Held> Hold<H> {
    /// Holds until the end of the body, or until this function settles the cost.
    pub(super) fn new(held: H, cost: Tokens, settler: Option<Arc<Settler>>) -> Self {
        Hold { held: Some(held), cost, settler, at_end: None, bytes: 0, size: None }
    }

    /// Settles the cost by the head of the response. Returns what is still held.
    pub(super) fn head<B: http_body::Body>(mut self, response: &Response<B>) -> Option<Self> {
        if let Some(settler) = &self.settler {
            match (settler.settle)(&ResponseHead::new(response, self.cost)).0 {
                When::Now(cost) => {
                    self.settle(cost);
                    return None;
                }
                When::AtEnd(settle) => self.at_end = Some(settle),
            }
        }
        self.size = response.body().size_hint().exact().or_else(|| content_length(response.headers()));
        if response.body().is_end_stream() {
            self.end(true, None);
            return None;
        }
        Some(self)
    }

    /// Whether the server has to ask for the end of the body, because a permit is held until the last frame is written, or at
    /// least buffered: only then does the server come back.
    pub(super) fn needs_end(&self) -> bool {
        H::LASTS
    }

    /// Counts a frame. Returns what is still held: nothing after the last one, and a permit until the end itself.
    pub(super) fn frame<D: Buf, E>(mut self, frame: Option<&Result<Frame<D>, E>>, is_end: bool) -> Option<Self> {
        let (is_complete, trailers) = match frame {
            Some(Ok(frame)) => {
                self.bytes += frame.data_ref().map_or(0, |data| data.remaining() as u64);
                let trailers = frame.trailers_ref();
                if H::LASTS || (!is_end && trailers.is_none()) {
                    return Some(self);
                }
                (true, trailers)
            }
            Some(Err(_)) => (false, None),
            None => (true, None),
        };
        self.end(is_complete, trailers);
        None
    }

    /// Settles the cost by the end of the body.
    fn end(&mut self, is_complete: bool, trailers: Option<&HeaderMap>) {
        let end = BodyEnd { bytes: self.bytes, is_complete, trailers, cost: self.cost };
        let cost = self.at_end.take().map_or(self.cost, |settle| settle(&end));
        self.settle(cost);
    }

    fn settle(&mut self, cost: Tokens) {
        if let Some(held) = self.held.take() {
            let settler = self.settler.take();
            held.settle(cost, move |uncharged| {
                if let Some(settler) = &settler {
                    settler.report(cost, uncharged);
                }
            });
        }
    }
}

/// Returns the size of a body by its header, from which a server of HTTP/1 knows its end.
fn content_length(headers: &HeaderMap) -> Option<u64> {
    let mut values = headers.get_all(CONTENT_LENGTH).iter();
    let value = values.next().filter(|value| value.as_bytes().iter().all(u8::is_ascii_digit))?;
    if values.next().is_some() { None } else { value.to_str().ok()?.parse().ok() }
}

impl<H: Held> Drop for Hold<H> {
    fn drop(&mut self) {
        if self.held.is_none() {
            return;
        }
        // A server that knows the size of a body does not ask for its end. A panic would abort the process, if this is
        // dropped by another one.
        let is_complete = self.size == Some(self.bytes);
        if catch_unwind(AssertUnwindSafe(|| self.end(is_complete, None))).is_err() {
            let _ = catch_unwind(AssertUnwindSafe(|| self.settle(self.cost)));
        }
    }
}
