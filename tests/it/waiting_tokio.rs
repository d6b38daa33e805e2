//! Waiting in tokio's runtimes.

use std::sync::Arc;
use std::time::Duration;

use brimful::{MockClock, Quota, RateLimiter, TokioTimer};
use tokio::runtime::{Builder, Runtime};

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_time().build().expect("a runtime")
}

fn limiter() -> Arc<RateLimiter> {
    let builder = RateLimiter::builder().quota(Quota::per_second(200).burst(1)).timer(TokioTimer::new);
    Arc::new(builder.build().expect("a quota"))
}

#[test]
fn a_mock_clock_drives_tasks_while_tokios_time_is_paused() {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime");
    runtime.block_on(async {
        let clock = MockClock::new();
        let limiter = Arc::new(RateLimiter::with_clock(Quota::per_minute(1), clock.clone()));
        assert!(limiter.allow());
        let tasks: Vec<_> = (0..60)
            .map(|_| {
                let limiter = limiter.clone();
                tokio::spawn(async move { limiter.acquire().await.expect("nothing is refused").granted_at() })
            })
            .collect();
        while limiter.waiters() < 60 {
            tokio::task::yield_now().await;
        }
        clock.advance(Duration::from_secs(3_600));
        for (minute, task) in (1..).zip(tasks) {
            assert_eq!(task.await.expect("no task fails"), minute * 60_000_000_000);
        }
    });
}

#[test]
fn its_timer_serves_tasks() {
    let limiter = limiter();
    runtime().block_on(async {
        let mut grants = Vec::new();
        for _ in 0..5 {
            grants.push(limiter.acquire().await.expect("nothing is refused").granted_at());
        }
        assert!(grants.windows(2).all(|pair| pair[1] - pair[0] >= 5_000_000), "{grants:?}");
    });
}

#[test]
fn threads_are_served_without_a_runtime() {
    let limiter = limiter();
    assert!((0..3).all(|_| limiter.acquire_blocking().is_ok()));
}

#[test]
fn who_waits_elsewhere_outlives_a_runtime() {
    let limiter = limiter();
    assert!(limiter.allow());
    let first = runtime();
    // The timer lives in the first runtime, which ends.
    let waiting = {
        let limiter = limiter.clone();
        first.spawn(async move { limiter.acquire().await })
    };
    first.block_on(async {
        while limiter.waiters() == 0 {
            tokio::task::yield_now().await;
        }
    });
    let second = {
        let limiter = limiter.clone();
        std::thread::spawn(move || limiter.acquire_blocking())
    };
    while limiter.waiters() < 2 {
        std::thread::yield_now();
    }
    drop(first);
    drop(waiting);
    assert!(second.join().expect("no thread fails").is_ok());
}

#[test]
fn a_runtime_without_time_is_none() {
    let limiter = limiter();
    let runtime = Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        assert!(limiter.acquire().await.is_ok() && limiter.acquire().await.is_ok());
    });
}

#[test]
fn a_runtime_that_nobody_drives_strands_nobody() {
    let limiter = limiter();
    let idle = runtime();
    // Its timer lives in a runtime that is kept, and not run any longer.
    let timed_out = idle.block_on(async {
        assert!(limiter.allow());
        let mut wait = limiter.acquire_n_owned(1);
        crate::waiting::poll(&mut wait).is_none()
    });
    assert!(timed_out);
    assert!((0..3).all(|_| limiter.acquire_blocking().is_ok()));
    let other = runtime();
    assert!(other.block_on(async { limiter.acquire().await.is_ok() && limiter.acquire().await.is_ok() }));
    drop(idle);
}

#[test]
fn a_thread_may_wait_within_a_runtime() {
    let limiter = limiter();
    runtime().block_on(async { assert!((0..3).all(|_| limiter.acquire_blocking().is_ok())) });
}

#[test]
fn waits_that_are_given_up_leave_no_task() {
    let runtime = runtime();
    runtime.block_on(async {
        let limiter = Arc::new(
            RateLimiter::builder().quota(Quota::per_hour(1).burst(1)).timer(TokioTimer::new).build().expect("a quota"),
        );
        assert!(limiter.allow());
        let mut wait = limiter.acquire_n_owned(1);
        assert!(crate::waiting::poll(&mut wait).is_none());
        assert_eq!(runtime.metrics().num_alive_tasks(), 1);
        drop((wait, limiter));
        tokio::task::yield_now().await;
        assert_eq!(runtime.metrics().num_alive_tasks(), 0);
    });
}
