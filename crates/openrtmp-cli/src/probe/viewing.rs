//! What viewers get over HTTP: HLS playlists, followed for a while as a player does, and held
//! against the rules.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use openrtmp_media::hls::read::Listed;
use openrtmp_media::hls::session::{Master, Session, Variant};

use super::address::{named, names, resolved, with_query};
use super::kept::{self, HEADERS, How, Kept, ORIGIN, Saved};
use super::report::{Followed, Rendition, Report};
use super::{Arguments, millis};
use crate::connection::Trust;
use crate::exit::Failure;
use crate::http::client::{self, Options};
use crate::signal::Stop;

/// Looked at for so long, unless it is told.
pub(super) const SPAN: Duration = Duration::from_secs(10);
/// Bytes of an answer, at most: of a playlist or a manifest, and of media.
const TEXT: u64 = 4 << 20;
const MEDIA: u64 = 64 << 20;
/// Bytes of all media, which are held against each other in the end.
const ALL_MEDIA: u64 = 1 << 30;
/// So many answers in a row may be none before a playlist is given up.
const TRIES: usize = 3;
/// After a reload with nothing new so much time passes.
const UNCHANGED: Duration = Duration::from_millis(200);
/// What the master playlist is called.
const MASTER: &str = "the master playlist";

/// Looks at a URL and tells what was seen.
pub(super) fn look(arguments: &Arguments, url: &str, stop: &Stop) -> Result<Report, Failure> {
    let viewer = Viewer {
        agent: agent(&arguments.trust, url, arguments.timeout)?,
        room: AtomicU64::new(ALL_MEDIA),
        begun: Instant::now(),
        until: Instant::now() + arguments.duration.unwrap_or(SPAN),
        late: arguments.late,
        stop,
        saved: arguments.save.as_deref().map(Saved::new).transpose()?,
    };
    let first = viewer.get(url)?;
    let text = match first.kept.status {
        200 => first.text()?,
        status => {
            let url = named(url);
            return Err(Failure::Runtime(format!("{url}: answered with {status}")));
        }
    };
    match text.trim_start().starts_with('<') {
        true => viewer.manifest(url, text, first.took),
        false => viewer.playlists(url, &first),
    }
}

/// Looks at a folder of answers that were kept.
pub(super) fn look_at_kept(folder: &Path, late: Option<Duration>) -> Result<Report, Failure> {
    let (session, variants) = kept::again(folder, late)?;
    let mut report = Report::new("hls");
    for (name, variant) in names(&variants).into_iter().zip(&variants) {
        if let Some(listed) = session.last(&name) {
            let rendition = Rendition::of(name, variant, listed, &Followed::default());
            report.renditions.push(rendition);
        }
    }
    report.broken(&session);
    Ok(report)
}

/// Who asks.
pub(super) struct Viewer<'a> {
    agent: ureq::Agent,
    /// Bytes of media that may come still.
    room: AtomicU64,
    begun: Instant,
    until: Instant,
    late: Option<Duration>,
    pub(super) stop: &'a Stop,
    saved: Option<Saved>,
}

/// What is known of a stream, of which one thread at a time tells something.
pub(super) struct Known(Mutex<Session>);

impl Known {
    pub(super) fn lock(&self) -> MutexGuard<'_, Session> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What was answered.
pub(super) struct Answer {
    pub(super) kept: Kept,
    pub(super) body: Vec<u8>,
    took: Duration,
}

impl Answer {
    pub(super) fn text(&self) -> Result<&str, Failure> {
        std::str::from_utf8(&self.body)
            .map_err(|_| Failure::Runtime("the answer is no text".to_owned()))
    }
}

/// A media playlist: what it is called, where it is, and what is known of its stream.
#[derive(Clone, Copy)]
pub(super) struct Playlist<'a> {
    pub(super) name: &'a str,
    pub(super) url: &'a str,
    pub(super) known: &'a Known,
}

impl Viewer<'_> {
    pub(super) fn get(&self, url: &str) -> Result<Answer, Failure> {
        self.exchange(url, Kept::default())
    }

    /// Asks for a URL in the way that is told.
    fn exchange(&self, url: &str, kept: Kept) -> Result<Answer, Failure> {
        let failed = |error: ureq::Error| Failure::Runtime(format!("{}: {error}", named(url)));
        let (begun, asked_ms) = (Instant::now(), self.elapsed());
        let request = match kept.how {
            How::Head => self.agent.head(url).header("accept-encoding", "gzip"),
            How::Bytes { first, last } => {
                let range = format!("bytes={first}-{last}");
                self.agent.get(url).header("range", range)
            }
            _ => self.agent.get(url),
        };
        let request = request.header("origin", ORIGIN);
        let mut response = request.call().map_err(failed)?;
        let header = |name: &&str| {
            let value = response.headers().get(*name)?.to_str().ok()?;
            Some(((*name).to_owned(), value.to_owned()))
        };
        let headers: BTreeMap<String, String> = HEADERS.iter().filter_map(header).collect();
        let status = response.status().as_u16();
        let body = match kept.how {
            How::Head => Vec::new(),
            _ => {
                let room = self.room.load(Ordering::Relaxed);
                let most = match kept.uri {
                    Some(_) => MEDIA.min(room),
                    None => TEXT,
                };
                let body = response.body_mut().with_config().limit(most);
                body.read_to_vec().map_err(failed)?
            }
        };
        if kept.uri.is_some() {
            // Others take of it meanwhile.
            let less = |room: u64| Some(room.saturating_sub(body.len() as u64));
            let (set, fetch) = (Ordering::Relaxed, Ordering::Relaxed);
            let _ = self.room.fetch_update(set, fetch, less);
        }
        let kept = Kept {
            asked_ms,
            ms: self.elapsed(),
            status,
            headers,
            ..kept
        };
        let took = begun.elapsed();
        Ok(Answer { kept, body, took })
    }

    /// Asks for a playlist, or for what it names by a URI; tells what came, and keeps it.
    pub(super) fn ask(
        &self,
        playlist: Playlist<'_>,
        uri: Option<&str>,
        query: &str,
        how: How,
    ) -> Result<Answer, Failure> {
        let url = match uri {
            Some(uri) => resolved(playlist.url, uri),
            None => with_query(playlist.url, query),
        };
        let asked = Kept {
            name: playlist.name.to_owned(),
            uri: uri.map(str::to_owned),
            query: query.to_owned(),
            how,
            ..Kept::default()
        };
        let answer = self.exchange(&url, asked)?;
        self.keep(&answer.kept, &answer.body)?;
        answer.kept.tell(&mut playlist.known.lock(), &answer.body);
        Ok(answer)
    }

    fn keep(&self, kept: &Kept, body: &[u8]) -> Result<(), Failure> {
        match &self.saved {
            Some(saved) => saved.add(kept, body),
            None => Ok(()),
        }
    }

    fn elapsed(&self) -> u64 {
        self.begun.elapsed().as_millis() as u64
    }

    /// Since another moment, as what is kept tells it.
    pub(super) fn now(&self) -> Duration {
        Duration::from_millis(self.elapsed())
    }

    /// Waits, as long as there is time.
    fn pause(&self, time: Duration) {
        let left = self.until.saturating_duration_since(Instant::now());
        self.stop.wait(Some(time.min(left)));
    }

    pub(super) fn is_over(&self) -> bool {
        self.stop.requested() || Instant::now() >= self.until
    }

    fn playlists(&self, url: &str, first: &Answer) -> Result<Report, Failure> {
        let master = Master::parse(first.text()?);
        let alone = [Variant {
            uri: url.to_owned(),
            ..Variant::default()
        }];
        let variants = master.as_ref().map_or(&alone[..], |it| &it.variants);
        let known = Known(Mutex::new(kept::session(master.as_ref(), self.late)?));
        let names = names(variants);
        let of_master = Playlist {
            name: MASTER,
            url,
            known: &known,
        };
        if master.is_some() {
            let kept = Kept {
                name: MASTER.to_owned(),
                ..first.kept.clone()
            };
            self.keep(&kept, &first.body)?;
            self.ask(of_master, None, "", How::Head)?;
        }
        let followed: Vec<Result<Followed, Failure>> = thread::scope(|scope| {
            let known = &known;
            let follow = |(name, variant): (&'_ String, &Variant)| {
                let (name, at) = (name.clone(), resolved(url, &variant.uri));
                scope.spawn(move || {
                    let (name, url) = (&*name, &*at);
                    self.follow(Playlist { name, url, known })
                })
            };
            let threads: Vec<_> = names.iter().zip(variants).map(follow).collect();
            let bug = |_| Err(Failure::Runtime("a bug".to_owned()));
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap_or_else(bug))
                .collect()
        });
        if master.is_some() {
            // Of what was measured nothing was known at first.
            self.ask(of_master, None, "", How::Plain)?;
        }
        let session = known.lock();
        let mut report = Report::new("hls");
        report.answer_ms = Some(millis(first.took));
        for ((name, variant), followed) in names.into_iter().zip(variants).zip(followed) {
            let followed = followed?;
            if let Some(listed) = session.last(&name) {
                let rendition = Rendition::of(name, variant, listed, &followed);
                report.renditions.push(rendition);
            }
        }
        report.broken(&session);
        Ok(report)
    }

    /// Follows a media playlist as a player does that knows of blocking reloads.
    fn follow(&self, playlist: Playlist<'_>) -> Result<Followed, Failure> {
        let mut followed = Followed::default();
        let mut newest = (0, 0);
        let (mut directives, mut failures) = (String::new(), 0);
        loop {
            let answer = self.ask(playlist, None, &directives, How::Plain)?;
            if answer.kept.status != 200 {
                failures += 1;
                if failures == TRIES || self.stop.wait(Some(Duration::from_secs(1))) {
                    return Ok(followed);
                }
                directives.clear();
                continue;
            }
            failures = 0;
            let Some(listed) = self.listed(playlist) else {
                return Ok(followed);
            };
            followed.reloads += 1;
            let before = newest;
            followed.see(&listed, &mut newest);
            // A server that blocks answers with more; one that does not is not to be asked
            // without end.
            if newest == before {
                self.pause(UNCHANGED);
            }
            if listed.has_ended || self.is_over() {
                self.look_closely(playlist, &listed, &mut followed)?;
                return Ok(followed);
            }
            directives = match next(&listed, followed.reloads) {
                Some(directives) => directives,
                None => {
                    // Half a target duration (6.3.4).
                    let target = listed.target.unwrap_or(1).max(1);
                    self.pause(Duration::from_millis(target.saturating_mul(500)));
                    String::new()
                }
            };
        }
    }

    /// A playlist as it is known.
    pub(super) fn listed(&self, playlist: Playlist<'_>) -> Option<Listed> {
        playlist.known.lock().last(playlist.name).cloned()
    }
}

/// The directives of the next reload, if the server blocks.
pub(super) fn next(listed: &Listed, reloads: usize) -> Option<String> {
    listed
        .control
        .get("CAN-BLOCK-RELOAD")
        .filter(|can| *can == "YES")?;
    let (msn, last) = listed.numbered().last()?;
    let (msn, part) = match last.uri {
        Some(_) => (msn + 1, 0),
        None => (msn, last.parts.len()),
    };
    let part = listed.part_target.map(|_| format!("&_HLS_part={part}"));
    let skips = listed.control.contains_key("CAN-SKIP-UNTIL") && reloads % 2 == 1;
    let skip = if skips { "&_HLS_skip=YES" } else { "" };
    Some(format!("_HLS_msn={msn}{}{skip}", part.unwrap_or_default()))
}

fn agent(trust: &Trust, url: &str, timeout: Duration) -> Result<ureq::Agent, Failure> {
    let ca = trust.authorities()?;
    let believing = |tls| {
        client::agent(&Options {
            timeout,
            https_only: false,
            proxies: true,
            tls,
        })
    };
    let agent = match believing(Some((ca.as_ref(), "--tls-ca"))) {
        // It may be that nothing is there that needs any.
        Err(_) if url.starts_with("http://") => believing(None),
        agent => agent,
    };
    agent.map_err(Failure::Usage)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;

    use clap::Parser;
    use openrtmp_media::parse_date;

    use super::super::report::edge;
    use super::*;

    #[derive(Debug, Parser)]
    struct Command {
        #[command(flatten)]
        arguments: Arguments,
    }

    /// Looks at what a server says that answers each request in this way; how often it was
    /// asked.
    fn looked(
        flags: &[&str],
        path: &str,
        answer: impl Fn(&mut TcpStream) + Send + Sync + 'static,
    ) -> (Result<Report, String>, usize) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("it is bound");
        let asked = Arc::new(AtomicUsize::new(0));
        let (counted, answer) = (asked.clone(), Arc::new(answer));
        thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                counted.fetch_add(1, Ordering::Relaxed);
                let answer = answer.clone();
                thread::spawn(move || {
                    let (mut head, mut byte) = (Vec::new(), [0]);
                    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) > 0 {
                        head.push(byte[0]);
                    }
                    answer(&mut stream);
                });
            }
        });
        let url = format!("http://me:secret@{address}{path}");
        let words = ["probe", "--duration", "1ms", &url];
        let command = Command::try_parse_from(words.iter().chain(flags)).expect("flags");
        let report = look(&command.arguments, &url, &Stop::default());
        let report = report.map_err(|failure| failure.told().1);
        (report, asked.load(Ordering::Relaxed))
    }

    /// The same, where each answer is this, behind this line of its head.
    fn told(head: &'static str, body: String) -> (Result<Report, String>, usize) {
        looked(&[], "/a.m3u8?key=secret", move |stream| {
            let length = body.len();
            let head = format!("HTTP/1.1 {head}\r\nContent-Length: {length}\r\n\r\n");
            let _ = stream.write_all(&[head.as_bytes(), body.as_bytes()].concat());
        })
    }

    /// What a server is refused for, which has no keys in it.
    fn refused((report, _): (Result<Report, String>, usize)) -> String {
        let text = report.expect_err("it is refused");
        assert!(!text.contains("secret"), "{text}");
        text
    }

    #[test]
    fn a_server_that_goes_on_and_on_is_left() {
        let endless = looked(&[], "/a.m3u8", |stream| {
            let head = b"HTTP/1.1 200 OK\r\n\r\n#EXTM3U\n";
            let _ = stream.write_all(head);
            while stream
                .write_all(&b"#EXTINF:1,\na.m4s\n".repeat(1000))
                .is_ok()
            {}
        });
        let text = refused(endless);
        assert!(text.contains("larger than"), "{text}");
        let lying = looked(&[], "/a.m3u8", |stream| {
            let length = u64::MAX;
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n#EXTM3U\n");
            let _ = stream.write_all(head.as_bytes());
        });
        refused(lying);
        let silent = looked(&["--timeout", "100ms"], "/a.m3u8", |stream| {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n#");
            // Until the other side leaves.
            let _ = stream.read(&mut [0]);
        });
        let text = refused(silent);
        assert!(text.contains("timeout"), "{text}");
    }

    #[test]
    fn nobody_is_sent_elsewhere() {
        let (report, asked) = told("302 Found\r\nLocation: /b.m3u8", String::new());
        assert_eq!(asked, 1);
        let text = refused((report, asked));
        assert!(text.contains("answered with 302"), "{text}");
    }

    #[test]
    fn more_than_anybody_has_is_not_looked_at() {
        let variant = "#EXT-X-STREAM-INF:BANDWIDTH=1\nv";
        let variants = (0..=kept::VARIANTS).map(|it| format!("{variant}{it}.m3u8\n"));
        let master = format!("#EXTM3U\n{}", variants.collect::<String>());
        let text = refused(told("200 OK", master));
        assert!(text.contains("more than 64 variants"), "{text}");
        let all = (0..=kept::VARIANTS).map(|it| format!("<Representation id='{it}'/>"));
        let all: String = all.collect();
        let manifest = format!("<MPD><Period><AdaptationSet>{all}</AdaptationSet></Period></MPD>");
        let text = refused(told("200 OK", manifest));
        assert!(text.contains("more than 64 representations"), "{text}");
        // A segment with ten thousand parts, of which each is there.
        let parts = "#EXT-X-PART:DURATION=0.1,URI=\"a.m4s\"\n".repeat(10_000);
        let list = format!("#EXTM3U\n{parts}#EXTINF:1000,\nb.m4s\n#EXT-X-ENDLIST\n");
        let (report, asked) = told("200 OK", list);
        assert!(report.is_ok() && asked < 300, "asked {asked} times");
    }

    #[test]
    fn the_largest_numbers_are_no_trouble() {
        let list = format!(
            "#EXTM3U\n#EXT-X-TARGETDURATION:{most}\n#EXT-X-MEDIA-SEQUENCE:{most}\n\
             #EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=1\n\
             #EXT-X-PART-INF:PART-TARGET=99999999999999999999\n\
             #EXT-X-PROGRAM-DATE-TIME:9999-12-31T23:59:59.999Z\n\
             #EXTINF:99999999999999999999999999,\na.m4s\n",
            most = u64::MAX >> 2
        );
        let (report, _) = told("200 OK", list);
        assert!(report.is_ok_and(|report| report.violations() > 0));
    }

    #[test]
    fn the_next_reload_asks_for_what_comes() {
        let list = "#EXTM3U\n#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=12\n\
            #EXT-X-PART-INF:PART-TARGET=0.5\n#EXT-X-MEDIA-SEQUENCE:4\n#EXTINF:1,\n4.m4s\n\
            #EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:01.000Z\n\
            #EXT-X-PART:DURATION=0.5,URI=\"5.0.m4s\"\n";
        let mut listed = Listed::parse(list).unwrap();
        assert_eq!(next(&listed, 0).unwrap(), "_HLS_msn=5&_HLS_part=1");
        assert_eq!(
            next(&listed, 1).unwrap(),
            "_HLS_msn=5&_HLS_part=1&_HLS_skip=YES"
        );
        assert_eq!(edge(&listed), parse_date("2026-01-01T00:00:01.500Z"));
        let mut followed = Followed::default();
        let mut known = (0, 0);
        followed.see(&listed, &mut known);
        followed.see(&listed, &mut known);
        assert_eq!(followed.parts, 1);
        listed.segments.pop();
        assert_eq!(next(&listed, 0).unwrap(), "_HLS_msn=5&_HLS_part=0");
        listed.control.clear();
        assert_eq!(next(&listed, 0), None);
    }
}
