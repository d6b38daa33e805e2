//! The layers around a service that answers at once.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum_governor::extractor::PeerIp;
use brimful::KeyedRateLimiter;
use brimful_tower::key::ClientAddress;
use brimful_tower::{AnswerForm, RateLimitLayer, RateLimitLayerBuilder};
use http::{Request, Response};
use tower::{Layer, Service};
use tower_governor::governor::GovernorConfigBuilder;

use crate::limit::Limit;

pub(super) const FLOOR: &str = "floor: the service alone";
pub(super) const OURS: &str = "brimful-tower";
pub(super) const OURS_HEADERS: &str = "brimful-tower, with headers";
pub(super) const OURS_SHORT: &str = "brimful-tower, headers only";
pub(super) const TOWER_GOVERNOR: &str = "tower_governor";
pub(super) const TOWER_GOVERNOR_HEADERS: &str = "tower_governor, with headers";
/// It has headers always.
pub(super) const AXUM_GOVERNOR: &str = "axum-governor";

/// A limit that no client reaches.
pub(super) const NEVER: Limit = Limit::per_second(1_000, 10_000_000);

/// The second request of a client is refused.
pub(super) const ONCE: Limit = Limit { tokens: 1, period: Duration::from_secs(36_000), burst: 1 };

/// A service that answers at once, with a body that is empty.
#[derive(Clone)]
pub(super) struct Empty;

impl<B> Service<Request<B>> for Empty {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    #[inline]
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    #[inline]
    fn call(&mut self, _: Request<B>) -> Self::Future {
        ready(Ok(Response::new(Body::empty())))
    }
}

/// A measurement of any of the services.
pub(super) trait Job {
    type Answer;

    fn run<S, R>(self, service: S) -> Self::Answer
    where
        S: Service<Request<()>, Response = Response<R>, Error = Infallible> + Clone + Send + Sync + 'static;
}

type Address = ClientAddress<ConnectInfo<SocketAddr>>;

/// Returns the builder of our layer.
pub(super) fn ours(limit: Limit) -> RateLimitLayerBuilder<Address, KeyedRateLimiter<std::net::IpAddr>> {
    let limiter = Arc::new(KeyedRateLimiter::new(limit.quota()));
    RateLimitLayer::builder(limiter, ClientAddress::from_peer(|peer: &ConnectInfo<SocketAddr>| peer.0.ip()))
}

/// Runs the job with the contender of this name.
pub(super) fn with<J: Job>(name: &str, limit: Limit, job: J) -> Option<J::Answer> {
    let mut governor = GovernorConfigBuilder::default();
    governor.period(limit.token()).burst_size(limit.burst);
    Some(match name {
        FLOOR => job.run(Empty),
        OURS => job.run(ours(limit).build().layer(Empty)),
        OURS_HEADERS => job.run(ours(limit).headers_on_admitted().build().layer(Empty)),
        OURS_SHORT => job.run(ours(limit).answer(AnswerForm::HeadersOnly).build().layer(Empty)),
        TOWER_GOVERNOR => job.run(tower_governor::GovernorLayer::new(governor.finish()?).layer(Empty)),
        TOWER_GOVERNOR_HEADERS => {
            job.run(tower_governor::GovernorLayer::new(governor.use_headers().finish()?).layer(Empty))
        }
        AXUM_GOVERNOR => {
            let config = axum_governor::GovernorConfigBuilder::default()
                .with_extractor(PeerIp::default())
                .expect_connect_info()
                .quota_default(limit.governors().into())
                .gc_disable()
                .finish()
                .ok()?;
            job.run(axum_governor::GovernorLayer::new(config).layer(Empty))
        }
        _ => return None,
    })
}
