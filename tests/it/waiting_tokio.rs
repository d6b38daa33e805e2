//! Waiting in tokio runtimes.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use brimful::{Clock, KeyedRateLimiter, MockClock, Quota, RateLimiter, TokioTimer};
use tokio::runtime::{Builder, Runtime};
use tokio::time::Instant;

use crate::waiting::poll;

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_time().build().expect("a runtime")
}

fn paused() -> Runtime {
    Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime")
}

fn limiter() -> Arc<RateLimiter> {
    limiter_of(Quota::per_second(200).burst(1))
}

fn limiter_of(quota: Quota) -> Arc<RateLimiter> {
    Arc::new(RateLimiter::builder().quota(quota).timer(TokioTimer::new).build().expect("a quota"))
}

/// A user's clock that follows tokio's time.
#[derive(Clone)]
struct TokioClock(Instant);

impl TokioClock {
    fn new() -> Self {
        TokioClock(Instant::now())
    }
}

impl Clock for TokioClock {
    fn now(&self) -> u64 {
        u64::try_from(self.0.elapsed().as_nanos()).expect("a test takes less than 584 years")
    }
}

const MINUTE: Duration = Duration::from_secs(60);

/// A limiter of one token per minute of tokio's time.
fn by_the_minute() -> Arc<RateLimiter<TokioClock>> {
    let builder = RateLimiter::builder().quota(Quota::per_minute(1).burst(1)).clock(TokioClock::new());
    Arc::new(builder.timer(TokioTimer::new).build().expect("a quota"))
}

/// Whether `elapsed` is this number of minutes, rounded up to tokio's milliseconds.
fn is_minutes(minutes: u32, elapsed: Duration) -> bool {
    (MINUTE * minutes..MINUTE * minutes + Duration::from_millis(2)).contains(&elapsed)
}

#[test]
fn a_mock_clock_drives_tasks_while_tokios_time_is_paused() {
    paused().block_on(async {
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
fn a_waiter_elsewhere_outlives_a_runtime() {
    let limiter = limiter();
    assert!(limiter.allow());
    let first = runtime();
    // The timer belongs to the first runtime, which ends.
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

/// Runs in a separate process, because it checks that nothing is written to the standard error. A
/// panic writes to it, even if the panic is caught.
#[test]
fn a_runtime_needs_no_time_driver() {
    const CHILD: &str = "BRIMFUL_NO_TIME_DRIVER";
    if std::env::var_os(CHILD).is_none() {
        let this = ["--exact", "waiting_tokio::a_runtime_needs_no_time_driver", "--nocapture"];
        let program = std::env::current_exe().expect("this program");
        let child = Command::new(program).args(this).env(CHILD, "1").output().expect("a child");
        let (output, errors) = (String::from_utf8_lossy(&child.stdout), String::from_utf8_lossy(&child.stderr));
        assert!(child.status.success() && output.contains("1 passed"), "{output}");
        assert_eq!(errors, "");
        return;
    }
    let waits = async |limiter: &RateLimiter| {
        for _ in 0..3 {
            limiter.acquire().await.expect("nothing is refused");
        }
    };
    let bare = || Builder::new_current_thread().build().expect("a runtime");
    let limiter = limiter();
    // With and without tasks, from one runtime to another, and on a thread within a runtime.
    bare().block_on(waits(&limiter));
    let last = bare();
    let task = {
        let limiter = limiter.clone();
        last.spawn(async move { waits(&limiter).await })
    };
    last.block_on(task).expect("no task fails");
    {
        let _within = last.enter();
        assert!((0..3).all(|_| limiter.acquire_blocking().is_ok()));
    }
    runtime().block_on(waits(&limiter));
    last.block_on(waits(&limiter));
    let keyed = KeyedRateLimiter::<u8>::builder().quota(Quota::per_second(200).burst(1)).timer(TokioTimer::new);
    let keyed = keyed.build().expect("a quota");
    last.block_on(async {
        for key in [1, 2, 1, 2] {
            keyed.acquire(&key).await.expect("nothing is refused");
        }
    });
}

#[test]
fn a_runtime_that_is_not_driven_strands_no_waiter() {
    let limiter = limiter();
    let idle = runtime();
    // The timer belongs to a runtime that is kept, but no longer driven.
    let is_waiting = idle.block_on(async {
        assert!(limiter.allow());
        let mut wait = limiter.acquire_n_owned(1);
        poll(&mut wait).is_none()
    });
    assert!(is_waiting);
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

/// Asserts that `waits` leave at most one task in a runtime that is kept, but no longer driven.
fn tasks_left_by(waits: impl FnOnce(&Runtime) + Send) {
    let idle = runtime();
    std::thread::scope(|scope| {
        scope.spawn(|| waits(&idle)).join().expect("no thread fails");
    });
    assert!(idle.metrics().num_alive_tasks() <= 1, "{} tasks", idle.metrics().num_alive_tasks());
    // When the runtime is driven again, that task ends too.
    idle.block_on(async {
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
    });
    assert_eq!(idle.metrics().num_alive_tasks(), 0);
}

const FAST: Quota = Quota::per_second(2_000).burst(1);

#[test]
fn waits_leave_one_task_in_a_runtime_that_is_not_driven() {
    tasks_left_by(|idle| {
        let limiter = limiter_of(FAST);
        idle.block_on(async {
            assert!(limiter.allow());
            let mut wait = limiter.acquire_n_owned(1);
            assert!(poll(&mut wait).is_none());
        });
        assert!((0..200).all(|_| limiter.acquire_blocking().is_ok()));
    });
}

#[test]
fn waits_within_a_runtime_that_is_not_driven_leave_one_task() {
    tasks_left_by(|idle| {
        let _within = idle.enter();
        let limiter = limiter_of(FAST);
        assert!((0..200).all(|_| limiter.acquire_blocking().is_ok()));
    });
}

#[test]
fn waits_by_key_leave_one_task() {
    tasks_left_by(|idle| {
        let _within = idle.enter();
        let keyed = KeyedRateLimiter::<u32>::builder().quota(FAST).timer(TokioTimer::new).build().expect("a quota");
        for key in 0..100 {
            assert!((0..3).all(|_| keyed.key(&key).acquire_blocking().is_ok()));
        }
    });
}

#[test]
fn many_limiters_leave_one_task() {
    tasks_left_by(|idle| {
        let _within = idle.enter();
        for _ in 0..100 {
            let limiter = limiter_of(FAST);
            assert!((0..3).all(|_| limiter.acquire_blocking().is_ok()));
        }
    });
}

#[test]
fn two_runtimes_in_turns_leave_one_task_each() {
    let other = runtime();
    tasks_left_by(|idle| {
        let limiter = limiter_of(FAST);
        for _ in 0..50 {
            for runtime in [idle, &other] {
                let _within = runtime.enter();
                assert!((0..3).all(|_| limiter.acquire_blocking().is_ok()));
            }
        }
    });
    assert!(other.metrics().num_alive_tasks() <= 1);
}

#[test]
fn waits_that_are_given_up_leave_no_task() {
    let runtime = paused();
    runtime.block_on(async {
        let limiter = by_the_minute();
        assert!(limiter.allow());
        let mut wait = limiter.acquire_n_owned(1);
        assert!(poll(&mut wait).is_none());
        assert_eq!(runtime.metrics().num_alive_tasks(), 1);
        drop((wait, limiter));
        for _ in 0..3 {
            tokio::task::yield_now().await;
        }
        assert_eq!(runtime.metrics().num_alive_tasks(), 0);
    });
}

#[test]
fn paused_time_advances_to_those_who_wait_by_it() {
    paused().block_on(async {
        let limiter = by_the_minute();
        let began = Instant::now();
        for minute in 0..60 {
            limiter.acquire().await.expect("nothing is refused");
            assert!(is_minutes(minute, began.elapsed()), "{minute}: {:?}", began.elapsed());
        }
    });
}

#[test]
fn tokios_sleeps_and_waits_take_turns_in_paused_time() {
    paused().block_on(async {
        let limiter = by_the_minute();
        let tasks: Vec<_> = (0..4)
            .map(|_| {
                let limiter = limiter.clone();
                tokio::spawn(async move { limiter.acquire().await.expect("nothing is refused").granted_at() })
            })
            .collect();
        // At the minutes 0, 1, 2 and 3.
        for served in 1..=4 {
            tokio::time::sleep(MINUTE / 2).await;
            assert_eq!(tasks.iter().filter(|task| task.is_finished()).count(), served);
            tokio::time::sleep(MINUTE / 2).await;
        }
        for (minute, task) in (0..).zip(tasks) {
            assert!(is_minutes(minute, Duration::from_nanos(task.await.expect("no task fails"))));
        }
    });
}

#[test]
fn a_timeout_of_tokios_ends_a_longer_wait_in_paused_time() {
    paused().block_on(async {
        let limiter = by_the_minute();
        let began = Instant::now();
        assert!(limiter.allow());
        assert!(tokio::time::timeout(MINUTE / 4, limiter.acquire()).await.is_err());
        assert!(began.elapsed() < MINUTE / 2, "{:?}", began.elapsed());
        // A cancelled wait is not an instant to advance to.
        tokio::time::sleep(MINUTE / 4).await;
        assert!(began.elapsed() < MINUTE, "{:?}", began.elapsed());
        assert!(tokio::time::timeout(MINUTE, limiter.acquire()).await.is_ok());
        assert!(is_minutes(1, began.elapsed()), "{:?}", began.elapsed());
    });
}

#[test]
fn time_that_is_advanced_by_hand_serves_those_who_wait_by_it() {
    paused().block_on(async {
        let limiter = by_the_minute();
        assert!(limiter.allow());
        let waiting = {
            let limiter = limiter.clone();
            tokio::spawn(async move { limiter.acquire().await })
        };
        // As long as the main task is not idle, only these calls advance the time.
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        assert!(!waiting.is_finished());
        tokio::time::advance(MINUTE + Duration::from_millis(1)).await;
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        assert!(waiting.is_finished());
    });
}

#[test]
fn time_may_be_paused_after_the_first_waits_and_resumed() {
    runtime().block_on(async {
        let clock = TokioClock::new();
        let builder = RateLimiter::builder().quota(Quota::per_second(200).burst(1)).clock(clock.clone());
        let limiter = builder.timer(TokioTimer::new).build().expect("a quota");
        for _ in 0..3 {
            assert!((limiter.acquire().await.is_ok(), limiter.acquire().await.is_ok()) == (true, true));
            tokio::time::pause();
            let began = Instant::now();
            for _ in 0..200 {
                limiter.acquire().await.expect("nothing is refused");
            }
            let took = began.elapsed();
            assert!((Duration::from_millis(990)..Duration::from_millis(1_210)).contains(&took), "{took:?}");
            tokio::time::resume();
        }
    });
}

#[test]
fn paused_time_advances_to_those_who_wait_by_key() {
    paused().block_on(async {
        let builder = KeyedRateLimiter::<u32>::builder().quota(Quota::per_minute(1).burst(1)).clock(TokioClock::new());
        let keyed = builder.timer(TokioTimer::new).build().expect("a quota");
        let began = Instant::now();
        for minute in 0..10 {
            for key in 0..5 {
                keyed.acquire(&key).await.expect("nothing is refused");
            }
            assert!(is_minutes(minute, began.elapsed()), "{minute}: {:?}", began.elapsed());
        }
    });
}

#[test]
fn a_clock_in_real_time_is_served_without_tokios_and_leaves_it_alone() {
    paused().block_on(async {
        let (limiter, began) = (limiter(), Instant::now());
        for _ in 0..5 {
            limiter.acquire().await.expect("nothing is refused");
        }
        assert_eq!(began.elapsed(), Duration::ZERO);
    });
}
