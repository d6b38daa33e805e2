//! [`Event`]: a report of the middleware.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use brimful::{Quota, RateLimiter, Tokens};

use super::refusal::Refusal;
use crate::checks::Finding;
use crate::headers::{Decided, LimitDecision};
use crate::key::RequestHead;

/// An event that a middleware reports to the function of [`on_event`](crate::RateLimitLayerBuilder::on_event), on the thread of the
/// request: before the response, unless the event says otherwise.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A request was refused.
    #[non_exhaustive]
    Refused {
        /// The request.
        head: RequestHead<'a>,
        /// The reason.
        refusal: &'a Refusal<'a>,
    },
    /// A request was admitted only because of the [shadow mode](crate::RateLimitLayerBuilder::shadow).
    #[non_exhaustive]
    WouldRefuse {
        /// The request.
        head: RequestHead<'a>,
        /// The reason for which it would have been refused.
        refusal: &'a Refusal<'a>,
    },
    /// A request took tokens of which a [share](crate::RateLimitLayerBuilder::share_used) is used now, and was not before.
    #[non_exhaustive]
    ShareUsed {
        /// The request.
        head: RequestHead<'a>,
        /// The name of the policy.
        policy: &'a str,
        /// The decision on the request.
        decision: LimitDecision<'a>,
        /// The events of this kind that were left out since the last one, because there were too many.
        skipped: u64,
    },
    /// The [settled](crate::RateLimitLayerBuilder::settle) cost of a request was not charged as a whole, because the bucket has
    /// reached its limit of debt ([`Quota::max_debt`]). Reported when the response ends, or is dropped; of a
    /// limiter that many processes share, when the store has answered then, by a task of its own.
    #[non_exhaustive]
    Uncharged {
        /// The cost that was settled.
        cost: Tokens,
        /// The part of it that was not charged.
        uncharged: Tokens,
    },
    /// A limiter that many processes share could not ask its store, and its policy for failures decided. A request that the
    /// policy refuses is reported as refused too.
    #[non_exhaustive]
    Degraded {
        /// The request.
        head: RequestHead<'a>,
        /// Whether the policy admitted the request.
        is_admitted: bool,
    },
    /// A check has found something: when the layer is built, by a request, or after a [handle](crate::Handle) has changed a
    /// setting, on the thread of that. Each finding is reported once, until a change ends it.
    #[non_exhaustive]
    Found {
        /// The finding.
        finding: &'a Finding,
    },
}

/// In the extensions of a request that was decided by the policy for failures of a limiter that many processes share: the
/// store was not available, and the limit may not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Degraded;

/// A function that events are passed to.
type OnEvent = Arc<dyn Fn(&Event<'_>) + Send + Sync>;

/// The function that events are passed to, if there is one.
#[derive(Clone, Default)]
pub(super) struct Events(Option<OnEvent>);

impl Events {
    pub(super) fn new(on_event: impl Fn(&Event<'_>) + Send + Sync + 'static) -> Self {
        Events(Some(Arc::new(on_event)))
    }

    pub(super) fn are_read(&self) -> bool {
        self.0.is_some()
    }

    pub(super) fn report(&self, event: &Event<'_>) {
        if let Some(on_event) = &self.0 {
            on_event(event);
        }
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").field("are_read", &self.are_read()).finish()
    }
}

/// Finds the requests by which a share of a quota is used up.
pub(super) struct Share {
    share: f64,
    /// Bounds the events.
    events: RateLimiter,
    skipped: AtomicU64,
}

impl Share {
    pub(super) fn new(share: f64) -> Self {
        Share {
            share: share.clamp(0.0, 1.0),
            events: RateLimiter::new(Quota::per_second(10)),
            skipped: AtomicU64::new(0),
        }
    }

    /// Calls the function for each limit that this request has taken across the share.
    pub(super) fn find<'a>(
        &self,
        decided: Decided<'a>,
        cost: Tokens,
        mut found: impl FnMut(Option<&'a str>, LimitDecision<'a>, u64),
    ) {
        let cost = u64::from(cost.whole()) + u64::from(cost.pico() > 0);
        for (name, decision) in decided.limits() {
            let limit = u64::from(decision.limit());
            let threshold = (limit as f64 * self.share).ceil().max(1.0) as u64;
            let used = limit.saturating_sub(decision.remaining().into());
            if used < threshold || used.saturating_sub(cost) >= threshold {
                continue;
            }
            if self.events.allow() {
                found(name, decision, self.skipped.swap(0, Ordering::Relaxed));
            } else {
                self.skipped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}
