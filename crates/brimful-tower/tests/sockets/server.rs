//! A server of axum on the loopback interface.

use std::convert::Infallible;
use std::future::IntoFuture;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use axum::response::IntoResponse;
use axum::routing::{Route, get};
use brimful_tower::key::ClientAddress;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tower::{Layer, Service};

/// The time after which a test that waits for something fails. Nothing takes as long.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server that runs until it is dropped or shut down.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    shutdown: Option<oneshot::Sender<()>>,
    task: JoinHandle<io::Result<()>>,
}

impl Server {
    pub(crate) async fn start(app: Router) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (shutdown, begins) = oneshot::channel::<()>();
        let app = app.into_make_service_with_connect_info::<SocketAddr>();
        let begins = async move {
            // An error: the server is dropped.
            let _ = begins.await;
        };
        let task = tokio::spawn(axum::serve(listener, app).with_graceful_shutdown(begins).into_future());
        Server { address, shutdown: Some(shutdown), task }
    }

    /// Starts a server with a page at `/` behind this layer.
    pub(crate) async fn limited<L>(layer: L) -> Self
    where
        L: Layer<Route> + Clone + Send + Sync + 'static,
        L::Service: Service<Request, Response: IntoResponse, Error = Infallible> + Clone + Send + Sync + 'static,
        <L::Service as Service<Request>>::Future: Send + 'static,
    {
        Server::start(Router::new().route("/", get(async || "hello")).layer(layer)).await
    }

    /// Accepts no further connections, and ends when all requests have their responses.
    pub(crate) fn begin_shutdown(&mut self) {
        self.shutdown.take().expect("the first shutdown").send(()).expect("the server runs");
    }

    /// Waits for the end of the server.
    pub(crate) async fn ended(&mut self) {
        soon(&mut self.task).await.expect("the server does not panic").expect("the server ends well");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The key is the address of the peer, as axum knows it.
pub(crate) fn by_address() -> ClientAddress<ConnectInfo<SocketAddr>> {
    ClientAddress::from_peer(|peer: &ConnectInfo<SocketAddr>| peer.0.ip())
}

/// Waits for something that must come.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("it hangs")
}

/// Waits until something is true.
pub(crate) async fn until(what: &str, is_true: impl Fn() -> bool) {
    let wait = async {
        while !is_true() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("it never is true that {what}"));
}
