//! The call of the function that decides: its arguments, its reply, and its failures.

use std::error::Error as _;
use std::fmt;

use tokio_postgres::error::{DbError, Severity, SqlState};
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Error, Statement};

use super::link::{Sign, described};
use crate::engine::{Limit, Operation, Outcome, Request, StoreError};

/// The statements that create the table and the function.
pub(super) const SCHEMA: &str = include_str!("schema.sql");

/// Prepares the statement that decides.
pub(super) async fn prepare(client: &Client) -> Result<Statement, Error> {
    let types = [Type::BYTEA, Type::TEXT, Type::BYTEA, Type::INT8, Type::INT8_ARRAY];
    client.prepare_typed("SELECT brimful_decide_v1($1, $2, $3, $4, $5)", &types).await
}

/// Executes a request.
pub(super) async fn execute(
    client: &Client,
    statement: &Statement,
    request: &Request<'_>,
) -> Result<Outcome, StoreError> {
    let Request { key, operation, limits, id, .. } = *request;
    let (key, operation) = (key.as_bytes(), operation_name(operation));
    let bytes = id.map(|(id, _)| id.0.to_be_bytes());
    let id_bytes = bytes.as_ref().map(|bytes| &bytes[..]);
    let remembered = id.map_or(0, |(_, time)| i64::try_from(time.as_micros()).unwrap_or(i64::MAX / 2));
    let numbers = numbers(limits);
    // All rows are read, and then the end of the transaction: an error of the commit comes after the row.
    let row = client.query_one(statement, &[&key, &operation, &id_bytes, &remembered, &numbers]).await;
    let reply: Vec<i64> = row.and_then(|row| row.try_get(0)).map_err(failure)?;
    outcome(&reply, limits.len()).ok_or_else(|| StoreError::new(true, "the reply of the function has another length"))
}

/// Returns the limits and the amounts as the function reads them. All numbers are below 2⁵³.
fn numbers(limits: &[(Limit, u64)]) -> Vec<i64> {
    let numbers = limits.iter().flat_map(|(limit, amount)| limit.numbers().into_iter().chain([*amount]));
    numbers.map(|number| number as i64).collect()
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

fn outcome(reply: &[i64], limits: usize) -> Option<Outcome> {
    let numbers = reply.iter().map(|&number| u64::try_from(number)).collect::<Result<Vec<u64>, _>>().ok()?;
    match &numbers[..] {
        [admitted, at, ahead, buckets @ ..] if buckets.len() == 2 * limits => Some(Outcome {
            admitted: *admitted == 1,
            at: *at,
            ahead: *ahead,
            buckets: buckets.chunks_exact(2).map(|bucket| (bucket[0], bucket[1])).collect(),
        }),
        _ => None,
    }
}

/// Returns what a failure says about the connection.
pub(super) fn sign(failed: &StoreError) -> Sign {
    let Some(error) = failed.source().and_then(|source| source.downcast_ref::<Failed>()) else { return Sign::Answered };
    match error.0.as_db_error() {
        // Another connection is needed also if this one leads to a server that has become a standby.
        Some(answer) if answer.code() != &SqlState::READ_ONLY_SQL_TRANSACTION && is_of_statement(answer) => {
            Sign::Answered
        }
        _ => Sign::Lost,
    }
}

/// Returns the failure of a request that was sent.
///
/// An error of the statement, such as a deadlock, a serialization failure or a timeout, means that its transaction was rolled
/// back. Any other failure leaves open whether it was committed: the connection was lost, or the server is about to end.
pub(super) fn failure(error: Error) -> StoreError {
    let is_rolled_back = error.as_db_error().is_some_and(|answer| {
        let unknown = [SqlState::TRANSACTION_RESOLUTION_UNKNOWN, SqlState::T_R_STATEMENT_COMPLETION_UNKNOWN];
        is_of_statement(answer) && !unknown.contains(answer.code())
    });
    StoreError::new(!is_rolled_back, Failed(error))
}

/// Returns whether an error ends a statement, and not the whole connection.
fn is_of_statement(answer: &DbError) -> bool {
    answer.parsed_severity() == Some(Severity::Error)
}

/// Returns the failure of a statement that could not be prepared, so that nothing was done.
pub(super) fn unprepared(error: Error) -> StoreError {
    StoreError::new(false, Failed(error))
}

/// An error of the server or of the connection.
#[derive(Debug)]
struct Failed(Error);

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&described(&self.0))?;
        let is_missing = |code: &SqlState| [SqlState::UNDEFINED_FUNCTION, SqlState::UNDEFINED_TABLE].contains(code);
        match self.0.code().is_some_and(is_missing) {
            true => f.write_str(
                " (call PostgresStore::migrate, or let the owner of the database run PostgresStore::SCHEMA)",
            ),
            false => Ok(()),
        }
    }
}

impl std::error::Error for Failed {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}
