//! [`Emitter`]: statistics as metrics and as events. They are emitted on demand, so calls do no more than count.

use std::sync::Arc;
use std::time::Duration;

use super::counters::Counters;
use super::reader::Reader;
use super::snapshot::KeyStats;
#[cfg(feature = "tracing")]
use super::snapshot::Stats;
use crate::sync::{AtomicU64, Ordering};

#[cfg(feature = "metrics")]
use super::counters::Amount;
#[cfg(feature = "metrics")]
use super::reader::Interval;
#[cfg(feature = "metrics")]
use metrics::{SharedString, Unit};

/// Emits the statistics of a limiter.
pub(super) struct Emitter {
    /// The policy's name: the only label.
    policy: Arc<str>,
    reader: Reader,
    /// The earliest time of the next periodic emission, in nanoseconds since the clock's origin.
    due: AtomicU64,
}

impl Emitter {
    pub(super) fn new(policy: &str) -> Self {
        Emitter { policy: policy.into(), reader: Reader::new(), due: AtomicU64::new(0) }
    }

    /// Notes the time of a wait.
    pub(super) fn waited(&self, waited: Duration) {
        self.reader.waited(waited);
    }

    /// Emits what was counted since the last emission. The program's recorder and subscriber run with no lock
    /// held.
    pub(super) fn emit(&self, counters: &Counters, keys: impl FnOnce() -> Option<KeyStats>) {
        let interval = self.reader.take(counters, keys);
        #[cfg(feature = "metrics")]
        add_to_metrics(&self.policy, &interval);
        #[cfg(feature = "tracing")]
        send_event(&self.policy, &interval.stats);
    }

    /// Returns whether a periodic emission is due at `now`. If it is, the next one is due after `period`, and one
    /// caller of several gets `true`.
    pub(super) fn is_due(&self, now: u64, period: Duration) -> bool {
        let due = self.due.load(Ordering::Relaxed);
        let next = now.saturating_add(u64::try_from(period.as_nanos()).unwrap_or(u64::MAX));
        // Relaxed: the emission takes a lock, which orders the reads of the counters.
        now >= due && self.due.compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

/// Adds the numbers to the counters of the program's recorder.
#[cfg(feature = "metrics")]
fn add_to_metrics(policy: &Arc<str>, Interval { stats, sums }: &Interval) {
    let policy = SharedString::from_shared(policy.clone());
    let add = |name: &'static str, unit: Unit, what: &'static str, n: u64| {
        metrics::describe_counter!(name, unit, what);
        metrics::counter!(name, "policy" => policy.clone()).increment(n);
    };
    let set = |name: &'static str, unit: Unit, what: &'static str, value: f64| {
        metrics::describe_gauge!(name, unit, what);
        metrics::gauge!(name, "policy" => policy.clone()).set(value);
    };
    // A counter is an integer. A token is added when the last part of it was counted.
    let [earlier, later] = sums;
    let tokens = |amount| later.whole_tokens(amount).wrapping_sub(earlier.whole_tokens(amount));

    add("brimful_admitted_total", Unit::Count, "calls that were admitted", stats.admitted);
    add("brimful_admitted_tokens_total", Unit::Count, "tokens of admitted calls", tokens(Amount::Admitted));
    add("brimful_denied_total", Unit::Count, "calls that were denied, for any reason", stats.denied());
    add("brimful_denied_tokens_total", Unit::Count, "tokens of denied calls", tokens(Amount::Denied));
    add("brimful_rate_limited_total", Unit::Count, "calls whose tokens were not there yet", stats.rate_limited);
    add("brimful_exceeds_burst_total", Unit::Count, "calls that needed more than the burst", stats.exceeds_burst);
    add("brimful_table_full_total", Unit::Count, "calls on new keys without room", stats.table_full);
    add("brimful_too_late_total", Unit::Count, "waits that missed their deadline", stats.too_late);
    add("brimful_queue_full_total", Unit::Count, "waits without a place in the queue", stats.queue_full);
    add("brimful_ended_total", Unit::Count, "waits ended by a removal or a close", stats.ended);
    add("brimful_abandoned_total", Unit::Count, "waits that were dropped", stats.abandoned);
    add("brimful_waited_total", Unit::Count, "admitted calls that waited", stats.waited);
    let waited = u64::try_from(stats.total_wait.as_micros()).unwrap_or(u64::MAX);
    add("brimful_wait_microseconds_total", Unit::Microseconds, "the sum of their waits", waited);
    set("brimful_longest_wait_seconds", Unit::Seconds, "the longest wait", stats.longest_wait.as_secs_f64());
    add("brimful_refunds_total", Unit::Count, "times that tokens were given back", stats.refunds);
    add("brimful_refunded_tokens_total", Unit::Count, "tokens that were given back", tokens(Amount::Refunded));
    add("brimful_quota_changes_total", Unit::Count, "changes of the quota", stats.quota_changes);
    add("brimful_pauses_total", Unit::Count, "pauses", stats.pauses);
    if let Some(keys) = &stats.keys {
        set("brimful_keys", Unit::Count, "known keys", keys.known as f64);
        add("brimful_forgotten_keys_total", Unit::Count, "full buckets that were forgotten", keys.forgotten);
        add("brimful_evicted_keys_total", Unit::Count, "buckets in use that were forgotten", keys.evicted);
    }
}

/// Sends one event to the program's subscriber.
#[cfg(feature = "tracing")]
fn send_event(policy: &str, stats: &Stats) {
    tracing::info!(
        target: "brimful",
        policy,
        admitted = stats.admitted,
        tokens_admitted = stats.tokens_admitted,
        denied = stats.denied(),
        tokens_denied = stats.tokens_denied,
        rate_limited = stats.rate_limited,
        exceeds_burst = stats.exceeds_burst,
        table_full = stats.table_full,
        too_late = stats.too_late,
        queue_full = stats.queue_full,
        ended = stats.ended,
        abandoned = stats.abandoned,
        waited = stats.waited,
        mean_wait_seconds = stats.mean_wait().as_secs_f64(),
        longest_wait_seconds = stats.longest_wait.as_secs_f64(),
        refunds = stats.refunds,
        tokens_refunded = stats.tokens_refunded,
        quota_changes = stats.quota_changes,
        pauses = stats.pauses,
        keys = stats.keys.map(|keys| keys.known),
        forgotten_keys = stats.keys.map(|keys| keys.forgotten),
        evicted_keys = stats.keys.map(|keys| keys.evicted),
        "statistics of a rate limiter"
    );
}
