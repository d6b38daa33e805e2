//! An API of axum with limits by address and by API key, and a page that shows the limits live:
//! `cargo run -p brimful-tower --example axum_api -- --port 3000`

mod api;
mod live;

use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr};

use brimful::QuantaClock;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let port = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => 3000,
        ["--port", port] => port.parse()?,
        _ => return Err("the only option is `--port N`, with 0 for any free port".into()),
    };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    println!("http://{}", listener.local_addr()?);
    let api = api::Api::new(QuantaClock);
    // The layers find the address of the client in the extension that this adds.
    axum::serve(listener, api.router().into_make_service_with_connect_info::<SocketAddr>()).await?;
    Ok(())
}
