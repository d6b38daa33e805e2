//! `simulate --redis`, on a real server. Without `redis-server` the tests report that they were skipped.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::{assert_fields, brimful, found, line, log, name, refuses, text};

/// The server of the tests of `brimful-redis`.
#[path = "../../../brimful-redis/tests/it/server.rs"]
#[allow(dead_code, unused_imports, unused_macros)]
mod server;

use server::Server;

fn keys(server: &Server) -> u64 {
    let mut connection = redis::Client::open(server.url()).unwrap().get_connection().unwrap();
    redis::cmd("DBSIZE").query(&mut connection).unwrap()
}

/// Five requests of each of two clients, and the same again two hours later.
fn two_hours() -> String {
    let requests = |hour: u32| {
        let of_client = |client: &str| line(client, &format!("17/May/2015:{hour:02}:00:00 +0000")).repeat(5);
        of_client("203.0.113.5") + &of_client("203.0.113.6")
    };
    requests(10) + &requests(12)
}

/// A bucket refills in an hour, which is a second here: no lateness of a busy machine changes the decisions.
const QUOTA: &str = "3/h burst 3";

#[test]
fn the_server_decides_as_this_process_does() {
    let Some(server) = Server::start(&[]) else { return };
    let (path, url) = (log("redis.log", two_hours()), server.url());
    let args = ["--quota", QUOTA, "--key", "ip", "--redis", &url, "--speed", "3600", "--top", "1", name(&path)];
    let found = found(&args);
    for report in [&found, &found["local"]] {
        assert_fields(report, [("admitted", 12), ("denied", 8), ("keys_limited", 2), ("longest_run", 2)]);
        assert_fields(report, [("above_burst", 0), ("no_room", 0), ("violations", 0)]);
    }
    assert_fields(&found, [("requests", 20), ("keys", 2), ("decided_otherwise", 0), ("unanswered", 0)]);
    assert_fields(&found, [("connections", 16)]);
    assert_eq!(found["quota_on_server"], "3/s burst 3");
    assert_eq!(found["limiter_bytes"], Value::Null);
    assert!(found["late_us"]["longest"].as_u64() >= found["late_us"]["median"].as_u64(), "{found:#}");
    // Its own clock has the times of the log.
    let seconds = found["worst_window"]["seconds"].as_f64().unwrap();
    assert!(seconds < 3_600.0, "{found:#}");
    assert_eq!(keys(&server), 0, "no key is left");
}

#[test]
fn several_quotas_and_costs() {
    let Some(server) = Server::start(&[]) else { return };
    let content = "time,cost\n1000,2\n1000,2\n1000,9\n1000,1\n9000,1\n";
    let (path, url) = (log("redis.csv", content), server.url());
    let args = ["--quota", "burst: 3/h; daily: 100/day burst 4", "--cost", "cost", "--redis", &url];
    let found = found(&[&args[..], &["--speed", "4000", "--connections", "1", name(&path)]].concat());
    // 2, then not 2, never 9, then 1; and after two hours all is there again.
    let refused: Vec<&Value> = found["quotas"].as_array().unwrap().iter().map(|quota| &quota["refused"]).collect();
    assert_eq!(refused, [2, 0], "{found:#}");
    assert_fields(&found, [("admitted", 3), ("above_burst", 1), ("decided_otherwise", 0), ("cost_admitted", 4)]);
    assert_eq!(keys(&server), 0);
}

#[test]
fn the_results_stand_side_by_side() {
    let Some(server) = Server::start(&[]) else { return };
    let (path, url) = (log("redis-table.log", two_hours()), server.url());
    let output = brimful(&["simulate", "--quota", QUOTA, "--redis", &url, "--speed", "3600", name(&path)]);
    let out = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    for expected in [
        "requests                20\nadmitted                 6    30.00 %\n",
        "speed         3600: the quota on the server was 3/s burst 3\nconnections   16\nlate          median ",
        " of the log\nerror         a bucket earns ",
        " tokens in the p99\notherwise     0 decided otherwise than in this process, 0.00 %\n",
        "decided by      admitted     share    denied  keys limited  longest run  violations\n",
        "the server             6   30.00 %        14             1            7           0\n",
        "this process           6   30.00 %        14             1            7           0\n",
    ] {
        assert!(out.contains(expected), "{expected}\nis not in\n{out}");
    }
}

#[test]
fn what_has_no_meaning_is_refused() {
    let path = log("redis-refused.log", two_hours());
    let path = name(&path);
    // Before a server is asked.
    let nowhere = ["simulate", "--quota", "100/s burst 200", "--redis", "redis://127.0.0.1:1/", path];
    let with = |more: &[&'static str]| [&nowhere[..], more].concat();
    refuses(&with(&["--speed", "2001"]), 2, "choose --speed 2000 or less");
    refuses(&with(&["--speed", "1.00001"]), 2, "three decimals at most");
    refuses(&with(&[]), 2, "--redis: cannot connect");
    for (args, error) in [
        (&["--connections", "0"][..], "0 is not in 1..=1000"),
        (&["--speed", "-1"], "error: "),
        (&["--speed", "0"], "not a number above zero"),
        (&["--timeline", "x.svg"], "cannot be used with"),
        (&["--llm"], "cannot be used with"),
    ] {
        let output = brimful(&with(args));
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(text(&output.stderr).contains(error), "{args:?}: {}", text(&output.stderr));
    }
    for args in [&["--speed", "2"][..], &["--connections", "2"]] {
        let output = brimful(&[&["simulate", "--quota", "1/s", path], args].concat());
        assert_eq!(output.status.code(), Some(2), "{args:?}");
    }
    let Some(server) = Server::start(&[]) else { return };
    let url = server.url();
    let slow = ["simulate", "--quota", QUOTA, "--redis", &url, path];
    refuses(&slow, 2, "the replay would take 2 h: --speed 2 ends it within an hour");
}

#[cfg(unix)]
#[test]
fn no_key_is_left_if_the_replay_is_interrupted() {
    let Some(server) = Server::start(&[]) else { return };
    let (path, url) = (log("redis-interrupted.log", two_hours()), server.url());
    let child = Command::new(env!("CARGO_BIN_EXE_brimful"))
        .args(["simulate", "--quota", QUOTA, "--key", "ip", "--redis", &url, "--speed", "2", name(&path)])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let begun = Instant::now();
    while keys(&server) < 2 {
        assert!(begun.elapsed() < Duration::from_secs(20), "the server is asked");
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("interrupted: the keys on the server were deleted"));
    assert_eq!(keys(&server), 0);
}
