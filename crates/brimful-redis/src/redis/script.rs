//! The script of the token bucket: its arguments and its reply.

use std::sync::LazyLock;

use redis::{FromRedisValue, RedisError, Script, ScriptInvocation, Value};

use crate::engine::{Operation, Outcome, Request};

static TOKEN_BUCKET: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("token_bucket.lua")));

/// Returns the invocation that executes a request.
pub(super) fn invocation(request: &Request<'_>) -> ScriptInvocation<'static> {
    let Request { key, operation, limits, id } = *request;
    let mut invocation = TOKEN_BUCKET.prepare_invoke();
    // The braces make both keys live in the same slot of a cluster.
    invocation.key(format!("{{{key}}}"));
    if let Some((id, _)) = id {
        invocation.key(format!("{{{key}}}#{:032x}", id.0));
    }
    let lifetime = id.map_or(0, |(_, lifetime)| lifetime.as_millis().clamp(1, u128::from(u32::MAX)) as u64);
    invocation.arg(name(operation)).arg(lifetime);
    for (limit, amount) in limits {
        let numbers =
            [limit.per_micro(), limit.per_token(), limit.capacity(), limit.debt(), limit.initial_deficit(), *amount];
        for number in numbers {
            invocation.arg(number);
        }
    }
    invocation
}

const fn name(operation: Operation) -> &'static str {
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
        [admitted, at, buckets @ ..] if buckets.len() == 2 * limits => Ok(Outcome {
            admitted: *admitted == 1,
            at: *at,
            buckets: buckets.chunks_exact(2).map(|bucket| (bucket[0], bucket[1])).collect(),
        }),
        _ => Err((redis::ErrorKind::UnexpectedReturnType, "the reply of the script has another length").into()),
    }
}
