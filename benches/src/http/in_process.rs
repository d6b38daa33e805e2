//! The time of a layer, without a server: admitted and refused requests.

use std::convert::Infallible;
use std::io;

use http::{Request, Response, StatusCode};
use tower::Service;

use super::contenders::{
    AXUM_GOVERNOR, FLOOR, Job, NEVER, ONCE, OURS, OURS_HEADERS, OURS_SHORT, TOWER_GOVERNOR, TOWER_GOVERNOR_HEADERS,
    with,
};
use super::requests::{CLIENTS, nanos};
use crate::bench::Scale;
use crate::harness::{Contender, alone};
use crate::report::{Bar, Report};

/// Makes a contender of a service.
struct Time {
    name: &'static str,
    expected: StatusCode,
}

impl Job for Time {
    type Answer = Contender<'static>;

    fn run<S, R>(self, service: S) -> Contender<'static>
    where
        S: Service<Request<()>, Response = Response<R>, Error = Infallible> + Clone + Send + Sync + 'static,
    {
        let Time { name, expected } = self;
        let run = move |operations| nanos(&mut service.clone(), operations, expected);
        Contender::timed(name, run)
    }
}

/// Lets every client use up its token, and makes a contender of the service.
struct TimeRefused(&'static str);

impl Job for TimeRefused {
    type Answer = Contender<'static>;

    fn run<S, R>(self, mut service: S) -> Contender<'static>
    where
        S: Service<Request<()>, Response = Response<R>, Error = Infallible> + Clone + Send + Sync + 'static,
    {
        for client in 0..CLIENTS {
            let status = super::requests::status(&mut service, super::requests::request(client));
            assert_eq!(status, StatusCode::OK);
        }
        Time { name: self.0, expected: StatusCode::TOO_MANY_REQUESTS }.run(service)
    }
}

pub(super) fn admitted(scale: &Scale, report: &mut Report) -> io::Result<()> {
    let names = [FLOOR, OURS, TOWER_GOVERNOR, OURS_HEADERS, TOWER_GOVERNOR_HEADERS, AXUM_GOVERNOR];
    let make = |name| with(name, NEVER, Time { name, expected: StatusCode::OK });
    let scenario = "admitted: a request, in process";
    if !scale.wants(scenario) {
        return Ok(());
    }
    let contenders: Vec<_> = names.iter().copied().filter_map(make).collect();
    report.timings(scenario, &names, &alone(&contenders, scale.runs, scale.operations));
    let median = |name: &str| report.get(scenario, name, "median ns");
    let added = |name: &str| Some(median(name)? - median(FLOOR)?);
    let figures = names.map(|name| vec![added(name).unwrap_or(f64::NAN)]);
    let ratio = |ours, theirs| Some(added(ours)? / added(theirs)?);
    let bars = [
        ("ns added by brimful-tower".to_owned(), Bar::AtMost(150.0), added(OURS)),
        (over(OURS, TOWER_GOVERNOR), Bar::AtMost(0.5), ratio(OURS, TOWER_GOVERNOR)),
        (over(OURS, AXUM_GOVERNOR), Bar::AtMost(0.5), ratio(OURS, AXUM_GOVERNOR)),
        (over(OURS_HEADERS, AXUM_GOVERNOR), Bar::AtMost(0.5), ratio(OURS_HEADERS, AXUM_GOVERNOR)),
    ];
    println!("\n{scenario}: beyond the service alone");
    report.figures(&format!("{scenario}: added"), &names[1..], &["added ns"], &figures[1..]);
    for (what, bar, measured) in bars {
        report.bar(&format!("admitted: {what}"), bar, measured);
    }
    Ok(())
}

fn over(ours: &str, theirs: &str) -> String {
    format!("added by {ours} / by {theirs}")
}

pub(super) fn refused(scale: &Scale, report: &mut Report) -> io::Result<()> {
    let names = [OURS, OURS_SHORT, TOWER_GOVERNOR, TOWER_GOVERNOR_HEADERS, AXUM_GOVERNOR];
    let scenario = "refused: a request, in process";
    if !scale.wants(scenario) {
        return Ok(());
    }
    let contenders: Vec<_> = names.iter().copied().filter_map(|name| with(name, ONCE, TimeRefused(name))).collect();
    report.timings(scenario, &names, &alone(&contenders, scale.runs, scale.operations));
    Ok(())
}
