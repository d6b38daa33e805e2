//! A proxy between a limiter and a server, which fails as networks do.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// The fault that the proxy causes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Mode {
    Pass = 0,
    /// Each reply takes half a second.
    Slow = 1,
    /// The connections that there are carry nothing any longer, and stay open. New ones pass.
    HalfOpen = 2,
    /// Requests arrive, and the connection is closed in place of the reply.
    LoseReply = 3,
    /// The connections are closed, and on new ones the first replies take three deadlines.
    SlowHandshake = 4,
}

/// A proxy on loopback, which ends with the runtime of the test.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    mode: Arc<AtomicU32>,
    server: Arc<AtomicU32>,
}

impl Proxy {
    /// Starts a proxy to a port.
    pub(crate) async fn to(port: u16) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Proxy {
            port: listener.local_addr().unwrap().port(),
            mode: Arc::default(),
            server: Arc::new(AtomicU32::new(port.into())),
        };
        let (mode, server) = (proxy.mode.clone(), proxy.server.clone());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(carry(client, server.load(Ordering::SeqCst) as u16, mode.clone()));
            }
        });
        proxy
    }

    pub(crate) fn set(&self, mode: Mode) {
        self.mode.store(mode as u32, Ordering::SeqCst);
    }

    /// Leads new connections to another server.
    pub(crate) fn lead_to(&self, port: u16) {
        self.server.store(port.into(), Ordering::SeqCst);
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }
}

async fn carry(client: TcpStream, port: u16, mode: Arc<AtomicU32>) {
    let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await else { return };
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let is = |mode: &AtomicU32, wanted: Mode| mode.load(Ordering::SeqCst) == wanted as u32;
    let requests = {
        let mode = mode.clone();
        async move {
            let (mut bytes, mut is_dead) = (vec![0; 65_536], false);
            while let Ok(n @ 1..) = from_client.read(&mut bytes).await {
                if is(&mode, Mode::HalfOpen) && !is_dead {
                    is_dead = true;
                    mode.store(Mode::Pass as u32, Ordering::SeqCst);
                }
                if !is_dead && to_server.write_all(&bytes[..n]).await.is_err() {
                    return;
                }
            }
        }
    };
    let replies = async move {
        let (mut bytes, mut is_new) = (vec![0; 65_536], true);
        let began_slowly = is(&mode, Mode::SlowHandshake);
        while let Ok(n @ 1..) = from_server.read(&mut bytes).await {
            if is(&mode, Mode::SlowHandshake) && !began_slowly {
                return;
            }
            if began_slowly && std::mem::take(&mut is_new) {
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
            if is(&mode, Mode::LoseReply) {
                // Once.
                mode.store(Mode::Pass as u32, Ordering::SeqCst);
                return;
            }
            if is(&mode, Mode::Slow) {
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
            if to_client.write_all(&bytes[..n]).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = requests => {}
        () = replies => {}
    }
}
