//! The parser. It is `const`, so it reads byte by byte and cannot use `?`.
//!
//! ```text
//! quota  := amount ("/" | "per") period { ("burst" | "initial" | "debt") amount }
//! amount := number [suffix] [noun]
//! period := [number] unit
//! ```
//!
//! Positions only step over ASCII or over a whole word, and every byte beyond ASCII belongs to a
//! word. So spans never split a character.

use core::time::Duration;

use super::QuotaTextError;
use crate::decimal::{Decimal, Round};
use crate::error::{QuotaError, QuotaErrorKind};
use crate::quota::{LONGEST_NANOS, Quota, SECOND, SLOWEST_NANOS, gcd};
use crate::tokens::Tokens;

macro_rules! attempt {
    ($result:expr) => {
        match $result {
            Ok(value) => value,
            Err(error) => return Err(error),
        }
    };
}

const AMOUNT: &str = "expected an amount, such as 100, 2.5 or 10k";
const NUMBER: &str = "a number has at most 38 digits, \"_\" between digits and one decimal point, such as 1_000 or 0.5";
const SUFFIX: &str = "an amount may end in k, M, G, T or Ki, Mi, Gi, Ti, and B";
const PER: &str = "expected \"/\" or \"per\" and a period, as in \"100/s\"";
const UNIT: &str = "expected a unit of time: ns, us, ms, s, min, h, day or week";
const MONTH: &str = "a month has no fixed length: write \"30 days\"";
const YEAR: &str = "a year has no fixed length: write \"365 days\"";
const CLAUSE: &str = "after the rate come \"burst\", \"initial\" or \"debt\", each with an amount";
const TWICE: &str = "given twice: leave one of them out";
const INEXACT: &str = "this rate cannot be kept exactly: write it with fewer digits";
#[cfg(feature = "serde")]
const RATE_ALONE: &str = "expected a rate alone: \"burst\", \"initial\" and \"debt\" are fields of their own";
#[cfg(feature = "serde")]
const AMOUNT_ALONE: &str = "expected an amount alone, such as 100, 2.5 or 10k";
const TOKENS: &str = "an amount of tokens is below 4294967296 and has at most 12 decimals";

/// The clauses after the rate, in the order in which [`Parser::clauses`] returns them.
const CLAUSES: [&[u8]; 3] = [b"burst", b"initial", b"debt"];

const NOUNS: [&[u8]; 6] = [b"tokens", b"token", b"requests", b"request", b"req", b"reqs"];

const MONTHS: [&[u8]; 3] = [b"mo", b"month", b"months"];
const YEARS: [&[u8]; 5] = [b"y", b"yr", b"yrs", b"year", b"years"];

const UNITS: [(u64, &[&[u8]]); 8] = [
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

pub(super) const fn quota(text: &str) -> Result<Quota, QuotaTextError> {
    let mut parser = Parser::new(text);
    let rate = attempt!(parser.rate());
    let [burst, initial, debt] = attempt!(parser.clauses());
    match combined(&rate, [tokens_of(burst), tokens_of(initial), tokens_of(debt)]) {
        Ok(quota) => Ok(quota),
        Err(Misfit { clause, error: bad }) => {
            let (start, end) = match ([burst, initial, debt], clause) {
                ([Some(part), ..], Some(0)) | ([.., Some(part)], Some(2)) => (part.start, part.end),
                _ => (0, text.len()),
            };
            Err(error(start, end, bad.message()))
        }
    }
}

/// Parses a rate alone, as a quota with the default burst.
#[cfg(feature = "serde")]
pub(in crate::quota) const fn rate(text: &str) -> Result<Quota, QuotaTextError> {
    let mut parser = Parser::new(text);
    let rate = attempt!(parser.rate());
    attempt!(parser.end(RATE_ALONE));
    Ok(rate)
}

/// Parses an amount of tokens alone.
#[cfg(feature = "serde")]
pub(in crate::quota) const fn tokens(text: &str) -> Result<Tokens, QuotaTextError> {
    let mut parser = Parser::new(text);
    let clause = attempt!(parser.tokens());
    attempt!(parser.end(AMOUNT_ALONE));
    Ok(clause.tokens)
}

/// The clause that does not fit the rate, and the reason; `None` if the rate is at fault.
pub(in crate::quota) struct Misfit {
    pub(in crate::quota) clause: Option<usize>,
    pub(in crate::quota) error: QuotaError,
}

/// Combines a rate with the result of [`Parser::clauses`]. It takes all clauses at once, because
/// their order must not decide whether they fit together.
pub(in crate::quota) const fn combined(
    rate: &Quota,
    [burst, initial, debt]: [Option<Tokens>; 3],
) -> Result<Quota, Misfit> {
    let (kept, initial) = (tokens_or(burst, rate.burst), tokens_or(initial, rate.initial));
    match Quota::derive(rate.tokens, rate.period, kept, initial, debt) {
        Ok(quota) => Ok(quota),
        Err(error) => {
            let clause = match (burst, debt) {
                (Some(_), _) => Some(0),
                (None, Some(_)) => Some(2),
                (None, None) => None,
            };
            Err(Misfit { clause, error })
        }
    }
}

const fn tokens_or(given: Option<Tokens>, default: Tokens) -> Tokens {
    match given {
        Some(tokens) => tokens,
        None => default,
    }
}

const fn tokens_of(clause: Option<Clause>) -> Option<Tokens> {
    match clause {
        Some(clause) => Some(clause.tokens),
        None => None,
    }
}

const fn error(start: usize, end: usize, message: &'static str) -> QuotaTextError {
    QuotaTextError { message, start, end }
}

/// The amount of a clause, and its place in the text.
#[derive(Clone, Copy)]
struct Clause {
    tokens: Tokens,
    start: usize,
    end: usize,
}

struct Parser<'a> {
    bytes: &'a [u8],
    /// The position after the text that was read, before any spaces.
    at: usize,
}

impl<'a> Parser<'a> {
    const fn new(text: &'a str) -> Self {
        Parser { bytes: text.as_bytes(), at: 0 }
    }

    /// The rate, as a quota with the default burst.
    const fn rate(&mut self) -> Result<Quota, QuotaTextError> {
        self.spaces();
        let start = self.at;
        let count = attempt!(self.amount());
        if count.digits == 0 {
            return Err(error(start, self.at, QuotaError(QuotaErrorKind::ZeroTokens).message()));
        }
        attempt!(self.per());
        self.spaces();
        let from = self.at;
        let (period, unit) = attempt!(self.period());
        if period.digits == 0 {
            return Err(error(from, self.at, QuotaError(QuotaErrorKind::ZeroPeriod).message()));
        }
        let Some((tokens, nanos)) = terms(count, period, unit) else {
            return Err(error(start, self.at, INEXACT));
        };
        match Quota::from_parts(tokens, nanos, default_burst(count)) {
            Ok(quota) => Ok(quota),
            Err(bad) => Err(error(start, self.at, bad.message())),
        }
    }

    /// Each of [`CLAUSES`], up to the end of the text.
    const fn clauses(&mut self) -> Result<[Option<Clause>; 3], QuotaTextError> {
        let mut clauses = [None; 3];
        loop {
            self.spaces();
            if self.at == self.bytes.len() {
                return Ok(clauses);
            }
            let end = self.word_end();
            let Some(which) = self.position(end, &CLAUSES) else { return Err(self.unexpected(CLAUSE)) };
            if clauses[which].is_some() {
                return Err(error(self.at, end, TWICE));
            }
            self.at = end;
            clauses[which] = Some(attempt!(self.tokens()));
        }
    }

    /// An amount of tokens.
    const fn tokens(&mut self) -> Result<Clause, QuotaTextError> {
        self.spaces();
        let start = self.at;
        let amount = attempt!(self.amount());
        match amount.tokens(Round::Exactly) {
            Some(tokens) => Ok(Clause { tokens, start, end: self.at }),
            None => Err(error(start, self.at, TOKENS)),
        }
    }

    /// Expects the end of the text. If there is more text, `message` is the error.
    #[cfg(feature = "serde")]
    const fn end(&mut self, message: &'static str) -> Result<(), QuotaTextError> {
        self.spaces();
        if self.at == self.bytes.len() { Ok(()) } else { Err(self.unexpected(message)) }
    }

    const fn amount(&mut self) -> Result<Decimal, QuotaTextError> {
        if !self.at_number() {
            return Err(self.unexpected(AMOUNT));
        }
        let start = self.at;
        let number = attempt!(self.number());
        let touching = self.at;
        let mut factor = 1;
        let (from, word) = self.next_word();
        if let Some(suffix) = self.suffix(from, word) {
            factor = suffix;
            self.at = word;
        }
        let (from, word) = self.next_word();
        let noun = self.after(from);
        if noun.position(word, &NOUNS).is_some() {
            self.at = word;
        } else if from == touching && word > from && noun.position(word, &[b"per"]).is_none() {
            return Err(noun.unexpected(SUFFIX));
        }
        match number.times(factor) {
            Some(amount) => Ok(amount),
            None => Err(error(start, self.at, NUMBER)),
        }
    }

    const fn per(&mut self) -> Result<(), QuotaTextError> {
        self.spaces();
        let end = self.word_end();
        if self.at < self.bytes.len() && self.bytes[self.at] == b'/' {
            self.at += 1;
        } else if self.position(end, &[b"per"]).is_some() {
            self.at = end;
        } else {
            return Err(self.unexpected(PER));
        }
        Ok(())
    }

    /// A number of units, and the unit's nanoseconds.
    const fn period(&mut self) -> Result<(Decimal, u64), QuotaTextError> {
        let number = if self.at_number() { attempt!(self.number()) } else { Decimal::ONE };
        self.spaces();
        let end = self.word_end();
        let mut unit = 0;
        while unit < UNITS.len() {
            if self.position(end, UNITS[unit].1).is_some() {
                self.at = end;
                return Ok((number, UNITS[unit].0));
            }
            unit += 1;
        }
        if self.position(end, &MONTHS).is_some() {
            return Err(error(self.at, end, MONTH));
        }
        if self.position(end, &YEARS).is_some() {
            return Err(error(self.at, end, YEAR));
        }
        Err(self.unexpected(UNIT))
    }

    /// Returns whether a number starts here; `.` counts only before a digit.
    const fn at_number(&self) -> bool {
        let at = self.at;
        let digit = at < self.bytes.len() && self.bytes[at].is_ascii_digit();
        let point = at + 1 < self.bytes.len() && self.bytes[at] == b'.' && self.bytes[at + 1].is_ascii_digit();
        digit || point
    }

    const fn number(&mut self) -> Result<Decimal, QuotaTextError> {
        let start = self.at;
        // Commas are included, so that the error covers the whole number.
        while self.at < self.bytes.len() && matches!(self.bytes[self.at], b'0'..=b'9' | b'_' | b'.' | b',') {
            self.at += 1;
        }
        match Decimal::parse(self.bytes, start, self.at) {
            Some(number) => Ok(number),
            None => Err(error(start, self.at, NUMBER)),
        }
    }

    /// Returns the factor of the suffix `from..to`; `None` if it is not a suffix.
    const fn suffix(&self, from: usize, to: usize) -> Option<u64> {
        if from == to {
            return None;
        }
        let power = match self.bytes[from] {
            b'k' | b'K' => 1,
            b'M' => 2,
            b'G' => 3,
            b'T' => 4,
            b'B' if to - from == 1 => return Some(1),
            _ => return None,
        };
        let binary = to - from > 1 && self.bytes[from + 1] == b'i';
        let rest = from + 1 + binary as usize;
        if rest == to || rest + 1 == to && self.bytes[rest] == b'B' {
            return Some(if binary { 1024u64.pow(power) } else { 1000u64.pow(power) });
        }
        None
    }

    const fn spaces(&mut self) {
        while self.at < self.bytes.len() && self.bytes[self.at].is_ascii_whitespace() {
            self.at += 1;
        }
    }

    /// Returns the end of the word that starts here, or the current position if no word does.
    const fn word_end(&self) -> usize {
        let mut end = self.at;
        while end < self.bytes.len() && (self.bytes[end].is_ascii_alphabetic() || !self.bytes[end].is_ascii()) {
            end += 1;
        }
        end
    }

    /// Returns the start and the end of the next word, after any spaces.
    const fn next_word(&self) -> (usize, usize) {
        let mut ahead = self.after(self.at);
        ahead.spaces();
        (ahead.at, ahead.word_end())
    }

    const fn after(&self, at: usize) -> Self {
        Parser { bytes: self.bytes, at }
    }

    /// Returns the index in `words` of the text from here to `end`. Case matters only in words of
    /// one or two letters, because there it separates units from prefixes.
    const fn position(&self, end: usize, words: &[&[u8]]) -> Option<usize> {
        let mut which = 0;
        while which < words.len() {
            if self.is(end, words[which]) {
                return Some(which);
            }
            which += 1;
        }
        None
    }

    const fn is(&self, end: usize, word: &[u8]) -> bool {
        if end - self.at != word.len() {
            return false;
        }
        let mut i = 0;
        while i < word.len() {
            let (given, wanted) = (self.bytes[self.at + i], word[i]);
            if given != wanted && (word.len() < 3 || !given.eq_ignore_ascii_case(&wanted)) {
                return false;
            }
            i += 1;
        }
        true
    }

    /// Returns an error for the text from here up to a space or a slash.
    const fn unexpected(&self, message: &'static str) -> QuotaTextError {
        let mut end = self.at;
        while end < self.bytes.len() && !self.bytes[end].is_ascii_whitespace() && self.bytes[end] != b'/' {
            end += 1;
        }
        if end == self.at && end < self.bytes.len() {
            end += 1;
        }
        error(self.at, end, message)
    }
}

/// `count` rounded up to whole tokens, as far as they can be kept.
const fn default_burst(count: Decimal) -> Tokens {
    match count.tokens(Round::Up) {
        Some(tokens) if tokens.pico() == 0 => tokens,
        Some(tokens) => Tokens::new(tokens.whole().saturating_add(1)),
        None => Tokens::new(u32::MAX),
    }
}

/// Converts `count` per `period` units of `unit` nanoseconds to tokens per nanoseconds in lowest
/// terms. Returns `None` if the terms are too long to be kept. A rate out of range stays out of
/// range. Neither number is zero.
const fn terms(count: Decimal, period: Decimal, unit: u64) -> Option<(u64, u128)> {
    const TOO_FAST: (u64, u128) = (u64::MAX, 1);
    const TOO_SLOW: (u64, u128) = (1, LONGEST_NANOS);
    let Some(nanos) = period.digits.checked_mul(unit as u128) else { return None };
    let divisor = gcd(count.digits, nanos);
    let (mut tokens, mut nanos) = (count.digits / divisor, nanos / divisor);
    let mut power = count.exponent as i64 - period.exponent as i64;
    // Cancelling at each step keeps the terms from ever being longer than the result.
    while power > 0 {
        let divisor = gcd(10, nanos);
        nanos /= divisor;
        tokens = match tokens.checked_mul(10 / divisor) {
            Some(tokens) => tokens,
            None => return Some(TOO_FAST),
        };
        power -= 1;
    }
    while power < 0 {
        let divisor = gcd(10, tokens);
        tokens /= divisor;
        nanos = match nanos.checked_mul(10 / divisor) {
            Some(nanos) => nanos,
            None if SLOWEST_NANOS.checked_mul(tokens).is_some() => return Some(TOO_SLOW),
            None => return None,
        };
        power += 1;
    }
    if tokens > nanos {
        return Some(TOO_FAST);
    }
    if nanos > SLOWEST_NANOS.saturating_mul(tokens) {
        return Some(TOO_SLOW);
    }
    if tokens > u64::MAX as u128 || nanos > Duration::MAX.as_nanos() {
        return None;
    }
    Some((tokens as u64, nanos))
}
