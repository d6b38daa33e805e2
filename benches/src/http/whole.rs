//! A whole request through axum's router, in process: admitted, and refused.

use std::io;
use std::sync::Mutex;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use http::StatusCode;

use super::contenders::{NEVER, ONCE, ours};
use super::requests::{CLIENTS, nanos, request, status};
use crate::bench::Scale;
use crate::harness::{Contender, alone};
use crate::limit::Limit;
use crate::report::{Bar, Report};

const SCENARIO: &str = "whole: a request through axum's router, in process";
const ADMITTED: &str = "brimful-tower, admitted";
const REFUSED: &str = "brimful-tower, refused";

/// The router of "hello", with our layer or without one.
pub(super) fn hello(limit: Option<Limit>) -> Router {
    let router = Router::new().route("/", get(async || "hello"));
    match limit {
        Some(limit) => router.layer(ours(limit).build()),
        None => router,
    }
}

fn contender(name: &'static str, mut router: Router, expected: StatusCode) -> Contender<'static> {
    for client in 0..CLIENTS {
        assert_eq!(status(&mut router, request::<Body>(client)), StatusCode::OK);
    }
    let router = Mutex::new(router);
    Contender::timed(name, move |operations| {
        let mut router = router.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        nanos::<_, Body, _>(&mut *router, operations, expected)
    })
}

pub(super) fn section(scale: &Scale, report: &mut Report) -> io::Result<()> {
    if !scale.wants(SCENARIO) {
        return Ok(());
    }
    let contenders = [
        contender("axum, without a layer", hello(None), StatusCode::OK),
        contender(ADMITTED, hello(Some(NEVER)), StatusCode::OK),
        contender(REFUSED, hello(Some(ONCE)), StatusCode::TOO_MANY_REQUESTS),
    ];
    let names: Vec<&str> = contenders.iter().map(|contender| contender.name.as_str()).collect();
    report.timings(SCENARIO, &names, &alone(&contenders, scale.runs, scale.operations));
    let ratio = report.ratio(SCENARIO, REFUSED, ADMITTED);
    report.bar("whole: refused / admitted", Bar::AtMost(1.0), ratio);
    Ok(())
}
