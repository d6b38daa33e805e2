//! Many threads call models, and misbehave: they panic, cancel waits at any moment, commit anything and drop permits. In
//! the end every slot is free, and every token is accounted for.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use brimful::MockClock;
use brimful::model::{Dimension, ModelAcquire, ModelHandle, ModelLimiter, ModelQuota, Permit};

use crate::support::{Random, operations};
use crate::waiting::poll;

const THREADS: u64 = 4;
const SLOTS: usize = 3;

/// The tokens of a bucket. Nothing is earned, because the clock stands still.
const MOST: u64 = 1 << 30;

/// The sums of the requests and the tokens that are charged.
#[derive(Default)]
struct Charged {
    owned: AtomicUsize,
    requests: AtomicI64,
    input: AtomicI64,
    output: AtomicI64,
}

impl Charged {
    fn add(&self, requests: i64, input: i64, output: i64) {
        self.requests.fetch_add(requests, Ordering::SeqCst);
        self.input.fetch_add(input, Ordering::SeqCst);
        self.output.fetch_add(output, Ordering::SeqCst);
    }
}

/// Ends a call in one of all ways.
fn end(random: &mut Random, mut permit: Permit<MockClock>, charged: &Charged) {
    assert!(charged.owned.fetch_add(1, Ordering::SeqCst) < SLOTS, "more permits are owned than there are slots");
    let (input, output) = (permit.estimate().input as i64, permit.estimate().output as i64);
    charged.add(1, input, output);
    let by = random.below(4);
    let actual = (random.below(40), random.below(40));
    let work = AssertUnwindSafe(|| {
        if by.is_multiple_of(2) {
            permit.commit(actual);
            charged.add(0, actual.0 as i64 - input, actual.1 as i64 - output);
        }
        charged.owned.fetch_sub(1, Ordering::SeqCst);
        let _permit = permit;
        if by < 2 {
            resume_unwind(Box::new("the call fails"));
        }
    });
    assert_eq!(catch_unwind(work).is_err(), by < 2);
}

/// Waits, and drops the wait, or polls it until it is granted.
fn misbehave(random: &mut Random, count: u64, model: &ModelHandle<MockClock>, charged: &Charged) {
    let mut waits: VecDeque<ModelAcquire<MockClock>> = VecDeque::new();
    for _ in 0..count {
        let estimate = (random.below(20), random.below(20));
        match random.below(4) {
            0 => {
                if let Ok(permit) = model.try_acquire(estimate) {
                    end(random, permit, charged);
                }
            }
            1 => {
                if let Ok(permit) = model.try_acquire(estimate) {
                    permit.cancel();
                }
            }
            _ => {
                waits.push_back(model.acquire(estimate));
                let which = random.below(waits.len() as u64) as usize;
                if let Some(granted) = poll(&mut waits[which]) {
                    waits.swap_remove_back(which);
                    end(random, granted.expect("nothing is refused"), charged);
                }
            }
        }
        while waits.len() > 4 {
            drop(waits.swap_remove_back(random.below(4) as usize));
        }
        if random.next().is_multiple_of(32) {
            thread::yield_now();
        }
    }
}

#[test]
fn slots_and_charges_are_exact_after_panics_cancellations_and_drops() {
    let quota = ModelQuota::new().rpd(MOST).tpd(MOST).input_tpm(MOST).output_tpm(MOST);
    let quota = quota.max_parallel_requests(SLOTS as u64);
    let limiter = ModelLimiter::builder().model("m", quota).clock(MockClock::new()).build().expect("a limiter");
    let (model, charged) = (limiter.model("m").expect("it is listed"), Charged::default());
    let count = operations("BRIMFUL_STORM", 400_000) / THREADS;
    thread::scope(|scope| {
        for seed in 0..THREADS {
            let (model, charged) = (&model, &charged);
            scope.spawn(move || misbehave(&mut Random::new(seed), count, model, charged));
        }
    });
    let stats = model.stats();
    assert_eq!((stats.in_flight, stats.waiting), (0, 0));
    let used = |dimension| stats.dimension(dimension).expect("it has a limit").used as i64;
    let [requests, input, output] = [charged.requests, charged.input, charged.output].map(AtomicI64::into_inner);
    assert!(requests > count as i64 / 4, "{requests} calls");
    assert_eq!(
        (used(Dimension::Rpd), used(Dimension::InputTpm), used(Dimension::OutputTpm)),
        (requests, input, output)
    );
    assert_eq!(used(Dimension::Tpd), input + output);
    let permits: Vec<_> = (0..SLOTS).map(|_| model.try_acquire(1)).collect();
    assert!(permits.iter().all(Result::is_ok) && model.try_acquire(1).is_err());
}

/// Threads that block hand the slots on, while the model is paused and its counts are corrected.
#[test]
fn blocked_threads_hand_the_slots_on() {
    let quota = ModelQuota::new().tpm(1_000_000_000).max_parallel_requests(2);
    let limiter = ModelLimiter::builder().model("m", quota).build().expect("a limiter");
    let count = operations("BRIMFUL_STORM", 40_000) / THREADS / 4;
    thread::scope(|scope| {
        for seed in 0..THREADS {
            let limiter = &limiter;
            scope.spawn(move || {
                let mut random = Random::new(seed);
                for nth in 0..count {
                    let mut permit = limiter.acquire_blocking("m", random.below(100)).expect("it is granted");
                    if nth % 512 == 0 {
                        limiter.pause_for("m", Duration::from_micros(10));
                    }
                    permit.commit(random.below(100));
                }
            });
        }
    });
    let stats = limiter.stats_of("m").expect("it is listed");
    assert_eq!((stats.in_flight, stats.waiting), (0, 0));
}
