//! The search for an order that explains the calls of one execution.

use crate::bucket::Bucket;
use crate::history::{CLOSING, Call, Op};
use crate::queue::{Context, State, Waiter};

/// The calls of each thread in its own order, with a bar between threads. The last column has the
/// calls that closed the execution, if there are any.
pub(crate) fn outcome(calls: &[Call], threads: usize) -> String {
    let of = |caller| calls.iter().filter(move |call| call.caller() == caller).map(Call::glyph).collect::<String>();
    let closing = of(CLOSING);
    (0..threads).map(of).chain(Some(closing).filter(|closing| !closing.is_empty())).collect::<Vec<_>>().join("|")
}

/// Asserts that some order of the calls, one after the other on an exact bucket with an exact
/// queue, gives every call the answer that it got and ends in the balance `at_origin`. So each call
/// was charged once, or not at all. Asserts the window bound for that order too. `queue_readings`
/// are the times at which queues read the clock.
pub(crate) fn explain(
    start: Bucket,
    max_waiters: usize,
    calls: &[Call],
    queue_readings: &[(u64, u64)],
    at_origin: f64,
) {
    let answered: Vec<u64> = calls.iter().filter_map(Call::settles).collect();
    let left: Vec<_> = calls.iter().filter_map(Call::leaves).collect();
    let context = Context { max_waiters, queue_readings, answered: &answered, left: &left };
    for calls in expand(calls, queue_readings) {
        let mut steps = Vec::new();
        if search(&State::new(start, &context), &calls, at_origin, &mut steps) {
            let steps: Vec<_> = steps.into_iter().map(|(index, added)| (&calls[index], added)).collect();
            window_bound(start, &steps);
            return;
        }
    }
    panic!(
        "no order of the calls explains their answers and the final balance of {at_origin}, from {start:?}: {calls:#?}"
    );
}

/// A blocking call may have been answered at once, or have waited. Returns all combinations of the
/// two. A wait that was held back ended twice: it was granted, and a pass at its deadline or later
/// released it. A cancelled wait may have left its place before its tokens were given back.
fn expand(calls: &[Call], queue_readings: &[(u64, u64)]) -> Vec<Vec<Call>> {
    let mut all = vec![Vec::new()];
    for call in calls {
        let ways = match call.op {
            Op::Block(waiter, at) => {
                let serve = call.with(Op::Serve { waiter, by_timer: false }, at);
                let waited = released(&serve, waiter, queue_readings).map(|ends| {
                    let enter = call.with_op(Op::Enter(waiter));
                    std::iter::once(enter).chain(ends).collect()
                });
                std::iter::once(vec![call.with(Op::Admit(waiter), at)]).chain(waited).collect()
            }
            Op::BlockFailed(waiter, why) => {
                let waited = vec![call.with_op(Op::Enter(waiter)), call.with_op(Op::Fail(waiter, why))];
                vec![vec![call.with_op(Op::WaitRefused(waiter, why))], waited]
            }
            Op::Serve { waiter, .. } => released(call, waiter, queue_readings).into_iter().collect(),
            Op::Leave { waiter, .. } if waiter.held => {
                vec![vec![call.clone()], vec![call.with_op(Op::Release(waiter)), call.clone()]]
            }
            _ => vec![vec![call.clone()]],
        };
        let longer = |calls: &Vec<Call>, way: &Vec<Call>| calls.iter().chain(way).cloned().collect();
        all = all.iter().flat_map(|calls| ways.iter().map(move |way| longer(calls, way))).collect();
    }
    all
}

/// The grant `serve`, and its release if it was held back. `None` if no pass can have released it.
fn released(serve: &Call, waiter: Waiter, queue_readings: &[(u64, u64)]) -> Option<Vec<Call>> {
    if !waiter.is_held(serve.reading()) {
        return Some(vec![serve.clone()]);
    }
    let over = queue_readings.iter().filter(|reading| reading.0 >= waiter.deadline).map(|reading| reading.1);
    let began = over.min()?;
    Some(vec![serve.clone(), serve.with_op(Op::Release(waiter)).since(began)])
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
    // The first waiter may have been served, though no call reports it.
    state.unseen().any(|state| search(&state, calls, at_origin, order))
}

/// Asserts for all readings a ≤ b: the tokens granted to readings in [a, b], less the tokens given
/// back between the first and the last of these grants, are at most burst + rate × (b − a). Exact.
fn window_bound(bucket: Bucket, steps: &[(&Call, i64)]) {
    let readings: Vec<u64> = steps.iter().filter(|(call, _)| call.granted()).map(|(call, _)| call.reading()).collect();
    for &a in &readings {
        for &b in readings.iter().filter(|&&b| a <= b) {
            let inside = |(call, _): &(&Call, i64)| call.granted() && (a..=b).contains(&call.reading());
            let first = steps.iter().position(inside).expect("a and b are readings of grants");
            let last = steps.iter().rposition(inside).expect("a and b are readings of grants");
            let (mut granted, mut given) = (0, 0);
            for step in &steps[first..=last] {
                given += step.1;
                if let (true, Some(cost)) = (inside(step), step.0.op.took()) {
                    granted += bucket.units(cost);
                }
            }
            assert!(
                bucket.bounds(granted - given, b - a),
                "granted {granted} units, given back {given}, in [{a}, {b}]: {steps:#?}"
            );
        }
    }
}
