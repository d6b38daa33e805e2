//! [`Cluster`]: a link to each of the servers that share the keys.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::aio::ConnectionLike;
use redis::{Cmd, ConnectionInfo, ErrorKind, Pipeline, RedisError, RedisFuture, ServerErrorKind, Value};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::link::{Connect, Lent, Link, Place, Sign};
use super::server::{self, Address, not_connected, runtime_ended};
use super::slots::{Range, Redirect, SLOTS, ranges, slot_of};
use crate::engine::Flight;

/// The longest time for the answer about the owners of the slots.
const ATTEMPT: Duration = Duration::from_secs(1);

/// The owners are not asked for again within this time.
const PAUSE: Duration = Duration::from_millis(50);

/// The most redirects that a request follows: the owner that is known may have given the slot to one that gives it away.
const REDIRECTS: u8 = 3;

/// The owner of a slot that no server has.
const NONE: u16 = u16::MAX;

/// The servers of a cluster, with a [`Link`] to each that is asked.
///
/// A request goes to the server that has the slot of its key. If this server answers that another one has the slot
/// (`MOVED`, `ASK`), it has done nothing, and the request follows, up to three times. Nothing else is repeated. The owners of all slots
/// are asked for anew after `MOVED`, and if a server is lost or gives no answer.
#[derive(Clone)]
pub struct Cluster(Arc<Shared>);

struct Shared {
    /// The user and the encryption of all servers.
    settings: ConnectionInfo,
    owners: Mutex<Owners>,
    asking: Flight<RedisError>,
}

/// The owners of the slots.
struct Owners {
    /// For each slot an index of `nodes`, or `NONE`.
    of_slots: Vec<u16>,
    nodes: Vec<Node>,
    /// The first nodes are those that the user named, which stay.
    named: usize,
    is_stale: bool,
    asked_at: Option<Instant>,
}

#[derive(Clone)]
struct Node {
    address: Address,
    link: Link,
}

impl Cluster {
    /// Returns a cluster of which these servers are known.
    pub(super) fn new(urls: &[&str]) -> Result<Self, RedisError> {
        let mut nodes = Vec::new();
        for &url in urls {
            let client = server::client(url)?;
            nodes.push((client.get_connection_info().clone(), Link::new(Place::Server(client))));
        }
        let Some((settings, _)) = nodes.first().cloned() else {
            return Err((ErrorKind::InvalidClientConfig, "a cluster needs the URL of a server").into());
        };
        let nodes = nodes.into_iter().map(|(settings, link)| Ok(Node { address: server::address(&settings)?, link }));
        let nodes = nodes.collect::<Result<Vec<_>, RedisError>>()?;
        let of_slots = vec![NONE; SLOTS.into()];
        let owners = Owners { of_slots, named: nodes.len(), nodes, is_stale: true, asked_at: None };
        Ok(Cluster(Arc::new(Shared { settings, owners: Mutex::new(owners), asking: Flight::default() })))
    }

    /// Asks the servers for the owners of the slots if that is due.
    pub(super) async fn ask(&self) -> Result<(), RedisError> {
        self.0.asking.join(|| self.0.clone().ask(), runtime_ended).await
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Owners> {
        self.owners.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks all servers, and takes the first answer.
    async fn ask(self: Arc<Self>) -> Result<(), RedisError> {
        let nodes = {
            let mut owners = self.lock();
            if !owners.is_due() {
                return Ok(());
            }
            (owners.is_stale, owners.asked_at) = (false, Some(Instant::now()));
            owners.nodes.clone()
        };
        let mut answers = JoinSet::new();
        for node in nodes {
            answers.spawn(tokio::time::timeout(ATTEMPT, async move { node.ranges().await }));
        }
        let mut why = not_connected(format!("no server of the cluster answered within {ATTEMPT:?}"));
        while let Some(answer) = answers.join_next().await {
            match answer {
                Ok(Ok(Ok(ranges))) => return self.lock().replace(&ranges, &self.settings),
                Ok(Ok(Err(error))) => why = error,
                _ => {}
            }
        }
        self.lock().is_stale = true;
        Err(why)
    }
}

impl Node {
    async fn ranges(&self) -> Result<Vec<Range>, RedisError> {
        let mut connection = self.link.get("").await?;
        let reply = redis::cmd("CLUSTER").arg("SLOTS").query_async(&mut connection).await?;
        ranges(reply, &self.address.0)
    }
}

impl Owners {
    fn is_due(&self) -> bool {
        self.is_stale && self.asked_at.is_none_or(|at| at.elapsed() >= PAUSE)
    }

    /// Returns the server that has a slot.
    fn of(&self, slot: u16) -> Option<Node> {
        self.nodes.get(usize::from(self.of_slots[usize::from(slot)])).cloned()
    }

    /// Returns the index of a server, which is added if it is not known.
    fn index(&mut self, address: &Address, settings: &ConnectionInfo) -> Result<u16, RedisError> {
        let index = match self.nodes.iter().position(|node| node.address == *address) {
            Some(index) => index,
            None => {
                let link = Link::new(Place::Server(server::at(settings, address)?));
                self.nodes.push(Node { address: address.clone(), link });
                self.nodes.len() - 1
            }
        };
        // A cluster has fewer servers than slots.
        u16::try_from(index).map_err(|_| not_connected("the cluster has too many servers"))
    }

    /// Takes over an answer. The links of servers that have no slot any longer end with their last request.
    fn replace(&mut self, ranges: &[Range], settings: &ConnectionInfo) -> Result<(), RedisError> {
        let is_owner = |node: &Node| ranges.iter().any(|range| range.owner == node.address);
        let mut nth = 0;
        let named = self.named;
        self.nodes.retain(|node| {
            nth += 1;
            nth <= named || is_owner(node)
        });
        self.of_slots.fill(NONE);
        for range in ranges.iter().filter(|range| range.first <= range.last) {
            let index = self.index(&range.owner, settings)?;
            self.of_slots[range.first.into()..=range.last.into()].fill(index);
        }
        Ok(())
    }

    /// Returns the server that a redirect names, which has the slot from now on if it has moved.
    fn follow(&mut self, redirect: &Redirect, settings: &ConnectionInfo) -> Result<Node, RedisError> {
        let index = self.index(redirect.owner(), settings)?;
        if let Redirect::Moved { slot, .. } = *redirect {
            let owner = &mut self.of_slots[usize::from(slot)];
            // Other slots may have moved too.
            self.is_stale |= *owner != index;
            *owner = index;
        }
        Ok(self.nodes[usize::from(index)].clone())
    }
}

impl Connect for Cluster {
    type Connection = Routed;

    async fn get(&self, key: &str) -> Result<Routed, RedisError> {
        let slot = slot_of(key);
        let is_due = self.0.lock().is_due();
        let asked = if is_due { self.ask().await } else { Ok(()) };
        let node = self.0.lock().of(slot);
        let Some(node) = node else {
            // Without an answer, the owners that were known before are asked.
            asked?;
            return Err(not_connected(format!("no server of the cluster has the slot {slot}")));
        };
        let lent = match node.link.current() {
            Some(lent) => lent,
            None => {
                // Another server may have its slots when the next request comes. This one may not see the connection fail.
                self.0.lock().is_stale = true;
                node.link.get(key).await?
            }
        };
        let place = Arc::new(Mutex::new(Reached { node, lent }));
        Ok(Routed { cluster: self.clone(), place, asks: false, redirects: REDIRECTS })
    }

    fn report(&self, routed: &Routed, sign: Sign) {
        routed.reached().report(sign);
        if matches!(sign, Sign::Lost | Sign::Silent) {
            self.0.lock().is_stale = true;
        }
    }
}

/// The connection of a [`Cluster`] for one request. The commands on it go to the server that has the slot.
#[derive(Clone)]
pub struct Routed {
    cluster: Cluster,
    /// The clones follow the redirects too, so that a report on one of them is about the server that was asked last.
    place: Arc<Mutex<Reached>>,
    /// Whether the server gets `ASKING` before a command, because the slot is still moving to it.
    asks: bool,
    /// The redirects that may be followed still.
    redirects: u8,
}

/// A server that a request has reached.
#[derive(Clone)]
struct Reached {
    node: Node,
    lent: Lent,
}

impl Reached {
    fn report(&self, sign: Sign) {
        self.node.link.report(&self.lent, sign);
    }
}

impl Routed {
    fn reached(&self) -> Reached {
        self.place.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn send(&mut self, command: &Cmd) -> Result<Value, RedisError> {
        let Reached { mut lent, .. } = self.reached();
        if !self.asks {
            return lent.req_packed_command(command).await;
        }
        // In one message, so that no command of another task comes between.
        let mut both = redis::pipe();
        both.cmd("ASKING").add_command(command.clone());
        let mut replies = lent.req_packed_commands(&both, 0, 2).await?;
        replies.pop().ok_or_else(|| (ErrorKind::UnexpectedReturnType, "there is no reply").into())
    }

    /// Sends a command, and once more whenever the server answers that another one has the slot.
    async fn send_and_follow(&mut self, command: &Cmd) -> Result<Value, RedisError> {
        loop {
            let reply = self.send(command).await?;
            let Value::ServerError(error) = &reply else { return Ok(reply) };
            if error.kind() == Some(ServerErrorKind::ClusterDown) {
                self.cluster.0.lock().is_stale = true;
            }
            let redirect = Redirect::of(error, &self.reached().node.address.0).filter(|_| self.redirects > 0);
            let Some(redirect) = redirect else { return Ok(reply) };
            // Without a connection, the answer stands: nothing was done.
            if self.follow(&redirect).await.is_err() {
                return Ok(reply);
            }
        }
    }

    async fn follow(&mut self, redirect: &Redirect) -> Result<(), RedisError> {
        let shared = &self.cluster.0;
        self.reached().report(Sign::Answered);
        let node = shared.lock().follow(redirect, &shared.settings)?;
        let lent = node.link.get("").await?;
        *self.place.lock().unwrap_or_else(PoisonError::into_inner) = Reached { node, lent };
        self.asks = matches!(redirect, Redirect::Ask { .. });
        self.redirects -= 1;
        Ok(())
    }
}

impl ConnectionLike for Routed {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        Box::pin(self.send_and_follow(command))
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        commands: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        let Reached { mut lent, .. } = self.reached();
        Box::pin(async move { lent.req_packed_commands(commands, offset, count).await })
    }

    fn get_db(&self) -> i64 {
        0
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster").finish_non_exhaustive()
    }
}

impl fmt::Debug for Routed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Routed").field("server", &self.reached().node.address).finish_non_exhaustive()
    }
}
