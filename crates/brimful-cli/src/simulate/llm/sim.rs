//! [`Sim`]: calls that wait for a limiter, in virtual time.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use brimful::model::{
    Learning, ModelAcquire, ModelCause, ModelError, ModelHandle, ModelLimiter, ModelQuota, Permit, Usage,
};
use brimful::{Clock, MockClock, Tokens};

use super::alarm::Alarm;
use super::ledger::Ledger;
use super::options::{Estimate, NAME, Options};
use super::server::Refusals;
use super::trace::{Call, LONGEST};
use crate::simulate::time::Stamp;
use crate::simulate::timeline::Timeline;

/// The calls of a trace, and the limiter that they wait for.
///
/// An event is the arrival of a call, its end, or the alarm of the limiter. The clock is moved from event to event, so
/// each call is granted at the very instant at which the limiter has its tokens.
pub(super) struct Sim<'a> {
    calls: &'a [Call],
    options: &'a Options,
    clock: MockClock,
    alarm: Alarm,
    model: ModelHandle<MockClock>,
    /// The number of calls that have arrived.
    arrived: usize,
    /// The calls that wait, by their numbers.
    waiting: BTreeMap<usize, Waiting>,
    woken: Arc<Mutex<Vec<usize>>>,
    /// The calls in flight, by their ends.
    in_flight: BTreeMap<(u64, usize), (Permit<MockClock>, Usage)>,
    /// The number of calls that have ended, and the sum of their outputs.
    ended: (u64, u128),
    timeline: Option<(Stamp, &'a mut Timeline)>,
    outcome: Outcome,
}

/// The results.
pub(super) struct Outcome {
    pub(super) ledger: Ledger,
    /// The calls that were granted, as their numbers and the instants of the grants, in order.
    pub(super) grants: Vec<(usize, u64)>,
    /// The calls that are above a limit, so that they are never granted.
    pub(super) never: Refusals,
    /// The instant at which the last call ended.
    pub(super) makespan: u64,
    /// The most calls that were in flight at once.
    pub(super) most_in_flight: usize,
}

/// A call that waits, and the estimate that it is charged, as it was scaled.
struct Waiting {
    future: Pin<Box<ModelAcquire<MockClock>>>,
    charged: Usage,
    waker: Waker,
}

struct Woken(Arc<Mutex<Vec<usize>>>, usize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(self.1);
    }
}

/// Lets all calls wait, and end. Draws a timeline that begins at a stamp.
pub(super) fn simulate(
    options: &Options,
    limits: ModelQuota,
    calls: &[Call],
    timeline: Option<(Stamp, &mut Timeline)>,
) -> Result<Outcome> {
    let (clock, alarm) = (MockClock::new(), Alarm::default());
    let timer = alarm.clone();
    let builder = ModelLimiter::builder().clock(clock.clone()).timer(move || timer.clone());
    let builder = builder.model(NAME, limits).max_waiters(calls.len());
    let builder = if options.learning { builder.learning(Learning::new()) } else { builder };
    let model = builder.build()?.model(NAME)?;
    let ledger = Ledger::new(&limits)?;
    let outcome = Outcome { ledger, grants: Vec::new(), never: Refusals::new(), makespan: 0, most_in_flight: 0 };
    let sim = Sim {
        calls,
        options,
        clock,
        alarm,
        model,
        arrived: 0,
        waiting: BTreeMap::new(),
        woken: Arc::default(),
        in_flight: BTreeMap::new(),
        ended: (0, 0),
        timeline,
        outcome,
    };
    sim.run()
}

const TOO_LONG: &str = "the calls take more than 18 years at these limits: a limiter's time ends there";

impl Sim<'_> {
    fn run(mut self) -> Result<Outcome> {
        while let Some(at) = self.next_event() {
            if at >= LONGEST {
                bail!(TOO_LONG);
            }
            self.move_to(at);
            while let Some(end) = self.in_flight.first_entry().filter(|call| call.key().0 <= at) {
                let ((_, number), (permit, charged)) = end.remove_entry();
                self.end(at, number, permit, charged);
            }
            while self.alarm.at().is_some_and(|alarm| alarm <= at) {
                self.alarm.ring();
            }
            self.poll_woken(at)?;
            while self.calls.get(self.arrived).is_some_and(|call| call.at <= at) {
                self.arrive(at)?;
            }
        }
        ensure!(self.waiting.is_empty(), "the limiter left {} calls waiting for ever", self.waiting.len());
        Ok(self.outcome)
    }

    /// Returns the instant of the next event; `None` after the last call. A call that waits has an event before it: an
    /// end, or the alarm.
    fn next_event(&self) -> Option<u64> {
        let arrival = self.calls.get(self.arrived).map(|call| call.at);
        let end = self.in_flight.first_key_value().map(|(&(end, _), _)| end);
        let alarm = self.alarm.at().filter(|_| !self.waiting.is_empty());
        [arrival, end, alarm].into_iter().flatten().min()
    }

    /// Moves the clock to an event.
    fn move_to(&mut self, at: u64) {
        let clock = &self.clock;
        let advance = |at: u64| clock.advance(Duration::from_nanos(at.saturating_sub(clock.now())));
        if let Some((first, timeline)) = &mut self.timeline {
            // Nothing happens before the event, but the buckets are refilled.
            timeline.reach(first.plus(at), |instant| {
                advance(instant.since(*first));
                Some(least_left(&self.model))
            });
        }
        advance(at);
    }

    fn arrive(&mut self, at: u64) -> Result<()> {
        let number = self.arrived;
        self.arrived += 1;
        let estimate = self.estimate(self.calls[number].usage);
        let scales = if self.options.learning { self.model.stats().scales } else { None };
        let charged = scales.map_or(estimate, |(input, output)| Usage {
            input: (estimate.input as f64 * input).ceil() as u64,
            output: (estimate.output as f64 * output).ceil() as u64,
        });
        let waker = Waker::from(Arc::new(Woken(self.woken.clone(), number)));
        let future = Box::pin(self.model.acquire(estimate));
        self.poll(at, number, Waiting { future, charged, waker })
    }

    fn estimate(&self, usage: Usage) -> Usage {
        match self.options.estimate {
            Estimate::Exact => usage,
            Estimate::Output(output) => Usage { output, ..usage },
            Estimate::Context => {
                let (calls, outputs) = self.ended;
                let mean = outputs.div_ceil(u128::from(calls.max(1)));
                Usage { output: u64::try_from(mean).unwrap_or(u64::MAX), ..usage }
            }
        }
    }

    fn poll_woken(&mut self, at: u64) -> Result<()> {
        let woken = std::mem::take(&mut *self.woken.lock().unwrap_or_else(PoisonError::into_inner));
        for number in woken {
            if let Some(waiting) = self.waiting.remove(&number) {
                self.poll(at, number, waiting)?;
            }
        }
        Ok(())
    }

    fn poll(&mut self, at: u64, number: usize, mut waiting: Waiting) -> Result<()> {
        match waiting.future.as_mut().poll(&mut Context::from_waker(&waiting.waker)) {
            Poll::Pending => {
                self.waiting.insert(number, waiting);
            }
            Poll::Ready(Ok(permit)) => self.grant(at, number, permit, waiting.charged),
            Poll::Ready(Err(refused)) => self.refuse(refused)?,
        }
        Ok(())
    }

    fn grant(&mut self, at: u64, number: usize, permit: Permit<MockClock>, charged: Usage) {
        let Call { at: arrived, usage } = self.calls[number];
        debug_assert_eq!(u128::from(at - arrived), permit.waited().as_nanos());
        self.outcome.ledger.grant(at, charged, usage);
        self.outcome.grants.push((number, at));
        self.in_flight.insert((at.saturating_add(self.options.takes(usage)), number), (permit, charged));
        self.outcome.most_in_flight = self.outcome.most_in_flight.max(self.in_flight.len());
        if let Some((_, timeline)) = &mut self.timeline {
            let tokens = Tokens::new(u32::try_from(usage.total()).unwrap_or(u32::MAX));
            timeline.count(tokens, at == arrived, Some(least_left(&self.model)));
        }
    }

    fn refuse(&mut self, refused: ModelError) -> Result<()> {
        match refused.cause() {
            ModelCause::ExceedsLimit(dimension, _) => *self.outcome.never.entry(dimension).or_default() += 1,
            ModelCause::TooLate(..) => bail!(TOO_LONG),
            _ => return Err(refused).context("a call that waits was refused"),
        }
        Ok(())
    }

    fn end(&mut self, at: u64, number: usize, mut permit: Permit<MockClock>, charged: Usage) {
        let usage = self.calls[number].usage;
        self.outcome.ledger.settle(at, charged, usage);
        self.outcome.makespan = at;
        let (calls, outputs) = self.ended;
        self.ended = (calls + 1, outputs + u128::from(usage.output));
        permit.commit(usage);
    }
}

impl Options {
    /// Returns the time that a call takes, in nanoseconds.
    pub(super) fn takes(&self, usage: Usage) -> u64 {
        self.first_token.saturating_add(self.per_token.saturating_mul(usage.output))
    }
}

/// Returns what is left of the limit that has least left, in percent.
fn least_left(model: &ModelHandle<MockClock>) -> f64 {
    let left = |used: u64, limit: u64| limit.saturating_sub(used) as f64 * 100.0 / limit as f64;
    let stats = model.stats();
    stats.dimensions.iter().map(|of| left(of.used, of.limit)).fold(100.0, f64::min)
}
