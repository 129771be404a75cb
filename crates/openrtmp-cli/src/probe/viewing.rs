//! What viewers get over HTTP: HLS playlists and DASH manifests, followed for a while as a
//! player does, and held against the rules.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use openrtmp_media::dash;
use openrtmp_media::hls::read::{Listed, ListedSegment};
use openrtmp_media::hls::session::{Kind, Master, Session, Variant};
use openrtmp_media::parse_date;
use serde::Serialize;

use super::kept::{self, Kept, Saved};
use super::{Arguments, millis, rounded};
use crate::connection::Trust;
use crate::exit::Failure;
use crate::http::client::{self, Options};
use crate::signal::Stop;
use crate::units::{bit_rate, bits_per_second};

/// Looked at for so long, unless it is told.
const SPAN: Duration = Duration::from_secs(10);
/// Bytes of an answer, at most.
const MOST: u64 = 64 << 20;
/// So many answers in a row may be none before a playlist is given up.
const TRIES: usize = 3;
/// Variants are followed by a thread each.
const VARIANTS: usize = 64;
/// After a reload with nothing new so much time passes.
const UNCHANGED: Duration = Duration::from_millis(200);
/// Segments may be listed so many seconds early: clocks differ.
const CLOCKS: f64 = 0.5;
/// So many of the newest segments are fetched, with their parts, and looked into.
const SEGMENTS: usize = 3;

/// Looks at a URL and tells what was seen.
pub(super) fn look(arguments: &Arguments, url: &str, stop: &Stop) -> Result<Report, Failure> {
    let viewer = Viewer {
        agent: agent(&arguments.trust, url, arguments.timeout)?,
        begun: Instant::now(),
        until: Instant::now() + arguments.duration.unwrap_or(SPAN),
        late: arguments.late,
        stop,
        saved: arguments.save.as_deref().map(Saved::new).transpose()?,
    };
    let first = viewer.get(url)?;
    let text = match first.status {
        200 => first.text()?,
        status => {
            let url = named(url);
            return Err(Failure::Runtime(format!("{url}: answered with {status}")));
        }
    };
    match text.trim_start().starts_with('<') {
        true => viewer.manifest(url, text, first.took),
        false => viewer.playlists(url, text, first.took),
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
struct Viewer<'a> {
    agent: ureq::Agent,
    begun: Instant,
    until: Instant,
    late: Option<Duration>,
    stop: &'a Stop,
    saved: Option<Saved>,
}

/// What is known of a stream, of which one thread at a time tells something.
struct Known(Mutex<Session>);

impl Known {
    fn lock(&self) -> MutexGuard<'_, Session> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What was answered.
struct Answer {
    status: u16,
    /// `Cache-Control`.
    cache: String,
    body: Vec<u8>,
    took: Duration,
}

impl Answer {
    fn text(&self) -> Result<&str, Failure> {
        std::str::from_utf8(&self.body)
            .map_err(|_| Failure::Runtime("the answer is no text".to_owned()))
    }
}

/// What came of following a playlist.
#[derive(Clone, Debug, Default)]
struct Followed {
    reloads: usize,
    /// Parts that were seen for the first time.
    parts: usize,
    /// How far the end of the list was behind the clock.
    behind: Option<(f64, f64)>,
    /// Of the newest whole segment.
    rate: Option<f64>,
}

impl Viewer<'_> {
    fn get(&self, url: &str) -> Result<Answer, Failure> {
        let failed = |error: ureq::Error| Failure::Runtime(format!("{}: {error}", named(url)));
        let begun = Instant::now();
        let mut response = self.agent.get(url).call().map_err(failed)?;
        let status = response.status().as_u16();
        let cache = response.headers().get("cache-control");
        let cache = cache.and_then(|it| it.to_str().ok()).unwrap_or("");
        let cache = cache.to_owned();
        let body = response.body_mut().with_config().limit(MOST);
        Ok(Answer {
            status,
            cache,
            body: body.read_to_vec().map_err(failed)?,
            took: begun.elapsed(),
        })
    }

    /// Asks for a playlist, or for what it names by a URI; tells what came, and keeps it.
    fn ask(
        &self,
        name: &str,
        url: &str,
        uri: Option<&str>,
        known: &Known,
    ) -> Result<Answer, Failure> {
        let answer = self.get(url)?;
        let kept = Kept {
            ms: self.begun.elapsed().as_millis() as u64,
            name: name.to_owned(),
            status: answer.status,
            uri: uri.map(str::to_owned),
            is_named: uri.is_none() && url.contains("_HLS_msn="),
            cache: Some(answer.cache.clone()),
            ..Kept::default()
        };
        if let Some(saved) = &self.saved {
            saved.add(&kept, &answer.body)?;
        }
        kept.tell(&mut known.lock(), &answer.body);
        Ok(answer)
    }

    /// Waits, as long as there is time.
    fn pause(&self, time: Duration) {
        let left = self.until.saturating_duration_since(Instant::now());
        self.stop.wait(Some(time.min(left)));
    }

    fn is_over(&self) -> bool {
        self.stop.requested() || Instant::now() >= self.until
    }

    fn playlists(&self, url: &str, text: &str, took: Duration) -> Result<Report, Failure> {
        let master = Master::parse(text);
        let alone = [Variant {
            uri: url.to_owned(),
            ..Variant::default()
        }];
        if let (Some(saved), Some(_)) = (&self.saved, &master) {
            let kept = Kept {
                name: named(url),
                status: 200,
                ..Kept::default()
            };
            saved.add(&kept, text.as_bytes())?;
        }
        let variants = master.as_ref().map_or(&alone[..], |it| &it.variants);
        if variants.len() > VARIANTS {
            let text = format!("the master playlist has more than {VARIANTS} variants");
            return Err(Failure::Runtime(text));
        }
        let names = names(variants);
        let known = Known(Mutex::new(kept::session(master.as_ref(), self.late)));
        if master.is_some() {
            self.look_at_head("the master playlist", url, &known)?;
        }
        let followed: Vec<Result<Followed, Failure>> = thread::scope(|scope| {
            let known = &known;
            let follow = |(name, variant): (&'_ String, &Variant)| {
                let (name, at) = (name.clone(), resolved(url, &variant.uri));
                scope.spawn(move || self.follow(&name, &at, known))
            };
            let threads: Vec<_> = names.iter().zip(variants).map(follow).collect();
            let bug = |_| Err(Failure::Runtime("a bug".to_owned()));
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap_or_else(bug))
                .collect()
        });
        let session = known.lock();
        let mut report = Report::new("hls");
        report.answer_ms = Some(millis(took));
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
    fn follow(&self, name: &str, url: &str, known: &Known) -> Result<Followed, Failure> {
        let mut followed = Followed::default();
        let mut newest = (0, 0);
        let (mut asked, mut failures) = (url.to_owned(), 0);
        loop {
            let answer = self.ask(name, &asked, None, known)?;
            if answer.status != 200 {
                failures += 1;
                if failures == TRIES || self.stop.wait(Some(Duration::from_secs(1))) {
                    return Ok(followed);
                }
                asked = url.to_owned();
                continue;
            }
            failures = 0;
            let Some(listed) = known.lock().last(name).cloned() else {
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
                self.fetch(name, url, &listed, &mut followed, known)?;
                self.try_rules(name, url, &listed, known)?;
                return Ok(followed);
            }
            asked = match next(&listed, followed.reloads) {
                Some(directives) => with_query(url, &directives),
                None => {
                    // Half a target duration (6.3.4).
                    let target = listed.target.unwrap_or(1).max(1);
                    self.pause(Duration::from_millis(target.saturating_mul(500)));
                    url.to_owned()
                }
            };
        }
    }

    /// Fetches the init segment and the newest segments with their parts: what is listed is to
    /// be there, and to be what is said of it.
    fn fetch(
        &self,
        name: &str,
        url: &str,
        listed: &Listed,
        followed: &mut Followed,
        known: &Known,
    ) -> Result<(), Failure> {
        let is_whole = |it: &&ListedSegment| it.uri.is_some() && !it.is_gap;
        let newest = listed.segments.iter().rev().filter(is_whole).take(SEGMENTS);
        let mut segments: Vec<&ListedSegment> = newest.collect();
        segments.reverse();
        let mut inits: Vec<&String> = segments.iter().filter_map(|it| it.map.as_ref()).collect();
        inits.dedup();
        let get = |uri: &str| self.ask(name, &resolved(url, uri), Some(uri), known);
        for uri in inits {
            get(uri)?;
        }
        for segment in segments {
            for part in segment.parts.iter().filter(|part| !part.is_gap) {
                get(&part.uri)?;
            }
            let Some(uri) = &segment.uri else {
                continue;
            };
            let answer = get(uri)?;
            if answer.status == 200 {
                let long = Duration::try_from_secs_f64(segment.duration.unwrap_or(0.0));
                let long = long.unwrap_or_default();
                followed.rate = Some(bits_per_second(answer.body.len() as u64, long));
            }
        }
        Ok(())
    }

    /// What a playlist is said to be, and how it is sent to who takes it compressed.
    fn look_at_head(&self, name: &str, url: &str, known: &Known) -> Result<(), Failure> {
        let failed = |error: ureq::Error| Failure::Runtime(format!("{name}: {error}"));
        let head = self.agent.head(url).header("accept-encoding", "gzip");
        let head = head.call().map_err(failed)?;
        let header = |name| head.headers().get(name).and_then(|it| it.to_str().ok());
        let is_compressed = header("content-encoding") == Some("gzip");
        let content_type = header("content-type").unwrap_or("");
        known.lock().sent(name, content_type, is_compressed);
        Ok(())
    }

    /// What is asked for in ways that players do not, or seldom.
    fn try_rules(
        &self,
        name: &str,
        url: &str,
        listed: &Listed,
        known: &Known,
    ) -> Result<(), Failure> {
        self.look_at_head(name, url, known)?;
        if listed.has_ended || next(listed, 0).is_none() {
            return Ok(());
        }
        let of_state = with_query(url, &format!("_HLS_msn={}", listed.msn));
        self.look_at_head(&format!("{name} with directives"), &of_state, known)?;
        // What was is answered at once, what is too far ahead and a part of nothing not.
        let last = listed.numbered().last().map_or(0, |(msn, _)| msn);
        for (directives, due) in [
            (format!("_HLS_msn={}", listed.msn), 200),
            (format!("_HLS_msn={}", last + 100), 400),
            ("_HLS_part=0".to_owned(), 400),
        ] {
            let answer = self.get(&with_query(url, &directives))?;
            let mut session = known.lock();
            session.directives(name, &directives, answer.status, due);
            if due != 200 {
                let control = Some(answer.cache.as_str()).filter(|control| !control.is_empty());
                session.cached(
                    name,
                    &format!("{name}?{directives}"),
                    Kind::Refused,
                    control,
                );
            }
        }
        Ok(())
    }

    fn manifest(&self, url: &str, text: &str, took: Duration) -> Result<Report, Failure> {
        let mut checker = dash::check::Checker::default();
        let mut report = Report::new("dash");
        report.answer_ms = Some(millis(took));
        let mut text = text.to_owned();
        let mut followed: HashMap<String, Followed> = HashMap::new();
        loop {
            for broken in checker.read(&text) {
                report.note(broken.to_string());
            }
            let Some(listed) = checker.last() else {
                return Ok(report);
            };
            for broken in dash::check::availability(listed, wall(), CLOCKS) {
                report.note(broken.to_string());
            }
            see(listed, wall(), &mut followed);
            let update = listed.update.filter(|_| listed.is_dynamic);
            let Some(update) = update.filter(|_| !self.is_over()) else {
                break;
            };
            let pause = Duration::try_from_secs_f64(update.clamp(0.5, 10.0)).unwrap_or(SPAN);
            if self.stop.wait(Some(pause)) {
                break;
            }
            let answer = self.get(url)?;
            match answer.status {
                200 => text = answer.text()?.to_owned(),
                status => report.note(format!("the manifest: answered with {status}")),
            }
        }
        let listed = checker.last();
        let latency = listed.filter(|it| it.is_dynamic).and_then(latency);
        let period = listed.and_then(|listed| listed.periods.last());
        for representation in period.map_or(&[][..], |it| &it.representations) {
            let template = representation.template.as_ref();
            if let Some(init) = template.and_then(|it| it.init(representation)) {
                let answer = self.get(&resolved(url, &init))?;
                if answer.status != 200 {
                    report.note(format!("{}: answered with {}", named(&init), answer.status));
                }
            }
            let followed = followed.get(&representation.id);
            let timeline = template.and_then(|it| it.timeline.as_ref());
            report.renditions.push(Rendition {
                latency_s: latency.map(|it| rounded(it, 3)),
                behind_s: followed.and_then(Followed::rounded),
                segments: timeline.map_or(0, Vec::len),
                reloads: followed.map_or(0, |followed| followed.reloads),
                name: representation.id.clone(),
                kind: representation.mime.clone().unwrap_or_default(),
                codecs: representation.codecs.clone(),
                resolution: representation.size.map(|(w, h)| format!("{w}x{h}")),
                bandwidth: representation.bandwidth,
                is_low_latency: template.is_some_and(|it| it.early.is_some()),
                ..Rendition::default()
            });
        }
        Ok(report)
    }
}

impl Followed {
    /// What a playlist shows that was not known before.
    fn see(&mut self, listed: &Listed, known: &mut (u64, usize)) {
        for (msn, segment) in listed.numbered() {
            let of_known = if msn == known.0 { known.1 } else { 0 };
            if msn >= known.0 {
                self.parts += segment.parts.len().saturating_sub(of_known);
            }
        }
        if let Some((msn, last)) = listed.numbered().last() {
            *known = (msn, last.parts.len());
        }
        if let Some(edge) = edge(listed) {
            self.is_behind((wall() - edge) as f64 / 1000.0);
        }
    }

    /// The end of the list was so many seconds behind the clock.
    fn is_behind(&mut self, behind: f64) {
        let (least, most) = self.behind.unwrap_or((behind, behind));
        self.behind = Some((least.min(behind), most.max(behind)));
    }

    fn rounded(&self) -> Option<(f64, f64)> {
        let rounded = |(least, most)| (rounded(least, 3), rounded(most, 3));
        self.behind.map(rounded)
    }
}

/// What a manifest shows of its representations, at this wall time.
fn see(listed: &dash::read::Listed, now: i64, followed: &mut HashMap<String, Followed>) {
    let origin = listed.origin.filter(|_| listed.is_dynamic);
    let Some(period) = listed.periods.last() else {
        return;
    };
    for representation in &period.representations {
        let followed = followed.entry(representation.id.clone()).or_default();
        followed.reloads += 1;
        let Some(origin) = origin else {
            continue;
        };
        let now = now.saturating_sub(origin) as f64 / 1000.0;
        // What is asked for by numbers is there by the clock: a segment once it is over, or as
        // much earlier as is said.
        let by_clock = || {
            let template = representation.template.as_ref();
            let template = template.filter(|it| it.timeline.is_none() && it.timescale > 0)?;
            let long = template.duration? as f64 / template.timescale as f64;
            Some((long - template.early.unwrap_or(0.0)).max(0.0))
        };
        let end = period.end_of(representation);
        if let Some(behind) = end.map(|end| now - end).or_else(by_clock) {
            followed.is_behind(behind);
        }
    }
}

/// How far behind the clock a manifest wants players to be, in seconds.
fn latency(listed: &dash::read::Listed) -> Option<f64> {
    let mut services = listed.root.all("ServiceDescription");
    let target = services.find_map(|it| it.all("Latency").next()?.get("target")?.parse().ok());
    target.map(|ms: f64| ms / 1000.0).or(listed.delay)
}

/// The wall time of the end of what is listed, in milliseconds.
fn edge(listed: &Listed) -> Option<i64> {
    let last = listed.segments.last()?;
    let begun = parse_date(last.date.as_deref()?)?;
    let parts = last.parts.iter().map(|part| part.duration).sum();
    Some(begun.saturating_add((last.duration.unwrap_or(parts) * 1000.0) as i64))
}

/// The directives of the next reload, if the server blocks.
fn next(listed: &Listed, reloads: usize) -> Option<String> {
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

/// What was seen; the JSON document of `--json`. What is not known is null.
#[derive(Debug, Default, Serialize)]
pub(super) struct Report {
    /// `hls` or `dash`.
    kind: &'static str,
    /// Until the first answer was there.
    answer_ms: Option<f64>,
    renditions: Vec<Rendition>,
    /// Rules that were broken.
    violations: Vec<Violation>,
}

#[derive(Debug, Default, Serialize)]
struct Violation {
    what: String,
    times: u64,
}

#[derive(Debug, Default, Serialize)]
struct Rendition {
    name: String,
    /// `AUDIO` and its like; a variant has none. Of DASH the MIME type.
    kind: String,
    codecs: Option<String>,
    resolution: Option<String>,
    bandwidth: Option<u64>,
    is_low_latency: bool,
    target_duration_s: Option<u64>,
    part_target_s: Option<f64>,
    /// How far behind the clock players are to be, where a manifest says so.
    latency_s: Option<f64>,
    /// How far behind the end players stay.
    hold_back_s: Option<f64>,
    /// How far the end of the list was behind the clock of this machine.
    behind_s: Option<(f64, f64)>,
    segments: usize,
    parts: usize,
    reloads: usize,
    /// Of the newest segment.
    bit_rate: Option<f64>,
}

impl Rendition {
    fn of(name: String, variant: &Variant, listed: &Listed, followed: &Followed) -> Rendition {
        let told = |name: &str| variant.attributes.get(name).cloned();
        let control = |name: &str| listed.control.get(name).and_then(|it| it.parse().ok());
        let is_low_latency = listed.part_target.is_some();
        let hold_back = match is_low_latency {
            true => control("PART-HOLD-BACK"),
            false => control("HOLD-BACK").or(listed.target.map(|target| 3.0 * target as f64)),
        };
        Rendition {
            name,
            kind: variant.kind.clone(),
            codecs: told("CODECS"),
            resolution: told("RESOLUTION"),
            bandwidth: told("BANDWIDTH").and_then(|text| text.parse().ok()),
            is_low_latency,
            target_duration_s: listed.target,
            part_target_s: listed.part_target,
            hold_back_s: hold_back,
            behind_s: followed.rounded(),
            latency_s: None,
            segments: listed.segments.iter().filter(|it| it.uri.is_some()).count(),
            parts: followed.parts,
            reloads: followed.reloads,
            bit_rate: followed.rate.map(|rate| rounded(rate, 0)),
        }
    }

    fn text(&self) -> String {
        let mut parts = vec![match self.kind.is_empty() {
            true => self.name.clone(),
            false => format!("{} {}", self.kind.to_lowercase(), self.name),
        }];
        parts.extend(self.codecs.clone());
        parts.extend(self.resolution.clone());
        parts.extend(
            self.bandwidth
                .map(|rate| format!("up to {}", bit_rate(rate as f64))),
        );
        parts.extend(self.bit_rate.map(bit_rate));
        parts.extend(
            self.target_duration_s
                .map(|it| format!("segments of {it} s")),
        );
        parts.extend(self.part_target_s.map(|it| format!("parts of {it} s")));
        if self.parts > 0 {
            parts.push(format!("{} parts in {} reloads", self.parts, self.reloads));
        }
        if let Some((least, most)) = self.behind_s {
            parts.push(format!("{least:.2} to {most:.2} s behind the clock"));
        }
        parts.extend(
            self.latency_s
                .map(|it| format!("players {it} s behind the clock")),
        );
        parts.extend(
            self.hold_back_s
                .map(|it| format!("players {it} s behind that")),
        );
        parts.join("  ")
    }
}

impl Report {
    fn new(kind: &'static str) -> Report {
        Report {
            kind,
            ..Report::default()
        }
    }

    fn note(&mut self, what: String) {
        match self.violations.iter_mut().find(|known| known.what == what) {
            Some(known) => known.times += 1,
            None => self.violations.push(Violation { what, times: 1 }),
        }
    }

    fn broken(&mut self, session: &Session) {
        let all = session.wrong().into_iter();
        let all = all.map(|(wrong, times)| Violation {
            what: wrong.to_string(),
            times,
        });
        self.violations.extend(all);
    }

    /// Rules that were broken.
    pub(super) fn violations(&self) -> usize {
        self.violations.len()
    }

    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for rendition in &self.renditions {
            text.push_str(&rendition.text());
            text.push('\n');
        }
        for Violation { what, times } in &self.violations {
            text.push_str(&format!("broken: {what}"));
            if *times > 1 {
                text.push_str(&format!(" ({times} times)"));
            }
            text.push('\n');
        }
        if self.violations.is_empty() {
            text.push_str("no rule is broken\n");
        }
        text
    }
}

fn agent(trust: &Trust, url: &str, timeout: Duration) -> Result<ureq::Agent, Failure> {
    let ca = trust.authorities()?;
    let is_tls = url.starts_with("https://");
    client::agent(&Options {
        timeout,
        https_only: false,
        proxies: true,
        tls: is_tls.then_some((ca.as_ref(), "--tls-ca")),
    })
    .map_err(Failure::Usage)
}

fn wall() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |since| since.as_millis() as i64)
}

/// What a URL ends with: before that may be keys, as there may be in its query.
pub(super) fn named(url: &str) -> String {
    let path = url.split(['?', '#']).next().unwrap_or("");
    let mut last: Vec<&str> = path.rsplit('/').take(2).collect();
    last.reverse();
    last.join("/")
}

/// What variants are called, each in its own way.
pub(super) fn names(variants: &[Variant]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for variant in variants {
        let name = named(&variant.uri);
        let before = names
            .iter()
            .filter(|it| it.split(' ').next() == Some(&name));
        let name = match before.count() {
            0 => name,
            others => format!("{name} ({})", others + 1),
        };
        names.push(name);
    }
    names
}

/// A URI as it is meant where this URL was (RFC 3986, 5.2, as far as playlists need it).
fn resolved(base: &str, uri: &str) -> String {
    let base = base.split(['?', '#']).next().unwrap_or("");
    let host = base.find("://").map_or(0, |at| at + 3);
    let end = base[host..].find('/').map_or(base.len(), |at| host + at);
    if uri.contains("://") {
        return uri.to_owned();
    }
    if uri.starts_with("//") {
        return format!("{}{uri}", &base[..host.saturating_sub(2)]);
    }
    if uri.starts_with('/') {
        return format!("{}{uri}", &base[..end]);
    }
    let folder = base[end..]
        .rfind('/')
        .map_or("/", |at| &base[end..=end + at]);
    let mut segments: Vec<&str> = folder.split('/').collect();
    segments.pop();
    let mut rest = uri;
    loop {
        if let Some(up) = rest.strip_prefix("../") {
            if segments.len() > 1 {
                segments.pop();
            }
            rest = up;
        } else if let Some(here) = rest.strip_prefix("./") {
            rest = here;
        } else {
            break;
        }
    }
    format!("{}{}/{rest}", &base[..end], segments.join("/"))
}

fn with_query(url: &str, directives: &str) -> String {
    match url.contains('?') {
        true => format!("{url}&{directives}"),
        false => format!("{url}?{directives}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris_are_meant_where_their_playlist_is() {
        let base = "https://host:8080/v/token/live/cam/index.m3u8?key=a/b";
        for (uri, expected) in [
            ("e/v0.m3u8", "https://host:8080/v/token/live/cam/e/v0.m3u8"),
            ("./a.ts", "https://host:8080/v/token/live/cam/a.ts"),
            ("../x/a.ts?b=1", "https://host:8080/v/token/live/x/a.ts?b=1"),
            ("../../../../../a", "https://host:8080/a"),
            ("/live/v0.m3u8", "https://host:8080/live/v0.m3u8"),
            ("//cdn/a", "https://cdn/a"),
            ("http://other/a", "http://other/a"),
        ] {
            assert_eq!(resolved(base, uri), expected, "{uri}");
        }
        assert_eq!(resolved("http://host", "a"), "http://host/a");
        assert_eq!(named(base), "cam/index.m3u8");
        assert_eq!(named("v0.m3u8"), "v0.m3u8");
        assert_eq!(
            with_query("http://h/a?key=x", "_HLS_msn=1"),
            "http://h/a?key=x&_HLS_msn=1"
        );
    }

    #[test]
    fn how_late_a_manifest_is_can_be_told_of_both_ways_to_list() {
        let manifest = |template: &str, service: &str| {
            let text = format!(
                "<MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\" type=\"dynamic\" \
                 availabilityStartTime=\"2026-01-01T00:00:00Z\" minBufferTime=\"PT2S\" \
                 suggestedPresentationDelay=\"PT8S\">{service}<Period id=\"1\" start=\"PT10S\">\
                 <AdaptationSet mimeType=\"video/mp4\"><SegmentTemplate timescale=\"1000\" \
                 presentationTimeOffset=\"500\" {template}</SegmentTemplate>\
                 <Representation id=\"v0\" bandwidth=\"1\"/></AdaptationSet></Period></MPD>"
            );
            dash::read::Listed::parse(&text).unwrap()
        };
        let at = |listed: &dash::read::Listed, times: &[&str]| {
            let mut followed = HashMap::new();
            for time in times {
                see(listed, parse_date(time).unwrap(), &mut followed);
            }
            let followed = &followed["v0"];
            (followed.reloads, followed.rounded())
        };
        let listed = manifest(
            "media=\"$Time$.m4s\"><SegmentTimeline><S t=\"500\" d=\"2000\" r=\"2\"/></SegmentTimeline>",
            "",
        );
        // It ends 16 s after its beginning.
        let times = ["2026-01-01T00:00:17.250Z", "2026-01-01T00:00:16.125Z"];
        assert_eq!(at(&listed, &times), (2, Some((0.125, 1.25))));
        assert_eq!(latency(&listed), Some(8.0));
        let service =
            "<ServiceDescription id=\"0\"><Latency target=\"2500\"/></ServiceDescription>";
        let listed = manifest(
            "media=\"$Number$.m4s\" duration=\"2000\" availabilityTimeOffset=\"1.6\">",
            service,
        );
        assert_eq!(at(&listed, &times[..1]), (1, Some((0.4, 0.4))));
        assert_eq!(latency(&listed), Some(2.5));
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
