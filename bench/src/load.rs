//! The client: HTTP/1.1 over kept connections, one request at a time on each, bytes made beforehand, answers looked at no more
//! than needed. One thread, so that it takes little from the servers it shares the machine with; the same for every server.

use anyhow::{Context, bail};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A request at the native door.
pub fn request(method: &str, path: &str, body: &str) -> Vec<u8> {
    format!(
        "{method} /api/v3{path} HTTP/1.1\r\nHost: 127.0.0.1\r\nBK_User: bench\r\nHTTP_BLUEKING_SUPPLIER_ID: 0\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// When a round ends.
#[derive(Clone, Copy)]
pub enum Until {
    /// Going through the requests again and again.
    Time(Duration),
    /// Each request was answered once.
    AllSent,
}

/// What a round did.
pub struct Round {
    pub answers: usize,
    pub time: Duration,
}

impl Round {
    #[expect(clippy::cast_precision_loss, reason = "a round has some thousand answers")]
    pub fn per_second(&self) -> f64 {
        self.answers as f64 / self.time.as_secs_f64()
    }
}

/// Connections that stay open from round to round.
pub struct Client {
    runtime: tokio::runtime::Runtime,
    connections: Vec<Connection>,
}

struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Client {
    pub fn connect(address: SocketAddr, connections: usize) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let connections = runtime.block_on(async {
            let mut open = Vec::new();
            for _ in 0..connections {
                let stream = TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                open.push(Connection { stream, buffer: vec![0; 64 * 1024] });
            }
            anyhow::Ok(open)
        })?;
        Ok(Self { runtime, connections })
    }

    /// One round over all connections.
    pub fn round(&mut self, requests: &Arc<Vec<Vec<u8>>>, until: Until) -> anyhow::Result<Round> {
        let next = Arc::new(AtomicUsize::new(0));
        let begun = Instant::now();
        let connections = std::mem::take(&mut self.connections);
        let answers = self.runtime.block_on(async {
            let mut tasks = Vec::new();
            for mut connection in connections {
                let (requests, next) = (requests.clone(), next.clone());
                tasks.push(tokio::spawn(async move {
                    let mut answers = 0;
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        match until {
                            Until::Time(time) if begun.elapsed() >= time => break,
                            Until::AllSent if number >= requests.len() => break,
                            _ => connection.ask(&requests[number % requests.len()]).await?,
                        };
                        answers += 1;
                    }
                    anyhow::Ok((connection, answers))
                }));
            }
            let mut sum = 0;
            for task in tasks {
                let (connection, answers) = task.await.context("a client ended")??;
                self.connections.push(connection);
                sum += answers;
            }
            anyhow::Ok(sum)
        })?;
        Ok(Round { answers, time: begun.elapsed() })
    }

    /// The body of one answer.
    pub fn ask(&mut self, request: &[u8]) -> anyhow::Result<String> {
        let connection = self.connections.first_mut().context("no connection")?;
        let body = self.runtime.block_on(connection.ask(request))?;
        Ok(String::from_utf8(connection.buffer[body].to_vec())?)
    }
}

impl Connection {
    /// Sends a request and reads its answer; where its body stands in the buffer.
    async fn ask(&mut self, request: &[u8]) -> anyhow::Result<std::ops::Range<usize>> {
        self.stream.write_all(request).await?;
        let (mut read, mut body) = (0, None);
        loop {
            if read == self.buffer.len() {
                self.buffer.resize(read * 2, 0);
            }
            let more = self.stream.read(&mut self.buffer[read..]).await?;
            if more == 0 {
                bail!("the server closed the connection");
            }
            read += more;
            if body.is_none() {
                body = find_body(&self.buffer[..read])?;
            }
            match &body {
                Some(body) if body.end <= read => break,
                _ => {}
            }
        }
        let body = body.context("an answer without a head")?;
        if !self.buffer[body.clone()].starts_with(b"{\"result\":true") {
            bail!("refused: {}", String::from_utf8_lossy(&self.buffer[body]));
        }
        Ok(body)
    }
}

/// Where the body of an answer stands, once its head is there.
fn find_body(answer: &[u8]) -> anyhow::Result<Option<std::ops::Range<usize>>> {
    const LENGTH: &[u8] = b"content-length:";
    let (mut at, mut length) = (0, None);
    while let Some(end) = answer[at..].iter().position(|b| *b == b'\n') {
        let line = answer[at..at + end].trim_ascii_end();
        at += end + 1;
        if line.is_empty() {
            let length: usize = length.context("an answer without a length")?;
            return Ok(Some(at..at + length));
        }
        if line.len() > LENGTH.len() && line[..LENGTH.len()].eq_ignore_ascii_case(LENGTH) {
            length = Some(std::str::from_utf8(&line[LENGTH.len()..])?.trim().parse()?);
        }
    }
    Ok(None)
}
