//! Clients of HTTP/1.1 and HTTP/2.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper::rt::Executor;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::AbortHandle;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    Http1,
    Http2,
}

pub(crate) const VERSIONS: [Version; 2] = [Version::Http1, Version::Http2];

/// A connection, which is closed when the client is dropped.
pub(crate) struct Client {
    sender: Sender,
    tasks: Tasks,
}

/// The tasks of a connection, to be ended with it.
#[derive(Clone, Default)]
struct Tasks(Arc<Mutex<Vec<AbortHandle>>>);

impl<F: Future<Output: Send> + Send + 'static> Executor<F> for Tasks {
    fn execute(&self, task: F) {
        self.0.lock().expect("no panic").push(tokio::spawn(task).abort_handle());
    }
}

enum Sender {
    Http1(http1::SendRequest<Empty<Bytes>>),
    Http2(http2::SendRequest<Empty<Bytes>>),
}

impl Client {
    pub(crate) async fn connect(version: Version, server: SocketAddr) -> Self {
        Client::over(version, TcpStream::connect(server).await.expect("a connection")).await
    }

    /// Connects from an address of the loopback network.
    pub(crate) async fn connect_from(source: IpAddr, version: Version, server: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind((source, 0).into()).expect("an address of this machine");
        Client::over(version, socket.connect(server).await.expect("a connection")).await
    }

    async fn over(version: Version, stream: TcpStream) -> Self {
        stream.set_nodelay(true).expect("a socket");
        let (stream, tasks) = (TokioIo::new(stream), Tasks::default());
        let sender = match version {
            Version::Http1 => {
                let (sender, connection) = http1::handshake(stream).await.expect("a handshake");
                tasks.execute(connection);
                Sender::Http1(sender)
            }
            Version::Http2 => {
                let (sender, connection) = http2::handshake(tasks.clone(), stream).await.expect("a handshake");
                tasks.execute(connection);
                Sender::Http2(sender)
            }
        };
        Client { sender, tasks }
    }

    /// Sends a request for `/`, and returns the response, or the error of a connection that was closed. The future is
    /// not bound to the client.
    pub(crate) fn get(
        &mut self,
        headers: HeaderMap,
    ) -> impl Future<Output = hyper::Result<Response<Incoming>>> + use<> {
        let uri = match self.sender {
            Sender::Http1(_) => "/",
            Sender::Http2(_) => "http://localhost/",
        };
        let mut request =
            Request::builder().uri(uri).header("host", "localhost").body(Empty::new()).expect("a request");
        request.headers_mut().extend(headers);
        let sent = match &mut self.sender {
            Sender::Http1(sender) => Ok(sender.send_request(request)),
            Sender::Http2(sender) => Err(sender.send_request(request)),
        };
        async {
            match sent {
                Ok(http1) => http1.await,
                Err(http2) => http2.await,
            }
        }
    }

    /// Sends a request for `/`, and returns the status of the response, whose body is read.
    pub(crate) async fn status(&mut self, headers: HeaderMap) -> u16 {
        match &mut self.sender {
            Sender::Http1(sender) => sender.ready().await,
            Sender::Http2(sender) => sender.ready().await,
        }
        .expect("an open connection");
        let response = self.get(headers).await.expect("a response");
        let status = response.status().as_u16();
        response.into_body().collect().await.expect("a body");
        status
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.tasks.0.lock().expect("no panic").iter().for_each(AbortHandle::abort);
    }
}

/// Returns a map with one header.
pub(crate) fn header(name: &'static str, value: &[u8]) -> HeaderMap {
    let value = HeaderValue::from_bytes(value).expect("a value of a header");
    HeaderMap::from_iter([(HeaderName::from_static(name), value)])
}
