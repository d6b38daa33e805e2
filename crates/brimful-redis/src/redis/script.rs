//! The script of the token bucket: its arguments and its reply.

use std::sync::LazyLock;

use redis::{Cmd, FromRedisValue, RedisError, Script, Value};

use crate::engine::{Limit, Operation, Outcome, Request};

const SOURCE: &str = include_str!("token_bucket.lua");

/// The hash by which the server knows the script.
static HASH: LazyLock<String> = LazyLock::new(|| Script::new(SOURCE).get_hash().to_owned());

/// Returns the command that executes a request by a script that the server knows.
pub(super) fn by_hash(request: &Request<'_>) -> Cmd {
    command("EVALSHA", &HASH, request)
}

/// Returns the command that executes a request and makes the script known to the server. In one step, so that no flush of
/// the server's scripts comes between.
pub(super) fn by_source(request: &Request<'_>) -> Cmd {
    command("EVAL", SOURCE, request)
}

fn command(name: &str, script: &str, request: &Request<'_>) -> Cmd {
    let Request { key, operation, limits, id, .. } = *request;
    let mut command = redis::cmd(name);
    // The braces make both keys live in the same slot of a cluster.
    command.arg(script).arg(1 + usize::from(id.is_some())).arg(format!("{{{key}}}"));
    if let Some((id, _)) = id {
        command.arg(format!("{{{key}}}#{:032x}", id.0));
    }
    let lifetime = id.map_or(0, |(_, lifetime)| lifetime.as_millis().clamp(1, u128::from(u32::MAX)) as u64);
    command.arg(operation_name(operation)).arg(lifetime).arg(packed(limits));
    for (_, amount) in limits {
        command.arg(*amount);
    }
    command
}

/// Returns the limits as the script reads them.
fn packed(limits: &[(Limit, u64)]) -> Vec<u8> {
    let mut packed = Vec::with_capacity(35 * limits.len());
    for (limit, _) in limits {
        let numbers = [limit.per_micro(), limit.per_token(), limit.capacity(), limit.debt(), limit.initial_deficit()];
        for number in numbers {
            // Below 2^53, so the first byte is zero.
            packed.extend_from_slice(&number.to_be_bytes()[1..]);
        }
    }
    packed
}

const fn operation_name(operation: Operation) -> &'static str {
    match operation {
        Operation::Take => "take",
        Operation::TakeUpTo => "take_up_to",
        Operation::Charge => "charge",
        Operation::Add => "add",
        Operation::Reset => "reset",
        Operation::Peek => "peek",
    }
}

/// Reads the reply to a request on so many limits.
pub(super) fn outcome(reply: Value, limits: usize) -> Result<Outcome, RedisError> {
    let numbers: Vec<u64> = Vec::from_redis_value(reply)?;
    match &numbers[..] {
        [admitted, at, ahead, buckets @ ..] if buckets.len() == 2 * limits => Ok(Outcome {
            admitted: *admitted == 1,
            at: *at,
            ahead: *ahead,
            buckets: buckets.chunks_exact(2).map(|bucket| (bucket[0], bucket[1])).collect(),
        }),
        _ => Err((redis::ErrorKind::UnexpectedReturnType, "the reply of the script has another length").into()),
    }
}
