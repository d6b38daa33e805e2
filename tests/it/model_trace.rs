//! A real trace of calls to an LLM, fifty times as fast: no dimension is above its bound in any window, the binding one is
//! used, and every call is granted.

use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use brimful::model::{Dimension, ModelLimiter, ModelQuota, Usage};
use brimful::{Clock, MockClock};
use brimful_oracle::ExactBucket;
use brimful_oracle::window::{Bound, WindowScan};

use crate::model_sim::Sim;
use crate::support::PICO;

const CALLS: usize = 10_000;
const SPEED: u64 = 50;

/// Returns the instants and the usage of the calls of the trace, from its first one on, repeated as often as needed.
fn trace() -> Option<Vec<(u64, Usage)>> {
    let Some(folder) = std::env::var_os("BRIMFUL_TRACES") else {
        println!("SKIPPED: BRIMFUL_TRACES is not set, so the trace of an LLM was not replayed");
        return None;
    };
    let text = fs::read_to_string(Path::new(&folder).join("azure_llm_code.csv")).expect("the trace");
    let calls: Vec<_> = text.lines().skip(1).map(call).collect();
    let (first, last) = (calls[0].0, calls[calls.len() - 1].0);
    let repeated =
        (0..).flat_map(|round| calls.iter().map(move |&(at, usage)| ((at - first) + round * (last - first), usage)));
    Some(repeated.map(|(at, usage)| (at / SPEED, usage)).take(CALLS).collect())
}

/// Reads a line such as `2023-11-16 18:17:03.9799600,4808,10`: the nanoseconds of the day, and the tokens.
fn call(line: &str) -> (u64, Usage) {
    let fields: Vec<&str> = line.split(',').collect();
    let time = fields[0].split(' ').nth(1).expect("a time");
    let mut parts = time.split([':', '.']).map(|part| part.parse::<u64>().expect("a number"));
    let mut next = || parts.next().expect("a part of the time");
    let seconds = next() * 3_600 + next() * 60 + next();
    let number = |nth: usize| fields[nth].trim().parse::<u64>().expect("a number");
    (seconds * 1_000_000_000 + next() * 100, Usage::from((number(1), number(2))))
}

/// The grants of calls, and the tokens that were settled, each with its instant.
#[derive(Default)]
struct Ledger(Mutex<Vec<(u64, Usage, i128)>>);

/// Asserts that no window has more than the bound of a token bucket.
fn check(ledger: &[(u64, Usage, i128)], dimension: Dimension, most: u64) {
    let day = matches!(dimension, Dimension::Rpd | Dimension::Tpd);
    let nanos = if day { 86_400 } else { 60 } * 1_000_000_000;
    let capacity = u128::from(most) * PICO;
    let mut scan = WindowScan::new(Bound::new(capacity, capacity, nanos));
    let mut bucket = ExactBucket::new(most, nanos, capacity, capacity);
    for &(at, usage, sign) in ledger {
        let cost = PICO
            * match dimension {
                Dimension::Rpm | Dimension::Rpd => u128::from(sign > 0),
                Dimension::Tpm | Dimension::Tpd => usage.total().into(),
                Dimension::InputTpm => usage.input.into(),
                _ => usage.output.into(),
            };
        if sign > 0 {
            bucket.take(at, cost);
            scan.push(at, cost as i128);
        } else {
            // A full bucket takes nothing back.
            let before = bucket.held_pico(at);
            bucket.give_back(at, cost);
            scan.push(at, before - bucket.held_pico(at));
        }
    }
    let worst = scan.worst().expect("there are grants");
    assert!(!worst.margin.is_violation(), "{dimension}: {worst:?}");
}

/// Runs the trace, with estimates of the output that are a few times too high. Returns the share of the dimension's bound
/// that was granted up to the last grant.
fn run(quota: ModelQuota, binding: Dimension, calls: &[(u64, Usage)]) -> f64 {
    let sim = Sim::new();
    let limiter: ModelLimiter<MockClock> =
        ModelLimiter::builder().model("m", quota).clock(sim.clock.clone()).build().expect("a limiter");
    let (limiter, ledger, sim) = (&limiter, &Ledger::default(), &sim);
    let task = |(at, usage): (u64, Usage)| async move {
        sim.sleep_until(at).await;
        let estimate = Usage { input: usage.input, output: usage.output.next_power_of_two() * 2 };
        let begun = sim.clock.now();
        let mut permit = limiter.acquire("m", estimate).await.expect("it is granted");
        let granted = begun + permit.waited().as_nanos() as u64;
        ledger.0.lock().expect("no panic").push((granted, estimate, 1));
        if let Some(most) = quota.max_parallel_requests {
            assert!(limiter.stats_of("m").expect("it is listed").in_flight as u64 <= most);
        }
        sim.sleep(Duration::from_millis(20 + usage.output)).await;
        // Tokens that are given back at the same instant count before: the estimate is above the usage.
        let back = Usage { input: 0, output: estimate.output - usage.output };
        ledger.0.lock().expect("no panic").push((sim.clock.now(), back, -1));
        permit.commit(usage);
    };
    sim.run(calls.iter().map(|&call| Box::pin(task(call)) as _).collect());
    let mut ledger = ledger.0.lock().expect("no panic").clone();
    ledger.sort_by_key(|&(at, _, _)| at);
    for dimension in &Dimension::ALL[..6] {
        if let Some(most) = quota.limit(*dimension) {
            check(&ledger, *dimension, most);
        }
    }
    let stats = limiter.stats_of("m").expect("it is listed");
    assert_eq!((stats.in_flight, stats.waiting), (0, 0));
    let last = ledger.iter().filter(|(_, _, sign)| *sign > 0).map(|&(at, _, _)| at).max().expect("a grant");
    let cost = |usage: Usage| if binding == Dimension::Rpm { 1 } else { usage.total() };
    let granted: u64 = calls.iter().map(|&(_, usage)| cost(usage)).sum();
    let most = quota.limit(binding).expect("it has a limit") as f64;
    granted as f64 / (most * (1.0 + last as f64 / 60e9))
}

#[test]
fn the_trace_of_an_llm_keeps_to_every_bound_and_uses_the_binding_limit() {
    let Some(calls) = trace() else { return };
    let most = ModelQuota::new().rpm(20_000).tpm(60_000_000).input_tpm(60_000_000).output_tpm(6_000_000);
    let most = most.rpd(100_000).tpd(1_000_000_000);
    for (quota, binding) in
        [(most.tpm(4_000_000).max_parallel_requests(500), Dimension::Tpm), (most.rpm(2_000), Dimension::Rpm)]
    {
        let used = run(quota, binding, &calls);
        println!("{binding}: {used:.4} of the bound");
        assert!(used >= 0.97, "{used} of the bound of {binding}");
    }
    // Slots bind: the calls end, and no bound is broken.
    run(most.max_parallel_requests(3), Dimension::Tpm, &calls);
}
