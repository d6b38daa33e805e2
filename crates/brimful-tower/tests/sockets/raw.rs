//! A connection of HTTP/1.1 that sends any bytes.

use std::net::SocketAddr;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use super::server::soon;

pub(crate) struct Raw(BufReader<TcpStream>);

impl Raw {
    pub(crate) async fn connect(server: SocketAddr) -> Self {
        let stream = TcpStream::connect(server).await.expect("a connection");
        stream.set_nodelay(true).expect("a socket");
        Raw(BufReader::new(stream))
    }

    /// Sends a request for `/` with these lines of headers, and returns the status and whether the connection stays
    /// open.
    pub(crate) async fn status(&mut self, lines: &[Vec<u8>]) -> (u16, bool) {
        let mut request = b"GET / HTTP/1.1\r\nhost: localhost\r\n".to_vec();
        for line in lines {
            request.extend_from_slice(line);
            request.extend_from_slice(b"\r\n");
        }
        request.extend_from_slice(b"\r\n");
        self.0.write_all(&request).await.expect("an open connection");
        soon(self.read()).await
    }

    async fn read(&mut self) -> (u16, bool) {
        let (mut status, mut length, mut is_open) = (0, 0, true);
        loop {
            let mut line = String::new();
            self.0.read_line(&mut line).await.expect("a line");
            let line = line.trim_end().to_ascii_lowercase();
            if line.is_empty() {
                break;
            } else if let Some(rest) = line.strip_prefix("http/1.1 ") {
                status = rest[..3].parse().expect("a status");
            } else if let Some(rest) = line.strip_prefix("content-length: ") {
                length = rest.parse().expect("a length");
            } else if line == "connection: close" {
                is_open = false;
            }
        }
        self.0.read_exact(&mut vec![0; length]).await.expect("a body");
        (status, is_open)
    }
}
