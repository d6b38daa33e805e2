//! The measurements that need processes of their own.

use std::io;

use super::{alone, crowd, keys, memory, threads};
use crate::child::number;

pub(super) fn answer(words: &[&str]) -> io::Result<Option<Vec<f64>>> {
    Ok(match *words {
        ["crowd", name, tasks, rounds, rate, burst] => {
            crowd::measure(name, [number(tasks)?, number(rounds)?, number(rate)?, number(burst)?])
        }
        ["reads", name, tasks, rounds, rate, burst] => {
            crowd::count_reads(name, [number(tasks)?, number(rounds)?, number(rate)?, number(burst)?])
        }
        ["threads", name, threads] => threads::measure(name, number(threads)?),
        ["alone", name, tokens] => alone::measure(name, number(tokens)?),
        ["keys", name, keys] => keys::measure(name, number(keys)?),
        ["memory", "tasks", name, tasks] => memory::tasks(name, number(tasks)?),
        ["memory", "keys", name, keys] => memory::keys(name, number(keys)?),
        _ => None,
    })
}
