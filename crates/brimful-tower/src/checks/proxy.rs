//! [`ProxyWatch`]: looks for a proxy that is not trusted.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use super::finding::{Check, Finding};
use crate::key::RequestHead;

/// As many requests are looked at.
const REQUESTS: u32 = 1_000;

/// Looks for forwarding headers in the first requests.
#[derive(Debug)]
pub(crate) struct ProxyWatch {
    /// The requests that will be looked at, about: a look more or less does not matter.
    left: AtomicU32,
    has_found: AtomicBool,
}

impl Default for ProxyWatch {
    fn default() -> Self {
        ProxyWatch { left: AtomicU32::new(REQUESTS), has_found: AtomicBool::new(false) }
    }
}

impl ProxyWatch {
    /// Looks at a request, whose key may ignore forwarding headers. Returns the first finding.
    #[inline]
    pub(crate) fn look(&self, head: &RequestHead<'_>, is_ignored: impl FnOnce() -> bool) -> Option<Finding> {
        let left = self.left.load(Ordering::Relaxed);
        if left == 0 { None } else { self.look_at(left, head, is_ignored) }
    }

    #[cold]
    fn look_at(&self, left: u32, head: &RequestHead<'_>, is_ignored: impl FnOnce() -> bool) -> Option<Finding> {
        self.left.store(left - 1, Ordering::Relaxed);
        let names = ["x-forwarded-for", "forwarded", "x-real-ip"];
        let is_forwarded = names.iter().any(|name| head.headers.contains_key(*name));
        if !is_forwarded || !is_ignored() || self.has_found.swap(true, Ordering::Relaxed) {
            return None;
        }
        self.finding()
    }

    pub(crate) fn finding(&self) -> Option<Finding> {
        let text = "a request came with a forwarding header, and its key is the address of the peer: if the server is behind a \
                    proxy that it does not trust, or that writes another header than the one that is read, all clients \
                    share one bucket. Name all proxies with `ClientAddress::behind`, and their header with \
                    `TrustedProxies::header`; or say with `behind(TrustedProxies::none())` that there are none";
        self.has_found.load(Ordering::Relaxed).then(|| Finding::new(Check::ProxyNotTrusted, text))
    }
}
