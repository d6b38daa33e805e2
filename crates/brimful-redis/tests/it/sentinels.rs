//! A sentinel of a test.

use std::path::PathBuf;

use brimful_redis::RedisStore;

use crate::server::{Server, execute, path, until};

/// The name of the primary that a [`Sentinel`] watches.
pub(crate) const PRIMARY: &str = "the-primary";

/// A sentinel, which decides alone.
pub(crate) struct Sentinel {
    pub(crate) server: Server,
    file: PathBuf,
}

impl Sentinel {
    /// Starts a sentinel of a primary, and waits until it knows the replica.
    pub(crate) async fn start(primary: &Server) -> Option<Sentinel> {
        let file = path("sentinel");
        let lines = [
            format!("sentinel monitor {PRIMARY} 127.0.0.1 {} 1", primary.port()),
            format!("sentinel down-after-milliseconds {PRIMARY} 500"),
            format!("sentinel failover-timeout {PRIMARY} 5000"),
        ];
        std::fs::write(&file, lines.join("\n") + "\n").unwrap();
        let server = Server::start(&[&file.to_string_lossy(), "--sentinel"]);
        let sentinel = Sentinel { server: server?, file };
        until("a sentinel that knows the replica", async || {
            let replicas: Vec<redis::Value> = execute(&sentinel.server, &format!("SENTINEL REPLICAS {PRIMARY}")).await;
            !replicas.is_empty()
        })
        .await;
        Some(sentinel)
    }

    /// Returns the port of the primary.
    pub(crate) async fn primary(&self) -> u16 {
        let command = format!("SENTINEL GET-MASTER-ADDR-BY-NAME {PRIMARY}");
        let (_, port): (String, u16) = execute(&self.server, &command).await;
        port
    }

    /// Returns a store on the primary. The first sentinel of the list is not there.
    pub(crate) async fn store(&self) -> RedisStore {
        RedisStore::sentinel(&["redis://127.0.0.1:1/", &self.server.url()], PRIMARY).await.unwrap()
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.file);
    }
}
