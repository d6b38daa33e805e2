//! [`ProxyWatch`]: looks for a proxy that is not trusted.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use http::HeaderMap;

use super::finding::{Check, Finding};

/// As many requests are looked at.
const REQUESTS: u32 = 1_000;

/// Looks for forwarding headers in the first requests.
#[derive(Debug)]
pub(crate) struct ProxyWatch {
    /// The requests that will be looked at, about: a look more or less does not matter.
    left: AtomicU32,
    has_found: AtomicBool,
}

impl ProxyWatch {
    /// Looks only if the key ignores forwarding headers.
    pub(crate) fn new(is_needed: bool) -> Self {
        let left = if is_needed { REQUESTS } else { 0 };
        ProxyWatch { left: AtomicU32::new(left), has_found: AtomicBool::new(false) }
    }

    /// Looks at a request. Returns the first finding.
    #[inline]
    pub(crate) fn look(&self, headers: &HeaderMap) -> Option<Finding> {
        let left = self.left.load(Ordering::Relaxed);
        if left == 0 { None } else { self.look_at(left, headers) }
    }

    #[cold]
    fn look_at(&self, left: u32, headers: &HeaderMap) -> Option<Finding> {
        self.left.store(left - 1, Ordering::Relaxed);
        let is_forwarded = ["x-forwarded-for", "forwarded", "x-real-ip"].iter().any(|name| headers.contains_key(*name));
        if !is_forwarded || self.has_found.swap(true, Ordering::Relaxed) {
            return None;
        }
        self.finding()
    }

    pub(crate) fn finding(&self) -> Option<Finding> {
        let text = "a request came with a forwarding header, and the key is the address of the peer: if the server is behind a \
                    proxy, all clients share one bucket. Name the proxies with `ClientAddress::behind`, or say with \
                    `behind(TrustedProxies::none())` that there are none";
        self.has_found.load(Ordering::Relaxed).then(|| Finding::new(Check::ProxyNotTrusted, text))
    }
}
