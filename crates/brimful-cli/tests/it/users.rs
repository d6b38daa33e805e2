//! User names and requests, which clients choose.

use crate::{assert_fields, found, log, name};

const FORGED: &str = "[01/Jan/1970:00:00:00 +0000]";

/// Six lines of one client, one a second, with these users and requests.
fn replayed(file: &str, key: &str, user: &str, request: &str) -> serde_json::Value {
    let content: String = (0..6)
        .map(|second| {
            format!("203.0.113.5 - {user} [17/May/2024:10:05:{second:02} +0000] \"{request}\" 200 12 \"-\" \"agent\"\n")
        })
        .collect();
    found(&["--quota", "1/min burst 3", "--key", key, "--top", "1", name(&log(file, content))])
}

#[track_caller]
fn assert_seen(file: &str, key: &str, user: &str, request: &str, value: &str) {
    let found = replayed(file, key, user, request);
    assert_fields(&found, [("requests", 6), ("malformed", 0), ("keys", 1), ("admitted", 3), ("denied", 3)]);
    assert_eq!(found["first"], "2024-05-17T10:05:00Z", "{user}");
    assert_eq!(found["top"][0]["key"], value);
}

#[test]
fn a_user_name_can_be_anything() {
    for user in [
        "jo[hn",
        "jo]hn",
        "[",
        "[john]",
        "john doe",
        "jo \"the\" hn",
        "jo\"hn",
        "\"",
        "jo\\\"hn",
        "- x",
        "a - b",
        "- -",
        "",
        " ",
        "198.51.100.7 - -",
        "x, 198.51.100.7",
        FORGED,
        "x [01/Jan/1970:00:00:00 +0000] \\\"GET / HTTP/1.1\\\" 200 12",
        "x [01/Jan/1970:00:00:00 +0000] y",
        "[01/Jan/1970:00:00:00 +0000",
        "[01/Jan/1970:00:00:00 +0000]]",
        "\u{1f600}",
    ] {
        assert_seen("users.log", "user", user, "GET / HTTP/1.1", user);
        assert_seen("users.log", "ip", user, "GET / HTTP/1.1", "203.0.113.5");
    }
}

#[test]
fn a_request_can_be_anything() {
    for request in [
        "GET /[a] HTTP/1.1",
        "GET /[01/Jan/1970:00:00:00 +0000] HTTP/1.1",
        "GET /x [01/Jan/1970:00:00:00 +0000] ",
        r#"GET /x [01/Jan/1970:00:00:00 +0000] \"GET / HTTP/1.1\" 200 12"#,
        r#"GET /a"b HTTP/1.1"#,
        r#"GET /" "x" HTTP/1.1"#,
        "",
    ] {
        assert_seen("requests.log", "ip", "-", request, "203.0.113.5");
    }
    let path = r#"GET /a"b HTTP/1.1"#;
    assert_seen("requests.log", "path", "-", path, "/a\"b");
}

#[test]
fn a_host_name_as_client_may_have_any_user_without_an_address() {
    for (user, malformed) in [("john doe", 0), ("jo[hn", 0), ("a - b", 1), ("198.51.100.7", 1)] {
        let line = format!("dsl.isp.net - {user} [17/May/2024:10:05:00 +0000] \"GET / HTTP/1.1\" 200 12\n");
        let content = "203.0.113.5 - - [17/May/2024:10:05:00 +0000] \"GET / HTTP/1.1\" 200 12\n".to_owned() + &line;
        let found = found(&["--quota", "1/s", "--key", "ip", name(&log("named.log", content))]);
        assert_fields(&found, [("malformed", malformed), ("keys", 2 - malformed)]);
    }
}

/// A server that escapes quotes never writes such a line, so either date may be the forged one.
#[test]
fn two_dates_with_requests_are_malformed_rather_than_guessed() {
    let good = "203.0.113.5 - - [17/May/2024:10:05:00 +0000] \"GET / HTTP/1.1\" 200 12\n";
    for line in [
        good.replace("- [", &format!("x {FORGED} \"GET / HTTP/1.1\" 200 1 [")),
        good.replace("- [", &format!("x {FORGED} \"y [")),
        good.replace("GET /", &format!("GET /x {FORGED} \"y")),
    ] {
        let found = found(&["--quota", "1/s", "--key", "ip", name(&log("two-dates.log", good.to_owned() + &line))]);
        assert_fields(&found, [("requests", 1), ("malformed", 1)]);
        let reason = found["first_malformed"]["reason"].as_str().expect("a reason");
        assert!(reason.starts_with("two [date]s"), "{line}: {reason}");
    }
}
