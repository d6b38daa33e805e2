//! The measurements that need processes of their own.

use std::io;

use super::memory;
use crate::child::number;

pub(super) fn answer(words: &[&str]) -> io::Result<Option<Vec<f64>>> {
    Ok(match *words {
        ["memory", name, limiters] => memory::measure(name, number(limiters)?),
        _ => None,
    })
}
