//! [`Script`]: a script of the server, and how it is called.

use std::sync::OnceLock;

use redis::aio::ConnectionLike;
use redis::{Cmd, ErrorKind, RedisError, ServerErrorKind, Value};

/// A script, by its text.
pub(crate) struct Script {
    source: &'static str,
    /// The hash by which the server knows the script.
    hash: OnceLock<String>,
}

impl Script {
    pub(crate) const fn new(source: &'static str) -> Self {
        Script { source, hash: OnceLock::new() }
    }

    fn hash(&self) -> &str {
        self.hash.get_or_init(|| redis::Script::new(self.source).get_hash().to_owned())
    }

    /// Calls the script, with the number of keys, the keys and the arguments that `fill` adds. A script that the server
    /// does not know is sent.
    pub(super) async fn call<C: ConnectionLike>(
        &self,
        connection: &mut C,
        fill: impl Fn(&mut Cmd),
    ) -> Result<Value, RedisError> {
        let command = |name: &str, script: &str| {
            let mut command = redis::cmd(name);
            command.arg(script);
            fill(&mut command);
            command
        };
        match command("EVALSHA", self.hash()).query_async(connection).await {
            // In one step, so that no flush of the server's scripts comes between.
            Err(error) if is_unknown_script(&error) => command("EVAL", self.source).query_async(connection).await,
            reply => reply,
        }
    }
}

fn is_unknown_script(error: &RedisError) -> bool {
    matches!(error.kind(), ErrorKind::Server(ServerErrorKind::NoScript))
}
