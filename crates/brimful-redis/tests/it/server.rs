//! A Redis server of a test.

use std::io;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use brimful_redis::RedisStore;

/// A server on loopback, which ends with the test.
pub(crate) struct Server {
    child: Child,
    port: u16,
    options: Vec<String>,
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

impl Server {
    /// Starts a server with these further options; `None` if there is no `redis-server`.
    pub(crate) fn start(options: &[&str]) -> Option<Server> {
        let options: Vec<String> = options.iter().map(|&option| option.to_owned()).collect();
        match spawn(free_port(), &options) {
            Ok((child, port)) => {
                let mut server = Server { child, port, options };
                // Another program may have taken the port since.
                while !server.wait() {
                    server.kill();
                    (server.child, server.port) = spawn(free_port(), &server.options).unwrap();
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

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    pub(crate) async fn store(&self) -> RedisStore {
        RedisStore::connect(&self.url()).await.unwrap()
    }

    pub(crate) async fn connection(&self) -> redis::aio::MultiplexedConnection {
        redis::Client::open(self.url()).unwrap().get_multiplexed_async_connection().await.unwrap()
    }

    /// Ends the server at once, as a crash does.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts the server again on the same port, without its data.
    pub(crate) fn restart(&mut self) {
        (self.child, self.port) = spawn(self.port, &self.options).unwrap();
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
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn spawn(port: u16, options: &[String]) -> io::Result<(Child, u16)> {
    let mut command = Command::new("redis-server");
    command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
    command.args(["--dir", &std::env::temp_dir().to_string_lossy(), "--dbfilename", &format!("brimful-{port}.rdb")]);
    command
        .args(options)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map(|child| (child, port))
}
