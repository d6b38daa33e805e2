//! The emission of statistics and of failures: to a recorder of `metrics` and to a subscriber of `tracing`, with the policy's
//! name and never a key. Most are on a store of the test, which fails when a test sets it so.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use brimful::Quota;
use brimful::model::{ModelConfig, ModelQuota};
use brimful_redis::engine::{Bucket, Outcome, Request, Store, StoreError, execute};
use brimful_redis::{
    FailurePolicy, RedisConcurrencyLimit, RedisRateLimiter, RedisRateLimiterBuilder, RedisSlidingWindowLimiter,
    SharedModelLimiter,
};
use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, SharedString, Unit};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Dispatch, Event, Subscriber};

use crate::server::server;

/// All that was emitted: the metrics by name and labels, and each event.
#[derive(Clone, Default)]
struct Emitted {
    metrics: Arc<Mutex<BTreeMap<String, Arc<AtomicU64>>>>,
    described: Arc<Mutex<BTreeMap<String, Option<Unit>>>>,
    events: Arc<Mutex<Vec<BTreeMap<String, String>>>>,
}

impl Emitted {
    fn new() -> Self {
        // With one subscriber alone, an event is off for all threads if a thread without a subscriber comes to it first.
        static OTHER: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(Emitted::default()));
        LazyLock::force(&OTHER);
        Emitted::default()
    }

    fn counters<const N: usize>(&self, policy: &str, names: [&str; N]) -> [u64; N] {
        let metrics = self.metrics.lock().unwrap();
        names.map(|name| metrics[&format!("brimful_shared_{name}_total{{policy={policy}}}")].load(Ordering::Relaxed))
    }

    /// The levels and the messages of the events so far.
    fn events(&self) -> Vec<(String, String)> {
        let events = std::mem::take(&mut *self.events.lock().unwrap());
        events.into_iter().map(|event| (event["level"].clone(), event["message"].clone())).collect()
    }
}

impl metrics::Recorder for Emitted {
    fn describe_counter(&self, name: KeyName, unit: Option<Unit>, _: SharedString) {
        self.described.lock().unwrap().insert(name.as_str().into(), unit);
    }

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        let labels: Vec<_> = key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
        let name = format!("{}{{{}}}", key.name(), labels.join(","));
        Counter::from_arc(self.metrics.lock().unwrap().entry(name).or_default().clone())
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
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

/// Buckets in this process, by a clock that stands still.
#[derive(Clone, Default)]
struct Memory {
    buckets: Arc<Mutex<BTreeMap<String, Vec<Bucket>>>>,
    is_away: Arc<AtomicBool>,
}

impl Store for Memory {
    async fn decide(&self, request: Request<'_>) -> Result<Outcome, StoreError> {
        if self.is_away.load(Ordering::Relaxed) {
            return Err(StoreError::new(false, format!("no answer about {}", request.key)));
        }
        let mut all = self.buckets.lock().unwrap();
        let new = || request.limits.iter().map(|(limit, _)| Bucket::new(limit, 1)).collect();
        let buckets = all.entry(request.key.to_owned()).or_insert_with(new);
        let (admitted, done) = execute(request.operation, buckets, request.limits);
        let buckets = buckets.iter().zip(done).map(|(bucket, done)| (bucket.deficit, done)).collect();
        Ok(Outcome { admitted, at: 1, ahead: 0, buckets })
    }

    fn connections(&self) -> u64 {
        7
    }
}

fn builder() -> RedisRateLimiterBuilder<str> {
    RedisRateLimiter::<str>::builder(Quota::per_day(1).burst(10)).name("uploads").on_failure(FailurePolicy::Allow)
}

/// Runs a future with this recorder and this subscriber.
fn during<T>(emitted: &Emitted, work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    tracing::subscriber::with_default(emitted.clone(), || {
        metrics::with_local_recorder(emitted, || runtime.block_on(work))
    })
}

const COUNTERS: [&str; 10] = [
    "admitted",
    "denied",
    "admitted_by_policy",
    "denied_by_policy",
    "requests",
    "failures",
    "breaker_opened",
    "breaker_closed",
    "renewals",
    "connections",
];

#[test]
fn each_emission_has_what_was_counted_since_the_last_one() {
    let emitted = Emitted::new();
    during(&emitted, async {
        let store = Memory::default();
        let limiter = builder().build(store.clone()).unwrap();
        limiter.try_acquire_n("zebra", 8).await.unwrap();
        limiter.try_acquire_n("zebra", 8).await.unwrap_err();
        limiter.emit_stats();
        assert_eq!(emitted.counters("uploads", COUNTERS), [1, 1, 0, 0, 2, 0, 0, 0, 0, 7]);
        assert_eq!(emitted.events(), [("INFO".into(), "statistics of a shared rate limiter".into())]);
        // Nothing was counted since.
        limiter.emit_stats();
        assert_eq!(emitted.counters("uploads", COUNTERS), [1, 1, 0, 0, 2, 0, 0, 0, 0, 7]);
        emitted.events();

        // Three failures open the breaker; the fourth call does not ask.
        store.is_away.store(true, Ordering::Relaxed);
        for _ in 0..4 {
            limiter.try_acquire("zebra").await.unwrap();
        }
        let of_policy = ("DEBUG".to_owned(), "the policy decided in place of the store".to_owned());
        let events = emitted.events();
        assert_eq!(events.iter().filter(|event| **event == of_policy).count(), 4);
        assert_eq!(events[2].0, "WARN", "with the third failure: {events:?}");
        store.is_away.store(false, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_secs(1)).await;
        limiter.try_acquire("zebra").await.unwrap();
        assert_eq!(emitted.events(), [("INFO".into(), "the store decides again".into())]);
        limiter.emit_stats();
        assert_eq!(emitted.counters("uploads", COUNTERS), [2, 1, 4, 0, 6, 3, 1, 1, 0, 7]);
        assert_eq!(limiter.stats().breaker_opened, 1, "emissions take nothing from the statistics");
    });
    let described = emitted.described.lock().unwrap();
    assert_eq!(described.len(), COUNTERS.len());
    assert!(described.values().all(|unit| *unit == Some(Unit::Count)));
}

#[test]
fn leases_count_their_renewals() {
    let emitted = Emitted::new();
    during(&emitted, async {
        let limiter = builder().leased().max_batch(1).build(Memory::default()).unwrap();
        for _ in 0..3 {
            limiter.try_acquire("zebra").await.unwrap();
        }
        limiter.emit_stats();
        assert_eq!(emitted.counters("uploads", ["renewals", "requests", "failures"]), [3, 3, 0]);
    });
}

/// The policy is the only label, whatever the keys and the errors are, and one without a name is called by its quotas.
#[test]
fn no_key_is_emitted() {
    let emitted = Emitted::new();
    during(&emitted, async {
        let store = Memory::default();
        let limiter = RedisRateLimiter::<str>::builder(Quota::per_second(2)).build(store.clone()).unwrap();
        for is_away in [false, true] {
            store.is_away.store(is_away, Ordering::Relaxed);
            for _ in 0..5 {
                let _ = limiter.try_acquire("zebra").await;
            }
            limiter.emit_stats();
        }
    });
    let (metrics, events) = (emitted.metrics.lock().unwrap(), emitted.events.lock().unwrap());
    assert_eq!((metrics.len(), events.len()), (COUNTERS.len(), 2 + 1 + 5));
    assert!(metrics.keys().all(|metric| metric.ends_with("{policy=2/s burst 2}")), "{metrics:?}");
    assert!(events.iter().all(|event| event["policy"] == "2/s burst 2"), "{events:?}");
    let text = format!("{metrics:?} {events:?}");
    assert!(text.contains("failure") && text.contains("breaker") && !text.contains("zebra"), "{text}");
}

#[tokio::test]
async fn every_kind_of_limit_emits_by_its_name() {
    let mut server = server!();
    let emitted = Emitted::new();
    let _recorder = metrics::set_default_local_recorder(&emitted);
    let _subscriber = tracing::subscriber::set_default(emitted.clone());
    let (store, long) = (server.store().await, Duration::from_secs(20));
    let windows = RedisSlidingWindowLimiter::<str>::builder(1, 3 * long).deadline(long).build(store.clone()).unwrap();
    let permits = RedisConcurrencyLimit::<str>::builder(1).lease(3 * long).deadline(long).name("exports");
    let permits = permits.build(store.clone()).unwrap();
    let mut config = ModelConfig::new();
    config.default = Some(ModelQuota::new().rpd(1));
    let models = SharedModelLimiter::builder(config).deadline(long).name("models").build(store).unwrap();

    windows.try_acquire("zebra").await.unwrap();
    windows.try_acquire("zebra").await.unwrap_err();
    let _permit = permits.try_acquire("zebra").await.unwrap();
    permits.try_acquire("zebra").await.unwrap_err();
    let _call = models.try_acquire("zebra", 1).await.unwrap();
    models.try_acquire("zebra", 1).await.unwrap_err();
    server.kill();
    windows.try_acquire("zebra").await.unwrap_err();
    permits.try_acquire("zebra").await.unwrap_err();
    models.try_acquire("zebra", 1).await.unwrap_err();
    windows.emit_stats();
    permits.emit_stats();
    models.emit_stats();
    let names = ["at most 1 in 60s", "exports", "models"];
    for name in names {
        assert_eq!(
            emitted.counters(name, ["admitted", "denied", "denied_by_policy", "failures"]),
            [1, 1, 1, 1],
            "{name}"
        );
    }
    let events = emitted.events.lock().unwrap();
    let of_policy = events.iter().filter(|event| event["level"] == "DEBUG").map(|event| event["policy"].as_str());
    assert!(of_policy.eq(names), "{events:?}");
}
