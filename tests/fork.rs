//! Waiters are served in a forked child, which inherits the state of the timer thread but not the
//! thread. A separate binary with one test: no other test holds a lock while this test forks. The thread
//! of the test harness then waits for the test.
#![cfg(unix)]

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use brimful::{OwnedAcquire, Quota, RateLimiter};
use fork::{Fork, fork, waitpid_nohang};

/// The test fails after this time, instead of waiting for ever.
const PATIENCE: Duration = Duration::from_secs(20);

/// The calls of a waker, which may hold up the thread that wakes it.
#[derive(Default)]
struct Gate {
    state: Mutex<(bool, bool)>,
    changed: Condvar,
}

impl Gate {
    fn shut() -> Arc<Gate> {
        Arc::default()
    }

    fn open() -> Arc<Gate> {
        let gate = Gate::shut();
        gate.let_pass();
        gate
    }

    /// Lets threads pass that wake, now and later.
    fn let_pass(&self) {
        self.state.lock().unwrap().1 = true;
        self.changed.notify_all();
    }

    /// Waits until a thread wakes, and returns whether that was within [`PATIENCE`].
    fn wait_for_wake(&self) -> bool {
        let state = self.state.lock().unwrap();
        let (state, _) = self.changed.wait_timeout_while(state, PATIENCE, |(woken, _)| !*woken).unwrap();
        state.0
    }
}

impl Wake for Gate {
    fn wake(self: Arc<Self>) {
        let mut state = self.state.lock().unwrap();
        state.0 = true;
        self.changed.notify_all();
        drop(self.changed.wait_while(state, |(_, open)| !*open).unwrap());
    }
}

type Waiting = Pin<Box<OwnedAcquire>>;

fn poll(wait: &mut Waiting, gate: &Arc<Gate>) -> bool {
    match wait.as_mut().poll(&mut Context::from_waker(&Waker::from(gate.clone()))) {
        Poll::Ready(granted) => granted.is_ok(),
        Poll::Pending => false,
    }
}

/// Begins a wait of 5 ms, as a task does: only the timer thread serves it.
fn begin(gate: &Arc<Gate>) -> Waiting {
    loop {
        let limiter = Arc::new(RateLimiter::new(Quota::per_second(200).burst(1)));
        assert!(limiter.allow());
        let mut wait = Box::pin(limiter.acquire_n_owned(1));
        // If this thread was held up between the two calls, the token is there.
        if !poll(&mut wait, gate) {
            return wait;
        }
    }
}

fn is_served() -> bool {
    let gate = Gate::open();
    let mut wait = begin(&gate);
    gate.wait_for_wake() && poll(&mut wait, &gate)
}

/// Bug that was planted: the timer thread is started only if it runs in no process, instead of not in
/// this one.
#[test]
fn a_forked_child_starts_a_timer_thread() {
    // The thread runs, and stands in the waker: it holds no lock while this thread forks.
    let gate = Gate::shut();
    let mut wait = begin(&gate);
    assert!(gate.wait_for_wake(), "the thread serves the parent");
    let child = match fork().expect("the system forks") {
        Fork::Child => std::process::exit(i32::from(!is_served())),
        Fork::Parent(child) => child,
    };
    let start = Instant::now();
    let status = loop {
        if let Some(status) = waitpid_nohang(child).expect("it is a child") {
            break status;
        }
        assert!(start.elapsed() < 2 * PATIENCE, "the child ends");
        thread::sleep(Duration::from_millis(1));
    };
    assert_eq!(status, 0, "a wait in the child is served");
    gate.let_pass();
    assert!(poll(&mut wait, &gate), "the parent's wait was granted");
    assert!(is_served(), "the parent's thread goes on");
}
