//! Clients of LLM APIs, by reqwest on real sockets, with a layer that lets calls wait for their turn and without:
//! `cargo run --release -p brimful-tower --example llm_client`.
//!
//! The servers of this file count requests and tokens in buckets, which begin empty, as after a busy minute. They say what
//! is left in the headers of `OpenAI` or of Anthropic, and answer 429 with `Retry-After` when a bucket is empty. The third one
//! has half of the limit that its client has.
//!
//! With the feature `redis` and a server, two processes share the limit of one:
//!
//! ```text
//! redis-server --port 6379 &
//! cargo run --release -p brimful-tower --features redis --example llm_client -- redis://127.0.0.1/
//! ```

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use brimful::model::{ModelLimiter, ModelQuota, Usage};
use brimful::{QuantaClock, Quota, RateLimiter, Tokens};
use brimful_tower::client::{BoxError, ByHost, HostLimits, ModelCall, Retries, ThrottleLayer};
use http::{Request, Response};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tower::{Layer, Service, ServiceExt, service_fn};

/// The limits of the first two servers: so high that the program ends soon. The tokens bind, with about 200 a call.
const RPM: u32 = 60_000;
const TPM: u32 = 4_800_000;
/// The limit of the third server, in requests per second, and the quota of its client.
const RATE: u32 = 200;
const QUOTA: &str = "400/s burst 10";

const CALLS: u64 = 300;
const CLIENTS: usize = 32;

/// The vendor whose headers a server writes.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Api {
    OpenAi,
    Anthropic,
    RetryAfter,
}

struct Server {
    api: Api,
    /// The requests and the tokens that are left.
    buckets: Mutex<(RateLimiter<QuantaClock>, RateLimiter<QuantaClock>)>,
    served: AtomicU64,
    refused: AtomicU64,
}

impl Server {
    /// Starts a server, and returns it and its address.
    async fn start(api: Api) -> Result<(Arc<Server>, String), BoxError> {
        let bucket = |quota: Quota| RateLimiter::with_clock(quota, QuantaClock);
        let requests =
            if api == Api::RetryAfter { Quota::per_second(RATE).burst(10) } else { Quota::per_minute(RPM).initial(0) };
        let buckets = Mutex::new((bucket(requests), bucket(Quota::per_minute(TPM).initial(0))));
        let server = Arc::new(Server { api, buckets, served: AtomicU64::new(0), refused: AtomicU64::new(0) });
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let (address, accepting) = (format!("http://{}", listener.local_addr()?), server.clone());
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                tokio::spawn(accepting.clone().serve(connection));
            }
        });
        Ok((server, address))
    }

    /// Answers all calls on a connection.
    async fn serve(self: Arc<Self>, connection: TcpStream) -> Result<(), BoxError> {
        let mut connection = BufReader::new(connection);
        loop {
            let mut length = 0;
            loop {
                let mut line = String::new();
                if connection.read_line(&mut line).await? == 0 {
                    return Ok(());
                }
                match line.trim_end().to_ascii_lowercase().split_once(": ") {
                    Some(("content-length", value)) => length = value.parse()?,
                    None if line.trim().is_empty() => break,
                    _ => {}
                }
            }
            let mut body = vec![0; length];
            connection.read_exact(&mut body).await?;
            let usage = usage(&serde_json::from_slice(&body)?, "estimate");
            let (wait, headers) = self.take(usage);
            let status = if wait.is_zero() { "200 OK" } else { "429 Too Many Requests" };
            let answer = json!({ "usage": { "input": usage.input, "output": usage.output } }).to_string();
            let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n{headers}\r\n", answer.len());
            connection.write_all((head + &answer).as_bytes()).await?;
        }
    }

    /// Takes what a call uses, or nothing. Returns the time until it is there, and the headers.
    fn take(&self, usage: Usage) -> (Duration, String) {
        let (requests, tokens) = &*self.buckets.lock().expect("no panic");
        let n = Tokens::try_from(if self.api == Api::RetryAfter { 0 } else { usage.total() }).expect("a few tokens");
        let wait = requests.time_until(1).max(tokens.time_until(n)).expect("below the limits");
        if wait.is_zero() {
            self.served.fetch_add(1, SeqCst);
            assert!(requests.allow() && tokens.try_acquire_n(n).is_ok());
        } else {
            self.refused.fetch_add(1, SeqCst);
        }
        let (left, millis) =
            ([requests, tokens].map(|bucket| bucket.available_tokens() as u64), wait.as_micros().div_ceil(1_000));
        let mut headers = match self.api {
            Api::OpenAi => format!(
                "x-ratelimit-remaining-requests: {}\r\nx-ratelimit-remaining-tokens: {}\r\nx-ratelimit-reset-tokens: {millis}ms\r\n",
                left[0], left[1]
            ),
            Api::Anthropic => format!(
                "anthropic-ratelimit-requests-remaining: {}\r\nanthropic-ratelimit-tokens-remaining: {}\r\n\
                 anthropic-ratelimit-tokens-reset: {}\r\n",
                left[0],
                left[1],
                jiff::Timestamp::now() + wait
            ),
            Api::RetryAfter => String::new(),
        };
        if !wait.is_zero() {
            headers += &format!("retry-after-ms: {millis}\r\nretry-after: {}\r\n", millis.div_ceil(1_000));
        }
        (wait, headers)
    }
}

fn usage(body: &Value, name: &str) -> Usage {
    let number = |part: &str| body[name][part].as_u64().unwrap_or(0);
    Usage { input: number("input"), output: number("output") }
}

/// A reqwest client, as a service of the crate `http`.
fn reqwest()
-> impl Service<Request<String>, Response = Response<reqwest::Body>, Error = BoxError, Future: Send> + Clone + Send {
    let client = reqwest::Client::new();
    service_fn(move |request: Request<String>| {
        let client = client.clone();
        async move { Ok(client.execute(request.try_into()?).await?.into()) }
    })
}

/// Makes all calls, by many clients at once. Returns how many were answered by 200.
async fn run<S>(address: &str, service: S) -> Result<u64, BoxError>
where
    S: Service<Request<String>, Response = Response<reqwest::Body>, Error = BoxError> + Clone + Send + 'static,
    S::Future: Send,
{
    let (next, answered) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (mut service, next, answered, address) =
                (service.clone(), next.clone(), answered.clone(), address.to_owned());
            tokio::spawn(async move {
                while let Some(call) = Some(next.fetch_add(1, SeqCst)).filter(|&call| call < CALLS) {
                    let estimate = json!({ "input": 50 + call * 7_919 % 200, "output": 20 + call * 104_729 % 60 });
                    let body = json!({ "model": "large", "estimate": estimate }).to_string();
                    let request = Request::post(format!("{address}/v1/chat")).body(body)?;
                    let mut response = service.ready().await?.call(request).await?;
                    let model_call = response.extensions_mut().remove::<ModelCall>();
                    answered.fetch_add(u64::from(response.status().is_success()), SeqCst);
                    let body = response.into_body().collect().await?.to_bytes();
                    if let Some(call) = model_call {
                        call.commit(usage(&serde_json::from_slice(&body)?, "usage"));
                    }
                }
                Ok::<_, BoxError>(())
            })
        })
        .collect();
    for client in clients {
        client.await??;
    }
    Ok(answered.load(SeqCst))
}

/// Compares the refusals with the layer and without, and checks them.
pub(crate) async fn compare() -> Result<(), BoxError> {
    let show = |name: String, server: &Server, answered: u64| {
        let (served, refused) = (server.served.load(SeqCst), server.refused.load(SeqCst));
        println!(
            "{name:<32} {refused:>4} of {:>4} requests refused, {answered:>4} of {CALLS} calls answered",
            served + refused
        );
        (refused, answered)
    };

    for api in [Api::OpenAi, Api::Anthropic] {
        let (server, address) = Server::start(api).await?;
        let answered = run(&address, reqwest()).await?;
        let (refused, _) = show(format!("{api:?}, without the layer"), &server, answered);
        assert!(refused > 0);

        let quota = ModelQuota::new().rpm(RPM.into()).tpm(TPM.into());
        let limiter = Arc::new(ModelLimiter::builder().model("large", quota).build()?);
        let throttle = ThrottleLayer::of_models(limiter.clone(), |request: &Request<String>| {
            ("large", usage(&serde_json::from_str(request.body()).unwrap_or_default(), "estimate"))
        });
        let (server, address) = Server::start(api).await?;
        limiter.pause_for("large", Duration::from_nanos(1)); // begins with empty buckets, after the server
        let answered = run(&address, throttle.build().layer(reqwest())).await?;
        let (refused, answered) = show(format!("{api:?}, with the layer"), &server, answered);
        assert_eq!((refused, answered), (0, CALLS));
    }

    let (server, address) = Server::start(Api::RetryAfter).await?;
    let answered = run(&address, reqwest()).await?;
    let (without, _) = show("Retry-After, without the layer".to_owned(), &server, answered);

    let throttle = ThrottleLayer::builder(Arc::new(HostLimits::new(QUOTA.parse()?)?), ByHost)
        .retries(Retries::new(|request: &Request<String>| Some(request.clone())));
    let (server, address) = Server::start(Api::RetryAfter).await?;
    let answered = run(&address, throttle.build().layer(reqwest())).await?;
    let (with, _) = show("Retry-After, with the layer".to_owned(), &server, answered);
    assert!(with < without);
    Ok(())
}

/// Clients in two processes, whose calls share the limits of one model.
#[cfg(feature = "redis")]
pub(crate) mod shared {
    use std::process::{Command, Stdio};

    use brimful::model::ModelConfig;
    use brimful_redis::{RedisStore, SharedModelLimiter};

    use super::*;

    /// Makes the calls of a process, and returns how many were answered by 200.
    pub(crate) async fn calls(redis: &str, address: &str) -> Result<u64, BoxError> {
        let mut config = ModelConfig::new();
        config.models.insert("large".to_owned(), ModelQuota::new().rpm(RPM.into()).tpm(TPM.into()));
        let limiter = SharedModelLimiter::builder(config).deadline(Duration::from_secs(5));
        // Each run of the example has buckets of its own.
        let limiter = limiter.prefix(address).build(RedisStore::connect(redis).await?)?;
        limiter.pause_for("large", Duration::from_nanos(1)).await?; // begins with empty buckets, after the server
        let (mut service, mut answered) = (reqwest(), 0);
        for call in 0..CALLS {
            let estimate = Usage { input: 50 + call * 7_919 % 200, output: 20 + call * 104_729 % 60 };
            let mut permit = limiter.acquire("large", estimate).await?;
            let body = json!({ "estimate": { "input": estimate.input, "output": estimate.output } }).to_string();
            let response = service.ready().await?.call(Request::post(format!("{address}/v1/chat")).body(body)?).await?;
            if response.status().is_success() {
                answered += 1;
                let body = response.into_body().collect().await?.to_bytes();
                permit.commit(usage(&serde_json::from_slice(&body)?, "usage")).await?;
            } else {
                // No process calls before that.
                let seconds = response.headers().get("retry-after").and_then(|time| time.to_str().ok()?.parse().ok());
                permit.cancel().await?;
                limiter.pause_for("large", Duration::from_secs(seconds.unwrap_or(1))).await?;
            }
        }
        Ok(answered)
    }

    /// Starts a server, and makes calls by two clients at once: one here, and another one.
    pub(crate) async fn compare(
        redis: &str,
        another: impl AsyncFnOnce(&str) -> Result<u64, BoxError>,
    ) -> Result<(), BoxError> {
        let (server, address) = Server::start(Api::OpenAi).await?;
        let (here, there) = tokio::try_join!(calls(redis, &address), another(&address))?;
        let refused = server.refused.load(SeqCst);
        println!("two clients: {refused} requests refused, {here} and {there} of {CALLS} calls answered");
        assert_eq!((refused, here + there), (0, 2 * CALLS));
        Ok(())
    }

    /// Starts this program again, to make calls, and returns how many were answered.
    pub(crate) async fn in_a_process(redis: &str, address: &str) -> Result<u64, BoxError> {
        let mut process = Command::new(std::env::current_exe()?);
        let process = process.args([redis, address]).stdout(Stdio::piped()).spawn()?;
        let output = tokio::task::spawn_blocking(|| process.wait_with_output()).await??;
        Ok(String::from_utf8(output.stdout)?.trim().parse()?)
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &arguments[..] {
        [] => compare().await,
        #[cfg(feature = "redis")]
        [redis] => shared::compare(redis, async |address| shared::in_a_process(redis, address).await).await,
        #[cfg(feature = "redis")]
        [redis, address] => {
            println!("{}", shared::calls(redis, address).await?);
            Ok(())
        }
        _ => Err("no arguments; or, with the feature `redis`, the URL of a Redis server".into()),
    }
}
