//! The words of a quota's text.
//!
//! Case matters only in words of one or two letters. Only known words are read: `10 million/s` must
//! not become ten.

use crate::quota::rate::SECOND;

/// The clauses after the rate, in the order in which the parser returns them.
pub(super) const CLAUSES: [&[u8]; 3] = [b"burst", b"initial", b"debt"];

pub(super) const PER: [&[u8]; 1] = [b"per"];

/// The words of `at most 100 in 1min`.
pub(super) const AT: [&[u8]; 2] = [b"at", b"At"];
pub(super) const MOST: [&[u8]; 1] = [b"most"];
pub(super) const IN: [&[u8]; 1] = [b"in"];

/// Words for the things that are counted. They do not change the amount.
pub(super) const NOUNS: [&[u8]; 33] = [
    b"tokens",
    b"token",
    b"requests",
    b"request",
    b"reqs",
    b"req",
    b"r",
    b"calls",
    b"call",
    b"hits",
    b"hit",
    b"queries",
    b"query",
    b"messages",
    b"message",
    b"msgs",
    b"msg",
    b"events",
    b"event",
    b"operations",
    b"operation",
    b"ops",
    b"op",
    b"jobs",
    b"job",
    b"tasks",
    b"task",
    b"items",
    b"item",
    b"bytes",
    b"byte",
    b"units",
    b"unit",
];

/// A length of time in nanoseconds, and its names.
pub(super) type Unit = (u64, &'static [&'static [u8]]);

pub(super) const UNITS: [Unit; 8] = [
    (1, &[b"ns"]),
    // The micro sign, then the Greek letter.
    (1_000, &[b"us", "\u{b5}s".as_bytes(), "\u{3bc}s".as_bytes()]),
    (1_000_000, &[b"ms"]),
    (SECOND, &[b"s", b"sec", b"secs", b"second", b"seconds"]),
    (60 * SECOND, &[b"m", b"min", b"mins", b"minute", b"minutes"]),
    (3_600 * SECOND, &[b"h", b"hr", b"hrs", b"hour", b"hours"]),
    (86_400 * SECOND, &[b"d", b"day", b"days"]),
    (604_800 * SECOND, &[b"w", b"week", b"weeks"]),
];

/// A noun and a period in one word: requests, queries or tokens per second, minute, hour or day.
pub(super) const RATES: [Unit; 4] = [
    (SECOND, &[b"rps", b"qps", b"tps"]),
    (60 * SECOND, &[b"rpm", b"qpm", b"tpm"]),
    (3_600 * SECOND, &[b"rph", b"qph", b"tph"]),
    (86_400 * SECOND, &[b"rpd", b"qpd", b"tpd"]),
];

/// Refused, because they differ in length.
pub(super) const MONTHS: [&[u8]; 3] = [b"mo", b"month", b"months"];
pub(super) const YEARS: [&[u8]; 5] = [b"y", b"yr", b"yrs", b"year", b"years"];

/// Refused, because every quota is a limit.
pub(super) const UNLIMITED: [&[u8]; 8] =
    [b"unlimited", b"unbounded", b"infinite", b"infinity", b"inf", b"none", b"off", "\u{221e}".as_bytes()];

/// Refused, with a hint at the semicolon.
pub(super) const SEPARATORS: [&[u8]; 5] = [b",", b"|", b"&", b"+", b"and"];
