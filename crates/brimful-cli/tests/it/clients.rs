//! The client of a line in an access log, and the text that may stand before it.

use serde_json::Value;

use crate::{assert_fields, found, log, name, refuses};

/// Returns six lines in as many seconds, each with `before` before ` - - [date]`.
fn six(before: impl Fn(usize) -> String) -> String {
    (0..6).map(|second| entry(&format!("{} - -", before(second)), second)).collect()
}

fn entry(names: &str, second: usize) -> String {
    format!("{names} [17/May/2024:10:05:{second:02} +0000] \"GET /a HTTP/1.1\" 200 12\n")
}

fn keys(file: &str, content: impl AsRef<[u8]>) -> Value {
    found(&["--quota", "1/min burst 3", "--key", "ip", "--top", "9", name(&log(file, content))])
}

#[track_caller]
fn assert_one_client(file: &str, case: &str, content: &str, client: &str) {
    let found = keys(file, content);
    assert_fields(&found, [("requests", 6), ("malformed", 0), ("keys", 1), ("admitted", 3), ("denied", 3)]);
    assert_eq!(found["top"][0]["key"], client, "{case}");
}

#[test]
fn known_prefixes_are_skipped() {
    for prefix in [
        "May 17 10:05:00 web1 nginx: ",
        "May  7 10:05:00 web1 nginx[123]: ",
        "May 07 10:05:00.123456 web1 nginx[123]: ",
        "May 17 2024 10:05:00 10.0.0.7 httpd: ",
        "May 17 10:05:00 nginx: ",
        "<190>May 17 10:05:00 web1 nginx: ",
        "<34>May  7 10:05:00 web1 nginx[1]:  ",
        "<34>2024-05-17T10:05:00.5+02:00 web1 nginx[1]: ",
        "<34>nginx: ",
        "<34>1 2024-05-17T10:05:00Z host app pid msgid - ",
        "<34>1 2024-05-17T10:05:00.003+00:00 host app - - - \u{feff}",
        "<34>1 - - - - - - ",
        "1 2024-05-17T10:05:00Z host app 12 - - ",
        r#"<34>1 2024-05-17T10:05:00Z host app 12 ID47 [ex@32473 iut="3" s="a \"]\" [17/May/1970:10:05:00 +0000]"][b x="1"] "#,
        "2024-05-17T10:05:00+0000 web1 nginx[123]: ",
        "2024-05-17T10:05:00.123456+02:00 fe80::1 nginx: ",
        "2024-05-17 10:05:00 web1 nginx: ",
        "web-1  | ",
        "web_1 | ",
        "\x1b[36mweb-1  |\x1b[0m ",
        "\x1b[36mweb-1  | \x1b[0m",
        "\x1b[36;1mmy.web-10 \x1b[0m| ",
        "web-1  | 2024-05-17T10:05:00.123456789Z ",
        "web-1  | May 17 10:05:00 web1 nginx: ",
        "2024-05-17T10:05:00.123456789Z ",
        "2024-05-17T10:05:00.123456789Z stdout F ",
        "2024-05-17T10:05:00.123456789+02:00 stderr P ",
        "[pod/web-5d4/nginx] ",
        "[pod/web-5d4/nginx] 2024-05-17T10:05:00.123456789Z ",
        "example.com:443 ",
        "example.com ",
        "localhost ",
        "_ ",
        "127.0.1.1:80 ",
        "[2001:db8::5]:443 ",
        "May 17 10:05:00 web1 nginx: example.com:443 ",
    ] {
        for client in ["203.0.113.5", "2001:db8::1"] {
            assert_one_client("known-prefix.log", prefix, &six(|_| format!("{prefix}{client}")), client);
        }
        assert_one_client("known-prefix.log", prefix, &six(|_| format!("{prefix}unix:")), "unix:");
        assert_one_client("known-prefix.log", prefix, &six(|_| format!("{prefix}dsl-5.isp.net")), "dsl-5.isp.net");
    }
}

#[test]
fn any_other_text_before_the_client_is_malformed() {
    for prefix in [
        "INFO ",
        "INFO - ",
        "uvicorn.access - ",
        "web1 nginx ",
        "web1 nginx: ",
        "Fri May 17 10:05:00 2024 web1 nginx: ",
        "Mai 17 10:05:00 web1 nginx: ",
        "May 32 10:05:00 web1 nginx: ",
        "May 17 10:05 web1 nginx: ",
        "1715940300.123 ",
        "1715940300 ",
        "access.log:",
        "access.log.2:1:",
        "    12 ",
        "12\t",
        "> ",
        "\"",
        "[nginx] ",
        "[pod/web ",
        "a b | ",
        "203.0.113.9 | ",
        "<34>1 2024-05-17T10:05:00Z host app ",
        "<34>1 2024-05-17T10:05:00Z host app pid msgid [open ",
        "<1234>May 17 10:05:00 web1 nginx: ",
        "stdout F ",
        "2024-05-17T25:05:00Z ",
        "198.51.100.9 ",
        "\u{e9}t\u{e9} ",
        "\x1b[2J",
    ] {
        let good = six(|_| "203.0.113.5".to_owned());
        for client in ["203.0.113.5", "2001:db8::1", "dsl-5.isp.net"] {
            let found = keys("unknown-prefix.log", good.clone() + &entry(&format!("{prefix}{client} - -"), 9));
            assert_eq!((&found["malformed"], &found["keys"]), (&1.into(), &1.into()), "{prefix}{client}: {found:#}");
            assert_eq!(found["first_malformed"]["line"], 7);
        }
    }
    let path = log("only-unknown.log", six(|second| format!("INFO: {second} 203.0.113.5")));
    let reason = "(line 1: the client is neither an address nor a host name, and no known prefix stands before it)";
    refuses(&["simulate", "--quota", "1/s", "--key", "ip", name(&path)], 2, reason);
}

#[test]
fn of_forwarded_addresses_the_last_that_is_not_private_is_the_client() {
    for (list, client) in [
        ("198.51.100.9, 203.0.113.5, 10.0.0.1", "203.0.113.5"),
        ("198.51.100.9,203.0.113.5,10.0.0.1", "203.0.113.5"),
        ("198.51.100.{}, 203.0.113.5", "203.0.113.5"),
        ("203.0.113.5, 10.0.0.{}", "203.0.113.5"),
        ("203.0.113.5, 172.16.0.1, 192.168.7.{}, 127.0.0.1, 169.254.1.1, 100.64.0.1", "203.0.113.5"),
        ("203.0.113.5, fd00::{}, fe80::1, ::1, ::ffff:10.0.0.1", "203.0.113.5"),
        ("unknown, 203.0.113.5:5{}, 10.0.0.1:80", "203.0.113.5"),
        ("<x>, 203.0.113.5", "203.0.113.5"),
        ("2001:DB8::1, 10.0.0.1", "2001:db8::1"),
        ("10.1.1.1, 10.0.0.{}", "10.1.1.1"),
        ("-, 203.0.113.5", "203.0.113.5"),
        ("example.com:443 198.51.100.9, 203.0.113.5", "203.0.113.5"),
        ("web-1  | 198.51.100.9, 203.0.113.5", "203.0.113.5"),
    ] {
        assert_one_client("forwarded.log", list, &six(|second| list.replace("{}", &second.to_string())), client);
    }
    // An entry that is not an address makes the entries before it useless.
    let good = six(|_| "203.0.113.5".to_owned());
    for list in ["203.0.113.5, unknown, 10.0.0.1", "-, -", ",", "a b, 203.0.113.5", "203.0.113.5 , 10.0.0.1"] {
        let found = keys("unknown-hop.log", good.clone() + &entry(&format!("{list} - -"), 9));
        assert_eq!((&found["malformed"], &found["keys"]), (&1.into(), &1.into()), "{list}: {found:#}");
    }
}

#[test]
fn each_spelling_of_an_address_is_one_client() {
    for (spellings, client) in [
        (
            &["203.0.113.5", "203.0.113.5:51040", "203.0.113.5:0", "::ffff:203.0.113.5", "[::FFFF:cb00:7105]:443"][..],
            "203.0.113.5",
        ),
        (&["2001:db8::1", "[2001:db8::1]:443", "[2001:db8::1]", "2001:DB8:0:0::1", "2001:0db8::0001"], "2001:db8::1"),
        (&["::1", "[::1]:80"], "::1"),
        (&["fe80::1%eth0", "[fe80::1%eth0]:443"], "fe80::1%eth0"),
        (&["dsl-5.isp.net", "dsl-5.isp.net:51040"], "dsl-5.isp.net"),
        (&["localhost"], "localhost"),
        (&["12345"], "12345"),
        (&["unix:"], "unix:"),
        (&["-"], "-"),
    ] {
        let content = six(|second| spellings[second % spellings.len()].to_owned());
        assert_one_client("spelling.log", client, &content, client);
    }
    let zones = keys("zones.log", six(|second| format!("fe80::1%eth{}", second % 2)));
    assert_fields(&zones, [("keys", 2), ("malformed", 0)]);
}

#[test]
fn broken_addresses_are_malformed() {
    let good = six(|_| "203.0.113.5".to_owned());
    for client in [
        "203.0.113.256",
        "203.0.113",
        "1.2.3.4.5",
        "203.0.113.5:",
        "203.0.113.5:65536",
        "[2001:db8::1",
        "2001:db8:::1",
        "a,b",
    ] {
        let found = keys("broken-address.log", good.clone() + &entry(&format!("{client} - -"), 9));
        assert_eq!((&found["malformed"], &found["keys"]), (&1.into(), &1.into()), "{client}: {found:#}");
    }
}

#[test]
fn the_keys_of_a_table_are_taken_as_they_are() {
    let path = log("raw-keys.csv", "time,ip\n1,203.0.113.5:1\n2,203.0.113.5:2\n3,::ffff:203.0.113.5\n");
    assert_fields(&found(&["--quota", "1/s", "--key", "ip", name(&path)]), [("keys", 3), ("malformed", 0)]);
}

/// Docker compose, for one, begins with a line about the containers that follow.
#[test]
fn a_line_of_words_before_an_access_log_does_not_make_it_a_table() {
    for words in ["Attaching to web-1", "Attaching to web-1, db-1", "logs of web"] {
        let content = format!("{words}\n") + &six(|_| "web-1  | 203.0.113.5".to_owned());
        assert_fields(&keys("words-first.log", content), [("requests", 6), ("malformed", 1), ("keys", 1)]);
    }
    let table = "time,line\n".to_owned() + &format!("1,{}", entry("203.0.113.5 - -", 0));
    let path = log("lines-inside.csv", table);
    assert_fields(&found(&["--quota", "1/s", "--key", "line", name(&path)]), [("requests", 1), ("malformed", 0)]);
}
