//! A Redis server of a test.

use std::io;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use brimful_redis::RedisStore;
use redis::FromRedisValue;
use redis::aio::MultiplexedConnection;

/// A server on loopback, which ends with the test.
pub(crate) struct Server {
    child: Child,
    port: u16,
    options: Vec<String>,
    variables: Vec<(String, String)>,
}

/// Evaluates to a server; returns from the test, which is then skipped, if there is no `redis-server`.
macro_rules! server {
    () => {
        match $crate::server::Server::start(&[]) {
            Some(server) => server,
            None => return,
        }
    };
}

pub(crate) use server;

/// Waits until a condition holds that the servers bring about by themselves.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) -> Duration {
    let begun = Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < Duration::from_secs(60), "{what} does not come about");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    begun.elapsed()
}

/// The time of a server's clock, in microseconds.
pub(crate) async fn time(connection: &mut MultiplexedConnection) -> u64 {
    let (seconds, micros): (u64, u64) = redis::cmd("TIME").query_async(connection).await.unwrap();
    seconds * 1_000_000 + micros
}

/// A path in memory, if there is such a folder: a server of a cluster stands still until its file is on the disk.
pub(crate) fn path(of: &str) -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let (memory, nth) = (PathBuf::from("/dev/shm"), NEXT.fetch_add(1, Ordering::Relaxed));
    let folder = if memory.is_dir() { memory } else { std::env::temp_dir() };
    folder.join(format!("brimful-{of}-{}-{nth}", std::process::id()))
}

/// Executes a command on a server.
pub(crate) async fn execute<T: FromRedisValue>(server: &Server, command: &str) -> T {
    let mut words = command.split(' ');
    let mut command = redis::cmd(words.next().unwrap());
    words.for_each(|word| _ = command.arg(word));
    command.query_async(&mut server.connection().await).await.unwrap()
}

impl Server {
    /// Starts a server with these further options; `None` if there is no `redis-server`.
    ///
    /// A first option that does not begin with `--` is the file of the server's settings.
    pub(crate) fn start(options: &[&str]) -> Option<Server> {
        Server::start_in(&[], options)
    }

    /// The same, with these variables in the environment.
    pub(crate) fn start_in(variables: &[(&str, &str)], options: &[&str]) -> Option<Server> {
        let options: Vec<String> = options.iter().map(|&option| option.to_owned()).collect();
        let variables: Vec<_> = variables.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        match spawn(free_port(), &options, &variables) {
            Ok((child, port)) => {
                let mut server = Server { child, port, options, variables };
                // Another program may have taken the port since.
                while !server.wait() {
                    server.kill();
                    (server.child, server.port) = spawn(free_port(), &server.options, &server.variables).unwrap();
                }
                Some(server)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                eprintln!("SKIPPED: no `redis-server` on the path: install Redis (Debian: apt install redis-server)");
                None
            }
            Err(error) => panic!("redis-server does not start: {error}"),
        }
    }

    /// Starts a replica of the server at this port, and waits until it has the data.
    pub(crate) async fn start_replica(of: u16) -> Option<Server> {
        let replica = Server::start(&["--replicaof", "127.0.0.1", &of.to_string()])?;
        let mut connection = replica.connection().await;
        let mut is_linked = async || {
            let info: String = redis::cmd("INFO").arg("replication").query_async(&mut connection).await.unwrap();
            info.contains("master_link_status:up")
        };
        until("a replica that has the data", &mut is_linked).await;
        Some(replica)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    pub(crate) async fn store(&self) -> RedisStore {
        RedisStore::connect(&self.url()).await.unwrap()
    }

    pub(crate) async fn connection(&self) -> MultiplexedConnection {
        redis::Client::open(self.url()).unwrap().get_multiplexed_async_connection().await.unwrap()
    }

    /// Ends the server at once, as a crash does.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts the server again on the same port, without its data.
    pub(crate) fn restart(&mut self) {
        (self.child, self.port) = spawn(self.port, &self.options, &self.variables).unwrap();
        assert!(self.wait(), "the port was taken");
    }

    /// Stops the process, or lets it go on.
    #[cfg(unix)]
    pub(crate) fn signal(&self, signal: &str) {
        let status = Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// Waits until the server answers. Returns `false` if another one does, or if it has ended.
    fn wait(&mut self) -> bool {
        let begun = Instant::now();
        let client = redis::Client::open(self.url()).unwrap();
        loop {
            let answer = client
                .get_connection_with_timeout(Duration::from_millis(500))
                .and_then(|mut connection| redis::cmd("INFO").arg("server").query::<String>(&mut connection));
            if self.child.try_wait().unwrap().is_some() {
                return false;
            }
            match answer {
                Ok(info) => return info.contains(&format!("process_id:{}\r\n", self.child.id())),
                Err(error) if begun.elapsed() > Duration::from_secs(20) => {
                    panic!("the server does not answer: {error}")
                }
                Err(_) => std::thread::sleep(Duration::from_millis(10)),
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_file(data(self.port));
    }
}

/// The file that a replica writes when it has the data of its primary.
fn data(port: u16) -> PathBuf {
    std::env::temp_dir().join(format!("brimful-{port}.rdb"))
}

/// Returns a port that is free, and that leaves room for the second port of a cluster's server, which is higher by 10000.
fn free_port() -> u16 {
    let port = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    std::iter::repeat_with(port).find(|port| *port < 55_000).unwrap()
}

fn spawn(port: u16, options: &[String], variables: &[(String, String)]) -> io::Result<(Child, u16)> {
    let has_file = options.first().is_some_and(|option| !option.starts_with("--"));
    let (file, options) = options.split_at(usize::from(has_file));
    // A server starts without the data of another one that had its port.
    let data = data(port);
    let _ = std::fs::remove_file(&data);
    let mut command = Command::new("redis-server");
    command.args(file);
    command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
    command.arg("--dir").arg(data.parent().unwrap()).arg("--dbfilename").arg(data.file_name().unwrap());
    command.args(["--repl-diskless-sync-delay", "0"]).args(options);
    command.envs(variables.iter().map(|(name, value)| (name, value)));
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    Ok((child, port))
}
