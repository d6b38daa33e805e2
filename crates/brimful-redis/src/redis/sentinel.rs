//! [`Primary`]: the server that sentinels name.

use std::cmp::Reverse;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{Client, ConnectionInfo, IntoConnectionInfo, RedisError, Value};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::server::{self, Address, not_connected};

/// The longest time for the answers of the sentinels, and then for a connection to the server that they name. A primary that
/// hangs is not waited for any longer: the sentinels may name another one.
const ATTEMPT: Duration = Duration::from_secs(1);

/// The time after which the sentinels are asked whether the primary is still the same. They may name another one long before
/// the old one learns of it, which goes on deciding until then.
const CHECKED: Duration = Duration::from_secs(1);

/// The primary of a group of servers, which sentinels watch.
pub(super) struct Primary {
    sentinels: Vec<Client>,
    name: String,
    /// The user and the database.
    settings: ConnectionInfo,
    /// The server that was connected last, and the time at which the sentinels named it.
    last: Mutex<Option<(Address, Instant)>>,
}

impl Primary {
    /// Returns the primary that the sentinels at these URLs know by this name, or by the host of this URL.
    pub(super) fn new(sentinels: &[&str], primary: &str) -> Result<Self, RedisError> {
        let is_url = primary.contains("://");
        let url = if is_url { primary } else { "redis://localhost/" };
        let settings = url.into_connection_info()?;
        let name = if is_url { server::address(&settings)?.0 } else { primary.to_owned() };
        let sentinels = sentinels.iter().map(|&url| Client::open(url)).collect::<Result<_, _>>()?;
        Ok(Primary { sentinels, name, settings, last: Mutex::default() })
    }

    /// Makes a connection to the server that most sentinels name, and if this one is no primary, to another one that a
    /// sentinel names.
    pub(super) async fn connect(&self) -> Result<MultiplexedConnection, RedisError> {
        let mut why = not_connected("the sentinels name no primary");
        for (address, _) in self.named().await? {
            match tokio::time::timeout(ATTEMPT, self.connect_to(&address)).await {
                Ok(Ok(connection)) => {
                    *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some((address, Instant::now()));
                    return Ok(connection);
                }
                Ok(Err(error)) => why = error,
                Err(_) => why = not_connected(format!("the primary {address:?} did not answer within {ATTEMPT:?}")),
            }
        }
        Err(why)
    }

    /// Returns whether it is time to ask the sentinels again. Then the caller asks them.
    pub(super) fn is_due(&self) -> bool {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *last {
            Some((_, at)) if at.elapsed() >= CHECKED => {
                *at = Instant::now();
                true
            }
            _ => false,
        }
    }

    /// Returns whether more sentinels name another server than the one that was connected last.
    pub(super) async fn is_elsewhere(&self) -> bool {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (Some((address, _)), Ok(named)) = (last, self.named().await) else { return false };
        let votes = |(_, votes): &(Address, usize)| *votes;
        let own = named.iter().find(|(other, _)| *other == address).map_or(0, votes);
        named.first().map_or(0, votes) > own
    }

    /// Returns the servers that sentinels name, each with the number of these sentinels, the most first. All are asked at the
    /// same time, and no more answers are waited for when most of them agree, so a sentinel that is away costs nothing.
    async fn named(&self) -> Result<Vec<(Address, usize)>, RedisError> {
        let mut answers = JoinSet::new();
        for sentinel in self.sentinels.clone() {
            let name = self.name.clone();
            answers.spawn(tokio::time::timeout(ATTEMPT, async move { ask(&sentinel, &name).await }));
        }
        let mut why = not_connected(format!("no sentinel answered within {ATTEMPT:?}"));
        let mut named = Vec::<(Address, usize)>::new();
        while let Some(answer) = answers.join_next().await {
            let address = match answer {
                Ok(Ok(Ok(address))) => address,
                Ok(Ok(Err(error))) => {
                    why = error;
                    continue;
                }
                _ => continue,
            };
            match named.iter_mut().find(|(other, _)| *other == address) {
                Some((_, votes)) => *votes += 1,
                None => named.push((address, 1)),
            }
            if named.iter().any(|(_, votes)| 2 * votes > self.sentinels.len()) {
                break;
            }
        }
        named.sort_by_key(|(_, votes)| Reverse(*votes));
        if named.is_empty() { Err(why) } else { Ok(named) }
    }

    /// Makes a connection to a server if it is a primary.
    async fn connect_to(&self, address: &Address) -> Result<MultiplexedConnection, RedisError> {
        let mut connection = server::connect(&server::at(&self.settings, address)?).await?;
        let role: Vec<Value> = redis::cmd("ROLE").query_async(&mut connection).await?;
        match role.first() {
            Some(Value::BulkString(role)) if role == b"master" => Ok(connection),
            _ => Err(not_connected(format!("the server {address:?} is no primary"))),
        }
    }
}

/// Asks a sentinel for the host and the port of a primary.
async fn ask(sentinel: &Client, name: &str) -> Result<Address, RedisError> {
    let mut connection = server::connect(sentinel).await?;
    let mut command = redis::cmd("SENTINEL");
    let place: Option<Address> = command.arg("GET-MASTER-ADDR-BY-NAME").arg(name).query_async(&mut connection).await?;
    place.ok_or_else(|| not_connected(format!("the sentinel knows no primary \"{name}\"")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_primary_is_a_name_or_a_url_with_a_name() {
        let plain = Primary::new(&["redis://127.0.0.1:26379/"], "my-primary").unwrap();
        assert_eq!((plain.name.as_str(), plain.settings.redis_settings().db()), ("my-primary", 0));
        let url = Primary::new(&["redis://127.0.0.1:26379/"], "redis://user:secret@My_Primary.1/3").unwrap();
        assert_eq!(url.name, "My_Primary.1");
        let settings = url.settings.redis_settings();
        assert_eq!((settings.username(), settings.password(), settings.db()), (Some("user"), Some("secret"), 3));
        assert!(Primary::new(&["no url"], "my-primary").is_err());
    }
}
