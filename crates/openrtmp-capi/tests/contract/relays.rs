//! Relays between two servers of one program.

use std::ffi::c_void;
use std::sync::mpsc::channel;

use openrtmp::OpenrtmpStr;
use openrtmp::drain::openrtmp_server_drain;
use openrtmp::error::{
    OPENRTMP_ERROR_INVALID_ARGUMENT, OPENRTMP_ERROR_NOT_FOUND, OPENRTMP_ERROR_STATE,
};
use openrtmp::event::{
    OPENRTMP_EVENT_RELAY_ENDED, OPENRTMP_EVENT_RELAY_STARTED, OPENRTMP_EVENT_STREAM_PUBLISHED,
};
use openrtmp::relay::{
    OPENRTMP_RELAY_PULL, OPENRTMP_RELAY_PULL_ALWAYS, OPENRTMP_RELAY_PUSH, OPENRTMP_RELAY_RUNNING,
    OpenrtmpRelay, OpenrtmpRelayInfo, openrtmp_relay_add, openrtmp_relay_list,
    openrtmp_relay_remove,
};
use openrtmp::server::OpenrtmpSummary;

use crate::host::{Host, last_error, ok, owned};

fn relay<'a>(kind: u32, pattern: &'a str, url: &'a str) -> OpenrtmpRelay {
    OpenrtmpRelay {
        struct_size: size_of::<OpenrtmpRelay>() as u32,
        kind,
        pattern: OpenrtmpStr::new(pattern),
        url: OpenrtmpStr::new(url),
        idle_timeout_ms: 30_000,
    }
}

fn add(host: &Host, relay: &OpenrtmpRelay) -> Result<u64, i32> {
    let mut id = 0;
    // SAFETY: the handle and the texts live during the call.
    match unsafe { openrtmp_relay_add(host.server, relay, &mut id) } {
        0 => Ok(id),
        code => Err(code),
    }
}

/// Stream, state and URL of a link.
type Seen = (String, u32, String);

unsafe extern "C" fn note(user_data: *mut c_void, info: *const OpenrtmpRelayInfo) {
    // SAFETY: the test's list and the struct live during the call.
    unsafe {
        let (list, info) = (&mut *user_data.cast::<Vec<Seen>>(), &*info);
        assert_eq!(info.struct_size as usize, size_of::<OpenrtmpRelayInfo>());
        assert_eq!(
            (info.configured, info.failures),
            (0, 0),
            "{}",
            owned(info.last_error)
        );
        list.push((owned(info.stream), info.state, owned(info.url)));
    }
}

fn list(host: &Host) -> Vec<Seen> {
    let mut list: Vec<Seen> = Vec::new();
    // SAFETY: the handle lives, and the list during the call.
    ok(unsafe { openrtmp_relay_list(host.server, Some(note), (&raw mut list).cast()) });
    list
}

#[test]
fn a_stream_is_passed_on_until_the_rule_is_removed() {
    let (tell_far, of_far) = channel();
    let far = Host::new(&[], move |_, told| {
        let _ = tell_far.send(told.clone());
    });
    far.start();
    let (tell_near, of_near) = channel();
    let near = Host::new(&[], move |_, told| {
        let _ = tell_near.send(told.clone());
    });
    near.start();
    let publisher = near.publisher("live/cam").expect("it is free");
    let url = format!("rtmp://{}/out/{{name}}?key=s3cret", far.address());
    let id = add(&near, &relay(OPENRTMP_RELAY_PUSH, "live/*", &url)).expect("a rule");
    let until = |events: &std::sync::mpsc::Receiver<crate::host::Told>, kind| loop {
        let told = events.recv().expect("the server lives");
        if told.kind == kind {
            return told;
        }
    };
    let published = until(&of_far, OPENRTMP_EVENT_STREAM_PUBLISHED);
    assert!(published.json.contains("out/cam"), "{}", published.json);
    let started = until(&of_near, OPENRTMP_EVENT_RELAY_STARTED);
    assert_eq!(started.number, id);
    assert!(
        started.connection > 0 && !started.json.contains("s3cret"),
        "{}",
        started.json
    );
    let seen = list(&near);
    assert_eq!(
        (seen.len(), &*seen[0].0, seen[0].1),
        (1, "live/cam", OPENRTMP_RELAY_RUNNING)
    );
    assert!(seen[0].2.ends_with("/out/{name}"), "{seen:?}");
    drop(publisher);
    until(&of_near, OPENRTMP_EVENT_RELAY_ENDED);
    // SAFETY: the handle lives.
    unsafe {
        ok(openrtmp_relay_remove(near.server, id));
        assert_eq!(
            openrtmp_relay_remove(near.server, id),
            OPENRTMP_ERROR_NOT_FOUND
        );
    }
    assert!(list(&near).is_empty());
    near.end();
    far.end();
}

#[test]
fn a_server_that_is_drained_sends_its_peers_to_another() {
    let servers: Vec<_> = (0..2)
        .map(|_| {
            let (tell, told) = channel();
            let host = Host::new(&[], move |_, event| {
                let _ = tell.send((event.kind, event.json.clone()));
            });
            host.start();
            (host, told)
        })
        .collect();
    let [(old, of_old), (new, of_new)] = &servers[..] else {
        panic!("two servers");
    };
    let published = |events: &std::sync::mpsc::Receiver<(u32, String)>| loop {
        let (kind, json) = events.recv().expect("the server lives");
        if kind == OPENRTMP_EVENT_STREAM_PUBLISHED {
            return json;
        }
    };
    let near = Host::new(&[], |_, _| {});
    near.start();
    let publisher = near.publisher("live/cam").expect("it is free");
    let url = format!("rtmp://{}/out/{{name}}", old.address());
    add(&near, &relay(OPENRTMP_RELAY_PUSH, "live/*", &url)).expect("a rule");
    assert!(published(of_old).contains("out/cam"));
    let drain = |to: &str| {
        // SAFETY: integers.
        let mut summary: OpenrtmpSummary = unsafe { std::mem::zeroed() };
        summary.struct_size = size_of::<OpenrtmpSummary>() as u32;
        let to = OpenrtmpStr::new(to);
        // SAFETY: the handle lives, and the struct is whole.
        let code = unsafe { openrtmp_server_drain(old.server, 3_600_000, to, &mut summary) };
        (code, summary)
    };
    let (code, _) = drain("rtmp://a/b?key=SECRET");
    assert_eq!(code, OPENRTMP_ERROR_INVALID_ARGUMENT);
    assert!(last_error().contains("the URL: ") && !last_error().contains("SECRET"));
    let (code, summary) = drain(&format!("rtmp://{}", new.address()));
    ok(code);
    assert_eq!(
        (summary.accepted, summary.forced, summary.streams),
        (1, 0, 0)
    );
    assert_eq!(drain("").0, OPENRTMP_ERROR_STATE, "it has stopped");
    assert!(published(of_new).contains("out/cam"));
    drop(publisher);
    near.end();
    for (host, _) in servers {
        host.end();
    }
}

#[test]
fn rules_that_cannot_be_are_refused_and_keys_in_them_not_told() {
    let host = Host::new(&[], |_, _| {});
    host.start();
    for (kind, pattern, url, what) in [
        (9, "live/*", "rtmp://h/a/KEY", "9 is no kind of relay"),
        (
            OPENRTMP_RELAY_PUSH,
            "",
            "rtmp://h/a/KEY",
            "the pattern is empty",
        ),
        (
            OPENRTMP_RELAY_PUSH,
            "live/*",
            "http://h/a/KEY",
            "the URL: an RTMP URL starts with",
        ),
        (
            OPENRTMP_RELAY_PULL,
            "live/*",
            "rtmp://{app}/a/KEY",
            "the URL: the host may not",
        ),
        (
            OPENRTMP_RELAY_PULL_ALWAYS,
            "live/*",
            "rtmp://h/a/KEY",
            "what is always fetched",
        ),
    ] {
        let refused = add(&host, &relay(kind, pattern, url));
        assert_eq!(refused, Err(OPENRTMP_ERROR_INVALID_ARGUMENT), "{what}");
        let message = last_error();
        assert!(
            message.contains(what) && !message.contains("KEY"),
            "{message}"
        );
    }
    assert!(list(&host).is_empty());
    host.end();
}
