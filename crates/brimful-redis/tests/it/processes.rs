//! Three processes that share one limit.
//!
//! They share it for 5 seconds, or for as long as `BRIMFUL_SHARED_SECONDS` says. Then the lower end of the bound is asserted
//! too, which a machine that other work keeps busy may miss.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use brimful::Quota;
use brimful_redis::{LeasedRateLimiter, RedisRateLimiter, RedisStore, SharedError};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::server::{Server, server, time};

/// The variable with the task of a process of a test.
const NODE: &str = "BRIMFUL_NODE";

const RATE: u32 = 10_000;
const BURST: u32 = 1_000;
const BATCH: u32 = 200;

/// Held by a test that keeps all processors busy.
static BUSY: Mutex<()> = Mutex::const_new(());

/// The result of a process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Granted {
    pub(crate) granted: u64,
    pub(crate) calls: u64,
    /// The time of the server's clock at the end.
    pub(crate) end: u64,
    /// The time of the process's own clock at the end, in microseconds since 1970.
    pub(crate) own: u64,
}

/// A process that shares a limit.
pub(crate) struct Node {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Node {
    /// Starts a process that asks by this mode for so long, and pauses after each call; with these variables in its
    /// environment.
    pub(crate) fn start(server: &Server, mode: &str, length: Duration, pause: Duration, env: &[(&str, &str)]) -> Node {
        let task = format!("{} {mode} {} {}", server.url(), length.as_millis(), pause.as_millis());
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "processes::a_process_that_another_test_starts", "--nocapture"]).env(NODE, task);
        command.envs(env.iter().copied()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut node = Node { lines: BufReader::new(child.stdout.take().unwrap()), child };
        assert_eq!(node.line(), "ready");
        node
    }

    /// Returns what the process writes.
    fn line(&mut self) -> String {
        loop {
            let mut line = String::new();
            assert!(self.lines.read_line(&mut line).unwrap() > 0, "the process has ended");
            // The test harness writes too, also on the same line.
            if let Some((_, written)) = line.trim_end().split_once("node: ") {
                return written.to_owned();
            }
        }
    }

    pub(crate) fn go(&mut self) {
        writeln!(self.child.stdin.as_mut().unwrap(), "go").unwrap();
    }

    pub(crate) fn end(&mut self) -> Granted {
        let line = self.line();
        let numbers: Vec<u64> = line.split(' ').map(|number| number.parse().unwrap()).collect();
        let [granted, calls, end, own] = numbers[..] else { panic!("{line}") };
        assert!(self.child.wait().unwrap().success());
        Granted { granted, calls, end, own }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Lets processes ask at the same time. Returns their results, and the time of the server's clock before.
pub(crate) async fn together(server: &Server, nodes: &mut [Node]) -> (Vec<Granted>, u64) {
    let begun = time(&mut server.connection().await).await;
    nodes.iter_mut().for_each(Node::go);
    (nodes.iter_mut().map(Node::end).collect(), begun)
}

/// A process of the other tests. Without one of them it does nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_another_test_starts() {
    let Ok(task) = std::env::var(NODE) else { return };
    let [url, mode, length, pause] = task.split(' ').collect::<Vec<_>>()[..] else { panic!("{task}") };
    let [length, pause] = [length, pause].map(|millis| Duration::from_millis(millis.parse().unwrap()));
    let store = RedisStore::connect(url).await.unwrap();
    let builder = RedisRateLimiter::<str>::builder(Quota::per_second(RATE).burst(BURST));
    let builder = builder.deadline(Duration::from_secs(20));
    let limiter = Arc::new(match mode {
        "direct" => Limiter::Direct(Box::new(builder.build(store).unwrap())),
        _ => Limiter::Leased(builder.leased().max_batch(BATCH).build(store).unwrap()),
    });
    println!("node: ready");
    let mut go = String::new();
    std::io::stdin().read_line(&mut go).unwrap();
    let until = Instant::now() + length;
    let tasks = if pause.is_zero() { 8 } else { 1 };
    let tasks: Vec<_> = (0..tasks).map(|_| tokio::spawn(ask(limiter.clone(), until, pause))).collect();
    let (mut granted, mut calls) = (0, 0);
    for task in tasks {
        let (more, of) = task.await.unwrap();
        (granted, calls) = (granted + more, calls + of);
    }
    let mut connection = redis::Client::open(url).unwrap().get_multiplexed_async_connection().await.unwrap();
    let end = time(&mut connection).await;
    if let Limiter::Leased(limiter) = &*limiter {
        limiter.give_back().await;
    }
    println!("node: {granted} {calls} {end} {}", own_clock());
}

/// Returns the microseconds since 1970 by this process's own clock, from which the tests see that it is off.
#[expect(clippy::disallowed_types, reason = "no decision depends on it, which is what the tests show")]
fn own_clock() -> u128 {
    std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_micros()
}

enum Limiter {
    Direct(Box<RedisRateLimiter<str>>),
    Leased(LeasedRateLimiter<str>),
}

/// Asks as often as possible, and returns the calls that were granted, and all.
async fn ask(limiter: Arc<Limiter>, until: Instant, pause: Duration) -> (u64, u64) {
    let (mut granted, mut calls) = (0, 0);
    while Instant::now() < until {
        calls += 1;
        let answer = match &*limiter {
            Limiter::Direct(limiter) => limiter.try_acquire("everyone").await,
            Limiter::Leased(limiter) => limiter.try_acquire("everyone").await,
        };
        match answer {
            Ok(()) => granted += 1,
            Err(SharedError::RateLimited { retry_after, .. }) if pause.is_zero() => {
                tokio::time::sleep(retry_after.min(until - Instant::now())).await;
            }
            Err(SharedError::RateLimited { .. }) => {}
            Err(other) => panic!("{other}"),
        }
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        } else if calls % 64 == 0 {
            tokio::task::yield_now().await;
        }
    }
    (granted, calls)
}

/// Three busy processes. The formula of the mode adds `more` to the bound.
async fn shared(mode: &str, more: u64) {
    let server = server!();
    let _busy = BUSY.lock().await;
    let seconds = std::env::var("BRIMFUL_SHARED_SECONDS").ok().map(|text| text.parse().unwrap());
    let length = Duration::from_secs(seconds.unwrap_or(5));
    let mut nodes: Vec<Node> = (0..3).map(|_| Node::start(&server, mode, length, Duration::ZERO, &[])).collect();
    let (results, begun) = together(&server, &mut nodes).await;
    let admitted: u64 = results.iter().map(|result| result.granted).sum();
    let passed = results.iter().map(|result| result.end).max().unwrap() - begun;
    let bound = u64::from(BURST) + u64::from(RATE) * passed / 1_000_000;
    println!(
        "{mode}: three processes were granted {admitted} in {passed} us: {:.4} of burst + rate x T = {bound}; {results:?}",
        admitted as f64 / bound as f64
    );
    assert!(admitted <= bound + more, "{admitted} > {bound} + {more}");
    assert!(admitted > u64::from(BURST));
    if seconds.is_some() {
        assert!(admitted as f64 >= 0.99 * bound as f64, "{admitted} < 0.99 x {bound}");
    }
}

/// `burst + rate × T`
#[tokio::test(flavor = "multi_thread")]
async fn three_processes_that_ask_for_each_decision() {
    shared("direct", 0).await;
}

/// `burst + rate × T + nodes × max_batch`
#[tokio::test(flavor = "multi_thread")]
async fn three_processes_that_take_batches() {
    shared("leased", 3 * u64::from(BATCH)).await;
}

/// Two processes ask as often as they can, and one a hundred times a second.
#[tokio::test(flavor = "multi_thread")]
async fn a_process_with_less_to_do_gets_its_share_of_leases() {
    let server = server!();
    let _busy = BUSY.lock().await;
    let length = Duration::from_secs(3);
    let pauses = [0, 0, 10].map(Duration::from_millis);
    let mut nodes: Vec<Node> = pauses.map(|pause| Node::start(&server, "leased", length, pause, &[])).into();
    let (results, begun) = together(&server, &mut nodes).await;
    let admitted: u64 = results.iter().map(|result| result.granted).sum();
    let passed = results.iter().map(|result| result.end).max().unwrap() - begun;
    let bound = u64::from(BURST) + u64::from(RATE) * passed / 1_000_000 + 3 * u64::from(BATCH);
    let idle = results[2];
    println!(
        "the idle process was granted {} of {} calls, the busy ones {:?}",
        idle.granted,
        idle.calls,
        &results[..2]
    );
    assert!(admitted <= bound, "{admitted} > {bound}");
    assert!(idle.granted * 4 >= idle.calls, "{idle:?}");
}
