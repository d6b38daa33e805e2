//! Calls to a server with limits: with honest estimates none is refused, and the limits are used; wrong estimates are
//! learned.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use brimful::model::{Learning, ModelLimiter, ModelQuota, Usage};
use brimful::{Clock, MockClock};

use crate::model_sim::{Answers, Server, Sim};
use crate::support::Random;

const RPM: u32 = 900;
const TPM: u32 = 120_000;
const CALLS: u64 = 10_000;
const TASKS: u64 = 600;

/// Makes the calls on this limiter with all tasks, each with this estimate of its usage. Returns the server's answers,
/// and the share of the tokens that the server would have admitted which were used.
fn calls(
    sim: &Sim,
    limiter: &ModelLimiter<MockClock>,
    hints: bool,
    estimate: impl Fn(Usage, &mut Random) -> Usage,
) -> (Answers, f64) {
    let (server, left) = (Server::new(RPM, TPM, &sim.clock), AtomicU64::new(CALLS));
    let (server, left, estimate) = (&server, &left, &estimate);
    let task = |seed: u64| async move {
        let mut random = Random::new(seed);
        while left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok() {
            // About 300 tokens, so that the tokens bind.
            let usage = Usage::from((50 + random.below(300), 20 + random.below(160)));
            loop {
                let mut permit = limiter.acquire("m", estimate(usage, &mut random)).await.expect("it is granted");
                let (is_served, said) = server.call(usage);
                if is_served {
                    sim.sleep(Duration::from_millis(5_000 + random.below(40_000))).await;
                    permit.commit(usage);
                }
                if hints || !is_served {
                    permit.observe(&said);
                }
                if is_served {
                    break;
                }
                permit.cancel();
            }
        }
    };
    sim.run((0..TASKS).map(|seed| Box::pin(task(seed)) as _).collect());
    let answers = *server.answers.lock().expect("no panic");
    let minutes = sim.clock.now() as f64 / 60e9;
    let admitted = f64::from(TPM) * (1.0 + minutes);
    (answers, answers.tokens as f64 / admitted)
}

fn limiter(sim: &Sim, learning: Option<Learning>) -> ModelLimiter<MockClock> {
    let builder = ModelLimiter::builder().model("m", ModelQuota::new().rpm(RPM.into()).tpm(TPM.into()));
    let builder = builder.clock(sim.clock.clone());
    match learning {
        Some(learning) => builder.learning(learning).build(),
        None => builder.build(),
    }
    .expect("a limiter")
}

#[test]
fn with_honest_estimates_no_call_is_refused_and_the_limit_is_used() {
    for hints in [false, true] {
        let sim = Sim::new();
        let (answers, used) = calls(&sim, &limiter(&sim, None), hints, |usage, _| usage);
        assert_eq!((answers.served, answers.refused), (CALLS, 0), "hints: {hints}");
        assert!(used >= 0.97, "{used}, hints: {hints}");
    }
}

#[test]
fn estimates_that_are_wrong_by_a_factor_of_two_are_learned() {
    let scaled = |usage: Usage, by: f64| {
        let tokens = |n: u64| (n as f64 * by).ceil() as u64;
        Usage { input: tokens(usage.input), output: tokens(usage.output) }
    };
    type Estimate<'a> = &'a dyn Fn(Usage, &mut Random) -> Usage;
    let cases: [(&str, Estimate<'_>); 3] = [
        ("half", &|usage, _| scaled(usage, 0.5)),
        ("double", &|usage, _| scaled(usage, 2.0)),
        ("from half to double", &|usage, random| scaled(usage, 4f64.powf(random.below(1_000) as f64 / 1_000.0) / 2.0)),
    ];
    for (name, estimate) in cases {
        for hints in [false, true] {
            let sim = Sim::new();
            let (answers, used) = calls(&sim, &limiter(&sim, Some(Learning::new())), hints, estimate);
            println!("{name}, hints: {hints}: {answers:?}, {used}");
            assert_eq!(answers.served, CALLS);
            assert!(answers.refused <= CALLS / 100, "{name}: {answers:?}");
            assert!(used >= 0.9, "{name}: {used}");
        }
    }
}
