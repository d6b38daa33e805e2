//! [`SharedPermit`].

use std::fmt;
use std::sync::Arc;

use tokio::sync::oneshot;
use tokio::time::timeout_at;

use super::keeper::{Exit, Gone};
use super::lease::{Held, Lease};
use crate::shared::Source;

/// A permit for one call in flight, among those of many processes. It is released when it is dropped, also by a panic.
///
/// The store holds it by a lease, which this process renews in the background while the permit lives. The drop sends the
/// release to that task and does not wait for it; [`release`](SharedPermit::release) waits. If the release is lost, or the
/// process ends, the permit is free when its lease ends.
///
/// # A lease that is lost
///
/// A permit is lost if its lease was not renewed in time, because the store was away or this process was paused, or if the
/// store has lost its data. [`is_valid`](SharedPermit::is_valid) and [`lost`](SharedPermit::lost) report it. They are
/// certain by this process's own clock, without a request: the lease of a valid permit has not ended, unless the store has
/// lost its data or its clock was set forward. But between a look and what follows it, a process may be paused, and then
/// another holder may be there. A resource that must not be used by both can guard itself: send it the
/// [`fence`](SharedPermit::fence), and let it refuse a lower number than it has seen.
#[must_use = "dropping a permit releases it at once"]
pub struct SharedPermit {
    lease: Arc<Lease>,
    held: Arc<Held>,
    exit: Exit,
    is_released: bool,
}

impl SharedPermit {
    pub(super) fn new(lease: Arc<Lease>, held: Arc<Held>, exit: Exit) -> Self {
        SharedPermit { lease, held, exit, is_released: false }
    }

    /// Returns the origin of the permit: the store, or the [policy](crate::FailurePolicy), whose permits have no lease.
    #[must_use]
    pub fn source(&self) -> Source {
        if self.lease.fence.is_some() { Source::Store } else { Source::Policy }
    }

    /// Returns the fencing number: that of each permit of a key is above those of all permits that were granted before,
    /// as long as the store keeps its data or its clock runs forward. It is `None` if the policy granted the permit.
    #[must_use]
    pub fn fence(&self) -> Option<u64> {
        self.lease.fence
    }

    /// Returns whether the lease goes on. A permit that was lost stays lost. A permit of the policy is always valid.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.lease.is_valid()
    }

    /// Completes when the permit is lost, so that its holder can stop.
    ///
    /// # Cancel safety
    ///
    /// A dropped future changes nothing.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn run(permit: brimful_redis::SharedPermit, work: impl Future<Output = ()>) {
    /// tokio::select! {
    ///     () = work => {}
    ///     () = permit.lost() => println!("another process may hold the permit: stopped"),
    /// }
    /// # }
    /// ```
    pub async fn lost(&self) {
        loop {
            // A change after this counts.
            let changed = self.lease.changed.notified();
            if !self.is_valid() {
                return;
            }
            match self.lease.end() {
                Some(end) => _ = timeout_at(end, changed).await,
                None => changed.await,
            }
        }
    }

    /// Releases the permit, and waits until the store has confirmed it. Returns `false` if it has not: then the permit is
    /// free when its lease ends. Before the end of a process, for instance.
    ///
    /// # Cancel safety
    ///
    /// The permit is released all the same.
    pub async fn release(mut self) -> bool {
        let (sender, confirmed) = oneshot::channel();
        self.send(Some(sender));
        self.source() == Source::Policy || confirmed.await.is_ok()
    }

    fn send(&mut self, confirmed: Option<oneshot::Sender<()>>) {
        if std::mem::replace(&mut self.is_released, true) {
            return;
        }
        self.held.remove(&self.lease);
        if self.lease.fence.is_some() {
            // Without a keeper, because the runtime has ended, the lease ends by itself.
            let _ = self.exit.send(Gone { key: self.lease.key.clone(), id: self.lease.id, confirmed });
        }
    }
}

impl Drop for SharedPermit {
    fn drop(&mut self) {
        self.send(None);
    }
}

impl fmt::Debug for SharedPermit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedPermit")
            .field("key", &self.lease.key)
            .field("fence", &self.fence())
            .finish_non_exhaustive()
    }
}
