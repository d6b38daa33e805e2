//! The page that shows the limits live, and the numbers that it asks for.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, State};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use brimful::{Clock, Quota};
use brimful_tower::address::AddressPrefix;
use http::HeaderMap;
use http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use serde_json::{Value, json};

use crate::api::{Api, Customer};

pub(crate) fn routes<C: Clock + Clone + Send + Sync + 'static>() -> Router<Arc<Api<C>>> {
    Router::new()
        .route("/", get(async || file("text/html; charset=utf-8", include_str!("page.html"))))
        .route("/page.css", get(async || file("text/css; charset=utf-8", include_str!("page.css"))))
        .route("/page.js", get(async || file("text/javascript; charset=utf-8", include_str!("page.js"))))
        .route("/levels", get(levels))
}

fn file(kind: &'static str, text: &'static str) -> impl IntoResponse {
    ([(CONTENT_TYPE, kind), (CONTENT_SECURITY_POLICY, "default-src 'self'; img-src data:")], text)
}

/// The buckets of a client, which knows its own alone: of its address and, if it sends an API key, of the key.
async fn levels<C: Clock + Clone + Send + Sync + 'static>(
    State(api): State<Arc<Api<C>>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
) -> Json<Value> {
    let address = AddressPrefix::DEFAULT.of(peer.ip());
    let by_address = bucket("address", api.by_address.key(&address).available_tokens(), api.by_address.quota());
    let by_key = Customer::of(&headers).ok().flatten().map(|customer| {
        let limiter = api.by_customer.limiter(&customer.tier);
        bucket(customer.tier.name(), limiter.key(&customer.id).available_tokens(), limiter.quota())
    });
    Json(json!({ "address": by_address, "key": by_key, "served": api.served(), "refused": api.refused() }))
}

fn bucket(name: &str, level: f64, quota: Quota) -> Value {
    json!({ "name": name, "level": level, "burst": quota.capacity().whole(), "quota": quota.to_string() })
}
