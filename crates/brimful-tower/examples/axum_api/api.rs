//! The API: limits by address, and by API key in two tiers.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use brimful::{Clock, KeyedRateLimiter, Quota};
use brimful_tower::key::{ClientAddress, KeyFn, MissingKey, OnMissingKey, RequestHead};
use brimful_tower::{Classes, RateLimitLayer};
use http::{HeaderMap, StatusCode};

use crate::live;

/// All requests of one address. It also limits those that try keys.
const BY_ADDRESS: Quota = Quota::per_second(10).burst(40);

/// The tiers, with the quotas of their customers.
const FREE: Quota = Quota::per_second(1).burst(10);
const PRO: Quota = Quota::per_second(5).burst(30);

/// A customer, who is known by an API key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Customer {
    pub(crate) id: u64,
    pub(crate) tier: Tier,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Tier {
    Free,
    Pro,
}

impl Tier {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Tier::Free => "free",
            Tier::Pro => "pro",
        }
    }
}

impl Customer {
    /// Returns the customer with the key of a request: `Ok(None)` if there is no key.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Option<Self>, StatusCode> {
        match headers.get("x-api-key").map(|key| key.as_bytes()) {
            None => Ok(None),
            // A program looks into its database.
            Some(b"free-key") => Ok(Some(Customer { id: 1, tier: Tier::Free })),
            Some(b"pro-key") => Ok(Some(Customer { id: 2, tier: Tier::Pro })),
            Some(_) => Err(StatusCode::UNAUTHORIZED),
        }
    }
}

/// The limiters, on a clock that a test can move.
#[derive(Debug)]
pub(crate) struct Api<C> {
    pub(crate) by_address: Arc<KeyedRateLimiter<IpAddr, C>>,
    pub(crate) by_customer: Arc<Classes<Tier, KeyedRateLimiter<u64, C>>>,
    served: AtomicU64,
}

impl<C: Clock + Clone + Send + Sync + 'static> Api<C> {
    pub(crate) fn new(clock: C) -> Arc<Self> {
        let tiers = Classes::new(Tier::Free, Tier::Free.name(), limiter(FREE, clock.clone())).and(
            Tier::Pro,
            Tier::Pro.name(),
            limiter(PRO, clock.clone()),
        );
        Arc::new(Api {
            by_address: limiter(BY_ADDRESS, clock),
            by_customer: Arc::new(tiers),
            served: AtomicU64::new(0),
        })
    }

    /// Returns the API and its page. The page is not limited.
    pub(crate) fn router(self: &Arc<Self>) -> Router {
        let by_address = RateLimitLayer::builder(self.by_address.clone(), client_address())
            .policy("address")
            .headers_on_admitted()
            .build();
        // A request without an API key has the limit of its address alone.
        let by_customer = RateLimitLayer::builder(self.by_customer.clone(), KeyFn(customer))
            .on_missing_key(OnMissingKey::Admit)
            .headers_on_admitted()
            .build();
        // The last layer is the first that a request comes to. The keys of strangers cost them tokens of their address, and so
        // do the requests that the limit of the customer refuses: who goes on is refused sooner, without a look at the key.
        let api = Router::new()
            .route("/api/hello", get(hello))
            .layer(by_customer)
            .layer(from_fn(authenticate))
            .layer(by_address);
        api.merge(live::routes()).with_state(self.clone())
    }

    /// Returns the requests to the API that were served.
    pub(crate) fn served(&self) -> u64 {
        self.served.load(Ordering::Relaxed)
    }

    /// Returns the requests to the API that a limit refused.
    pub(crate) fn refused(&self) -> u64 {
        let [free, pro] = [Tier::Free, Tier::Pro].map(|tier| self.by_customer.limiter(&tier).stats());
        let all = [self.by_address.stats(), free, pro];
        all.into_iter().flatten().map(|stats| stats.denied()).sum()
    }
}

fn limiter<K, C: Clock + Clone + Send + Sync + 'static>(quota: Quota, clock: C) -> Arc<KeyedRateLimiter<K, C>> {
    let limiter = KeyedRateLimiter::builder().quota(quota).clock(clock).stats().build();
    Arc::new(limiter.expect("the numbers of keys are valid"))
}

/// The address of the client. Behind a proxy, add `.behind(TrustedProxies::…)`.
fn client_address() -> ClientAddress<ConnectInfo<SocketAddr>> {
    ClientAddress::from_peer(|peer: &ConnectInfo<SocketAddr>| peer.0.ip())
}

/// The tier and the number of the customer whom [`authenticate`] has found.
fn customer(head: &RequestHead<'_>) -> Result<(Tier, u64), MissingKey> {
    let customer = head.extensions.get::<Customer>();
    let missing = || MissingKey::new(StatusCode::UNAUTHORIZED, "the request has no API key: send `x-api-key`");
    customer.map(|customer| (customer.tier, customer.id)).ok_or_else(missing)
}

async fn authenticate(mut request: Request, next: Next) -> Response {
    match Customer::of(request.headers()) {
        Ok(customer) => {
            if let Some(customer) = customer {
                request.extensions_mut().insert(customer);
            }
            next.run(request).await
        }
        Err(status) => (status, "unknown API key\n").into_response(),
    }
}

async fn hello<C: Send + Sync + 'static>(State(api): State<Arc<Api<C>>>) -> &'static str {
    api.served.fetch_add(1, Ordering::Relaxed);
    "hello\n"
}
