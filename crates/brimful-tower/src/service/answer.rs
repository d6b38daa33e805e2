//! The response to a request that was refused.

use bytes::Bytes;
use http::Response;

use super::refusal::{AnswerForm, Refusal};
use super::{grpc, problem};

/// A function that answers refused requests.
pub(super) type Handler = Box<dyn Fn(Refusal<'_>) -> Response<Bytes> + Send + Sync>;

impl Refusal<'_> {
    /// Returns the headers that the form adds to those of the decision.
    pub(super) fn further_headers(&self) -> usize {
        match self.form {
            AnswerForm::Problem => 1,
            AnswerForm::HeadersOnly => 0,
            AnswerForm::Grpc => 5,
        }
    }

    /// Returns the response, in the [form](Refusal::form) of the layer.
    #[must_use]
    pub fn into_response(self) -> Response<Bytes> {
        match self.form {
            AnswerForm::Problem => problem::response(self),
            AnswerForm::HeadersOnly => {
                let mut response = Response::new(Bytes::new());
                *response.status_mut() = self.status;
                *response.headers_mut() = self.headers;
                response
            }
            AnswerForm::Grpc => grpc::response(self),
        }
    }
}
