//! Keys of requests, and the texts of those that are missing.

use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;

use brimful_tower::address::TrustedProxies;
use brimful_tower::key::{
    ClientAddress, Everyone, ExtensionKey, HeaderKey, KeyExtractor, KeyFn, MissingKey, PathKey, RequestHead,
};
use http::{HeaderName, Request, StatusCode};

fn key<E: KeyExtractor>(extractor: &E, request: &Request<()>) -> Result<E::Key, MissingKey> {
    extractor.key(&RequestHead::from(request))
}

fn api_key() -> HeaderKey {
    HeaderKey::new(HeaderName::from_static("x-api-key"))
}

#[test]
fn a_client_is_known_by_its_address() {
    let peer: SocketAddr = "[::ffff:192.0.2.7]:4711".parse().unwrap();
    let request = Request::builder().header("x-forwarded-for", "203.0.113.9").extension(peer).body(()).unwrap();
    assert_eq!(key(&ClientAddress::new(), &request).unwrap().to_string(), "192.0.2.7");
    let behind = ClientAddress::new().behind(TrustedProxies::hops(1));
    assert_eq!(key(&behind.clone(), &request).unwrap().to_string(), "203.0.113.9");
    let peer: SocketAddr = "[2001:db8:1:2:3:4:5:6]:4711".parse().unwrap();
    let request = Request::builder().extension(peer).body(()).unwrap();
    assert_eq!(key(&behind, &request).unwrap().to_string(), "2001:db8:1:2::");
}

#[test]
fn a_missing_key_names_the_remedy() {
    let request = Request::new(());
    let missing = key(&ClientAddress::new(), &request).unwrap_err();
    assert_eq!(
        missing.to_string(),
        "the request has no extension `core::net::socket_addr::SocketAddr` with the address of its peer: serve axum's \
         router with `into_make_service_with_connect_info::<SocketAddr>()`, or insert the extension in a layer that \
         runs before the rate limit"
    );
    assert_eq!(missing.status(), StatusCode::INTERNAL_SERVER_ERROR);
    let missing = key(&ExtensionKey::<u64>::new(), &request).unwrap_err();
    let text = "the request has no extension `u64`: insert it in a layer that runs before the rate limit";
    assert_eq!((missing.to_string().as_str(), missing.status().as_u16()), (text, 500));
    let missing = key(&api_key(), &request).unwrap_err();
    assert_eq!(missing.to_string(), "the request has no header `x-api-key`: send it");
    assert_eq!(missing.status(), StatusCode::BAD_REQUEST);
    let own = MissingKey::new(StatusCode::UNAUTHORIZED, "log in");
    assert_eq!((own.to_string().as_str(), own.status().as_u16()), ("log in", 401));
}

/// A server may use the last one, or all of them.
#[test]
fn a_header_that_is_repeated_is_no_key() {
    let request = Request::builder().header("x-api-key", "a").header("x-api-key", "b").body(()).unwrap();
    let missing = key(&api_key(), &request).unwrap_err();
    assert_eq!(missing.to_string(), "the request has several headers `x-api-key`: send one");
    let request = Request::builder().header("X-API-Key", "a").body(()).unwrap();
    assert_eq!(key(&api_key(), &request).unwrap(), "a");
}

#[test]
fn the_query_is_no_part_of_a_path() {
    let path = |uri: &str| key(&PathKey, &Request::builder().uri(uri).body(()).unwrap()).unwrap();
    let random = RandomState::new();
    for (uri, expected) in
        [("/a/b?c=1", "/a/b"), ("http://host/a/b", "/a/b"), ("http://host", "/"), ("*", "*"), ("host:80", "")]
    {
        assert_eq!(path(uri).as_str(), expected, "{uri}");
        assert_eq!(random.hash_one(path(uri)), random.hash_one(expected), "{uri}");
    }
    assert_eq!(path("/a?b"), path("/a?c"));
    assert_ne!(path("/a"), path("/b"));
}

#[test]
fn a_tuple_needs_all_of_its_keys() {
    let by_user = (ExtensionKey::<u64>::new(), api_key(), Everyone);
    let request = Request::builder().header("x-api-key", "a").extension(7u64).body(()).unwrap();
    let (user, api, ()) = key(&by_user, &request).unwrap();
    assert_eq!((user, api.as_bytes()), (7, &b"a"[..]));
    let request = Request::builder().extension(7u64).body(()).unwrap();
    assert_eq!(key(&by_user, &request).unwrap_err(), key(&api_key(), &request).unwrap_err());
    let method = KeyFn(|head: &RequestHead<'_>| Ok(head.method.clone()));
    assert_eq!(key(&(method, PathKey), &request).unwrap().0, "GET");
}
