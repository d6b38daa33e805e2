//! The allocations of a request beyond those of the service.

use std::convert::Infallible;

use http::{Request, Response, StatusCode};
use tower::Service;

use super::contenders::{
    AXUM_GOVERNOR, FLOOR, Job, NEVER, ONCE, OURS, OURS_HEADERS, OURS_SHORT, TOWER_GOVERNOR, TOWER_GOVERNOR_HEADERS,
    with,
};
use super::requests::{CLIENTS, request, status};
use crate::report::{Bar, Report};

/// A function that returns the allocations of the work.
type Measure = fn(&mut dyn FnMut()) -> u64;

/// Counts the allocations of a request of a client that has made one before.
struct Count(Measure, StatusCode);

impl Job for Count {
    type Answer = f64;

    fn run<S, R>(self, mut service: S) -> f64
    where
        S: Service<Request<()>, Response = Response<R>, Error = Infallible> + Clone + Send + Sync + 'static,
    {
        let Count(measure, expected) = self;
        for client in 0..CLIENTS {
            assert_eq!(status(&mut service, request(client)), StatusCode::OK);
        }
        let mut second = Some(request(7));
        let mut work = || assert_eq!(second.take().map(|request| status(&mut service, request)), Some(expected));
        measure(&mut work) as f64
    }
}

/// Prints the allocations of every contender, and the bars.
///
/// `measure` returns the allocations of the work.
pub fn allocations(measure: fn(&mut dyn FnMut()) -> u64) {
    let (ok, refused) = (StatusCode::OK, StatusCode::TOO_MANY_REQUESTS);
    let names = [FLOOR, OURS, OURS_HEADERS, OURS_SHORT, TOWER_GOVERNOR, TOWER_GOVERNOR_HEADERS, AXUM_GOVERNOR];
    let figures = names.map(|name| {
        let admitted = with(name, NEVER, Count(measure, ok));
        // The service alone refuses nothing.
        let refused = (name != FLOOR).then(|| with(name, ONCE, Count(measure, refused))).flatten();
        [admitted, refused].map(|count| count.unwrap_or(f64::NAN)).to_vec()
    });
    let (scenario, measures, mut report) = ("allocations of a request", ["admitted", "refused"], Report::default());
    println!("{scenario}");
    report.figures(scenario, &names, &measures, &figures);
    let admitted = report.get(scenario, OURS, "admitted");
    report.bar("allocations of an admitted request", Bar::AtMost(0.0), admitted);
    let refused = report.get(scenario, OURS_SHORT, "refused");
    report.bar("allocations of a refused request, with headers only", Bar::AtMost(1.0), refused);
    report.verdicts();
}
