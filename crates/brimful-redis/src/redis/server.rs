//! One server: its client, and a connection to it.

use std::io;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, IntoConnectionInfo, RedisError};
#[cfg(any(feature = "cluster", feature = "sentinel"))]
use redis::{ConnectionAddr, ConnectionInfo};

/// The host and the port of a server.
#[cfg(any(feature = "cluster", feature = "sentinel"))]
pub(super) type Address = (String, u16);

/// Returns a client whose calls are sent at once: Nagle's algorithm would hold a call back until the one before it is
/// answered.
pub(super) fn client(server: impl IntoConnectionInfo) -> Result<Client, RedisError> {
    let server = server.into_connection_info()?;
    let settings = server.tcp_settings().clone().set_nodelay(true);
    Client::open(server.set_tcp_settings(settings))
}

/// Makes a connection, which has no deadlines of its own: the limiter has them.
pub(super) async fn connect(client: &Client) -> Result<MultiplexedConnection, RedisError> {
    let config = AsyncConnectionConfig::new().set_response_timeout(None).set_connection_timeout(None);
    client.get_multiplexed_async_connection_with_config(&config).await
}

/// Returns the failure to connect, for this reason. Nothing was sent.
pub(super) fn not_connected(why: impl Into<String>) -> RedisError {
    io::Error::new(io::ErrorKind::NotConnected, why.into()).into()
}

/// Returns the failure of a task of an engine whose runtime has ended.
pub(super) fn runtime_ended() -> RedisError {
    not_connected("the runtime of the task that connects has ended")
}

/// Returns the host and the port in a URL.
#[cfg(any(feature = "cluster", feature = "sentinel"))]
pub(super) fn address(settings: &ConnectionInfo) -> Result<Address, RedisError> {
    match settings.addr() {
        ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => Ok((host.clone(), *port)),
        _ => Err((redis::ErrorKind::InvalidClientConfig, "the URL needs a host").into()),
    }
}

/// Returns a client of the server at this address, with the user, the database and the encryption of another one.
#[cfg(any(feature = "cluster", feature = "sentinel"))]
pub(super) fn at(other: &ConnectionInfo, (host, port): &Address) -> Result<Client, RedisError> {
    let (host, port) = (host.clone(), *port);
    let address = match other.addr() {
        ConnectionAddr::TcpTls { insecure, tls_params, .. } => {
            ConnectionAddr::TcpTls { host, port, insecure: *insecure, tls_params: tls_params.clone() }
        }
        _ => ConnectionAddr::Tcp(host, port),
    };
    client(other.clone().set_addr(address))
}
