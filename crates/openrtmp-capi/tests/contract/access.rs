//! What peers want, decided by the host.

use std::ffi::c_void;
use std::ptr::null_mut;
use std::sync::Mutex;

use openrtmp::OpenrtmpStr;
use openrtmp::access::{
    OPENRTMP_ACCESS_CONNECT, OPENRTMP_ACCESS_PUBLISH, OpenrtmpAccessRequest,
    openrtmp_request_accept, openrtmp_request_accept_as, openrtmp_request_fail,
    openrtmp_request_pass, openrtmp_request_reject,
};
use openrtmp::error::{OPENRTMP_ERROR_INVALID_ARGUMENT, OPENRTMP_ERROR_NOT_FOUND};
use openrtmp::inspect::{OpenrtmpPublisherInfo, openrtmp_publisher_list};
use openrtmp::server::{
    OpenrtmpCallbacks, OpenrtmpServer, openrtmp_server_free, openrtmp_server_start,
};
use openrtmp_core::client::{Client, ClientConfig, ClientError, ClientMode};
use openrtmp_core::protocol::RtmpUrl;

use super::host::{address, last_error, made, ok, owned};

/// What a request said.
#[derive(Clone, Debug)]
struct Asked {
    action: u32,
    stream: String,
    tc_url: String,
    client: String,
}

type Decide = Box<dyn FnMut(*mut OpenrtmpServer, &Asked, u64) + Send>;

struct Side {
    server: *mut OpenrtmpServer,
    decide: Mutex<Decide>,
}

unsafe extern "C" fn on_access(user_data: *mut c_void, request: *const OpenrtmpAccessRequest) {
    // SAFETY: both, and the request's texts, live during the call.
    let (side, asked, id) = unsafe {
        let (side, request) = (&*user_data.cast::<Side>(), &*request);
        assert_eq!(
            request.struct_size as usize,
            size_of::<OpenrtmpAccessRequest>()
        );
        let asked = Asked {
            action: request.action,
            stream: owned(request.stream),
            tc_url: owned(request.tc_url),
            client: owned(request.client),
        };
        (side, asked, request.request_id)
    };
    (side.decide.lock().unwrap())(side.server, &asked, id);
}

/// A server that asks.
struct Asking {
    side: *mut Side,
    server: *mut OpenrtmpServer,
}

impl Asking {
    fn start(
        settings: &[(&str, &str)],
        decide: impl FnMut(*mut OpenrtmpServer, &Asked, u64) + Send + 'static,
    ) -> Asking {
        let side = Box::into_raw(Box::new(Side {
            server: null_mut(),
            decide: Mutex::new(Box::new(decide)),
        }));
        let table = OpenrtmpCallbacks {
            struct_size: size_of::<OpenrtmpCallbacks>() as u32,
            reserved: 0,
            user_data: side.cast(),
            on_event: None,
            on_access: Some(on_access),
            on_closed: None,
            on_order: None,
        };
        let server = made(settings, &raw const table);
        // SAFETY: nobody is asked before the start, and both live until the end.
        unsafe {
            (*side).server = server;
            ok(openrtmp_server_start(server));
        }
        Asking { side, server }
    }

    fn connect(&self, mode: ClientMode, path: &str) -> Result<Client, ClientError> {
        let url = format!("rtmp://{}/{path}", address(self.server));
        Client::connect(ClientConfig::new(
            RtmpUrl::parse(&url).expect("a URL"),
            mode,
        ))
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        // SAFETY: freed once; after it no callback runs, and the side is nobody's.
        unsafe {
            ok(openrtmp_server_free(self.server));
            drop(Box::from_raw(self.side));
        }
    }
}

unsafe extern "C" fn note(user_data: *mut c_void, info: *const OpenrtmpPublisherInfo) {
    // SAFETY: the test's list and the struct live during the call.
    unsafe { (*user_data.cast::<Vec<String>>()).push(owned((*info).stream)) };
}

fn published(server: *mut OpenrtmpServer) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    // SAFETY: the handle lives, and the list during the call.
    ok(unsafe { openrtmp_publisher_list(server, Some(note), (&raw mut names).cast()) });
    names
}

#[test]
fn the_host_is_told_who_connects_and_may_give_a_stream_another_name() {
    let (tell, asked) = std::sync::mpsc::channel();
    let host = Asking::start(&[], move |server, asked, id| {
        tell.send(asked.clone()).expect("the test listens");
        let name = OpenrtmpStr::new;
        // SAFETY: the server lives, the texts during the calls.
        unsafe {
            for nothing in ["", "/", "?key=1"] {
                let code = openrtmp_request_accept_as(server, id, name(nothing));
                assert_eq!(code, OPENRTMP_ERROR_INVALID_ARGUMENT, "{nothing}");
            }
            assert!(last_error().contains("names no stream"), "{}", last_error());
            ok(openrtmp_request_accept_as(server, id, name("live/cam")));
            let again = openrtmp_request_accept_as(server, id, name("live/other"));
            assert_eq!(again, OPENRTMP_ERROR_NOT_FOUND);
            assert_eq!(openrtmp_request_pass(server, id), OPENRTMP_ERROR_NOT_FOUND);
            let again = openrtmp_request_fail(server, id, name("late"));
            assert_eq!(again, OPENRTMP_ERROR_NOT_FOUND);
        }
    });
    let publisher = host.connect(ClientMode::Publish, "live/s3cret");
    let publisher = publisher.expect("it may publish");
    let asked: Vec<Asked> = asked.try_iter().collect();
    let actions: Vec<u32> = asked.iter().map(|asked| asked.action).collect();
    assert_eq!(actions, [OPENRTMP_ACCESS_CONNECT, OPENRTMP_ACCESS_PUBLISH]);
    for asked in &asked {
        let tc_url = format!("rtmp://{}/live", address(host.server));
        assert_eq!(asked.tc_url, tc_url);
        assert!(!asked.client.is_empty(), "{asked:?}");
    }
    assert_eq!(asked[1].stream, "live/s3cret");
    assert_eq!(published(host.server), ["live/cam"]);
    drop(publisher);
}

/// An answer to a request to play.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Answer {
    Accept,
    Pass,
    Reject,
    Fail,
}

/// Whether the address is blocked after these answers, each to a peer of its own.
fn is_blocked_after(answers: &'static [Answer]) -> bool {
    let mut next = answers.iter().copied();
    let limit = ("access.failed_attempts.limit", "2");
    let host = Asking::start(&[limit], move |server, asked, id| {
        let answer = match asked.action {
            OPENRTMP_ACCESS_CONNECT => Answer::Pass,
            _ => next.next().unwrap_or(Answer::Pass),
        };
        let reason = OpenrtmpStr::new("not you");
        // SAFETY: the server lives, the text during the call.
        ok(unsafe {
            match answer {
                Answer::Accept => openrtmp_request_accept(server, id),
                Answer::Pass => openrtmp_request_pass(server, id),
                Answer::Reject => openrtmp_request_reject(server, id, reason),
                Answer::Fail => openrtmp_request_fail(server, id, reason),
            }
        });
    });
    for answer in answers {
        let peer = host.connect(ClientMode::Play, "live/cam");
        match answer {
            Answer::Accept | Answer::Pass => drop(peer.expect("it may play")),
            Answer::Reject | Answer::Fail => {
                let refusal = peer.expect_err("it may not").to_string();
                assert!(refusal.contains("not you"), "{refusal}");
            }
        }
    }
    host.connect(ClientMode::Play, "live/cam").is_err()
}

#[test]
fn what_is_passed_or_cannot_be_decided_says_nothing_of_who_asks() {
    use Answer::{Accept, Fail, Pass, Reject};
    for (answers, blocks) in [
        (&[Reject, Reject][..], true),
        (&[Fail, Fail, Fail], false),
        (&[Reject, Fail], false),
        // What succeeds makes what failed before forgotten; what is passed does not.
        (&[Reject, Accept, Reject], false),
        (&[Reject, Pass, Reject], true),
    ] {
        assert_eq!(is_blocked_after(answers), blocks, "{answers:?}");
    }
}
