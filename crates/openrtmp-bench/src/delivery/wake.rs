//! Requests by the thousand that wait for the same state of a playlist, and are all answered when
//! it comes.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::ClientConfig;
use serde::Serialize;

use super::BoxError;
use super::viewers::{Audience, first_frame, hint, number, plain};
use crate::payload::Clock;
use crate::stats::Spread;

/// Of one connection; the server lets so many wait, and some more.
const OF_A_CONNECTION: usize = 60;
/// For a segment to begin.
const PATIENCE: Duration = Duration::from_secs(20);

/// What became of them.
#[derive(Clone, Copy, Serialize)]
pub(super) struct Wake {
    waiting: usize,
    /// From the frame that ends the part that they wait for to the last byte of an answer.
    pub(super) late_ms: Spread,
}

/// Has so many wait for the first part of the next segment.
pub(super) async fn wake(
    clock: Clock,
    address: SocketAddr,
    tls: &ClientConfig,
    playlist: &str,
    count: usize,
) -> Result<Wake, BoxError> {
    let audience = Arc::new(Audience::new(clock, address, tls));
    let mut connections = Vec::new();
    for _ in 0..count.div_ceil(OF_A_CONNECTION) {
        connections.push(audience.connect(address).await?);
    }
    let first = connections.first().ok_or("nobody is to wait")?;
    let mut looks = first.requests.clone();
    let end = Instant::now() + PATIENCE;
    // Right behind the beginning of a segment there is time for all to ask.
    let next = loop {
        let text = plain(&audience.get(&mut looks, playlist).await?)?;
        let (msn, part) = hint(&text).and_then(number).ok_or("no part is announced")?;
        if part <= 1 {
            break msn + 1;
        }
        if Instant::now() > end {
            return Err("no segment begins".into());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let reload: Arc<str> = format!("{playlist}?_HLS_msn={next}&_HLS_part=0").into();
    let ask = |number: usize| {
        let mut requests = connections[number / OF_A_CONNECTION].requests.clone();
        let (audience, reload) = (audience.clone(), reload.clone());
        tokio::spawn(async move {
            let asked = clock.nanos();
            let answer = audience.get(&mut requests, &reload).await;
            answer.map(|_| (asked, clock.nanos()))
        })
    };
    let waiting: Vec<_> = (0..count).map(ask).collect();
    let mut answered = Vec::new();
    for request in waiting {
        answered.push(request.await??);
    }
    // The frame that the next part begins with ended it.
    let folder = playlist.rsplit_once('/').map_or("", |(folder, _)| folder);
    let after = format!("{folder}/v0/{next}.1.m4s");
    let after = audience.get(&mut looks, &after).await?;
    let released = first_frame(&after).ok_or("a part without a frame")?.clock;
    let waited = answered.iter().filter(|(asked, _)| *asked < released);
    let mut late: Vec<u64> = waited.map(|(_, at)| at.saturating_sub(released)).collect();
    Ok(Wake {
        waiting: late.len(),
        late_ms: Spread::of(&mut late),
    })
}

impl fmt::Display for Wake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} that waited are answered: {}",
            self.waiting, self.late_ms
        )
    }
}
