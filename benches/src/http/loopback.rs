//! axum's "hello" over sockets of the loopback interface, with and without the layer. The load comes over connections that
//! are kept alive, each with one request at a time. All servers put the address of the peer into each request.

use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use axum::Router;
use brimful_tower::AnswerForm;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;
use tower::layer::util::Identity;

use super::contenders::{NEVER, ONCE};
use super::whole::{NOTHING, WITHOUT, hello, limited};
use crate::bench::Scale;
use crate::harness::{Contender, alone, pin};
use crate::report::{Bar, Report};

const SCENARIO: &str = "loopback: a request to axum";
const WITH: &str = "brimful-tower, admitted";
const REFUSED: &str = "brimful-tower, refused, headers only";

const CONNECTIONS: u64 = 16;

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap_or_else(|error| panic!("no runtime: {error}"))
}

/// Serves on a thread of its own, until the program ends.
fn serve(app: Router) -> io::Result<SocketAddr> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    std::thread::spawn(move || {
        pin(1);
        runtime().block_on(async {
            let listener = TcpListener::from_std(listener)?;
            axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>()).await
        })
    });
    Ok(address)
}

/// Sends requests on a connection, one after the other. Every response has the same status.
async fn converse(mut stream: TcpStream, requests: u64, status: &[u8]) -> io::Result<TcpStream> {
    let mut buffer = vec![0; 4_096];
    for _ in 0..requests {
        stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await?;
        // The head and the body of these responses are written at once.
        let read = stream.read(&mut buffer).await?;
        let is_expected = buffer[..read].starts_with(b"HTTP/1.1 ") && buffer[9..].starts_with(status);
        assert!(is_expected, "{}", String::from_utf8_lossy(&buffer[..read]));
    }
    Ok(stream)
}

/// Returns the nanoseconds of this many requests.
fn load(server: SocketAddr, operations: u64, status: &'static [u8]) -> io::Result<f64> {
    runtime().block_on(async {
        let mut streams = Vec::new();
        for _ in 0..CONNECTIONS {
            let stream = TcpStream::connect(server).await?;
            stream.set_nodelay(true)?;
            // The task of the server is there, and has its memory.
            streams.push(converse(stream, 10, status).await?);
        }
        let begun = Instant::now();
        let each = operations.div_ceil(CONNECTIONS);
        let tasks: JoinSet<_> = streams.into_iter().map(|stream| converse(stream, each, status)).collect();
        for stream in tasks.join_all().await {
            stream?;
        }
        let nanos = begun.elapsed().as_nanos() as f64;
        Ok(nanos * operations as f64 / (each * CONNECTIONS) as f64)
    })
}

fn contender(name: &'static str, server: SocketAddr, status: &'static [u8]) -> Contender<'static> {
    Contender::timed(name, move |operations| {
        load(server, operations, status).unwrap_or_else(|error| panic!("{name}: {error}"))
    })
}

pub(super) fn section(scale: &Scale, report: &mut Report) -> io::Result<()> {
    if !scale.wants(SCENARIO) {
        return Ok(());
    }
    // All clients have one address, whose token the first request takes.
    let refusing = serve(limited(ONCE, AnswerForm::HeadersOnly))?;
    runtime().block_on(async { converse(TcpStream::connect(refusing).await?, 1, b"200").await })?;
    let contenders = [
        contender(WITHOUT, serve(hello())?, b"200"),
        contender(WITH, serve(limited(NEVER, AnswerForm::HeadersOnly))?, b"200"),
        contender(NOTHING, serve(hello().layer(Identity::new()))?, b"200"),
        contender(REFUSED, refusing, b"429"),
    ];
    let names = contenders.each_ref().map(|contender| contender.name.as_str());
    let timings = alone(&contenders, scale.runs, scale.operations);
    report.timings(SCENARIO, &names, &timings);
    let ratio = timings[0].ratio_to(&timings[1]);
    report.bar("loopback: throughput with the layer / without, runs in pairs", Bar::AtLeast(0.98), ratio);
    let ratio = timings[2].ratio_to(&timings[1]);
    report.bar(
        "loopback: throughput with the layer / with a layer of nothing, runs in pairs",
        Bar::AtLeast(0.98),
        ratio,
    );
    let ratio = timings[3].ratio_to(&timings[1]);
    report.bar("loopback: time of a refused request / of an admitted one", Bar::AtMost(1.0), ratio);
    Ok(())
}
