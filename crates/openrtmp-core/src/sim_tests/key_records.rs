//! Keys on record: who may come with them, under which name, and until when.

use std::path::{Path, PathBuf};

use openrtmp_protocol::RtmpUrl;
use openrtmp_protocol::command::code;
use openrtmp_protocol::session::ClientMode;

use super::media::assert_whole;
use super::world::{Who, World, ms};
use crate::access::KeyFileError;
use crate::events::{CloseReason, Event};

const STUDIO: &str = "{id: studio, kind: publish, app: live, stream: cam1, key: SECRET1}";
const ROAMING: &str = "{id: roaming, kind: publish, app: live, key: SECRET2}";
const GUESTS: &str = "{id: guests, kind: play, app: live, stream: cam1, key: SECRET3}";
const OLD: &str = "{id: old, kind: publish, app: live, key: SECRET4, expires: 1971-01-01}";

/// A file of keys.
struct Keys {
    _folder: tempfile::TempDir,
    file: PathBuf,
}

impl Keys {
    fn new(records: &[&str]) -> Keys {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("keys.yaml");
        let keys = Keys {
            _folder: folder,
            file,
        };
        keys.write(records);
        keys
    }

    fn write(&self, records: &[&str]) {
        std::fs::write(&self.file, format!("[{}]", records.join(", "))).expect("it is written");
    }

    fn world(&self, workers: usize) -> World {
        let file = self.file.clone();
        World::with(workers, |c| c.access.keys_file = Some(file))
    }
}

fn reload(w: &mut World) -> Result<bool, KeyFileError> {
    w.host(|server| server.reload_keys())
}

#[track_caller]
fn assert_refused(w: &mut World, mode: ClientMode, path: &str) {
    let who = w.client(mode, path);
    w.until("the refusal", |w| w[who].failure.is_some());
    let expected = match mode {
        ClientMode::Publish => code::PUBLISH_UNAUTHORIZED,
        _ => code::PLAY_FAILED,
    };
    assert_eq!(w[who].refusal(), Some(expected), "{path}");
}

#[test]
fn a_key_as_a_name_stands_for_the_stream_of_its_record() {
    let keys = Keys::new(&[STUDIO, ROAMING, GUESTS]);
    let mut w = keys.world(2);
    let publisher = w.live("live/SECRET1");
    let player = w.player("live/cam1?key=SECRET3");
    let other = w.player("live/SECRET3");
    w.stream(publisher, 0..5);
    assert_whole(&w[player].media, &w[publisher].sent);
    assert_whole(&w[other].media, &w[publisher].sent);
    // Where the record names none, it is called as the record, or as the peer says.
    w.live("live/SECRET2");
    w.live("live/own?key=SECRET2");
    let metrics = w.metrics();
    let mut names: Vec<String> = metrics
        .streams
        .iter()
        .map(|stream| stream.name.to_string())
        .collect();
    names.sort();
    assert_eq!(names, ["live/cam1", "live/own", "live/roaming"]);
    let shown = format!("{:?} {}", w.events(), metrics.to_json());
    assert!(!shown.contains("SECRET"), "a key is never shown");
    w.end();
}

#[test]
fn a_key_may_stand_in_the_url_of_the_app() {
    let keys = Keys::new(&[STUDIO]);
    let mut w = keys.world(1);
    let mut url = RtmpUrl::parse("rtmp://127.0.0.1:1935/live/cam1").expect("a URL");
    url.app = "live?key=SECRET1".to_owned();
    let who = w.client_at(ClientMode::Publish, url);
    w.until("Publish.Start", |w| w[who].is_ready());
    w.end();
}

#[test]
fn a_key_opens_what_its_record_says_and_nothing_else() {
    let keys = Keys::new(&[STUDIO, GUESTS, OLD]);
    let mut w = keys.world(2);
    for path in [
        "live/cam1",
        "live/wrong",
        "live/cam1?key=SECRET3",
        "live/cam2?key=SECRET1",
        "other/SECRET1",
        "other/cam1?key=SECRET1",
        "live/SECRET4",
        "live/SECRET1?key=wrong",
    ] {
        assert_refused(&mut w, ClientMode::Publish, path);
    }
    for path in [
        "live/cam1",
        "live/cam1?key=SECRET1",
        "live/cam2?key=SECRET3",
    ] {
        assert_refused(&mut w, ClientMode::Play, path);
    }
    let reasons: Vec<String> = w
        .events()
        .into_iter()
        .filter_map(|event| match event {
            Event::Access { reason, .. } if !reason.is_empty() => Some(reason),
            _ => None,
        })
        .collect();
    for reason in ["not valid", "not for this stream", "expired"] {
        assert!(reasons.iter().any(|told| told.contains(reason)), "{reason}");
    }
    assert!(!format!("{:?}", w.events()).contains("SECRET"));
    w.end();
}

#[test]
fn keys_of_the_settings_are_good_beside_those_on_record() {
    let keys = Keys::new(&[STUDIO]);
    let file = keys.file.clone();
    let mut w = World::with(1, |c| {
        c.access.keys_file = Some(file);
        c.access.publish_keys = vec!["master".into()];
    });
    let first = w.publisher("live/a?key=master");
    let second = w.publisher("live/SECRET1");
    // The record opens what it did, whatever becomes of a key of the settings that is its own.
    w.server.publish_keys().add("SECRET1".into());
    for key in ["SECRET1", "master"] {
        assert!(w.host(|server| server.revoke_publish_key(key)));
    }
    assert_revoked(&mut w, first);
    assert!(!w[second].is_closed());
    // Nobody asks for a key for playing.
    w.player("live/cam1");
    w.end();
}

#[track_caller]
fn assert_revoked(w: &mut World, who: Who) {
    w.until("the close", |w| w[who].is_closed());
    w.run(ms(10));
    let revoked = |reason: &CloseReason| matches!(reason, CloseReason::Refused(t) if t == "the key was revoked");
    assert!(w.close_reasons().iter().any(revoked));
}

#[test]
fn a_key_that_is_taken_away_ends_what_it_began() {
    let keys = Keys::new(&[STUDIO, ROAMING, GUESTS]);
    let mut w = keys.world(3);
    let studio = w.live("live/SECRET1");
    let roaming = w.live("live/own?key=SECRET2");
    let guest = w.player("live/SECRET3");
    assert!(!reload(&mut w).expect("the same keys"));
    keys.write(&[STUDIO, GUESTS]);
    assert!(reload(&mut w).expect("other keys"));
    assert_revoked(&mut w, roaming);
    // A key that is another is another record; a later end is not.
    let later = STUDIO.replace("}", ", expires: 2099-01-01}");
    keys.write(&[&later, &GUESTS.replace("SECRET3", "SECRET5")]);
    assert!(reload(&mut w).expect("other keys"));
    assert_revoked(&mut w, guest);
    w.stream(studio, 0..5);
    assert!(!w[studio].is_closed());
    assert_refused(&mut w, ClientMode::Publish, "live/own?key=SECRET2");
    w.player("live/SECRET5");
    w.end();
}

#[test]
fn players_may_be_left_what_they_have() {
    let keys = Keys::new(&[STUDIO, GUESTS]);
    let file = keys.file.clone();
    let mut w = World::with(2, |c| {
        c.access.keys_file = Some(file);
        c.access.revoke_ends_play = false;
    });
    let publisher = w.live("live/SECRET1");
    let guest = w.player("live/SECRET3");
    keys.write(&[STUDIO]);
    assert!(reload(&mut w).expect("other keys"));
    w.stream(publisher, 0..5);
    assert_whole(&w[guest].media, &w[publisher].sent);
    assert_refused(&mut w, ClientMode::Play, "live/SECRET3");
    w.end();
}

#[test]
fn a_file_that_is_not_right_changes_nothing() {
    let keys = Keys::new(&[STUDIO]);
    let mut w = keys.world(1);
    let publisher = w.live("live/SECRET1");
    keys.write(&[STUDIO, "{id: x}"]);
    let error = reload(&mut w)
        .expect_err("a record lacks its key")
        .to_string();
    assert!(error.contains("record 2"), "{error}");
    let error = w
        .reconfigure(|c| c.gop.max_frames = 7)
        .expect_err("the same");
    assert!(error.to_string().contains("record 2"), "{error}");
    assert_ne!(w.server.config().gop.max_frames, 7);
    w.stream(publisher, 0..5);
    assert!(!w[publisher].is_closed());
    // Settings put in force read the file again, and may name another, or none.
    keys.write(&[ROAMING]);
    w.reconfigure(|_| {}).expect("right again");
    assert_revoked(&mut w, publisher);
    let nowhere = Path::new("no/such/file");
    let error = w.reconfigure(|c| c.access.keys_file = Some(nowhere.into()));
    assert!(
        error
            .expect_err("no file")
            .to_string()
            .contains("no/such/file")
    );
    assert_refused(&mut w, ClientMode::Publish, "live/cam1");
    w.reconfigure(|c| c.access.keys_file = None).expect("open");
    w.publisher("live/cam1");
    w.end();
}
