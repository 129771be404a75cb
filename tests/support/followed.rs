//! A player by hand that checks everything it is told.

use std::net::SocketAddr;

use openrtmp_media::hls::check::Checker;
use openrtmp_media::hls::read::Listed;

use crate::{Delivered, Web};

/// What a player learns of a stream.
pub trait Looks {
    /// The media playlists of a master playlist.
    fn playlists(&self, path: &str) -> Vec<String>;

    /// The last state of a playlist.
    ///
    /// # Panics
    /// If it is refused.
    fn ended(&self, playlist: &str) -> Listed;
}

impl Looks for Delivered {
    fn playlists(&self, path: &str) -> Vec<String> {
        let master = self.master(path);
        let uri = |line: &str| match line.split_once(",URI=\"") {
            Some((_, rest)) => rest.split('"').next().map(str::to_owned),
            None => (!line.starts_with('#')).then(|| line.to_owned()),
        };
        let uris = master.lines().filter_map(uri);
        uris.map(|uri| format!("/{path}/{uri}")).collect()
    }

    fn ended(&self, playlist: &str) -> Listed {
        let mut web = Web::connect(self.address());
        let mut next = String::new();
        loop {
            let answer = web.get(&format!("{playlist}{next}"), &[]);
            assert!(matches!(answer.status, 200 | 503), "{}", answer.status);
            if answer.status == 200 {
                let listed = Listed::parse(answer.text()).unwrap();
                if listed.has_ended {
                    return listed;
                }
                let (msn, part) = beyond(&listed);
                next = format!("?_HLS_msn={msn}&_HLS_part={part}");
            }
        }
    }
}

/// What comes behind the last that is listed.
fn beyond(listed: &Listed) -> (u64, usize) {
    let (msn, last) = listed.numbered().last().unwrap();
    match last.uri {
        Some(_) => (msn + 1, 0),
        None => (msn, last.parts.len()),
    }
}

/// A player that follows one playlist to its end, as one with low latency does: it reloads
/// with directives, every second time what it knows may be left out, and fetches every part
/// once it is listed, or before. What it knows at the end, and how often it reloaded; there are
/// so many other playlists, if it is always as many.
///
/// # Panics
/// If a rule is broken.
pub fn follow(address: SocketAddr, playlist: &str, others: Option<usize>) -> (Checker, usize) {
    let folder = playlist.rsplit_once('/').unwrap().0;
    let mut web = Web::connect(address);
    let mut checker = Checker::new(others);
    let first = web.get(playlist, &[("Accept-Encoding", "gzip;q=0")]);
    assert_eq!(first.status, 200);
    let broken = checker.full(first.text());
    assert!(broken.is_empty(), "{broken:?}\n{}", first.text());
    let mut reloads = 0;
    let mut fetched: Vec<String> = Vec::new();
    loop {
        let listed = checker.last().unwrap().clone();
        for (_, segment) in listed.numbered() {
            for part in &segment.parts {
                if !part.is_gap && !fetched.contains(&part.uri) {
                    let answer = web.get(&format!("{folder}/{}", part.uri), &[]);
                    assert_eq!(answer.status, 200, "{}", part.uri);
                    assert!(answer.body.len() > 100, "{}", part.uri);
                    fetched.push(part.uri.clone());
                }
            }
        }
        if listed.has_ended {
            return (checker, reloads);
        }
        // What is announced comes, unless the stream ends.
        if reloads % 3 == 2 {
            let hint = listed.hints.last().unwrap();
            let answer = web.get(&format!("{folder}/{hint}"), &[]);
            assert!(
                matches!(answer.status, 200 | 404),
                "{hint}: {}",
                answer.status
            );
            if answer.status == 200 {
                fetched.push(hint.clone());
            }
        }
        let (msn, part) = beyond(&listed);
        let skip = if reloads % 2 == 1 {
            "&_HLS_skip=YES"
        } else {
            ""
        };
        let directed = format!("{playlist}?_HLS_msn={msn}&_HLS_part={part}{skip}");
        let answer = web.get(&directed, &[]);
        // A publisher that is gone may be back until its grace is over.
        if answer.status == 503 {
            continue;
        }
        assert_eq!(answer.status, 200, "{directed}: {}", answer.text());
        let broken = match skip.is_empty() {
            true => checker.full(answer.text()),
            false => checker.delta(answer.text()),
        };
        assert!(
            broken.is_empty(),
            "{directed}: {broken:?}\n{}",
            answer.text()
        );
        reloads += 1;
    }
}
