//! Promise 4, and the effect of waiting on other calls: random arrivals, costs, classes,
//! cancellations, deadlines and give-backs on a mock clock, compared with an exact simulation. The
//! order, the instants and the balances must be the same.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use brimful::{AcquireError, KeyedRateLimiter, MockClock, Quota, RateLimiter, Tokens};
use brimful_oracle::window::{Bound, worst_window};
use proptest::prelude::*;

use crate::waiting::{Outcome, WakeCount, poll};

/// The nanoseconds in which a token is earned, at 10/s.
const TOKEN: i128 = 100_000_000;
const BURST: i128 = 10;

fn quota() -> Quota {
    Quota::per_second(10).burst(BURST as u32)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Waiting,
    Granted(u64),
    Refused,
    Gone,
}

/// A waiter of the simulation. Amounts are in the nanoseconds that earn them.
#[derive(Clone, Copy, Debug)]
struct Simulated {
    cost: i128,
    leaving: i128,
    deadline: Option<u64>,
    state: State,
}

/// An exact bucket, and a plain list of its waiters.
struct Simulation {
    now: u64,
    /// The amount held, less the amount earned since the origin.
    intercept: i128,
    all: Vec<Simulated>,
    grants: Vec<(u64, i128)>,
}

impl Simulation {
    fn new() -> Self {
        Simulation { now: 0, intercept: BURST * TOKEN, all: Vec::new(), grants: Vec::new() }
    }

    fn held(&self) -> i128 {
        (self.intercept + i128::from(self.now)).min(BURST * TOKEN)
    }

    fn put(&mut self, amount: i128) {
        self.intercept = self.held() + amount.min(BURST * TOKEN - self.held()) - i128::from(self.now);
    }

    fn charge(&mut self, amount: i128) -> i128 {
        let charged = amount.min((self.held() + BURST * TOKEN).max(0));
        self.intercept = self.held() - charged - i128::from(self.now);
        charged
    }

    /// The waiters, in the order of service.
    fn in_order(&self) -> Vec<usize> {
        let mut in_order: Vec<_> =
            (0..self.all.len()).filter(|&waiter| self.all[waiter].state == State::Waiting).collect();
        in_order.sort_by_key(|&waiter| self.all[waiter].leaving);
        in_order
    }

    fn due(&self, needed: i128) -> u64 {
        self.now + (needed - self.held()).max(0) as u64
    }

    fn serve_due(&mut self) {
        loop {
            while let Some(&first) = self.in_order().first() {
                let Simulated { cost, leaving, .. } = self.all[first];
                if self.held() < cost + leaving {
                    break;
                }
                self.charge(cost);
                self.grants.push((self.now, cost));
                self.all[first].state = State::Granted(self.now);
            }
            let late = |&waiter: &usize| self.all[waiter].deadline.is_some_and(|deadline| deadline <= self.now);
            let Some(late) = self.in_order().into_iter().find(late) else { return };
            self.all[late].state = State::Refused;
        }
    }

    fn refuse_late(&mut self) {
        let mut ahead = 0;
        for waiter in self.in_order() {
            let Simulated { cost, leaving, deadline, .. } = self.all[waiter];
            if deadline.is_some_and(|deadline| self.due(ahead + cost + leaving) > deadline) {
                self.all[waiter].state = State::Refused;
            } else {
                ahead += cost;
            }
        }
    }

    fn ahead(&self, leaving: i128) -> Option<i128> {
        let ahead: Vec<_> = self.in_order().into_iter().filter(|&waiter| self.all[waiter].leaving <= leaving).collect();
        (!ahead.is_empty()).then(|| ahead.iter().map(|&waiter| self.all[waiter].cost).sum())
    }

    fn try_take(&mut self, cost: i128, leaving: i128) -> bool {
        let taken = self.ahead(leaving).is_none() && cost + leaving <= self.held();
        if taken {
            self.charge(cost);
            self.grants.push((self.now, cost));
        }
        taken
    }

    fn arrive(&mut self, cost: i128, leaving: i128, deadline: Option<u64>) {
        let state = if self.try_take(cost, leaving) {
            State::Granted(self.now)
        } else {
            let needed = cost + leaving + self.ahead(leaving).unwrap_or(0);
            let too_late = cost + leaving > BURST * TOKEN || deadline.is_some_and(|at| self.due(needed) > at);
            if too_late { State::Refused } else { State::Waiting }
        };
        self.all.push(Simulated { cost, leaving, deadline, state });
    }

    fn leave(&mut self, waiter: usize) {
        let gone = std::mem::replace(&mut self.all[waiter].state, State::Gone);
        if let State::Granted(_) = gone {
            self.put(self.all[waiter].cost);
        }
        self.serve_due();
    }

    fn advance(&mut self, to: u64) {
        loop {
            let in_order = self.in_order();
            let due = in_order.first().map(|&first| self.due(self.all[first].cost + self.all[first].leaving));
            let next = in_order.iter().filter_map(|&waiter| self.all[waiter].deadline).chain(due).min();
            match next.filter(|&next| next <= to) {
                Some(next) => {
                    self.now = next;
                    self.serve_due();
                }
                None => {
                    self.now = to;
                    return;
                }
            }
        }
    }
}

type Waits<'a> = Pin<Box<dyn Future<Output = Outcome> + 'a>>;

/// Settles a reservation for this number of tokens. If it is dropped, all tokens are given back.
type Settle<'a> = Box<dyn FnOnce(u32) + 'a>;

/// The methods of a limiter, or of a key.
struct Real<'a> {
    wait: Box<dyn Fn(u32, u32, Option<u64>) -> Waits<'a> + 'a>,
    try_take: Box<dyn Fn(u32, u32) -> bool + 'a>,
    add: Box<dyn Fn(u32) -> Tokens + 'a>,
    reserve: Box<dyn Fn(u32) -> Option<Settle<'a>> + 'a>,
    reset: Box<dyn Fn() + 'a>,
    balance: Box<dyn Fn() -> f64 + 'a>,
}

fn lone(limiter: &RateLimiter<MockClock>) -> Real<'_> {
    Real {
        wait: Box::new(|n, leaving, deadline| {
            let wait = limiter.acquire_n(n).leaving(leaving);
            Box::pin(if let Some(deadline) = deadline { wait.until(deadline) } else { wait })
        }),
        try_take: Box::new(|n, leaving| limiter.leaving(leaving).try_acquire_n(n).is_ok()),
        add: Box::new(|n| limiter.add_tokens(n)),
        reserve: Box::new(|n| {
            let reservation = limiter.try_reserve_n(n).ok()?;
            Some(Box::new(|actual| _ = reservation.commit(actual)))
        }),
        reset: Box::new(|| limiter.reset()),
        balance: Box::new(|| limiter.balance()),
    }
}

fn keyed(limiter: &KeyedRateLimiter<u64, MockClock>, key: u64) -> Real<'_> {
    Real {
        wait: Box::new(move |n, leaving, deadline| {
            let wait = limiter.acquire_n(&key, n).leaving(leaving);
            Box::pin(if let Some(deadline) = deadline { wait.until(deadline) } else { wait })
        }),
        try_take: Box::new(move |n, leaving| limiter.key(&key).leaving(leaving).try_acquire_n(n).is_ok()),
        add: Box::new(move |n| limiter.key(&key).add_tokens(n)),
        reserve: Box::new(move |n| {
            let reservation = limiter.key(&key).try_reserve_n(n).ok()?;
            Some(Box::new(|actual| _ = reservation.commit(actual)))
        }),
        reset: Box::new(move || limiter.key(&key).reset()),
        balance: Box::new(move || limiter.key(&key).balance()),
    }
}

#[derive(Clone, Debug)]
enum Op {
    /// Only a waiter that leaves nothing has a deadline, because no later waiter comes before it.
    Arrive {
        cost: u32,
        leaving: u32,
        within: Option<u64>,
    },
    Try {
        cost: u32,
        leaving: u32,
    },
    Leave(usize),
    Leak(usize),
    Poll(usize),
    Add(u32),
    Reserve(u32),
    Settle {
        which: usize,
        actual: u32,
    },
    Reset,
    Advance(u64),
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let leaving = prop_oneof![3 => Just(0u32), 1 => Just(2), 1 => Just(5)];
    let within = (1u64..3_000_000).prop_map(|micros| micros * 1_000);
    let op = prop_oneof![
        6 => (1u32..=11, leaving.clone()).prop_map(|(cost, leaving)| Op::Arrive { cost, leaving, within: None }),
        3 => (1u32..=10, within).prop_map(|(cost, within)| Op::Arrive { cost, leaving: 0, within: Some(within) }),
        3 => (1u32..=4, leaving).prop_map(|(cost, leaving)| Op::Try { cost, leaving }),
        3 => any::<prop::sample::Index>().prop_map(|index| Op::Leave(index.index(1 << 16))),
        1 => any::<prop::sample::Index>().prop_map(|index| Op::Leak(index.index(1 << 16))),
        2 => any::<prop::sample::Index>().prop_map(|index| Op::Poll(index.index(1 << 16))),
        1 => (1u32..=3).prop_map(Op::Add),
        1 => (1u32..=6).prop_map(Op::Reserve),
        1 => (any::<prop::sample::Index>(), 0u32..=12)
            .prop_map(|(index, actual)| Op::Settle { which: index.index(1 << 16), actual }),
        1 => Just(Op::Reset),
        6 => (0u64..2_000_000).prop_map(|micros| Op::Advance(micros * 1_000)),
    ];
    prop::collection::vec(op, 1..80)
}

/// A waiter of the real limiter. Its future is `None` after it ended or was dropped.
struct PendingWait<'a> {
    future: Option<Waits<'a>>,
    count: Arc<WakeCount>,
}

fn run(ops: &[Op], clock: &MockClock, real: &Real<'_>) {
    let mut simulation = Simulation::new();
    let mut pending: Vec<PendingWait<'_>> = Vec::new();
    let mut reserved: Vec<(u32, Settle<'_>)> = Vec::new();
    let mut inflow: i128 = 0;
    for op in ops {
        match *op {
            Op::Arrive { cost, leaving, within } => {
                let deadline = within.map(|within| simulation.now + within);
                simulation.arrive(i128::from(cost) * TOKEN, i128::from(leaving) * TOKEN, deadline);
                let mut wait =
                    PendingWait { future: Some((real.wait)(cost, leaving, deadline)), count: Arc::default() };
                check(&mut wait, simulation.all.last_mut().unwrap());
                pending.push(wait);
            }
            Op::Try { cost, leaving } => {
                let expected = simulation.try_take(i128::from(cost) * TOKEN, i128::from(leaving) * TOKEN);
                assert_eq!((real.try_take)(cost, leaving), expected, "{op:?}");
            }
            Op::Leave(waiter) if !pending.is_empty() => {
                let waiter = waiter % pending.len();
                if pending[waiter].future.take().is_some() {
                    inflow += simulation.all[waiter].cost;
                    simulation.leave(waiter);
                }
            }
            Op::Leak(waiter) if !pending.is_empty() => {
                let waiter = waiter % pending.len();
                std::mem::forget(pending[waiter].future.take());
            }
            Op::Poll(waiter) if !pending.is_empty() => {
                let waiter = waiter % pending.len();
                check(&mut pending[waiter], &mut simulation.all[waiter]);
            }
            Op::Add(n) => {
                inflow += i128::from(n) * TOKEN;
                (real.add)(n);
                simulation.put(i128::from(n) * TOKEN);
                simulation.refuse_late();
                simulation.serve_due();
            }
            Op::Reserve(n) => {
                let expected = simulation.try_take(i128::from(n) * TOKEN, 0);
                let got = (real.reserve)(n);
                assert_eq!(got.is_some(), expected);
                reserved.extend(got.map(|settle| (n, settle)));
            }
            Op::Settle { which, actual } if !reserved.is_empty() => {
                let (n, settle) = reserved.swap_remove(which % reserved.len());
                settle(actual);
                match i128::from(actual) - i128::from(n) {
                    more if more > 0 => drop(simulation.charge(more * TOKEN)),
                    less => {
                        inflow -= less * TOKEN;
                        simulation.put(-less * TOKEN);
                    }
                }
                if actual != n {
                    simulation.refuse_late();
                    simulation.serve_due();
                }
            }
            Op::Reset => {
                inflow += 2 * BURST * TOKEN;
                (real.reset)();
                simulation.intercept = BURST * TOKEN - i128::from(simulation.now);
                simulation.refuse_late();
                simulation.serve_due();
            }
            Op::Advance(nanos) => {
                clock.advance(Duration::from_nanos(nanos));
                simulation.advance(simulation.now + nanos);
            }
            _ => {}
        }
        let held = simulation.held() as f64 / TOKEN as f64;
        let balance = (real.balance)();
        assert!((balance - held).abs() < 1e-7, "{op:?}: {balance} tokens, expected {held}");
        for (wait, simulated) in pending.iter().zip(&simulation.all) {
            let reported = wait.future.is_none() || matches!(simulated.state, State::Waiting | State::Gone);
            assert!(
                reported || wait.count.woken() == 1,
                "{op:?}: {simulated:?} was woken {} times",
                wait.count.woken()
            );
        }
    }
    for (wait, simulated) in pending.iter_mut().zip(&mut simulation.all) {
        check(wait, simulated);
    }
    let bound = Bound::new((BURST * TOKEN + inflow) as u128, TOKEN as u128, TOKEN as u128);
    assert!(worst_window(bound, &mut simulation.grants).is_none_or(|worst| !worst.margin.is_violation()));
}

/// Polls the wait, and compares the result with the simulation's.
fn check(wait: &mut PendingWait<'_>, simulated: &mut Simulated) {
    let Some(future) = &mut wait.future else { return };
    let waker = Waker::from(wait.count.clone());
    let got = match future.as_mut().poll(&mut Context::from_waker(&waker)) {
        Poll::Pending => State::Waiting,
        Poll::Ready(Ok(granted)) => State::Granted(granted.granted_at()),
        Poll::Ready(Err(AcquireError::ExceedsBurst(_) | AcquireError::TooLate(_))) => State::Refused,
        Poll::Ready(Err(error)) => panic!("{error}"),
    };
    assert_eq!(got, simulated.state, "{simulated:?}");
    if got != State::Waiting {
        wait.future = None;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn a_limiter_serves_as_the_simulation_does(ops in ops()) {
        let clock = MockClock::new();
        let limiter = RateLimiter::with_clock(quota(), clock.clone());
        run(&ops, &clock, &lone(&limiter));
    }

    #[test]
    fn a_key_is_served_as_the_simulation_does(ops in ops()) {
        let clock = MockClock::new();
        let limiter = KeyedRateLimiter::<u64, _>::builder()
            .quota(quota())
            .clock(clock.clone())
            .max_keys(4)
            .build()
            .unwrap();
        let _others: Vec<_> = (0..3).map(|key| limiter.try_acquire_n(&key, 10)).collect();
        run(&ops, &clock, &keyed(&limiter, 7));
    }

    /// Many waiters are due within a millisecond. They are served in order, never early, and at
    /// most a millisecond late.
    #[test]
    fn a_crowd_is_served_in_order(costs in prop::collection::vec(1u32..=5, 1..300), step in 1u64..5_000) {
        let clock = MockClock::new();
        // A token takes 10 µs, the burst takes 10 ms.
        let limiter = RateLimiter::with_clock(Quota::per_second(100_000).burst(1_000), clock.clone());
        prop_assert!(limiter.try_acquire_n(1_000).is_ok());
        let mut waits: Vec<_> = costs.iter().map(|&n| limiter.acquire_n(n)).collect();
        for wait in &mut waits {
            prop_assert!(poll(wait).is_none());
        }
        let all: u64 = costs.iter().map(|&cost| u64::from(cost)).sum();
        while limiter.waiters() > 0 {
            clock.advance(Duration::from_micros(step));
        }
        let (mut before, mut taken, mut grants) = (0, 0, vec![(0, 1_000_u32)]);
        for (wait, &cost) in waits.iter_mut().zip(&costs) {
            taken += u64::from(cost);
            let (at, due) = (poll(wait).unwrap().unwrap().granted_at(), taken * 10_000);
            prop_assert!(at >= before && (due..=due + 1_000_000).contains(&at), "{at}, due at {due}");
            grants.push((at, cost));
            before = at;
        }
        prop_assert!(before <= all * 10_000, "the last waiter is served when it is due");
        let worst = worst_window(Bound::new(1_000, 100_000, 1_000_000_000), &mut grants);
        prop_assert!(worst.is_none_or(|worst| !worst.margin.is_violation()));
    }
}
