//! The parts that the tests share.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use brimful::Quota;
use brimful_redis::{FailurePolicy, RedisRateLimiter};
use brimful_tower::key::{KeyFn, MissingKey, RequestHead};
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use tower::{Service, ServiceExt, service_fn};

use crate::server::Server;

pub(crate) type Shared = Arc<RedisRateLimiter<str>>;

/// A limiter with a connection of its own, as another process has.
pub(crate) async fn limiter(server: &Server, quotas: &str, policy: FailurePolicy, deadline: Duration) -> Shared {
    let builder = RedisRateLimiter::<str>::builder(quotas.parse::<brimful::Quotas>().unwrap());
    Arc::new(builder.on_failure(policy).deadline(deadline).build(server.store().await).unwrap())
}

/// One whose decisions are not hurried, also on a busy machine.
pub(crate) async fn patient(server: &Server, quotas: &str) -> Shared {
    limiter(server, quotas, FailurePolicy::Deny, Duration::from_secs(20)).await
}

type ByPath = KeyFn<fn(&RequestHead<'_>) -> Result<String, MissingKey>>;

/// The key is the path.
pub(crate) fn by_path() -> ByPath {
    KeyFn(|head| Ok(head.uri.path().to_owned()))
}

pub(crate) fn request(path: &str) -> Request<()> {
    Request::builder().uri(path).body(()).unwrap()
}

/// A service that answers with the status of the request's header `status`, or with 200.
pub(crate) fn serve()
-> impl Service<Request<()>, Response = Response<Full<Bytes>>, Error = Infallible, Future: Send> + Clone + Send {
    service_fn(async |request: Request<()>| {
        let mut response = Response::new(Full::from("hello"));
        if let Some(status) = request.headers().get("status") {
            *response.status_mut() = status.to_str().unwrap().parse::<u16>().unwrap().try_into().unwrap();
        }
        Ok(response)
    })
}

pub(crate) async fn call<S, B: Body>(service: &S, request: Request<()>) -> Response<B>
where
    S: Service<Request<()>, Response = Response<B>, Error = Infallible> + Clone,
{
    service.clone().oneshot(request).await.unwrap()
}

/// The tokens that the store has left.
pub(crate) async fn left(limiter: &RedisRateLimiter<str>, key: &str) -> u32 {
    limiter.peek(key).await.unwrap().limits()[0].remaining
}

/// Waits until the store has this many tokens left.
pub(crate) async fn until_left(limiter: &RedisRateLimiter<str>, key: &str, expected: u32) {
    crate::http_server::soon(async {
        while left(limiter, key).await != expected {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}

/// Microseconds of the server's clock.
pub(crate) async fn time(server: &Server) -> u64 {
    let mut connection = server.connection().await;
    let (seconds, micros): (u64, u64) = redis::cmd("TIME").query_async(&mut connection).await.unwrap();
    seconds * 1_000_000 + micros
}

/// The most that a quota admits in this time.
pub(crate) fn bound(quota: &Quota, micros: u64) -> u64 {
    let (tokens, period) = quota.rate();
    u64::from(quota.capacity().whole()) + tokens * micros / u64::try_from(period.as_micros()).unwrap()
}
