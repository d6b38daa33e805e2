//! The script of the token bucket: its arguments and its reply.

use redis::{Cmd, ErrorKind, RedisError, ServerErrorKind, Value};

use super::eval::Script;
use crate::engine::{Limit, Operation, Outcome, Request, StoreError};

pub(super) static SCRIPT: Script = Script::new(include_str!("token_bucket.lua"));

/// Adds the keys and arguments that execute requests. Requests on the same key are neighbours.
pub(super) fn fill(requests: &[Request<'_>], command: &mut Cmd) {
    let mut limits: Vec<&Limit> = Vec::new();
    // The first byte is the count of states.
    let (mut states, mut records, mut packed) = (Vec::new(), Vec::new(), vec![0]);
    for of_key in requests.chunk_by(|one, next| one.key == next.key) {
        let key = of_key[0].key;
        // The braces make all keys of a request live in the same slot of a cluster.
        states.push(format!("{{{key}}}"));
        packed[0] += 1;
        packed.push(of_key.len() as u8);
        for Request { operation, limits: of_request, id, .. } in of_key {
            let flag = if id.is_some() { WITH_RECORD } else { 0 };
            packed.extend_from_slice(&[operation_number(*operation) + flag, of_request.len() as u8]);
            for (limit, amount) in *of_request {
                let known = limits.iter().position(|known| *known == limit);
                let index = known.unwrap_or_else(|| {
                    limits.push(limit);
                    limits.len() - 1
                });
                packed.extend_from_slice(&(index as u16 + 1).to_be_bytes());
                packed.extend_from_slice(&seven(*amount));
            }
            if let Some((id, lifetime)) = id {
                records.push(format!("{{{key}}}#{:032x}", id.0));
                let millis = lifetime.as_millis().clamp(1, u128::from(u32::MAX)) as u32;
                packed.extend_from_slice(&millis.to_be_bytes());
            }
        }
    }
    let limits: Vec<u8> = limits.iter().flat_map(|limit| limit.numbers()).flat_map(seven).collect();
    command.arg(states.len() + records.len()).arg(states).arg(records).arg(limits).arg(packed);
}

/// The flag of an operation whose request has an id.
const WITH_RECORD: u8 = 8;

/// Returns a number below 2^53, in seven bytes.
fn seven(number: u64) -> [u8; 7] {
    let [_, bytes @ ..] = number.to_be_bytes();
    bytes
}

const fn operation_number(operation: Operation) -> u8 {
    match operation {
        Operation::Peek => 0,
        Operation::Take => 1,
        Operation::TakeUpTo => 2,
        Operation::Charge => 3,
        Operation::Add => 4,
        Operation::Reset => 5,
    }
}

/// The reply to requests, which is read in their order.
pub(super) struct Reply {
    bytes: std::vec::IntoIter<u8>,
    /// The server's clock.
    clock: u64,
}

impl Reply {
    pub(super) fn new(value: Value) -> Result<Reply, Failure> {
        let Value::BulkString(bytes) = value else { return Err(Failure::malformed()) };
        let mut reply = Reply { bytes: bytes.into_iter(), clock: 0 };
        reply.clock = reply.number(7)?;
        Ok(reply)
    }

    /// Reads the outcome of the next request.
    pub(super) fn next(&mut self, request: &Request<'_>) -> Result<Outcome, Failure> {
        let status = self.number(1)?;
        if status > 1 {
            let length = self.number(2)? as usize;
            let text: Vec<u8> = self.bytes.by_ref().take(length).collect();
            return Err(Failure { may_be_done: status == 3, error: error(&String::from_utf8_lossy(&text)) });
        }
        let (admitted, at) = (status == 1, self.number(7)?);
        let mut buckets = Vec::with_capacity(request.limits.len());
        for (_, amount) in request.limits {
            let _unit = self.number(7)?;
            buckets.push((self.number(7)?, if admitted { *amount } else { 0 }));
        }
        if request.operation != Operation::Take {
            for (_, done) in &mut buckets {
                *done = self.number(7)?;
            }
        }
        Ok(Outcome { admitted, at, ahead: at.saturating_sub(self.clock), buckets })
    }

    fn number(&mut self, bytes: usize) -> Result<u64, Failure> {
        if self.bytes.len() < bytes {
            return Err(Failure::malformed());
        }
        Ok(self.bytes.by_ref().take(bytes).fold(0, |number, byte| number << 8 | u64::from(byte)))
    }
}

/// The failure of a request.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    may_be_done: bool,
    error: RedisError,
}

impl Failure {
    /// Returns the failure of each request of a call. An answer of the server means that nothing was done. Any other error
    /// leaves that open, because the call was sent.
    pub(super) fn of_call(error: RedisError) -> Self {
        Failure { may_be_done: error.code().is_none(), error }
    }

    fn malformed() -> Self {
        let error = (ErrorKind::UnexpectedReturnType, "the reply of the script is malformed").into();
        Failure { may_be_done: true, error }
    }

    /// Returns whether another connection is needed: this one is lost, or the server has become a replica, or is not ready.
    pub(super) fn is_lost(&self) -> bool {
        let error = &self.error;
        let by_server = matches!(
            error.kind(),
            ErrorKind::Server(ServerErrorKind::ReadOnly | ServerErrorKind::MasterDown | ServerErrorKind::BusyLoading)
        );
        by_server || error.is_unrecoverable_error() || error.is_io_error() || error.to_string().contains("READONLY")
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        StoreError::new(failure.may_be_done, failure.error)
    }
}

/// Returns an error of the server from its text, which begins with a code.
fn error(text: &str) -> RedisError {
    let (code, detail) = text.split_once(' ').unwrap_or((text, ""));
    redis::make_extension_error(code.to_owned(), Some(detail.to_owned()))
}
