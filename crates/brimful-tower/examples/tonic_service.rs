//! A service of tonic with a limit for each API key: `cargo run -p brimful-tower --example tonic_service`
//!
//! A call that is refused has the status `RESOURCE_EXHAUSTED`, because the layer answers requests of gRPC as gRPC does.

use std::convert::Infallible;
use std::error::Error;
use std::future::{Ready, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use brimful::{KeyedRateLimiter, Quota};
use brimful_tower::RateLimitLayer;
use brimful_tower::key::HeaderKey;
use bytes::{Buf, BufMut};
use http::uri::PathAndQuery;
use http::{HeaderName, Request, Response};
use tokio::net::TcpListener;
use tonic::body::Body;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::server::{NamedService, UnaryService};
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Endpoint, Server};
use tonic::{Code, Status};
use tower::Service;

/// A method from text to text: `tonic-build` writes such a service of a `.proto` file.
#[derive(Clone)]
struct Greeter;

impl NamedService for Greeter {
    const NAME: &'static str = "greeter.Greeter";
}

impl Service<Request<Body>> for Greeter {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(async move {
            Ok(match request.uri().path() {
                "/greeter.Greeter/Hello" => tonic::server::Grpc::new(Text).unary(Hello, request).await,
                _ => Status::unimplemented("").into_http(),
            })
        })
    }
}

struct Hello;

impl UnaryService<String> for Hello {
    type Response = String;
    type Future = Ready<Result<tonic::Response<String>, Status>>;

    fn call(&mut self, name: tonic::Request<String>) -> Self::Future {
        ready(Ok(tonic::Response::new(format!("hello, {}", name.into_inner()))))
    }
}

/// Messages that are texts. Other services use the codec of `tonic-prost`.
#[derive(Clone, Copy)]
struct Text;

impl Codec for Text {
    type Encode = String;
    type Decode = String;
    type Encoder = Text;
    type Decoder = Text;

    fn encoder(&mut self) -> Text {
        Text
    }

    fn decoder(&mut self) -> Text {
        Text
    }
}

impl Encoder for Text {
    type Item = String;
    type Error = Status;

    fn encode(&mut self, text: String, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.put_slice(text.as_bytes());
        Ok(())
    }
}

impl Decoder for Text {
    type Item = String;
    type Error = Status;

    fn decode(&mut self, message: &mut DecodeBuf<'_>) -> Result<Option<String>, Status> {
        let mut bytes = vec![0; message.remaining()];
        message.copy_to_slice(&mut bytes);
        String::from_utf8(bytes).map(Some).map_err(|_| Status::invalid_argument("the text is not UTF-8"))
    }
}

/// Serves the service, calls it as two clients, and returns the codes.
pub(crate) async fn run() -> Result<Vec<Code>, Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let limiter = Arc::new(KeyedRateLimiter::new(Quota::per_minute(6).burst(3)));
    let limit = RateLimitLayer::new(limiter, HeaderKey::new(HeaderName::from_static("x-api-key")));
    let served = Server::builder().layer(limit).add_service(Greeter).serve_with_incoming(TcpIncoming::from(listener));
    let server = tokio::spawn(served);

    let channel = Endpoint::from_shared(format!("http://{address}"))?.connect().await?;
    let mut client = tonic::client::Grpc::new(channel);
    let mut codes = Vec::new();
    for name in ["alice", "alice", "alice", "alice", "bob"] {
        let mut request = tonic::Request::new(name.to_owned());
        request.metadata_mut().insert("x-api-key", name.parse()?);
        client.ready().await?;
        let path = PathAndQuery::from_static("/greeter.Greeter/Hello");
        match client.unary(request, path, Text).await {
            Ok(response) => {
                println!("{name}: {}", response.into_inner());
                codes.push(Code::Ok);
            }
            Err(status) => {
                println!("{name}: {:?}: {}; {:?}", status.code(), status.message(), status.metadata());
                codes.push(status.code());
            }
        }
    }
    server.abort();
    Ok(codes)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    run().await.map(drop)
}
