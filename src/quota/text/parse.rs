//! The parser. It is `const`, so it reads byte by byte and cannot use `?`.
//!
//! ```text
//! quota  := (rate | window) { ("burst" | "initial" | "debt") amount }
//! rate   := amount ("/" | "per") period  |  number [suffix] ("rps" | "rpm" | …)
//! window := "at most" amount "in" period
//! amount := number [suffix] [noun]
//! period := [number] unit
//! ```
//!
//! Positions only step over ASCII or over a whole word, and every byte beyond ASCII belongs to a
//! word. So spans never split a character.

use core::time::Duration;

use super::error::QuotaTextError;
use super::words::{AT, CLAUSES, IN, MONTHS, MOST, NOUNS, PER, RATES, SEPARATORS, UNITS, UNLIMITED, Unit, YEARS};
use crate::error::{QuotaError, QuotaErrorKind};
use crate::quota::rate::{Rate, terms};
use crate::quota::value::Quota;
use crate::quota::window::Window;
use crate::tokens::{Decimal, Round, Tokens};

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
const COMMA: &str = "a number has no comma: write 1_000 or 0.5; quotas are separated by \";\"";
const SUFFIX: &str = "an amount may end in k, M, G, T or Ki, Mi, Gi, Ti, and B, then a word such as req or calls";
const NOUN: &str =
    "an unknown word: write requests, calls, tokens, bytes or none; for a factor write k, M or G, as in 10M";
const PERIOD: &str = "expected \"/\" or \"per\" and a period, as in \"100/s\", or a word such as rpm";
const UNIT: &str = "expected a unit of time: ns, us, ms, s, min, h, day or week";
const MONTH: &str = "a month has no fixed length: write \"30 days\"";
const YEAR: &str = "a year has no fixed length: write \"365 days\"";
const CLAUSE: &str = "after the rate come \"burst\", \"initial\" or \"debt\", each with an amount";
const TWICE: &str = "given twice: leave one of them out";
const SEPARATOR: &str = "quotas are separated by \";\", as in \"100/s; 5000/h\"";
const NO_SEPARATOR: &str = "leave this out: a space is enough, as in \"100/s burst 200\"";
const ONE_QUOTA: &str = "one quota is expected here: a list such as \"100/s; 5000/h\" is parsed as `Quotas`";
const NAME: &str = "one quota without a name is expected here: a list with names is parsed as `Quotas`";
const NO_LIMIT: &str = "a quota always has a limit: for none, leave the quota out and use `RateLimiter::unlimited()`";
const LARGEST: &str = "an amount always has a limit: the largest is 4294967295";
const NO_WINDOW: &str = "after \"at most\" and an amount come \"in\" and a time, as in \"at most 100 in 1min\"";
const WHOLE: &str = "\"at most\" counts whole tokens, at most 18446744073709551615";
const NANOS: &str = "a window is a whole number of nanoseconds, below 2^64 seconds";
const INEXACT: &str = "this rate cannot be kept exactly: write it with fewer digits";
#[cfg(feature = "serde")]
const RATE_ALONE: &str = "expected a rate alone: \"burst\", \"initial\" and \"debt\" are fields of their own";
#[cfg(feature = "serde")]
const AMOUNT_ALONE: &str = "expected an amount alone, such as 100, 2.5 or 10k";
const TOKENS: &str = "an amount of tokens is below 4294967296 and has at most 12 decimals";

pub(super) const fn quota(text: &str) -> Result<Quota, QuotaTextError> {
    let mut parser = Parser::new(text);
    let base = attempt!(parser.base());
    let [burst, initial, debt] = attempt!(parser.clauses());
    match combined(base, [tokens_of(burst), tokens_of(initial), tokens_of(debt)]) {
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

/// Parses a rate or a window alone.
#[cfg(feature = "serde")]
pub(in crate::quota) const fn rate(text: &str) -> Result<Base, QuotaTextError> {
    let mut parser = Parser::new(text);
    let base = attempt!(parser.base());
    attempt!(parser.end(RATE_ALONE));
    Ok(base)
}

/// Parses an amount of tokens alone.
#[cfg(feature = "serde")]
pub(in crate::quota) const fn tokens(text: &str) -> Result<Tokens, QuotaTextError> {
    let mut parser = Parser::new(text);
    let clause = attempt!(parser.tokens());
    attempt!(parser.end(AMOUNT_ALONE));
    Ok(clause.tokens)
}

/// The part of a text before its clauses.
#[derive(Clone, Copy)]
pub(in crate::quota) enum Base {
    /// A rate, and the burst that it has if the text gives no other.
    Rate(Rate, Tokens),
    /// A window, whose rate depends on the burst.
    Window(Window),
}

impl Base {
    const fn default_burst(self) -> Tokens {
        match self {
            Base::Rate(_, burst) => burst,
            Base::Window(window) => window.default_burst(),
        }
    }

    const fn rate(self, burst: Tokens) -> Result<Rate, QuotaError> {
        match self {
            Base::Rate(rate, _) => Ok(rate),
            Base::Window(window) => window.rate(burst),
        }
    }
}

/// The clause that does not fit the rate, and the reason; `None` if the rate is at fault.
pub(in crate::quota) struct Misfit {
    pub(in crate::quota) clause: Option<usize>,
    pub(in crate::quota) error: QuotaError,
}

/// Combines a rate or a window with the result of [`Parser::clauses`]. It takes all clauses at once, because
/// their order must not decide whether they fit together.
pub(in crate::quota) const fn combined(
    base: Base,
    [burst, initial, debt]: [Option<Tokens>; 3],
) -> Result<Quota, Misfit> {
    let (kept, initial) = (tokens_or(burst, base.default_burst()), tokens_or(initial, Tokens::MAX));
    let quota = match base.rate(kept) {
        Ok(rate) => Quota::derive(rate, kept, initial, debt),
        Err(error) => Err(error),
    };
    match quota {
        Ok(quota) => Ok(quota),
        Err(error) => {
            let clause = match (error.0, burst, debt) {
                // The rate of a window depends on the burst, but no burst mends these.
                (QuotaErrorKind::TooFast { .. } | QuotaErrorKind::TooSlow { .. }, ..) | (_, None, None) => None,
                (_, Some(_), _) => Some(0),
                (_, None, Some(_)) => Some(2),
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

    /// A rate or a window, without clauses.
    const fn base(&mut self) -> Result<Base, QuotaTextError> {
        self.spaces();
        let mut ahead = self.after(self.at);
        if ahead.word(&AT) && ahead.word(&MOST) {
            self.at = ahead.at;
            return self.window();
        }
        self.rate()
    }

    /// The part of a window after `at most`.
    const fn window(&mut self) -> Result<Base, QuotaTextError> {
        self.spaces();
        let start = self.at;
        let count = attempt!(self.quantity(NO_LIMIT));
        attempt!(self.noun());
        let Some(most) = count.whole(u64::MAX as u128) else { return Err(error(start, self.at, WHOLE)) };
        if most == 0 {
            return Err(error(start, self.at, QuotaError(QuotaErrorKind::ZeroTokens).message()));
        }
        if !self.word(&IN) {
            self.spaces();
            return Err(self.unexpected(NO_WINDOW));
        }
        self.spaces();
        let start = self.at;
        let (number, unit) = attempt!(self.length());
        let nanos = match number.times(unit) {
            Some(nanos) => nanos.whole(Duration::MAX.as_nanos()),
            None => None,
        };
        let Some(nanos) = nanos else { return Err(error(start, self.at, NANOS)) };
        Ok(Base::Window(Window { most: most as u64, nanos }))
    }

    /// A rate, without its clauses.
    const fn rate(&mut self) -> Result<Base, QuotaTextError> {
        let start = self.at;
        let count = attempt!(self.quantity(NO_LIMIT));
        // Such as `rpm`: the noun and the period in one word.
        let (from, end) = self.next_word();
        let short = self.after(from).unit(end, &RATES);
        if short.is_none() {
            attempt!(self.noun());
        }
        if count.digits == 0 {
            return Err(error(start, self.at, QuotaError(QuotaErrorKind::ZeroTokens).message()));
        }
        let (period, unit) = match short {
            Some(unit) => {
                self.at = end;
                (Decimal::ONE, unit)
            }
            None => attempt!(self.period()),
        };
        let Some((tokens, nanos)) = terms(count, period, unit) else {
            return Err(error(start, self.at, INEXACT));
        };
        match Rate::new(tokens, nanos) {
            Ok(rate) => Ok(Base::Rate(rate, default_burst(count))),
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
            let Some(which) = self.position(end, &CLAUSES) else { return Err(self.no_clause(end)) };
            if clauses[which].is_some() {
                return Err(error(self.at, end, TWICE));
            }
            self.at = end;
            clauses[which] = Some(attempt!(self.tokens()));
        }
    }

    /// Returns the error for a sign, or for a word up to `end`, that is not a clause.
    const fn no_clause(&self, end: usize) -> QuotaTextError {
        let sign = if end > self.at { end } else { self.at + 1 };
        if self.bytes[self.at] == b';' {
            return error(self.at, sign, ONE_QUOTA);
        }
        if self.position(sign, &SEPARATORS).is_none() {
            return self.unexpected(CLAUSE);
        }
        let (from, end) = self.after(sign).next_word();
        let before_clause = self.after(from).position(end, &CLAUSES).is_some();
        error(self.at, sign, if before_clause { NO_SEPARATOR } else { SEPARATOR })
    }

    /// An amount of tokens.
    const fn tokens(&mut self) -> Result<Clause, QuotaTextError> {
        self.spaces();
        let start = self.at;
        let amount = attempt!(self.quantity(LARGEST));
        attempt!(self.noun());
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

    /// A number and its suffix. `unlimited` is the error for a word that means no limit.
    const fn quantity(&mut self, unlimited: &'static str) -> Result<Decimal, QuotaTextError> {
        if !self.at_number() {
            let end = self.word_end();
            return Err(if self.position(end, &UNLIMITED).is_some() {
                error(self.at, end, unlimited)
            } else if end > self.at && end < self.bytes.len() && self.bytes[end] == b':' {
                error(self.at, end + 1, NAME)
            } else {
                self.unexpected(AMOUNT)
            });
        }
        let start = self.at;
        let number = attempt!(self.number());
        let (from, end) = self.next_word();
        let mut factor = 1;
        if let Some(suffix) = self.suffix(from, end) {
            factor = suffix;
            self.at = end;
        }
        match number.times(factor) {
            Some(amount) => Ok(amount),
            None => Err(error(start, self.at, NUMBER)),
        }
    }

    /// Steps over a noun, such as `calls`, if there is one. An unknown word is an error if it touches
    /// the number; another one is left to the caller.
    const fn noun(&mut self) -> Result<(), QuotaTextError> {
        let touching = self.at;
        let (from, end) = self.next_word();
        let word = self.after(from);
        if word.position(end, &NOUNS).is_some() {
            self.at = end;
        } else if from == touching && end > from && word.position(end, &PER).is_none() {
            return Err(word.unexpected(SUFFIX));
        }
        Ok(())
    }

    /// A slash or `per`, a number of units, and the unit's nanoseconds.
    const fn period(&mut self) -> Result<(Decimal, u64), QuotaTextError> {
        if !self.per() {
            let (_, end) = self.next_word();
            let unknown = end > self.at && self.after(end).per();
            return Err(self.unexpected(if unknown { NOUN } else { PERIOD }));
        }
        self.length()
    }

    /// A number of units, and the unit's nanoseconds.
    const fn length(&mut self) -> Result<(Decimal, u64), QuotaTextError> {
        self.spaces();
        let start = self.at;
        let number = if self.at_number() { attempt!(self.number()) } else { Decimal::ONE };
        self.spaces();
        let end = self.word_end();
        if let Some(unit) = self.unit(end, &UNITS) {
            self.at = end;
            if number.digits == 0 {
                return Err(error(start, self.at, QuotaError(QuotaErrorKind::ZeroPeriod).message()));
            }
            return Ok((number, unit));
        }
        if self.position(end, &MONTHS).is_some() {
            return Err(error(self.at, end, MONTH));
        }
        if self.position(end, &YEARS).is_some() {
            return Err(error(self.at, end, YEAR));
        }
        Err(self.unexpected(UNIT))
    }

    /// Steps over a slash or `per`, after any spaces. Returns false if there is neither.
    const fn per(&mut self) -> bool {
        self.spaces();
        let word = self.word_end();
        let end = if self.at < self.bytes.len() && self.bytes[self.at] == b'/' { self.at + 1 } else { word };
        if end == word && self.position(end, &PER).is_none() {
            return false;
        }
        self.at = end;
        true
    }

    /// Steps over a word of `words`, after any spaces. Returns false if there is another.
    const fn word(&mut self, words: &[&[u8]]) -> bool {
        let (from, end) = self.next_word();
        let is_word = self.after(from).position(end, words).is_some();
        if is_word {
            self.at = end;
        }
        is_word
    }

    /// Returns the nanoseconds of the unit that the text from here to `end` names.
    const fn unit(&self, end: usize, units: &[Unit]) -> Option<u64> {
        let mut unit = 0;
        while unit < units.len() {
            if self.position(end, units[unit].1).is_some() {
                return Some(units[unit].0);
            }
            unit += 1;
        }
        None
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
        let mut comma = false;
        while self.at < self.bytes.len() {
            match self.bytes[self.at] {
                b'0'..=b'9' | b'_' | b'.' => {}
                // Included, so that the error covers the whole number.
                b',' if self.at + 1 < self.bytes.len() && self.bytes[self.at + 1].is_ascii_digit() => comma = true,
                _ => break,
            }
            self.at += 1;
        }
        match Decimal::parse(self.bytes, start, self.at) {
            Some(number) => Ok(number),
            None => Err(error(start, self.at, if comma { COMMA } else { NUMBER })),
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
