//! Reads a list of quotas: `burst: 100/s; 5000/h`.

use alloc::vec::Vec;

use super::error::QuotaTextError;
use super::parse;
use crate::quota::name::{NO_NAME, Name, TWICE};
use crate::quota::value::Quota;

const MISSING: &str = "expected a quota, such as \"100/s\"";
const TOO_MANY: &str = "a list has at most 8 quotas: leave some out";

/// The most quotas of a list.
pub(in crate::quota) const MOST: usize = 8;

/// Reads quotas with semicolons between them, each perhaps with a name and a colon before it. Names are
/// unique.
pub(in crate::quota) fn list(text: &str) -> Result<Vec<(Name, Quota)>, QuotaTextError> {
    let mut found: Vec<(Name, Quota)> = Vec::new();
    let mut before = 0;
    for part in text.split(';') {
        let at_end = before + part.len() == text.len();
        let (name, quota) = named(part).map_err(|error| shifted(error, before, at_end))?;
        let whole = span(part, part.split_once(':').map_or(part, |(name, _)| name));
        let refuse = |message| shifted(error(message, whole), before, at_end);
        if found.len() == MOST {
            return Err(refuse(TOO_MANY));
        }
        if found.iter().any(|(other, _)| *other == name) {
            return Err(refuse(TWICE));
        }
        found.push((name, quota));
        before += part.len() + 1;
    }
    Ok(found)
}

/// Reads one quota, perhaps with a name and a colon before it.
pub(in crate::quota) fn named(text: &str) -> Result<(Name, Quota), QuotaTextError> {
    let Some((name, quota)) = text.split_once(':') else {
        let quota = one(text)?;
        return Ok((Name::of(&quota), quota));
    };
    let given = Name::given(name.trim_ascii()).ok_or_else(|| {
        // A name that is missing is at its colon.
        let place = if name.trim_ascii().is_empty() { name.len()..name.len() + 1 } else { span(text, name) };
        error(NO_NAME, place)
    })?;
    let quota = one(quota).map_err(|error| shifted(error, name.len() + 1, true))?;
    Ok((given, quota))
}

fn one(text: &str) -> Result<Quota, QuotaTextError> {
    if text.trim_ascii().is_empty() { Err(error(MISSING, text.len()..text.len())) } else { parse::quota(text) }
}

fn error(message: &'static str, span: core::ops::Range<usize>) -> QuotaTextError {
    QuotaTextError { message, start: span.start, end: span.end }
}

/// Returns the place of `part`, which begins `text`, without the spaces around it.
fn span(text: &str, part: &str) -> core::ops::Range<usize> {
    debug_assert!(text.starts_with(part));
    let start = part.len() - part.trim_ascii_start().len();
    start..start + part.trim_ascii().len()
}

/// Moves an error of a part to the whole text, in which the part begins at `before`. An error at the end
/// of a part points at the semicolon after it, if there is one.
fn shifted(error: QuotaTextError, before: usize, at_end: bool) -> QuotaTextError {
    let QuotaTextError { message, start, end } = error;
    let (start, end) = (start + before, end + before);
    QuotaTextError { message, start, end: if start == end && !at_end { end + 1 } else { end } }
}
