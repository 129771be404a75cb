//! Viewers of FLV over HTTP, beside as many players over RTMP.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{APART, BoxError, SETTLE};
use crate::process::Process;

/// Processor seconds of a server for each GB to so many viewers of a stream.
pub(super) fn cost(
    process: &Process,
    address: SocketAddr,
    path: &str,
    count: usize,
    duration: Duration,
) -> Result<f64, BoxError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let bytes = Arc::new(AtomicU64::new(0));
        let mut viewers = Vec::new();
        for _ in 0..count {
            let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n");
            viewers.push(tokio::spawn(view(address, request, bytes.clone())));
            tokio::time::sleep(APART).await;
        }
        tokio::time::sleep(SETTLE).await;
        let (before, had) = (process.cpu(), bytes.load(Ordering::Relaxed));
        tokio::time::sleep(duration).await;
        let used = process.cpu() - before;
        let got = bytes.load(Ordering::Relaxed) - had;
        for viewer in viewers {
            if viewer.is_finished() {
                viewer.await??;
                return Err("a viewer was left".into());
            }
            viewer.abort();
        }
        Ok(used.as_secs_f64() / (got as f64 / 1e9))
    })
}

async fn view(address: SocketAddr, request: String, bytes: Arc<AtomicU64>) -> io::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut buffer = vec![0; 64 << 10];
    let mut is_first = true;
    loop {
        let length = stream.read(&mut buffer).await?;
        if length == 0 {
            return Ok(());
        }
        if std::mem::take(&mut is_first) && !buffer.starts_with(b"HTTP/1.1 200") {
            return Err(io::Error::other("the stream is refused"));
        }
        bytes.fetch_add(length as u64, Ordering::Relaxed);
    }
}
