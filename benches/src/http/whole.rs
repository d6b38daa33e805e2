//! A whole request through axum's router, in process: admitted, and refused. All requests have the address of the peer.

use std::io;
use std::sync::Mutex;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use brimful_tower::AnswerForm;
use http::StatusCode;
use tower::layer::util::Identity;

use super::contenders::{NEVER, ONCE, ours};
use super::requests::{CLIENTS, nanos, request, status};
use crate::bench::Scale;
use crate::harness::{Contender, alone};
use crate::limit::Limit;
use crate::report::{Bar, Report};

const SCENARIO: &str = "whole: a request through axum's router, in process";
pub(super) const WITHOUT: &str = "axum, without a layer";
/// axum puts every layer into boxes.
pub(super) const NOTHING: &str = "axum, with a layer of nothing";
const ADMITTED: &str = "brimful-tower, admitted";
const REFUSED: &str = "brimful-tower, refused";
const SHORT: &str = "brimful-tower, refused, headers only";

/// The router of "hello", without a layer.
pub(super) fn hello() -> Router {
    Router::new().route("/", get(async || "hello"))
}

/// The router of "hello" with our layer.
pub(super) fn limited(limit: Limit, form: AnswerForm) -> Router {
    hello().layer(ours(limit).answer(form).build())
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
        contender(WITHOUT, hello(), StatusCode::OK),
        contender(NOTHING, hello().layer(Identity::new()), StatusCode::OK),
        contender(ADMITTED, limited(NEVER, AnswerForm::Problem), StatusCode::OK),
        contender(REFUSED, limited(ONCE, AnswerForm::Problem), StatusCode::TOO_MANY_REQUESTS),
        contender(SHORT, limited(ONCE, AnswerForm::HeadersOnly), StatusCode::TOO_MANY_REQUESTS),
    ];
    let names: Vec<&str> = contenders.iter().map(|contender| contender.name.as_str()).collect();
    report.timings(SCENARIO, &names, &alone(&contenders, scale.runs, scale.operations));
    for refused in [REFUSED, SHORT] {
        let ratio = report.ratio(SCENARIO, refused, ADMITTED);
        report.bar(&format!("whole: {refused} / admitted"), Bar::AtMost(1.0), ratio);
    }
    Ok(())
}
