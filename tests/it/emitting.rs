//! The emission of statistics: to a recorder of `metrics` and to a subscriber of `tracing`, with the policy's name
//! and never a key.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};
use std::thread;
use std::time::Duration;

use brimful::{KeyedRateLimiter, MockClock, Quota, RateLimiter};
use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, SharedString, Unit};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};

use super::support::tokens;

/// All that was emitted: the metrics by name and labels, and each event.
#[derive(Clone, Default)]
pub(crate) struct Emitted {
    metrics: Arc<Mutex<BTreeMap<String, Arc<AtomicU64>>>>,
    units: Arc<Mutex<BTreeMap<String, Option<Unit>>>>,
    events: Arc<Mutex<Vec<BTreeMap<String, String>>>>,
}

impl Emitted {
    fn metric(&self, key: &Key) -> Arc<AtomicU64> {
        let labels: Vec<_> = key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
        let name = format!("{}{{{}}}", key.name(), labels.join(","));
        self.metrics.lock().unwrap().entry(name).or_default().clone()
    }

    /// Runs `emit` with this recorder and this subscriber.
    pub(crate) fn during<T>(&self, emit: impl FnOnce() -> T) -> T {
        tracing::subscriber::with_default(self.clone(), || metrics::with_local_recorder(self, emit))
    }

    /// The bits of a metric of a policy.
    fn bits(&self, policy: &str, name: &str) -> Option<u64> {
        let name = format!("brimful_{name}{{policy={policy}}}");
        self.metrics.lock().unwrap().get(&name).map(|value| value.load(Ordering::Relaxed))
    }

    pub(crate) fn counters<const N: usize>(&self, policy: &str, names: [&str; N]) -> [u64; N] {
        names.map(|name| self.bits(policy, &format!("{name}_total")).expect(name))
    }

    pub(crate) fn gauge(&self, policy: &str, name: &str) -> f64 {
        f64::from_bits(self.bits(policy, name).expect(name))
    }

    pub(crate) fn events(&self) -> Vec<BTreeMap<String, String>> {
        std::mem::take(&mut self.events.lock().unwrap())
    }
}

impl metrics::Recorder for Emitted {
    fn describe_counter(&self, name: KeyName, unit: Option<Unit>, _: SharedString) {
        self.units.lock().unwrap().insert(name.as_str().into(), unit);
    }

    fn describe_gauge(&self, name: KeyName, unit: Option<Unit>, _: SharedString) {
        self.units.lock().unwrap().insert(name.as_str().into(), unit);
    }

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.metric(key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.metric(key))
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

/// The fields of an event, as text.
struct Fields<'a>(&'a mut BTreeMap<String, String>);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name().into(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().into(), value.into());
    }
}

impl Subscriber for Emitted {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target() == "brimful"
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut fields = BTreeMap::from([("level".into(), event.metadata().level().to_string())]);
        event.record(&mut Fields(&mut fields));
        self.events.lock().unwrap().push(fields);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

fn limiter(quota: Quota) -> (Arc<RateLimiter<MockClock>>, MockClock) {
    let clock = MockClock::new();
    let builder = RateLimiter::builder().quota(quota).clock(clock.clone());
    (Arc::new(builder.name("uploads").stats().build().unwrap()), clock)
}

#[test]
fn each_emission_has_what_was_counted_since_the_last_one() {
    let (limiter, clock) = limiter(Quota::per_second(10).burst(4));
    let emitted = Emitted::default();
    assert!(limiter.try_acquire_n(tokens("2.5")).is_ok());
    assert!(limiter.try_acquire_n(2).is_err() && limiter.try_acquire_n(5).is_err());
    emitted.during(|| limiter.emit_stats());
    let names = ["admitted", "admitted_tokens", "denied", "denied_tokens", "rate_limited", "exceeds_burst"];
    assert_eq!(emitted.counters("uploads", names), [1, 2, 2, 7, 1, 1]);
    // Nothing was counted since.
    emitted.during(|| limiter.emit_stats());
    assert_eq!(emitted.counters("uploads", names), [1, 2, 2, 7, 1, 1]);
    // The other half of a token makes a whole one.
    assert!(limiter.try_acquire_n(tokens("0.5")).is_ok() && limiter.allow());
    emitted.during(|| limiter.emit_stats());
    assert_eq!(emitted.counters("uploads", names), [3, 4, 2, 7, 1, 1]);

    let mut wait = pin!(limiter.acquire_n_owned(2));
    let mut context = Context::from_waker(Waker::noop());
    assert!(wait.as_mut().poll(&mut context).is_pending());
    clock.advance(Duration::from_millis(200));
    assert!(wait.as_mut().poll(&mut context).is_ready());
    limiter.pause_for(Duration::from_millis(1));
    limiter.set_quota(Quota::per_second(5).burst(4)).unwrap();
    assert_eq!(limiter.add_tokens(100), tokens("4"));
    emitted.during(|| limiter.emit_stats());
    let names = ["waited", "wait_microseconds", "refunds", "refunded_tokens", "quota_changes", "pauses", "abandoned"];
    assert_eq!(emitted.counters("uploads", names), [1, 200_000, 1, 4, 1, 1, 0]);
    assert_eq!(emitted.gauge("uploads", "longest_wait_seconds"), 0.2);
    emitted.during(|| limiter.emit_stats());
    assert_eq!(emitted.gauge("uploads", "longest_wait_seconds"), 0.0);
    assert_eq!(emitted.bits("uploads", "keys"), None, "a lone limiter has no keys");
    let units = emitted.units.lock().unwrap();
    assert_eq!(units["brimful_wait_microseconds_total"], Some(Unit::Microseconds));
    assert_eq!(units.len(), emitted.metrics.lock().unwrap().len());
}

#[test]
fn emissions_and_reads_take_nothing_from_each_other() {
    let (limiter, _) = limiter(Quota::per_hour(100));
    let emitted = Emitted::default();
    let admitted = || emitted.counters("uploads", ["admitted"])[0];
    assert!(limiter.allow());
    assert_eq!(limiter.take_stats().unwrap().admitted, 1);
    emitted.during(|| limiter.emit_stats());
    assert_eq!(admitted(), 1);
    assert!(limiter.allow());
    emitted.during(|| limiter.emit_stats());
    assert_eq!((limiter.take_stats().unwrap().admitted, admitted()), (1, 2));
}

/// Every call is in one emission, also if several threads emit.
#[test]
fn no_call_is_emitted_twice_or_lost() {
    const CALLS: u64 = 20_000;
    let (limiter, _) = limiter(Quota::per_hour(1000));
    let emitted = Emitted::default();
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| (0..CALLS).for_each(|_| _ = limiter.allow()));
            scope.spawn(|| (0..50).for_each(|_| emitted.during(|| limiter.emit_stats())));
        }
    });
    emitted.during(|| limiter.emit_stats());
    assert_eq!(emitted.counters("uploads", ["admitted", "rate_limited"]), [1000, 2 * CALLS - 1000]);
}

#[test]
fn a_periodic_emission_comes_once_in_a_period() {
    let (limiter, clock) = limiter(Quota::per_hour(1));
    let (emitted, period) = (Emitted::default(), Duration::from_secs(10));
    let emits = |after: Duration| {
        clock.advance(after);
        emitted.during(|| limiter.emit_stats_every(period))
    };
    let nanosecond = Duration::from_nanos(1);
    assert!(emits(Duration::ZERO));
    assert!(!emits(Duration::ZERO) && !emits(period - nanosecond) && emits(nanosecond));
    // The period begins with the call, not with the instant at which it was due.
    assert!(emits(period + nanosecond) && !emits(period - nanosecond));
    assert_eq!(emitted.events().len(), 3);

    let silent = RateLimiter::builder().quota(Quota::per_hour(1)).clock(MockClock::new()).build().unwrap();
    assert!(!emitted.during(|| silent.emit_stats_every(period)));
    emitted.during(|| silent.emit_stats());
    assert!(emitted.events().is_empty());
}

#[test]
fn an_event_has_the_numbers_and_the_policy() {
    let clock = MockClock::new();
    let builder = KeyedRateLimiter::<str>::builder().quota(Quota::per_second(2)).clock(clock.clone());
    let limiter = builder.max_keys(100).name("logins").stats().build().unwrap();
    let emitted = Emitted::default();
    assert!(limiter.try_acquire_n("a", tokens("1.5")).is_ok() && !limiter.allow("a") && limiter.allow("b"));
    emitted.during(|| limiter.emit_stats());
    let [event] = &emitted.events()[..] else { panic!("one event") };
    for (field, value) in [
        ("level", "INFO"),
        ("message", "statistics of a rate limiter"),
        ("policy", "logins"),
        ("admitted", "2"),
        ("tokens_admitted", "2.5"),
        ("denied", "1"),
        ("rate_limited", "1"),
        ("longest_wait_seconds", "0.0"),
        ("keys", "2"),
    ] {
        assert_eq!(event.get(field).map(String::as_str), Some(value), "{field}");
    }
    assert_eq!(emitted.gauge("logins", "keys"), 2.0);
    assert_eq!(emitted.counters("logins", ["forgotten_keys", "evicted_keys"]), [0, 0]);
}

/// The policy is the only label, whatever the keys are, and a policy without a name is called by its quota.
#[test]
fn no_key_is_emitted() {
    let clock = MockClock::new();
    let builder = KeyedRateLimiter::<String>::builder().quota(Quota::per_second(2)).clock(clock.clone());
    let limiter = builder.max_keys(1).stats().build().unwrap();
    let emitted = Emitted::default();
    for key in ["zebra-1", "zebra-2", "zebra-1"] {
        assert!(limiter.try_acquire_n(key, 3).is_err());
        let _ = limiter.decide(key, 2);
        let mut wait = pin!(limiter.acquire(key));
        let _ = wait.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        emitted.during(|| limiter.emit_stats());
    }
    let (metrics, events) = (emitted.metrics.lock().unwrap(), emitted.events());
    assert_eq!((metrics.len(), events.len()), (21, 3));
    assert!(metrics.keys().all(|metric| metric.ends_with("{policy=2/s burst 2}")), "{metrics:?}");
    assert!(events.iter().all(|event| event["policy"] == "2/s burst 2"), "{events:?}");
    let text = format!("{metrics:?} {events:?}");
    assert!(text.contains("denied") && !text.contains("zebra"), "{text}");
}
