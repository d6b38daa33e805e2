//! The limits of servers: durations, dates and structured fields.

use std::time::{Duration, UNIX_EPOCH};

use brimful::model::{Dimension, DimensionHint, ServerHints};
use brimful_tower::FromHeaders;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use jiff::Timestamp;
use sfv::{BareItem, Item, List, ListEntry, Parameters, Parser};

use super::random::{Random, inputs};

const DAY: Duration = Duration::from_secs(86_400);

/// 2024-05-17T10:05:00Z, since 1970.
const NOW: u64 = 1_715_940_300;

const MARKS: &[u8] = b"0123456789.:-+TZ msunhd\"=;,()?@";

fn read(status: u16, headers: &HeaderMap) -> ServerHints {
    let now = UNIX_EPOCH + Duration::from_secs(NOW);
    ServerHints::from_headers(StatusCode::from_u16(status).expect("a status"), headers, now)
}

/// Reads a text as the time of a reset.
fn reset(text: &[u8]) -> Option<Duration> {
    let mut headers = HeaderMap::new();
    headers.insert("anthropic-ratelimit-requests-reset", HeaderValue::from_bytes(text).expect("a value"));
    read(200, &headers).of(Dimension::Rpm).reset_in
}

fn number(random: &mut Random) -> String {
    match random.below(7) {
        0 => random.next().to_string(),
        1 => format!("{:0>width$}", random.below(100), width = random.below(30)),
        2 => (NOW + random.below(100_000) as u64).to_string(),
        3 => ((NOW + random.below(100_000) as u64) * 1_000).to_string(),
        4 => format!("{}.{}", NOW + random.below(100_000) as u64, random.below(1_000_000)),
        _ => random.below(100_000).to_string(),
    }
}

fn duration(random: &mut Random) -> String {
    let part = |random: &mut Random| {
        let fraction = if random.one_in(3) { format!(".{}", number(random)) } else { String::new() };
        let unit = random.pick(&["ns", "us", "µs", "ms", "s", "m", "h", "d"]);
        format!("{}{fraction}{unit}", random.below(5_000))
    };
    (0..1 + random.below(3)).map(|_| part(random)).collect()
}

/// A date of RFC 3339, or one that is nearly one.
fn date(random: &mut Random) -> String {
    let year = if random.one_in(2) { 2_024 } else { random.below(10_000) };
    let (month, day) = (random.below(14), random.below(33));
    let (hour, minute, second) = (random.below(25), random.below(61), random.below(62));
    let fraction = if random.one_in(3) { format!(".{}", number(random)) } else { String::new() };
    let offset = format!("{}{:02}:{:02}", random.pick(&['+', '-']), random.below(25), random.below(61));
    let offset = if random.one_in(2) { random.pick(&["Z", "z"]).to_owned() } else { offset };
    let t = random.pick(&['T', 't', ' ']);
    format!("{year:04}-{month:02}-{day:02}{t}{hour:02}:{minute:02}:{second:02}{fraction}{offset}")
}

/// Returns the nanoseconds of a duration, or of a number of seconds, by exact arithmetic.
fn expected_duration(text: &str) -> Option<u128> {
    let (mut nanos, mut rest, mut parts) = (0u128, text, 0);
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, after) = rest.split_at(end);
        let end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        let unit: u128 = match unit {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            "d" => 86_400_000_000_000,
            "" if parts == 0 => 1_000_000_000,
            _ => return None,
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() || fraction.contains('.') {
            return None;
        }
        // A longer number is more than a day in any unit.
        nanos +=
            whole.trim_start_matches('0').get(..20).map_or(whole, |_| "99999999999999999999").parse::<u128>().ok()?
                * unit;
        let kept = &fraction[..fraction.len().min(24)];
        let rounded = u128::from(fraction[kept.len()..].contains(|digit| digit != '0'));
        let part = if kept.is_empty() { 0 } else { kept.parse::<u128>().ok()? + rounded };
        nanos += (part * unit).div_ceil(10u128.pow(kept.len() as u32));
        (rest, parts) = (after, parts + 1);
    }
    (parts > 0).then_some(nanos)
}

/// Returns the nanoseconds from 1970 to a date of RFC 3339, by jiff. Jiff reads other dates too, and fewer digits.
fn expected_date(text: &str) -> Option<u128> {
    let (head, tail) = text.split_at_checked(19)?;
    let shape: String = head.chars().map(|c| if c.is_ascii_digit() { '0' } else { c.to_ascii_uppercase() }).collect();
    if shape.replace(' ', "T") != "0000-00-00T00:00:00" {
        return None;
    }
    let (fraction, offset) = match tail.strip_prefix('.') {
        Some(tail) => tail.split_at(tail.find(|c: char| !c.is_ascii_digit()).unwrap_or(tail.len())),
        None => ("0", tail),
    };
    let offset = offset.to_ascii_uppercase();
    let shape: String = offset.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    if fraction.is_empty()
        || !matches!(&*shape, "Z" | "+00:00" | "-00:00")
        || (offset.len() > 1 && &offset[1..3] > "23")
    {
        return None;
    }
    // The second after the leap second.
    let (head, leap) = if head.ends_with(":60") { (format!("{}59", &head[..17]), 1) } else { (head.to_owned(), 0) };
    // Jiff's last timestamp is a day before the end of 9999. A year earlier is more than a day from now too.
    let head = head.replacen("9999-", "9998-", 1);
    let seconds = format!("{head}{offset}").parse::<Timestamp>().ok()?.as_second() + leap;
    let nanos = expected_duration(&format!("0.{fraction}s"))?;
    Some(u128::try_from(seconds).ok()? * 1_000_000_000 + nanos)
}

fn expected_reset(text: &str) -> Option<u128> {
    let now = u128::from(NOW) * 1_000_000_000;
    let seconds = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.').then(|| expected_duration(text));
    let nanos = match seconds {
        Some(seconds) => match seconds? {
            millis @ 1_000_000_000_000_000_000_000.. => millis.div_ceil(1_000).saturating_sub(now),
            seconds @ 1_000_000_000_000_000_000.. => seconds.saturating_sub(now),
            seconds => seconds,
        },
        None => expected_date(text).map(|date| date.saturating_sub(now)).or_else(|| expected_duration(text))?,
    };
    Some(nanos.min(DAY.as_nanos()))
}

#[test]
fn times_are_read_as_a_second_reader_reads_them() {
    let (inputs, mut found) = (inputs(), 0);
    for input in inputs.clone() {
        let mut random = Random::of(input);
        let text = match random.below(3) {
            0 => number(&mut random),
            1 => duration(&mut random),
            _ => date(&mut random),
        };
        let mut text = text.into_bytes();
        if random.one_in(2) {
            random.mutate(&mut text, MARKS);
        }
        let read = reset(&text).map(|time| time.as_nanos());
        let expected = std::str::from_utf8(&text).ok().and_then(|text| expected_reset(text.trim()));
        found += u64::from(read.is_some());
        let shown = String::from_utf8_lossy(&text);
        // Of more than 18 digits, the last ones are read as one that rounds up.
        let is_near = |(read, expected): (u128, u128)| read.abs_diff(expected) <= u128::from(text.len() > 18);
        assert!(
            read == expected || read.zip(expected).is_some_and(is_near),
            "input {input}: {shown:?}: {read:?}, not {expected:?}"
        );
    }
    println!("{found} were times");
    assert!(found * 3 > inputs.end);
}

/// A date of HTTP, as jiff writes it, and what is left of it after a few changes.
#[test]
fn retry_after_is_read() {
    for input in inputs() {
        let mut random = Random::of(input);
        let time = NOW as i64 + random.below(200_000) as i64 - 50_000;
        let time = if random.one_in(4) { random.below(200_000_000_000) as i64 } else { time };
        let date = Timestamp::from_second(time).expect("a time").strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        let mut text = date.into_bytes();
        let mut headers = HeaderMap::new();
        headers.insert("retry-after", HeaderValue::from_bytes(&text).expect("a value"));
        let expected = Duration::from_secs((time as u64).saturating_sub(NOW)).min(DAY);
        assert_eq!(read(503, &headers).retry_time(), Some(expected), "input {input}: {time}");
        random.mutate(&mut text, MARKS);
        headers.insert("retry-after", HeaderValue::from_bytes(&text).expect("a value"));
        let status = random.pick(&[200, 301, 403, 429, 503]);
        let hints = read(status, &headers);
        assert!(hints.retry_time().is_none_or(|time| time <= DAY && status >= 400), "input {input}");
        let is_refused = status == 429 || (status == 403 && hints.retry_time().is_some());
        assert_eq!(hints.is_refused(), is_refused, "input {input}");
    }
}

/// Writes a list as servers do, and some members that none writes.
fn list(random: &mut Random) -> String {
    let odd = ["\"a\\\"b\"", "a", "tok/en", "7", "-1", "?1", ":YQ==:", "0.5"];
    let parameter = |random: &mut Random| {
        let number = random.below(200_000).to_string();
        let odd = ["-1", "1.5", "\"requests\"", "\"bytes\"", "requests", "?0", ":YQ==:"];
        let value = if random.one_in(6) { random.pick(&odd) } else { &number };
        format!("{}{}={value}", random.pick(&[";", "; "]), random.pick(&["r", "r", "t", "q", "w", "qu", "pk"]))
    };
    let mut list = String::new();
    for nth in 0..1 + random.below(3) {
        list.push_str(if nth == 0 { "" } else { random.pick(&[",", ", ", " ,\t"]) });
        list.push_str(if random.one_in(3) { random.pick(&odd) } else { random.pick(&["\"a\"", "\"b\""]) });
        (0..random.below(5)).for_each(|_| list.push_str(&parameter(random)));
    }
    list
}

/// Returns the items of a list, without those of lists within it; `None` if the field is no list of items.
fn items(field: &str) -> Option<Vec<Item>> {
    let list = if field.trim().is_empty() { List::new() } else { Parser::new(field).parse::<List>().ok()? };
    let item = |entry| if let ListEntry::Item(item) = entry { Some(item) } else { None };
    list.into_iter().map(item).collect()
}

fn text(item: &BareItem) -> Option<&str> {
    match item {
        BareItem::String(text) => Some(text.as_str()),
        BareItem::Token(token) => Some(token.as_str()),
        _ => None,
    }
}

fn integer(of: &Parameters, name: &str) -> Option<u64> {
    match of.get(name)? {
        BareItem::Integer(value) => i64::from(*value).try_into().ok(),
        _ => None,
    }
}

/// Returns the hints of each dimension, from all lists as another parser reads them.
fn expected_limits(limits: &[Item], policies: &[Item]) -> [DimensionHint; 2] {
    let mut found = [DimensionHint::new(); 2];
    for limit in limits {
        let (Some(name), Some(remaining)) = (text(&limit.bare_item), integer(&limit.params, "r")) else { continue };
        let policy = policies.iter().find(|policy| text(&policy.bare_item) == Some(name)).map(|policy| &policy.params);
        let unit = policy.and_then(|policy| text(policy.get("qu")?));
        if unit.is_some_and(|unit| unit != "request" && unit != "requests") {
            continue;
        }
        let mut hint = DimensionHint::new().remaining(remaining);
        hint.limit = policy.and_then(|policy| integer(policy, "q"));
        hint.reset_in = integer(&limit.params, "t").map(|seconds| Duration::from_secs(seconds).min(DAY));
        let place = &mut found[usize::from(policy.and_then(|policy| integer(policy, "w")) >= Some(86_400))];
        let is_tighter = place
            .remaining
            .is_none_or(|before| remaining < before || (remaining == before && hint.reset_in > place.reset_in));
        if is_tighter {
            *place = hint;
        }
    }
    found
}

#[test]
fn structured_fields_are_read_as_another_parser_reads_them() {
    let (inputs, mut compared, mut found) = (inputs(), 0u64, 0u64);
    for input in inputs.clone() {
        let mut random = Random::of(input);
        let mut headers = HeaderMap::new();
        let mut fields = [String::new(), String::new()];
        for (name, field) in ["ratelimit", "ratelimit-policy"].into_iter().zip(&mut fields) {
            let lines = random.below(3);
            let mut written = Vec::new();
            for _ in 0..lines {
                let mut line = list(&mut random).into_bytes();
                if random.one_in(4) {
                    random.mutate(&mut line, MARKS);
                }
                headers.append(name, HeaderValue::from_bytes(&line).expect("a value"));
                written.push(line);
            }
            *field = String::from_utf8_lossy(&written.join(&b","[..])).into_owned();
        }
        let hints = read(200, &headers);
        assert!(!hints.is_refused() && hints.retry_time().is_none());
        let [limits, policies] = &fields;
        let (Some(limits), Some(policies)) = (items(limits), items(policies)) else { continue };
        compared += 1;
        let expected = expected_limits(&limits, &policies);
        found += u64::from(expected != [DimensionHint::new(); 2]);
        let read = [Dimension::Rpm, Dimension::Rpd].map(|of| hints.of(of));
        assert_eq!(read, expected, "input {input}: {fields:?}");
    }
    println!("{compared} were lists, {found} had a limit");
    assert!(compared * 3 > inputs.end && found * 10 > inputs.end);
}

const NAMES: [&str; 21] = [
    "retry-after",
    "retry-after-ms",
    "ratelimit",
    "ratelimit-policy",
    "ratelimit-limit",
    "ratelimit-remaining",
    "ratelimit-reset",
    "x-ratelimit-limit",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
    "x-ratelimit-reset-after",
    "x-ratelimit-limit-requests",
    "x-ratelimit-remaining-requests",
    "x-ratelimit-reset-requests",
    "x-ratelimit-limit-tokens",
    "x-ratelimit-remaining-tokens",
    "x-ratelimit-reset-tokens",
    "anthropic-ratelimit-requests-remaining",
    "anthropic-ratelimit-tokens-reset",
    "anthropic-ratelimit-input-tokens-remaining",
    "anthropic-ratelimit-output-tokens-reset",
];

/// Whatever the headers are: nothing panics, no time is longer than a day, and only a refusal is one.
#[test]
fn no_headers_are_absurd() {
    for input in inputs() {
        let mut random = Random::of(input);
        let mut headers = HeaderMap::new();
        for _ in 0..random.below(6) {
            let text = match random.below(5) {
                0 => number(&mut random),
                1 => duration(&mut random),
                2 => date(&mut random),
                3 => list(&mut random),
                _ => random
                    .pick(&["", " ", "-1", "NaN", "inf", "1e9", "0x10", "null", "99999999999999999999999"])
                    .to_owned(),
            };
            let mut text = text.into_bytes();
            random.mutate(&mut text, MARKS);
            let name = HeaderName::from_static(random.pick(&NAMES));
            headers.append(name, HeaderValue::from_bytes(&text).expect("a value"));
        }
        let status = random.pick(&[200, 202, 301, 400, 403, 404, 429, 500, 503]);
        let hints = read(status, &headers);
        assert!(hints.retry_time().is_none_or(|time| time <= DAY && status >= 400), "input {input}: {headers:?}");
        assert!(Dimension::ALL.iter().all(|&of| hints.of(of).reset_in.is_none_or(|time| time <= DAY)), "input {input}");
        let none_left = [Dimension::Rpm, Dimension::Rpd].iter().any(|&of| hints.of(of).remaining == Some(0));
        let may_be_refused = status == 403 && (none_left || hints.retry_time().is_some());
        assert_eq!(hints.is_refused(), status == 429 || may_be_refused, "input {input}: {headers:?}");
    }
}
