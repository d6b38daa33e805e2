//! The search for an order that explains what the threads of one execution did.

use crate::bucket::Bucket;
use crate::history::{CLOSING, Call, Op};
use crate::line::{Line, State};

/// The calls of each thread in its own order, threads parted by bars; and what came after them, if
/// anything did.
pub(crate) fn outcome(calls: &[Call], threads: usize) -> String {
    let of = |who| calls.iter().filter(move |call| call.who() == who).map(Call::glyph).collect::<String>();
    let closing = of(CLOSING);
    (0..threads).map(of).chain(Some(closing).filter(|closing| !closing.is_empty())).collect::<Vec<_>>().join("|")
}

/// Asserts that some order of the calls, one after the other on an exact bucket with an exact
/// queue, gives every call the answer it got and ends in what is there (charge once, or not at
/// all), and that the window bound holds in that order. Queues looked at `looks`.
pub(crate) fn explain(start: Bucket, calls: &[Call], looks: &[(u64, u64)], at_origin: f64) {
    let told: Vec<u64> = calls.iter().filter_map(Call::settles).collect();
    let left: Vec<_> = calls.iter().filter_map(Call::leaves).collect();
    let line = Line { looks, told: &told, left: &left };
    for calls in readings_of_blocked(calls) {
        let mut steps = Vec::new();
        if search(&State::new(start, &line), &calls, at_origin, &mut steps) {
            let steps: Vec<_> = steps.into_iter().map(|(index, added)| (&calls[index], added)).collect();
            window_bound(start, &steps);
            return;
        }
    }
    panic!("no order of the calls explains them and a balance of {at_origin} from {start:?}: {calls:#?}");
}

/// Who blocked may have waited, or not: each way that it may have been.
fn readings_of_blocked(calls: &[Call]) -> Vec<Vec<Call>> {
    let mut all = vec![Vec::new()];
    for call in calls {
        let ways = match call.op {
            Op::Block(place, at) => {
                let take = Op::Take { cost: place.cost, refused: None };
                let serve = Op::Serve { place, by_timer: false };
                vec![vec![call.with(take, at)], vec![call.with(Op::Enter(place), call.reading()), call.with(serve, at)]]
            }
            _ => vec![vec![call.clone()]],
        };
        let longer = |calls: &Vec<Call>, way: &Vec<Call>| calls.iter().chain(way).cloned().collect();
        all = all.iter().flat_map(|calls| ways.iter().map(move |way| longer(calls, way))).collect();
    }
    all
}

fn search(state: &State<'_>, calls: &[Call], at_origin: f64, order: &mut Vec<(usize, i64)>) -> bool {
    if order.len() == calls.len() && state.may_end(at_origin) {
        return true;
    }
    let ordered = |order: &Vec<(usize, i64)>, index| order.iter().any(|&(other, _)| other == index);
    for (index, call) in calls.iter().enumerate() {
        let next = !ordered(order, index)
            && !calls.iter().enumerate().any(|(other, earlier)| !ordered(order, other) && earlier.precedes(call));
        let Some((state, added)) = next.then(|| state.after(call)).flatten() else { continue };
        order.push((index, added));
        if search(&state, calls, at_origin, order) {
            return true;
        }
        order.pop();
    }
    // Somebody was served, and does not know.
    state.unseen().any(|state| search(&state, calls, at_origin, order))
}

/// For all a ≤ b: what was granted to readings in [a, b], less what was given back between the
/// first and the last of these grants, is at most burst + rate × (b − a). Exact.
fn window_bound(bucket: Bucket, steps: &[(&Call, i64)]) {
    let readings: Vec<u64> = steps.iter().filter(|(call, _)| call.granted()).map(|(call, _)| call.reading()).collect();
    for &a in &readings {
        for &b in readings.iter().filter(|&&b| a <= b) {
            let inside = |(call, _): &(&Call, i64)| call.granted() && (a..=b).contains(&call.reading());
            let first = steps.iter().position(inside).expect("a and b are such readings");
            let last = steps.iter().rposition(inside).expect("a and b are such readings");
            let (mut granted, mut given) = (0, 0);
            for step in &steps[first..=last] {
                given += step.1;
                if let (true, Some(cost)) = (inside(step), step.0.op.took()) {
                    granted += bucket.units(cost);
                }
            }
            assert!(bucket.bounds(granted - given, b - a), "{granted} units less {given} in [{a}, {b}]: {steps:#?}");
        }
    }
}
