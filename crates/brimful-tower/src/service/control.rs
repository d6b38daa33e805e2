//! [`Handle`]: settings that change at run time.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use http::Method;

use super::event::{Event, Events};
use super::exempt::Exempt;
use super::latest::Latest;
use super::places::Places;
use crate::checks::{Check, Finding, ProxyWatch};
use crate::key::RequestHead;

/// The settings that change at run time, the findings and the count. Every number and flag is read and written by
/// itself, so no ordering is needed.
#[derive(Debug)]
pub(super) struct Control {
    is_shadow: AtomicBool,
    would_refuse: AtomicU64,
    /// In nanoseconds: 584 years at most.
    longest_wait: AtomicU64,
    exempt: Latest<Exempt>,
    /// Of the requests that would wait, were it not for the shadow mode.
    pub(super) places: Places,
    pub(super) proxy: ProxyWatch,
    server_timeout: Option<Duration>,
    pub(super) events: Events,
    /// The findings of the time when the layer was built, which do not change.
    found: Vec<Finding>,
}

impl Control {
    pub(super) fn new(settings: Settings, found: Vec<Finding>) -> Self {
        Control {
            is_shadow: AtomicBool::new(settings.is_shadow),
            would_refuse: AtomicU64::new(0),
            longest_wait: AtomicU64::new(nanos(settings.longest_wait)),
            exempt: Latest::new(settings.exempt),
            places: Places::default(),
            proxy: ProxyWatch::default(),
            server_timeout: settings.server_timeout,
            events: settings.events,
            found,
        }
    }

    #[inline]
    pub(super) fn exempts(&self, head: &RequestHead<'_>) -> bool {
        self.exempt.get().covers(head)
    }

    #[inline]
    pub(super) fn is_shadow(&self) -> bool {
        self.is_shadow.load(Ordering::Relaxed)
    }

    #[inline]
    pub(super) fn longest_wait(&self) -> Duration {
        Duration::from_nanos(self.longest_wait.load(Ordering::Relaxed))
    }

    pub(super) fn count_would_refuse(&self) {
        self.would_refuse.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn checks(&self) -> Vec<Finding> {
        let mut findings = self.of_settings();
        findings.extend(self.proxy.finding().into_iter().chain(self.found.iter().cloned()));
        findings.sort_by_key(|finding| finding.check().code());
        findings
    }

    /// Returns the findings of the settings that change at run time.
    fn of_settings(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        if self.exempt.get().covers_all() {
            let text = "all requests are exempt, by their path or by their method: nothing is limited";
            findings.push(Finding::new(Check::AllExempt, text));
        }
        let longest = self.longest_wait();
        if let Some(timeout) = self.server_timeout.filter(|timeout| longest >= *timeout) {
            let text = format!(
                "a request can wait for {longest:?}, and the server's timeout is {timeout:?}: give `wait_up_to` less than that"
            );
            findings.push(Finding::new(Check::WaitTooLong, text));
        }
        findings
    }

    /// Changes a setting, and reports what is found then and was not before.
    fn change(&self, change: impl FnOnce(&Self)) {
        let before = self.of_settings();
        change(self);
        for finding in self.of_settings() {
            if before.iter().all(|old| old.check() != finding.check()) {
                self.events.report(&Event::Found { finding: &finding });
            }
        }
    }
}

impl Default for Control {
    fn default() -> Self {
        Control::new(Settings::default(), Vec::new())
    }
}

/// Above the range of a `u64`, the longest time of all.
fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// The first values of the settings.
#[derive(Debug, Default)]
pub(super) struct Settings {
    pub(super) is_shadow: bool,
    pub(super) longest_wait: Duration,
    pub(super) exempt: Exempt,
    pub(super) server_timeout: Option<Duration>,
    pub(super) events: Events,
}

/// Changes the settings of a layer while it serves requests, and reads what it has counted. Returned by
/// [`RateLimitLayer::handle`](crate::RateLimitLayer::handle).
///
/// It acts on all clones of the layer and of its services. It has the shadow mode, the longest wait and the exemptions. A
/// quota is changed at the limiter (`set_quota`), and the permits too (`resize`); a class at the limiter of the
/// [class](crate::Classes::limiter). All other settings stay as they were built.
///
/// A change is for the requests that come after it; one that comes at the same time may see the setting before it.
/// Requests read the settings without a lock.
///
/// # Examples
///
/// ```
/// use brimful::{Quota, RateLimiter};
/// use brimful_tower::RateLimitLayer;
/// use brimful_tower::key::Everyone;
/// use std::sync::Arc;
///
/// let limiter = Arc::new(RateLimiter::new(Quota::per_second(100)));
/// let layer = RateLimitLayer::builder(limiter, Everyone).shadow().build();
/// let handle = layer.handle();
/// println!("{} requests would have been refused", handle.would_refuse());
/// handle.set_shadow(false);
/// ```
#[derive(Clone)]
pub struct Handle(Arc<Control>);

impl Handle {
    pub(super) fn new(control: Arc<Control>) -> Self {
        Handle(control)
    }

    /// Returns whether the layer is in [shadow mode](crate::RateLimitLayerBuilder::shadow).
    #[must_use]
    pub fn is_shadow(&self) -> bool {
        self.0.is_shadow()
    }

    /// Begins or ends the [shadow mode](crate::RateLimitLayerBuilder::shadow).
    pub fn set_shadow(&self, is_shadow: bool) {
        self.0.is_shadow.store(is_shadow, Ordering::Relaxed);
    }

    /// Returns the number of requests that were admitted by the [shadow mode](crate::RateLimitLayerBuilder::shadow) alone,
    /// since the layer was built.
    #[must_use]
    pub fn would_refuse(&self) -> u64 {
        self.0.would_refuse.load(Ordering::Relaxed)
    }

    /// Returns the [longest wait](crate::RateLimitLayerBuilder::wait_up_to).
    #[must_use]
    pub fn longest_wait(&self) -> Duration {
        self.0.longest_wait()
    }

    /// Changes the [longest wait](crate::RateLimitLayerBuilder::wait_up_to). Requests that wait already keep theirs.
    pub fn set_longest_wait(&self, longest: Duration) {
        self.0.change(|control| control.longest_wait.store(nanos(longest), Ordering::Relaxed));
    }

    /// Replaces the exempt [methods](crate::RateLimitLayerBuilder::exempt_methods) and
    /// [paths](crate::RateLimitLayerBuilder::exempt_paths).
    ///
    /// The lists that were replaced stay in memory as long as the layer, because requests read them without a lock. So do not
    /// call this for each request.
    pub fn set_exempt<'a>(&self, methods: impl IntoIterator<Item = Method>, paths: impl IntoIterator<Item = &'a str>) {
        let mut exempt = Exempt::default();
        exempt.methods(methods);
        paths.into_iter().for_each(|path| exempt.path(path));
        self.0.change(|control| control.exempt.set(exempt));
    }

    /// Returns the [findings](crate::checks) of the current settings, and of the requests until now.
    #[must_use]
    pub fn checks(&self) -> Vec<Finding> {
        self.0.checks()
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle")
            .field("is_shadow", &self.is_shadow())
            .field("would_refuse", &self.would_refuse())
            .field("longest_wait", &self.longest_wait())
            .finish_non_exhaustive()
    }
}
