//! Counts failed logins only: `cargo run -p brimful-tower --example failed_logins`
//!
//! An address may fail five times in an hour. Logins that succeed are free.

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::ConnectInfo;
use axum::routing::post;
use axum::{Json, Router};
use brimful::{KeyedRateLimiter, Quota};
use brimful_tower::key::ClientAddress;
use brimful_tower::{RateLimitLayer, Settlement};
use http::{Request, StatusCode};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

fn app() -> Router {
    let limiter = Arc::new(KeyedRateLimiter::new(Quota::per_hour(5)));
    let by_address = ClientAddress::from_peer(|peer: &ConnectInfo<SocketAddr>| peer.0.ip());
    // Each attempt takes a token, so that attempts at the same time cannot exceed the limit together. One that does not
    // fail gives its token back.
    let failures = RateLimitLayer::builder(limiter, by_address)
        .policy("failed-logins")
        .settle(|response| Settlement::now(u32::from(response.status == StatusCode::UNAUTHORIZED)))
        .build();
    Router::new().route("/login", post(login)).layer(failures)
}

/// The body is the password, as JSON.
async fn login(Json(password): Json<String>) -> StatusCode {
    // A program compares a hash.
    if password == "correct" { StatusCode::NO_CONTENT } else { StatusCode::UNAUTHORIZED }
}

/// Serves the app, tries passwords as a client, and returns the statuses.
pub(crate) async fn run() -> Result<Vec<u16>, Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let service = app().into_make_service_with_connect_info::<SocketAddr>();
    let server = tokio::spawn(async { axum::serve(listener, service).await });
    let stream = TokioIo::new(TcpStream::connect(address).await?);
    let (mut client, connection) = http1::handshake::<_, String>(stream).await?;
    let connection = tokio::spawn(connection);

    let right = ["correct"; 10];
    let wrong = ["password", "123456", "letmein", "qwerty", "hunter2", "hunter3"];
    let mut statuses = Vec::new();
    // The last login has the right password, and comes too late.
    for password in right.into_iter().chain(wrong).chain(["correct"]) {
        let request = Request::post("/login")
            .header("host", "localhost")
            .header("content-type", "application/json")
            .body(format!("\"{password}\""))?;
        client.ready().await?;
        let response = client.send_request(request).await?;
        let retry_after = response.headers().get("retry-after").and_then(|value| value.to_str().ok());
        let hint = retry_after.map_or_else(String::new, |seconds| format!(", retry after {seconds} s"));
        println!("{password:>8}: {}{hint}", response.status());
        statuses.push(response.status().as_u16());
    }
    server.abort();
    connection.abort();
    Ok(statuses)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    run().await.map(drop)
}
