//! A PostgreSQL server of a test, with a cluster of its own.

use std::ffi::OsStr;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use brimful_redis::PostgresStore;
use tokio::time::Instant;
use tokio_postgres::{Client, NoTls};

/// A server on loopback, which ends with the test.
pub(crate) struct PgServer {
    child: Child,
    port: u16,
    programs: PathBuf,
    options: Vec<String>,
    cluster: Folder,
    /// The empty cluster that servers begin with is there as long as a server is.
    _template: Arc<Folder>,
}

/// Evaluates to a server with the table and the function; returns from the test, which is then skipped, if there is no
/// PostgreSQL.
macro_rules! pg_server {
    ($($option:literal),*) => {
        match $crate::pg_server::PgServer::start(&[$($option),*]).await {
            Some(server) => server,
            None => return,
        }
    };
}

pub(crate) use pg_server;

impl PgServer {
    /// Starts a server with these further settings; `None` if there is no PostgreSQL.
    pub(crate) async fn start(options: &[&str]) -> Option<PgServer> {
        let Some(programs) = programs() else {
            eprintln!("SKIPPED: no PostgreSQL server: install PostgreSQL (Debian: apt install postgresql)");
            return None;
        };
        let template = template(&programs);
        let cluster = Folder::new();
        let status = Command::new("cp").arg("-a").args([template.0.join("data"), cluster.0.clone()]).status().unwrap();
        assert!(status.success());
        let options: Vec<String> = options.iter().map(|&option| option.to_owned()).collect();
        let port = free_port();
        let child = spawn(&programs, &cluster, port, &options);
        let mut server = PgServer { child, port, programs, options, cluster, _template: template };
        // Another program may have taken the port since.
        while !server.wait().await {
            server.port = free_port();
            server.child = spawn(&server.programs, &server.cluster, server.port, &server.options);
        }
        server.store().await.migrate().await.unwrap();
        Some(server)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn url(&self) -> String {
        url(self.port)
    }

    pub(crate) async fn store(&self) -> PostgresStore {
        PostgresStore::connect(&self.url()).await.unwrap()
    }

    /// Returns a session that is not a store's.
    pub(crate) async fn session(&self) -> Client {
        session(self.port).await.unwrap()
    }

    /// Ends the server and its sessions at once, as a crash does.
    pub(crate) fn kill(&mut self) {
        let pid = self.child.id();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        // Without it, a session would serve until it is idle.
        let _ = Command::new("kill").arg("-9").args(children.split_whitespace()).stderr(Stdio::null()).status();
    }

    /// Starts the server again on the same port. Its processes have to end before.
    pub(crate) async fn restart(&mut self) {
        let begun = Instant::now();
        loop {
            self.child = spawn(&self.programs, &self.cluster, self.port, &self.options);
            if self.wait().await {
                return;
            }
            assert!(begun.elapsed() < Duration::from_secs(20), "the server starts again");
        }
    }

    /// Waits until the server answers. Returns `false` if it has ended.
    async fn wait(&mut self) -> bool {
        let begun = Instant::now();
        loop {
            if self.child.try_wait().unwrap().is_some() {
                return false;
            }
            match session(self.port).await {
                Ok(_) => return true,
                Err(error) if begun.elapsed() > Duration::from_secs(20) => {
                    panic!("the server does not answer: {error:?}")
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    }
}

impl Drop for PgServer {
    fn drop(&mut self) {
        // An immediate shutdown, which ends the sessions too.
        let _ = Command::new("kill").args(["-QUIT", &self.child.id().to_string()]).stderr(Stdio::null()).status();
        let _ = self.child.wait();
    }
}

pub(crate) fn url(port: u16) -> String {
    format!("postgresql://brimful@127.0.0.1:{port}/postgres")
}

async fn session(port: u16) -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(&url(port), NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// A folder for the time of a test, of the user that runs the server.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("brimful-pg-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
        if let Some((user, group)) = other_user() {
            chown(&path, Some(user), Some(group)).unwrap();
        }
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Returns an empty cluster, which is copied for each server: to make one takes a second.
fn template(programs: &Path) -> Arc<Folder> {
    static TEMPLATE: Mutex<Weak<Folder>> = Mutex::new(Weak::new());
    let mut template = TEMPLATE.lock().unwrap();
    if let Some(folder) = template.upgrade() {
        return folder;
    }
    let folder = Arc::new(Folder::new());
    let mut command = as_user(&programs.join("initdb"));
    command.args(["--auth=trust", "--username=brimful", "--no-sync", "--encoding=UTF8", "--locale=C", "--pgdata"]);
    let output = command.arg(folder.0.join("data")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    *template = Arc::downgrade(&folder);
    folder
}

fn spawn(programs: &Path, cluster: &Folder, port: u16, options: &[String]) -> Child {
    let mut command = as_user(&programs.join("postgres"));
    command.arg("-D").arg(cluster.0.join("data")).args(["-p", &port.to_string(), "-F"]);
    let settings =
        ["listen_addresses=127.0.0.1", "unix_socket_directories=", "shared_buffers=32MB", "max_wal_size=64MB"];
    for setting in settings.into_iter().chain(options.iter().map(String::as_str)) {
        command.args(["-c", setting]);
    }
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// Returns a command that does not run as root, which PostgreSQL refuses.
fn as_user(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(std::env::temp_dir());
    if let Some((user, group)) = other_user() {
        command.uid(user).gid(group);
    }
    command
}

/// Returns the user and the group of the package, if this process is root's.
fn other_user() -> Option<(u32, u32)> {
    if fs::metadata("/proc/self").ok()?.uid() != 0 {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").unwrap();
    let user = users.lines().find(|line| line.starts_with("postgres:")).expect("there is a user postgres");
    let mut numbers = user.split(':').skip(2).map(|number| number.parse().unwrap());
    numbers.next().zip(numbers.next())
}

/// Returns the folder with the server's programs: on the path, or where Debian has the newest ones.
fn programs() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).find(|folder| folder.join("initdb").is_file());
    let version =
        |folder: &PathBuf| folder.file_name().and_then(OsStr::to_str).and_then(|name| name.parse::<u32>().ok());
    on_path.or_else(|| {
        let folders = fs::read_dir("/usr/lib/postgresql").ok()?.flatten().map(|entry| entry.path());
        let newest = folders.filter(|folder| folder.join("bin/initdb").is_file()).max_by_key(version)?;
        Some(newest.join("bin"))
    })
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
