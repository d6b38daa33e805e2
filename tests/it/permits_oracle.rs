//! Any sequence of calls, on a limit and on a key, gives the answers of a simple list of waiters.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use brimful::{
    AcquirePermitError, Clock, ConcurrencyLimit, KeyedConcurrencyLimit, MockClock, OwnedAcquirePermit, OwnedPermit,
    TryAcquirePermitError,
};
use proptest::prelude::*;

use crate::waiting::poll;

const KEY: &str = "key";

const MAX_WAITERS: usize = 4;

type Acquire = OwnedAcquirePermit<MockClock>;
type Acquired = Result<OwnedPermit<MockClock>, AcquirePermitError>;

/// A limit, or one key of a keyed limit.
enum Limit {
    Lone(Arc<ConcurrencyLimit<MockClock>>),
    Keyed(KeyedConcurrencyLimit<str, MockClock>),
}

impl Limit {
    fn new(keyed: bool, limit: usize, clock: &MockClock) -> Self {
        let clock = clock.clone();
        if keyed {
            let builder = KeyedConcurrencyLimit::<str>::builder(limit);
            Limit::Keyed(builder.clock(clock).max_waiters(MAX_WAITERS).build())
        } else {
            let builder = ConcurrencyLimit::builder(limit);
            Limit::Lone(Arc::new(builder.clock(clock).max_waiters(MAX_WAITERS).build()))
        }
    }

    fn try_acquire(&self) -> Result<OwnedPermit<MockClock>, TryAcquirePermitError> {
        match self {
            Limit::Lone(limit) => limit.try_acquire_owned(),
            Limit::Keyed(limit) => limit.try_acquire_owned(KEY),
        }
    }

    fn acquire(&self) -> Acquire {
        match self {
            Limit::Lone(limit) => limit.acquire_owned(),
            Limit::Keyed(limit) => limit.acquire_owned(KEY),
        }
    }

    fn resize(&self, limit: usize) {
        match self {
            Limit::Lone(lone) => lone.resize(limit),
            Limit::Keyed(keyed) => keyed.resize(limit),
        }
    }

    fn close(&self) {
        match self {
            Limit::Lone(limit) => limit.close(),
            Limit::Keyed(limit) => limit.close(),
        }
    }

    /// The numbers: the limit, the permits in flight, the waiters.
    fn numbers(&self) -> (usize, usize, usize) {
        match self {
            Limit::Lone(limit) => (limit.limit(), limit.in_flight(), limit.waiters()),
            Limit::Keyed(limit) => (limit.limit(), limit.in_flight(KEY), limit.waiters(KEY)),
        }
    }
}

/// The outcome of a wait.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Outcome {
    Pending,
    Granted,
    TimedOut,
    Full,
    Closed,
}

fn outcome(answer: &Option<Acquired>) -> Outcome {
    match answer {
        None => Outcome::Pending,
        Some(Ok(_)) => Outcome::Granted,
        Some(Err(AcquirePermitError::TimedOut(_))) => Outcome::TimedOut,
        Some(Err(AcquirePermitError::QueueFull(_))) => Outcome::Full,
        Some(Err(_)) => Outcome::Closed,
    }
}

/// The simple limit. Waits have numbers.
struct Exact {
    limit: usize,
    in_flight: usize,
    closed: bool,
    /// The waiters in order, with their deadlines.
    queue: VecDeque<(usize, u64)>,
    /// The outcome of each wait.
    outcomes: Vec<Outcome>,
}

impl Exact {
    fn serve(&mut self) {
        while self.in_flight < self.limit {
            let Some((first, _)) = self.queue.pop_front() else { return };
            self.outcomes[first] = Outcome::Granted;
            self.in_flight += 1;
        }
    }

    fn can_take(&self) -> bool {
        !self.closed && self.queue.is_empty() && self.in_flight < self.limit
    }

    fn take(&mut self) -> bool {
        let taken = self.can_take();
        self.in_flight += usize::from(taken);
        taken
    }

    /// `strict` is set if a deadline in the past refuses although a permit is free.
    fn enter(&mut self, now: u64, deadline: u64, strict: bool) -> Outcome {
        let outcome = if strict && now > deadline {
            Outcome::TimedOut
        } else if self.take() {
            Outcome::Granted
        } else if self.closed {
            Outcome::Closed
        } else if now >= deadline {
            Outcome::TimedOut
        } else if self.queue.len() == MAX_WAITERS {
            Outcome::Full
        } else {
            self.queue.push_back((self.outcomes.len(), deadline));
            Outcome::Pending
        };
        self.outcomes.push(outcome);
        outcome
    }

    fn pass_time(&mut self, now: u64) {
        let outcomes = &mut self.outcomes;
        self.queue.retain(|&(wait, deadline)| {
            if deadline <= now {
                outcomes[wait] = Outcome::TimedOut;
            }
            deadline > now
        });
    }

    fn give_back(&mut self) {
        self.in_flight -= 1;
        self.serve();
    }
}

#[derive(Clone, Copy, Debug)]
enum Call {
    Try,
    Enter,
    EnterWithin(u64),
    EnterUntil(u64),
    Poll(usize),
    Leave(usize),
    Give(usize),
    Resize(usize),
    Advance(u64),
    Close,
}

fn calls() -> impl Strategy<Value = Vec<Call>> {
    let call = prop_oneof![
        4 => Just(Call::Try),
        6 => Just(Call::Enter),
        3 => (0..6u64).prop_map(Call::EnterWithin),
        2 => (0..30u64).prop_map(Call::EnterUntil),
        6 => any::<usize>().prop_map(Call::Poll),
        3 => any::<usize>().prop_map(Call::Leave),
        6 => any::<usize>().prop_map(Call::Give),
        2 => (0..5usize).prop_map(Call::Resize),
        3 => (0..4u64).prop_map(Call::Advance),
        1 => Just(Call::Close),
    ];
    prop::collection::vec(call, 1..60)
}

#[track_caller]
fn compare(keyed: bool, limit: usize, calls: &[Call]) {
    let clock = MockClock::new();
    let real = Limit::new(keyed, limit, &clock);
    let mut exact = Exact { limit, in_flight: 0, closed: false, queue: VecDeque::new(), outcomes: Vec::new() };
    let (mut permits, mut waits) = (Vec::new(), Vec::<(usize, Acquire)>::new());
    for &call in calls {
        let now = clock.now();
        let enter = |exact: &mut Exact, mut wait: Acquire, deadline: u64, strict: bool| {
            let number = exact.outcomes.len();
            let expected = exact.enter(now, deadline, strict);
            let answer = poll(&mut wait);
            assert_eq!(outcome(&answer), expected, "{call:?}");
            (answer.and_then(Result::ok), (expected == Outcome::Pending).then_some((number, wait)))
        };
        let mut entered = None;
        match call {
            Call::Try => {
                let permit = real.try_acquire();
                assert_eq!(permit.is_ok(), exact.take());
                permits.extend(permit);
            }
            Call::Enter => entered = Some(enter(&mut exact, real.acquire(), u64::MAX, false)),
            Call::EnterWithin(time) => {
                let wait = real.acquire().within(Duration::from_nanos(time));
                entered = Some(enter(&mut exact, wait, now + time, false));
            }
            Call::EnterUntil(deadline) => {
                entered = Some(enter(&mut exact, real.acquire().until(deadline), deadline, true));
            }
            Call::Poll(which) if !waits.is_empty() => {
                let which = which % waits.len();
                let (number, wait) = &mut waits[which];
                let answer = poll(wait);
                assert_eq!(outcome(&answer), exact.outcomes[*number]);
                if answer.is_some() {
                    drop(waits.swap_remove(which));
                }
                permits.extend(answer.and_then(Result::ok));
            }
            Call::Leave(which) if !waits.is_empty() => {
                let (number, wait) = waits.swap_remove(which % waits.len());
                drop(wait);
                match exact.outcomes[number] {
                    Outcome::Granted => exact.give_back(),
                    _ => exact.queue.retain(|&(wait, _)| wait != number),
                }
            }
            Call::Give(which) if !permits.is_empty() => {
                drop(permits.swap_remove(which % permits.len()));
                exact.give_back();
            }
            Call::Resize(limit) => {
                real.resize(limit);
                exact.limit = limit;
                exact.serve();
            }
            Call::Advance(time) => {
                clock.advance(Duration::from_nanos(time));
                exact.pass_time(clock.now());
            }
            Call::Close => {
                real.close();
                exact.closed = true;
                for (wait, _) in exact.queue.drain(..) {
                    exact.outcomes[wait] = Outcome::Closed;
                }
            }
            _ => {}
        }
        if let Some((permit, pending)) = entered {
            permits.extend(permit);
            waits.extend(pending);
        }
        assert_eq!(real.numbers(), (exact.limit, exact.in_flight, exact.queue.len()), "after {call:?}");
    }
    drop((waits, permits));
    assert_eq!(real.numbers(), (exact.limit, 0, 0));
    if let Limit::Keyed(keyed) = &real {
        assert!(keyed.is_empty(), "no key stays");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, ..ProptestConfig::default() })]

    #[test]
    fn a_limit_answers_as_a_list_of_waiters_does(limit in 0..4usize, calls in calls()) {
        compare(false, limit, &calls);
    }

    #[test]
    fn a_key_answers_as_a_list_of_waiters_does(limit in 0..4usize, calls in calls()) {
        compare(true, limit, &calls);
    }
}
