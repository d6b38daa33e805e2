//! One limiter with many owners: a `static`, an `Arc`, a reference in scoped threads.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock};
use std::thread;

use brimful::{KeyedRateLimiter, MockClock, Quota, QuotaTextError, RateLimiter, TryAcquireError, quota};

const THREADS: u32 = 4;
const CALLS: u32 = 1_000;

/// Less than all calls ask for. No token is earned while a test runs.
const BURST: u32 = 1_500;
const SLOW: Quota = quota!("1/day burst 1500");

/// The number of calls that all threads are admitted together.
fn admitted(allow: impl Fn() -> bool + Sync) -> u32 {
    let admitted = AtomicU32::new(0);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let mine = (0..CALLS).filter(|_| allow()).count() as u32;
                admitted.fetch_add(mine, Ordering::Relaxed);
            });
        }
    });
    admitted.into_inner()
}

#[test]
fn a_static_needs_no_initialisation() {
    static LIMITER: RateLimiter = RateLimiter::new(SLOW);
    assert_eq!(admitted(|| LIMITER.allow()), BURST);
}

#[test]
fn a_lazy_static_of_keys() {
    static LIMITER: LazyLock<KeyedRateLimiter<u32>> = LazyLock::new(|| KeyedRateLimiter::new(SLOW));
    assert_eq!(admitted(|| LIMITER.allow(&7)), BURST);
    assert_eq!(admitted(|| LIMITER.allow(&8)), BURST);
}

#[test]
fn scoped_threads_borrow_it() {
    let limiter = RateLimiter::new(SLOW);
    let keyed = KeyedRateLimiter::<str>::new(SLOW);
    assert_eq!(admitted(|| limiter.allow()), BURST);
    assert_eq!(admitted(|| keyed.allow("ann")), BURST);
}

#[test]
fn an_arc_goes_into_threads() {
    let limiter = Arc::new(RateLimiter::new(SLOW));
    let threads = (0..THREADS).map(|_| {
        let limiter = limiter.clone();
        thread::spawn(move || (0..CALLS).filter(|_| limiter.allow()).count() as u32)
    });
    let threads: Vec<_> = threads.collect();
    assert_eq!(threads.into_iter().map(|thread| thread.join().unwrap()).sum::<u32>(), BURST);
}

#[test]
fn fields_of_a_struct_that_is_sent_and_shared() {
    struct Tenant {
        limiter: RateLimiter<MockClock>,
        by_user: KeyedRateLimiter<String, MockClock>,
    }
    fn shared<T: Send + Sync + 'static>(value: T) -> T {
        value
    }
    let clock = MockClock::new();
    let tenant = |_| Tenant {
        limiter: RateLimiter::with_clock(SLOW, clock.clone()),
        by_user: KeyedRateLimiter::with_clock(SLOW, clock.clone()),
    };
    let tenants: HashMap<u32, Tenant> = shared((0..3).map(|id| (id, tenant(id))).collect());
    assert_eq!(admitted(|| tenants[&1].limiter.allow() && tenants[&1].by_user.allow("ann")), BURST);
    assert!(tenants[&2].limiter.allow());
}

/// Errors convert with `?` into the usual error types.
#[test]
fn errors_go_where_errors_go() {
    fn boxed() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let limiter = RateLimiter::new("1/day".parse()?);
        limiter.try_acquire()?;
        limiter.try_acquire()?;
        Ok(())
    }
    let error = boxed().unwrap_err();
    assert!(matches!(error.downcast_ref(), Some(TryAcquireError::RateLimited(_))), "{error}");
    fn in_a_constant() -> Result<Quota, QuotaTextError> {
        Quota::const_parse("1/month")
    }
    assert!(in_a_constant().is_err());
}
