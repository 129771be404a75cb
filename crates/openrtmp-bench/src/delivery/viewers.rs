//! Viewers of one stream with low latency, over HTTP/2 and TLS: each has a connection, waits
//! for the next state of the playlist and for the part that it announces, at once, and reads
//! both to their last byte.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
use flate2::read::GzDecoder;
use h2::client::SendRequest;
use http::Request;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::BoxError;
use crate::payload::{Clock, Stamp};
use crate::stats::Spread;

/// What a browser lets a server send ahead, on a connection and on one of its streams.
const WINDOWS: (u32, u32) = (15 << 20, 6 << 20);

/// What all viewers share.
pub(crate) struct Audience {
    clock: Clock,
    /// Names the connection's other end.
    authority: String,
    tls: TlsConnector,
    /// What is received counts.
    pub(crate) counts: AtomicBool,
    pub(crate) over: AtomicBool,
    pub(crate) bytes: AtomicU64,
    pub(crate) parts: AtomicU64,
    /// When the first frame of each part was sent, by its segment and number.
    begun: Mutex<BTreeMap<(u64, u64), u64>>,
    /// When its last byte had come, for each viewer.
    ended: Mutex<Vec<((u64, u64), u64)>>,
}

/// A connection, which ends with this.
pub(crate) struct Connected {
    pub(crate) requests: SendRequest<Bytes>,
    driving: tokio::task::JoinHandle<()>,
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.driving.abort();
    }
}

impl Audience {
    pub(crate) fn new(clock: Clock, address: SocketAddr, tls: &ClientConfig) -> Audience {
        let mut tls = tls.clone();
        tls.alpn_protocols = vec![b"h2".to_vec()];
        Audience {
            clock,
            authority: address.to_string(),
            tls: TlsConnector::from(Arc::new(tls)),
            counts: AtomicBool::new(false),
            over: AtomicBool::new(false),
            bytes: AtomicU64::new(0),
            parts: AtomicU64::new(0),
            begun: Mutex::default(),
            ended: Mutex::default(),
        }
    }

    /// From the write of the frame that ended a part, which is the first of the next one, to
    /// the part's last byte at a viewer.
    pub(crate) fn lateness(&self) -> Spread {
        let begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        let released = |part: &(u64, u64)| {
            let mut later = begun.range(*part..).skip(1);
            later.next().map(|(_, at)| *at)
        };
        let late = ended.iter().filter_map(|(part, at)| {
            let released = released(part)?;
            Some(at.saturating_sub(released))
        });
        Spread::of(&mut late.collect::<Vec<u64>>())
    }

    /// Plays until it is over. `playlist`: the path of a media playlist.
    pub(crate) async fn view(&self, address: SocketAddr, playlist: &str) -> Result<(), BoxError> {
        let connected = self.connect(address).await?;
        self.follow(connected.requests.clone(), playlist).await
    }

    /// A connection of its own.
    pub(crate) async fn connect(&self, address: SocketAddr) -> Result<Connected, BoxError> {
        let socket = TcpStream::connect(address).await?;
        socket.set_nodelay(true)?;
        let name = ServerName::try_from("127.0.0.1").map_err(io::Error::other)?;
        let stream = self.tls.connect(name, socket).await?;
        let mut builder = h2::client::Builder::new();
        builder
            .initial_connection_window_size(WINDOWS.0)
            .initial_window_size(WINDOWS.1)
            .enable_push(false);
        let (requests, connection) = builder.handshake::<_, Bytes>(stream).await?;
        let driving = tokio::spawn(async move {
            // How it ended is seen by what is asked on it.
            let _ = connection.await;
        });
        Ok(Connected { requests, driving })
    }

    async fn follow(
        &self,
        mut requests: SendRequest<Bytes>,
        playlist: &str,
    ) -> Result<(), BoxError> {
        let folder = playlist.rsplit_once('/').map_or("", |(folder, _)| folder);
        let mut text = plain(&self.get(&mut requests, playlist).await?)?;
        while !self.over.load(Ordering::Relaxed) {
            let hint = hint(&text).ok_or("no part is announced")?;
            let (msn, part) = number(hint).ok_or("a part without a number")?;
            let reload = format!("{playlist}?_HLS_msn={msn}&_HLS_part={part}");
            let path = format!("{folder}/{hint}");
            let mut other = requests.clone();
            let fetched = async {
                let body = self.get(&mut other, &path).await?;
                self.received((msn, part), &body);
                Ok::<(), BoxError>(())
            };
            let (listed, fetched) = tokio::join!(self.get(&mut requests, &reload), fetched);
            fetched?;
            text = plain(&listed?)?;
        }
        Ok(())
    }

    fn received(&self, part: (u64, u64), body: &[u8]) {
        let now = self.clock.nanos();
        if let Some(stamp) = first_frame(body) {
            let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
            begun.insert(part, stamp.clock);
        }
        if self.counts.load(Ordering::Relaxed) {
            let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
            ended.push((part, now));
            self.parts.fetch_add(1, Ordering::Relaxed);
            self.bytes.fetch_add(body.len() as u64, Ordering::Relaxed);
        }
    }

    /// The whole body of an answer, which has to be a good one.
    pub(crate) async fn get(
        &self,
        requests: &mut SendRequest<Bytes>,
        path: &str,
    ) -> Result<Bytes, BoxError> {
        let url = format!("https://{}{path}", self.authority);
        let request = Request::get(url)
            .header("accept-encoding", "gzip")
            .body(())?;
        let mut ready = requests.clone().ready().await?;
        let (answer, _) = ready.send_request(request, true)?;
        let answer = answer.await?;
        if answer.status() != 200 {
            return Err(format!("{path}: {}", answer.status()).into());
        }
        let mut body = answer.into_body();
        let mut whole = BytesMut::new();
        while let Some(piece) = body.data().await {
            let piece = piece?;
            body.flow_control().release_capacity(piece.len())?;
            whole.extend_from_slice(&piece);
        }
        Ok(whole.freeze())
    }
}

/// A playlist, compressed or not.
pub(super) fn plain(body: &[u8]) -> io::Result<String> {
    let mut text = String::new();
    match body.starts_with(&[0x1f, 0x8b]) {
        true => GzDecoder::new(body).read_to_string(&mut text)?,
        false => { body }.read_to_string(&mut text)?,
    };
    Ok(text)
}

/// The part that a playlist announces.
pub(super) fn hint(text: &str) -> Option<&str> {
    let (_, rest) = text.rsplit_once("#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"")?;
    rest.split('"').next()
}

/// `v0/17.3.m4s`: segment and part.
pub(super) fn number(uri: &str) -> Option<(u64, u64)> {
    let name = uri.rsplit('/').next()?.strip_suffix(".m4s")?;
    let (msn, part) = name.split_once('.')?;
    Some((msn.parse().ok()?, part.parse().ok()?))
}

/// What the first frame of a part says of itself: it stands behind its length and the header
/// of its NAL unit in the box of media.
pub(super) fn first_frame(mut part: &[u8]) -> Option<Stamp> {
    const LENGTH_AND_HEADER: usize = 5;
    while let Some((size, rest)) = part.split_first_chunk::<4>() {
        let size = u32::from_be_bytes(*size) as usize;
        if rest.starts_with(b"mdat") {
            return Stamp::read(rest.get(4 + LENGTH_AND_HEADER..)?);
        }
        part = part.get(size.max(8)..)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_that_is_announced_is_found() {
        let text = "#EXTM3U\n#EXT-X-PART:DURATION=0.3,URI=\"v0/17.2.m4s\"\n\
                    #EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"v0/17.3.m4s\"\n";
        assert_eq!(hint(text).and_then(number), Some((17, 3)));
        assert_eq!(hint("#EXTM3U\n"), None);
        assert_eq!(number("v0/17.m4s"), None);
    }
}
