//! How late a server itself is told of a stream: what comes late there no player can show.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use openrtmp_media::hls::read::Listed;
use openrtmp_media::hls::session::{Master, Session, Wrong};

use crate::{Delivered, Web};

/// Follows the parts of a stream with blocking reloads until it is asked.
#[derive(Debug)]
pub struct Pulse {
    stop: Arc<AtomicBool>,
    following: JoinHandle<Session>,
}

impl Pulse {
    /// Begins to follow a stream that can be played.
    ///
    /// # Panics
    /// If it cannot.
    pub fn of(delivered: &Delivered, path: &str) -> Pulse {
        let master = Master::parse(&delivered.master(path)).expect("a master playlist");
        let variant = master.variants.iter().find(|it| it.kind.is_empty());
        let playlist = format!("/{path}/{}", variant.expect("a variant").uri);
        let stop = Arc::new(AtomicBool::new(false));
        let (address, stopping) = (delivered.address(), stop.clone());
        let following = thread::spawn(move || follow(address, &playlist, &stopping));
        Pulse { stop, following }
    }

    /// Seconds that parts came later than they should have, at worst.
    ///
    /// # Panics
    /// If the server did not answer.
    pub fn late(self) -> f64 {
        self.stop.store(true, Ordering::Relaxed);
        let session = self.following.join().expect("it was followed");
        let wrong = session.wrong().into_iter();
        let late = wrong.filter_map(|(wrong, _)| match wrong {
            Wrong::Late(_, worst) => Some(worst),
            _ => None,
        });
        late.fold(0.0, f64::max)
    }
}

fn follow(address: SocketAddr, playlist: &str, stop: &AtomicBool) -> Session {
    let mut session = Session::new(None);
    session.tolerate(Duration::ZERO);
    let began = Instant::now();
    let mut web = Web::connect(address);
    let mut next = String::new();
    while !stop.load(Ordering::Relaxed) {
        let answer = web.get(&format!("{playlist}{next}"), &[]);
        if answer.status == 200 {
            session.playlist(playlist, answer.text(), began.elapsed());
            next = session.last(playlist).map(beyond).unwrap_or_default();
        }
    }
    session
}

/// Asks for what comes behind the last that is listed.
fn beyond(listed: &Listed) -> String {
    let Some((msn, last)) = listed.numbered().last() else {
        return String::new();
    };
    let (msn, part) = match last.uri {
        Some(_) => (msn + 1, 0),
        None => (msn, last.parts.len()),
    };
    format!("?_HLS_msn={msn}&_HLS_part={part}")
}
