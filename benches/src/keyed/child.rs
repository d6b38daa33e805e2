//! What is measured in processes of their own.

use std::io;

use super::{flood, growth, insert, memory};
use crate::child::number;

pub(super) fn answer(words: &[&str]) -> io::Result<Option<Vec<f64>>> {
    Ok(match *words {
        ["insert", name, keys] => insert::mean(name, number(keys)?),
        ["insertions", name, keys] => insert::each(name, number(keys)?),
        ["memory", name, kind, keys] => memory::measure(name, kind, number(keys)?),
        ["flood", quota, keys] => flood::measure(quota, number(keys)?),
        ["growth", name, keys] => growth::measure(name, number(keys)?),
        _ => None,
    })
}
