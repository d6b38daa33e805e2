//! Clients of an LLM API on real sockets, with a limiter and without:
//! `cargo run --release --example llm_client`.
//!
//! The server of this file counts requests and tokens in buckets, and answers 429 when one of them is empty. With a
//! limiter of the same limits, no call is refused, and the limit is used. All buckets begin empty, as after a busy
//! minute.
//!
//! A server sees a call a little later than the client granted it, so a bucket of the server may be full while the
//! calls for its tokens are on the way. If clients begin with full buckets, give the limiter a small part less than the
//! server has: 1 % of a minute's burst is 0.6 s of its rate, which makes up for calls that are late by 0.6 s.

use std::error::Error;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use brimful::model::{Dimension, DimensionHint, Learning, ModelLimiter, ModelQuota, ServerHints, Usage};
use brimful::{QuantaClock, Quota, RateLimiter, Tokens};

const MODEL: &str = "large";
/// The limits: a thousand requests and 200 000 tokens a second, so that the program ends soon. The tokens bind.
const RPM: u32 = 60_000;
const TPM: u32 = 12_000_000;
const CALLS: u64 = 2_400;
const CLIENTS: usize = 64;

/// The usage of a call: about 280 tokens.
fn usage(call: u64) -> Usage {
    Usage { input: 50 + call * 7_919 % 300, output: 20 + call * 104_729 % 160 }
}

/// A server that counts what it serves.
struct Server {
    /// The requests and the tokens that it has left, and the tokens of the calls that it served.
    state: Mutex<(RateLimiter, RateLimiter, u64)>,
    started: Instant,
    /// The microsecond of the last call that it served.
    last: AtomicU64,
    refused: AtomicU64,
}

impl Server {
    fn new() -> Self {
        // With a clock, a bucket starts now, and not with the first call.
        let bucket = |per_minute| RateLimiter::with_clock(Quota::per_minute(per_minute).initial(0), QuantaClock);
        let state = Mutex::new((bucket(RPM), bucket(TPM), 0));
        Server { state, started: Instant::now(), last: AtomicU64::new(0), refused: AtomicU64::new(0) }
    }

    /// Answers all calls on a connection.
    fn serve(&self, mut connection: TcpStream) -> io::Result<()> {
        connection.set_nodelay(true)?;
        let mut reader = BufReader::new(connection.try_clone()?);
        while let Some(head) = Head::read(&mut reader)? {
            let usage = Usage { input: head.number("x-input-tokens"), output: head.number("x-output-tokens") };
            let (wait, left) = self.take(usage);
            let status = if wait.is_zero() { "200 OK" } else { "429 Too Many Requests" };
            if wait.is_zero() {
                // The time in which the answer is written.
                thread::sleep(Duration::from_millis(5) + Duration::from_micros(100) * usage.output as u32);
            }
            let [requests, tokens] = left.map(|left| left as u64);
            write!(
                connection,
                "HTTP/1.1 {status}\r\ncontent-length: 0\r\nretry-after-ms: {}\r\nx-ratelimit-remaining-requests: \
                 {requests}\r\nx-ratelimit-remaining-tokens: {tokens}\r\n\r\n",
                wait.as_micros().div_ceil(1_000)
            )?;
        }
        Ok(())
    }

    /// Takes what a call uses, or nothing. Returns the time until it is there, and what is left of both limits.
    fn take(&self, usage: Usage) -> (Duration, [f64; 2]) {
        let mut state = self.state.lock().expect("no panic");
        let (requests, tokens, served) = &mut *state;
        let n = Tokens::try_from(usage.total()).expect("a few tokens");
        let wait = requests.time_until(1).max(tokens.time_until(n)).expect("below the limits");
        if wait.is_zero() && requests.allow() && tokens.try_acquire_n(n).is_ok() {
            *served += usage.total();
            self.last.fetch_max(self.started.elapsed().as_micros() as u64, SeqCst);
        } else {
            self.refused.fetch_add(1, SeqCst);
        }
        (wait, [requests.available_tokens(), tokens.available_tokens()])
    }
}

/// The head of a request or of an answer.
struct Head(String);

impl Head {
    /// Reads one; `None` at the end of the connection.
    fn read(reader: &mut impl BufRead) -> io::Result<Option<Head>> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.by_ref().take(8_192).read_line(&mut head)? == 0 {
                return Ok(None);
            }
        }
        Ok(Some(Head(head)))
    }

    fn number(&self, name: &str) -> u64 {
        let values = self.0.lines().filter_map(|line| line.split_once(": "));
        values.into_iter().find(|(field, _)| *field == name).and_then(|(_, value)| value.parse().ok()).unwrap_or(0)
    }
}

/// Makes a call. Returns whether it was served, and what the server said about its limits.
fn call(connection: &mut BufReader<TcpStream>, usage: Usage) -> io::Result<(bool, ServerHints)> {
    let Usage { input, output } = usage;
    write!(
        connection.get_mut(),
        "POST /v1/chat HTTP/1.1\r\nx-input-tokens: {input}\r\nx-output-tokens: {output}\r\n\r\n"
    )?;
    let answer = Head::read(connection)?.ok_or(io::ErrorKind::UnexpectedEof)?;
    let left = |name| DimensionHint::new().remaining(answer.number(name));
    let hints = ServerHints::new()
        .dimension(Dimension::Rpm, left("x-ratelimit-remaining-requests"))
        .dimension(Dimension::Tpm, left("x-ratelimit-remaining-tokens"));
    let is_served = answer.0.starts_with("HTTP/1.1 200 ");
    let retry_after = Duration::from_millis(answer.number("retry-after-ms"));
    Ok((is_served, if is_served { hints } else { hints.refused().retry_after(retry_after) }))
}

/// Makes all calls with all clients. Returns the number of calls that were refused, and the part of the server's tokens
/// that was used, up to the last call.
fn run(limiter: Option<ModelLimiter>, estimate: fn(Usage) -> Usage) -> io::Result<(u64, f64)> {
    let (listener, server, next) = (TcpListener::bind("127.0.0.1:0")?, Server::new(), AtomicU64::new(0));
    if let Some(limiter) = &limiter {
        limiter.pause_for(MODEL, Duration::from_nanos(1)); // begins with empty buckets, after the server
    }
    let client = || -> io::Result<()> {
        let mut connection = BufReader::new(TcpStream::connect(listener.local_addr()?)?);
        connection.get_ref().set_nodelay(true)?;
        while let Some(usage) = Some(next.fetch_add(1, SeqCst)).filter(|&number| number < CALLS).map(usage) {
            let Some(limiter) = &limiter else {
                let _answer = call(&mut connection, usage)?;
                continue;
            };
            let mut permit = limiter.acquire_blocking(MODEL, estimate(usage)).expect("below the limits");
            let (is_served, hints) = call(&mut connection, usage)?;
            if is_served {
                permit.commit(usage);
            }
            permit.observe(&hints);
        }
        Ok(())
    };
    thread::scope(|threads| {
        let clients: Vec<_> = (0..CLIENTS).map(|_| threads.spawn(client)).collect();
        for connection in listener.incoming().take(CLIENTS) {
            let (connection, server) = (connection?, &server);
            threads.spawn(move || server.serve(connection));
        }
        clients.into_iter().try_for_each(|client| client.join().expect("no panic"))
    })?;
    let served = server.state.lock().expect("no panic").2 as f64;
    let admitted = f64::from(TPM) * server.last.load(SeqCst) as f64 / 60e6;
    Ok((server.refused.load(SeqCst), served / admitted))
}

fn main() -> Result<(), Box<dyn Error>> {
    let limits = ModelQuota::new().rpm(RPM.into()).tpm(TPM.into());
    let builder = || ModelLimiter::builder().model(MODEL, limits);
    let show = |name: &str, (refused, used): (u64, f64)| {
        println!("{name:<36} {refused:>5} of {CALLS} calls refused, {:>5.1} % of the tokens used", used * 100.0);
        (refused, used)
    };

    let (refused, _) = show("without a limiter", run(None, |usage| usage)?);
    assert!(refused > 0);

    let (refused, used) = show("with a limiter", run(Some(builder().build()?), |usage| usage)?);
    assert_eq!(refused, 0);
    assert!(used >= 0.97);

    // The limiter learns from each answer how wrong the estimates are, and charges more or less than it is given.
    let learning = || builder().learning(Learning::new()).build();
    let high = |usage: Usage| Usage { input: usage.input * 2, output: usage.output * 2 };
    let (refused, used) = show("estimates twice too high, learned", run(Some(learning()?), high)?);
    assert_eq!(refused, 0);
    assert!(used >= 0.9);

    let low = |usage: Usage| Usage { input: usage.input / 2, output: usage.output / 2 };
    let (refused, used) = show("estimates twice too low, learned", run(Some(learning()?), low)?);
    assert!(refused <= CALLS / 100);
    assert!(used >= 0.9);
    Ok(())
}
