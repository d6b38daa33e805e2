//! Clocks that are wrong: those of the processes do not matter, and a server's clock that steps grants no more than its
//! bound.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use brimful::Quota;
use brimful_redis::RedisRateLimiter;

use crate::processes::{Node, together};
use crate::server::{Server, path, server, time};

const HOUR: i64 = 3_600;

/// A clock of other processes, which steps when a test says so.
struct Clock {
    shim: PathBuf,
    shift: PathBuf,
}

impl Clock {
    /// Returns a clock that is off by this number of seconds; `None` if there is no C compiler.
    fn new(seconds: i64) -> Option<Clock> {
        let at = path("clock");
        let clock = Clock { shim: at.with_extension("so"), shift: at.with_extension("shift") };
        clock.step(seconds);
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/clock.c");
        match Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&clock.shim).arg(source).status() {
            Ok(status) => assert!(status.success(), "clock.c does not build: install the C library's headers"),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                eprintln!("SKIPPED: no `cc` on the path: install a C compiler (Debian: apt install gcc libc6-dev)");
                return None;
            }
            Err(error) => panic!("cc does not start: {error}"),
        }
        Some(clock)
    }

    fn step(&self, seconds: i64) {
        std::fs::write(&self.shift, seconds.to_ne_bytes()).unwrap();
    }

    /// Returns the environment of a process that has this clock.
    fn variables(&self) -> [(&str, &str); 2] {
        [("LD_PRELOAD", self.shim.to_str().unwrap()), ("BRIMFUL_CLOCK", self.shift.to_str().unwrap())]
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        for file in [&self.shim, &self.shift] {
            let _ = std::fs::remove_file(file);
        }
    }
}

/// One process is an hour behind, and one an hour ahead.
#[tokio::test(flavor = "multi_thread")]
async fn processes_whose_clocks_are_hours_apart() {
    let server = server!();
    let Some(clocks) = [-HOUR, 0, HOUR].into_iter().map(Clock::new).collect::<Option<Vec<_>>>() else { return };
    for (mode, more) in [("direct", 0), ("leased", 600)] {
        let mut connection = server.connection().await;
        let _: () = redis::cmd("FLUSHALL").query_async(&mut connection).await.unwrap();
        let start =
            |clock: &Clock| Node::start(&server, mode, Duration::from_secs(1), Duration::ZERO, &clock.variables());
        let mut nodes: Vec<Node> = clocks.iter().map(start).collect();
        let (results, begun) = together(&server, &mut nodes).await;
        let now = time(&mut connection).await;
        let admitted: u64 = results.iter().map(|result| result.granted).sum();
        let end = results.iter().map(|result| result.end).max().unwrap();
        let bound = 1_000 + 10_000 * (end - begun) / 1_000_000 + more;
        let shifts = results.iter().map(|result| result.own as f64 / 1e6 - now as f64 / 1e6);
        let shifts: Vec<i64> = shifts.map(|seconds| seconds.round() as i64).collect();
        println!("{mode}: clocks that are {shifts:?} s off: {admitted} granted, at most {bound}; {results:?}");
        assert!(shifts[0] < -3_000 && shifts[2] > 3_000, "{shifts:?}");
        assert!(admitted <= bound, "{admitted} > {bound}");
        // All were served, whatever their clocks say.
        assert!(results.iter().all(|result| result.granted > 0), "{results:?}");
    }
}

/// The clock of the server steps an hour ahead, and back.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_whose_clock_steps() {
    const BURST: u32 = 500;
    const RATE: u32 = 10;
    let Some(clock) = Clock::new(0) else { return };
    let Some(server) = Server::start_in(&clock.variables(), &[]) else { return };
    let mut connection = server.connection().await;
    let quota = Quota::per_second(RATE).burst(BURST);
    let builder = RedisRateLimiter::<str>::builder(quota).deadline(Duration::from_secs(20));
    let limiter = builder.build(server.store().await).unwrap();
    let begun = std::time::Instant::now();
    let take_all = async |key: &str| {
        let mut admitted = 0;
        let refused = loop {
            match limiter.try_acquire(key).await {
                Ok(()) => admitted += 1,
                Err(refused) => break refused,
            }
        };
        (admitted, refused.retry_after().unwrap())
    };
    let before = time(&mut connection).await;
    let (first, _) = take_all("k").await;
    clock.step(HOUR);
    let ahead = time(&mut connection).await - before;
    assert!(ahead >= HOUR as u64 * 1_000_000, "{ahead}");
    let (second, _) = take_all("k").await;
    clock.step(0);
    assert!(time(&mut connection).await < before + ahead);
    let (third, wait) = take_all("k").await;
    let (other, _) = take_all("another").await;
    clock.step(HOUR);
    // The key goes on where it was, an hour later.
    tokio::time::sleep(Duration::from_millis(200)).await;
    let (last, _) = take_all("k").await;
    let passed = begun.elapsed();
    let earned = (f64::from(RATE) * passed.as_secs_f64()).ceil() as u32;
    println!(
        "{first} granted, an hour ahead {second}, back {third} (the next after {wait:?}), another key {other}, ahead again \
         {last}; at most {BURST} each, and {earned} in {passed:?}"
    );
    assert!(first >= BURST && second >= BURST && first + second + last <= 2 * BURST + earned);
    // Back again, the clock stands still for the key until it has caught up. Other keys are not concerned.
    assert!(third == 0 && wait.as_secs() > 1_800, "{third}, {wait:?}");
    assert!(other >= BURST);
}
