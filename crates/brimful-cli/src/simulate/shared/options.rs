//! The options of `simulate --redis`.

/// The options of `simulate --redis`.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "A limiter on a Redis server, with --redis")]
#[group(id = "shared", conflicts_with_all = ["compare", "llm", "timeline"])]
pub(crate) struct Options {
    /// Replay the logs through a limiter on this Redis server, such as `redis://127.0.0.1/`, beside the one in this
    /// process. The server decides by its own clock, so the replay takes as long as the log, or --speed makes the log and
    /// the quota that many times as fast. The server's keys have a prefix of their own, and are deleted at the end
    #[arg(long, value_name = "URL", group = "paced")]
    redis: Option<String>,
    /// The connections that ask the server, each as another process: one request at a time on each
    #[arg(long, value_name = "N", requires = "redis", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(super) connections: u16,
}

impl Options {
    /// Returns the URL of the server.
    pub(crate) fn url(&self) -> Option<&str> {
        self.redis.as_deref()
    }
}
