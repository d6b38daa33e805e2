//! `cargo xtask bench http`: middleware for HTTP, in process and over loopback, beside `tower_governor` and axum-governor.

use brimful_benches::bench::Options;
use brimful_benches::http;
use clap::Parser;

/// Middleware for HTTP, in process and over loopback, beside `tower_governor` and axum-governor.
///
/// The sections: admitted, refused, whole, loopback. Each section ends with its bars, the limits that brimful has to meet.
/// Figures are medians of runs taken in turns: quote the ratios, not the nanoseconds.
#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    options: Options,
}

fn main() -> std::io::Result<()> {
    http::BENCH.run(Arguments::parse().options)
}
