//! A cluster of a test.

use std::path::PathBuf;

use brimful_redis::RedisStore;
use brimful_redis::redis::Cluster;
use redis::{Cmd, FromRedisValue};

use crate::server::{Server, execute, path, until};

/// The number of slots of a cluster.
const SLOTS: u16 = 16_384;

/// A cluster on loopback, each of whose servers has an equal part of the slots.
pub(crate) struct Nodes {
    pub(crate) servers: Vec<Server>,
    primaries: u16,
    files: Vec<PathBuf>,
}

async fn query<T: FromRedisValue>(server: &Server, command: &Cmd) -> T {
    command.query_async(&mut server.connection().await).await.unwrap()
}

impl Nodes {
    /// Starts a cluster of `primaries`, and `further` servers, which have no slots; `None` if there is no
    /// `redis-server`.
    pub(crate) async fn start(primaries: u16, further: u16) -> Option<Nodes> {
        let mut nodes = Nodes { servers: Vec::new(), primaries, files: Vec::new() };
        for _ in 0..primaries + further {
            let file = path("nodes");
            let name = file.to_string_lossy().into_owned();
            nodes.files.push(file);
            let options =
                ["--cluster-enabled", "yes", "--cluster-config-file", &name, "--cluster-node-timeout", "1000"];
            nodes.servers.push(Server::start(&options)?);
        }
        for (nth, server) in (0..).zip(&nodes.servers) {
            let _: () = execute(server, &format!("CLUSTER SET-CONFIG-EPOCH {}", nth + 1)).await;
            if nth < primaries {
                let mut command = redis::cmd("CLUSTER");
                command.arg("ADDSLOTS");
                (0..SLOTS).filter(|slot| nodes.owner(*slot) == usize::from(nth)).for_each(|slot| _ = command.arg(slot));
                let _: () = query(server, &command).await;
            }
            let _: () = execute(server, &format!("CLUSTER MEET 127.0.0.1 {}", nodes.servers[0].port())).await;
        }
        until("a cluster", async || nodes.are_one().await && nodes.agree().await).await;
        Some(nodes)
    }

    /// Returns the server that has a slot at first.
    pub(crate) fn owner(&self, slot: u16) -> usize {
        usize::from(slot / SLOTS.div_ceil(self.primaries))
    }

    /// Returns whether all servers know each other, and the owner of each slot.
    async fn are_one(&self) -> bool {
        for server in &self.servers {
            let info: String = execute(server, "CLUSTER INFO").await;
            let is_one = |line: String| info.lines().any(|other| other == line);
            let all = format!("cluster_known_nodes:{}", self.servers.len());
            if !(is_one(all)
                && is_one("cluster_state:ok".to_owned())
                && is_one(format!("cluster_slots_assigned:{SLOTS}")))
            {
                return false;
            }
        }
        true
    }

    pub(crate) async fn store(&self) -> RedisStore<Cluster> {
        RedisStore::cluster(&[&self.servers[0].url()]).await.unwrap()
    }

    pub(crate) async fn id(&self, nth: usize) -> String {
        execute(&self.servers[nth], "CLUSTER MYID").await
    }

    /// Returns the slot of the server's key of a limiter's key.
    pub(crate) async fn slot(&self, key: &str) -> u16 {
        query(&self.servers[0], redis::cmd("CLUSTER").arg("KEYSLOT").arg(format!("{{{key}}}"))).await
    }

    /// Begins to move a slot. Its keys stay.
    pub(crate) async fn begin_move(&self, slot: u16, from: usize, to: usize) {
        let (source, target) = (self.id(from).await, self.id(to).await);
        let _: () = execute(&self.servers[to], &format!("CLUSTER SETSLOT {slot} IMPORTING {source}")).await;
        let _: () = execute(&self.servers[from], &format!("CLUSTER SETSLOT {slot} MIGRATING {target}")).await;
    }

    /// Moves the keys of a slot that moves.
    pub(crate) async fn move_keys(&self, slot: u16, from: usize, to: usize) {
        loop {
            let keys: Vec<String> = execute(&self.servers[from], &format!("CLUSTER GETKEYSINSLOT {slot} 100")).await;
            if keys.is_empty() {
                return;
            }
            let mut command = redis::cmd("MIGRATE");
            command.arg("127.0.0.1").arg(self.servers[to].port()).arg("").arg(0).arg(60_000).arg("KEYS").arg(keys);
            let _: String = query(&self.servers[from], &command).await;
        }
    }

    /// Gives a slot, whose keys have moved, to its new owner, and waits until all servers know it: the next move would fail
    /// before.
    pub(crate) async fn end_move(&self, slot: u16, to: usize) {
        let target = self.id(to).await;
        // The new owner first.
        let others = (0..self.servers.len()).filter(|nth| *nth != to);
        for nth in std::iter::once(to).chain(others) {
            let _: () = execute(&self.servers[nth], &format!("CLUSTER SETSLOT {slot} NODE {target}")).await;
        }
        until("servers that agree", async || self.agree().await).await;
    }

    /// Returns whether all servers know the same epochs and the same owners. A slot that moves earlier may fall back to its
    /// old owner, and lose its keys.
    async fn agree(&self) -> bool {
        let mut views = Vec::new();
        for server in &self.servers {
            let nodes: String = execute(server, "CLUSTER NODES").await;
            // The first word is the id, the seventh the epoch, and those after the eighth are slots.
            let view = |line: &str| -> Vec<String> {
                let words = line.split(' ').enumerate().filter(|(nth, _)| [0, 6].contains(nth) || *nth > 7);
                words.map(|(_, word)| word.to_owned()).collect()
            };
            let mut view: Vec<_> = nodes.lines().map(view).collect();
            view.sort();
            views.push(view);
        }
        views.windows(2).all(|pair| pair[0] == pair[1])
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        self.servers.clear();
        self.files.iter().for_each(|file| _ = std::fs::remove_file(file));
    }
}
