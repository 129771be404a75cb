//! Requests that the host decides.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use openrtmp_core::protocol::StreamName;
use openrtmp_core::{AccessAction, AccessRequest, Protocol};

use crate::boundary;
use crate::convert::{OpenrtmpStr, borrow, text};
use crate::error::Failure;
use crate::server::OpenrtmpServer;

/// Something that a newer library asks.
pub const OPENRTMP_ACCESS_OTHER: u32 = 0;
/// To connect to an app.
pub const OPENRTMP_ACCESS_CONNECT: u32 = 1;
/// To publish a stream.
pub const OPENRTMP_ACCESS_PUBLISH: u32 = 2;
/// To play a stream.
pub const OPENRTMP_ACCESS_PLAY: u32 = 3;

/// What a peer wants to do. Lives as long as the callback; its id longer.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct OpenrtmpAccessRequest {
    /// Size of the struct that the library fills.
    pub struct_size: u32,
    /// OPENRTMP_ACCESS_*.
    pub action: u32,
    /// For openrtmp_request_accept() and the other answers.
    pub request_id: u64,
    /// Which connection asks.
    pub connection_id: u64,
    /// The app.
    pub app: OpenrtmpStr,
    /// The stream's path, app included; empty when connecting. The whole of it: it may
    /// be a key.
    pub stream: OpenrtmpStr,
    /// Query of the URL, without "?". It may hold keys.
    pub query: OpenrtmpStr,
    /// The peer's address and port.
    pub peer: OpenrtmpStr,
    /// How long the answer is waited for ("access.decision_timeout").
    pub timeout_ms: u64,
    /// 1 if the peer came over TLS.
    pub tls: u32,
    /// 0.
    pub reserved: u32,
    /// The common name in the certificate that the peer showed ("tls.client_auth"), if it
    /// has one.
    pub certificate_common_name: OpenrtmpStr,
    /// The names that the certificate is for, one a line: hosts, addresses, mailboxes, URIs.
    pub certificate_names: OpenrtmpStr,
    /// The pin of its key; empty if the peer showed none.
    pub certificate_pin: OpenrtmpStr,
    /// The user that the peer showed to be ("access.users"); empty if nobody asked.
    pub user: OpenrtmpStr,
    /// What the peer gave as the app's URL when it connected (tcUrl), query included: it may
    /// hold keys. Empty if it gave none, or one that is too long.
    pub tc_url: OpenrtmpStr,
    /// The software that the peer says it is (flashVer), fit to be shown; empty if it says
    /// nothing.
    pub client: OpenrtmpStr,
}

/// Grants a request. OPENRTMP_ERROR_NOT_FOUND if it was answered, its time is over, or the
/// peer has left.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openrtmp_request_accept(
    server: *mut OpenrtmpServer,
    request_id: u64,
) -> i32 {
    boundary::status(|| {
        // SAFETY: the contract of the header.
        let server = unsafe { borrow(server)? };
        let request = server.pending()?.take(request_id)?;
        in_time(request.accept(), request_id)
    })
}

/// Grants a request under another name: the stream is published, or played, as this path
/// ("app/name"), and the one that was asked for is shown no more; it may have been a key. A
/// path that names nothing is OPENRTMP_ERROR_INVALID_ARGUMENT, and the request still waits.
/// Of OPENRTMP_ACCESS_CONNECT it changes nothing. Fails else as openrtmp_request_accept().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openrtmp_request_accept_as(
    server: *mut OpenrtmpServer,
    request_id: u64,
    path: OpenrtmpStr,
) -> i32 {
    boundary::status(|| {
        // SAFETY: the contract of the header.
        let (server, path) = unsafe { (borrow(server)?, text(path)?) };
        let pending = server.pending()?;
        if StreamName::join("", path).reveal().is_empty() {
            return Err(Failure::argument("the path names no stream"));
        }
        let request = pending.take(request_id)?;
        in_time(request.accept_as(path), request_id)
    })
}

/// Leaves a request to the rules of the settings, which have nothing against it: it is granted,
/// and says nothing of who asks ("access.failed_attempts"), where openrtmp_request_accept()
/// makes earlier failures of that address forgotten. Fails as openrtmp_request_accept().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openrtmp_request_pass(
    server: *mut OpenrtmpServer,
    request_id: u64,
) -> i32 {
    boundary::status(|| {
        // SAFETY: the contract of the header.
        let server = unsafe { borrow(server)? };
        let request = server.pending()?.take(request_id)?;
        in_time(request.pass(), request_id)
    })
}

/// Refuses a request because it cannot be decided at the moment, which is not held against who
/// asks ("access.failed_attempts"); the peer sees the reason. Fails as
/// openrtmp_request_accept().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openrtmp_request_fail(
    server: *mut OpenrtmpServer,
    request_id: u64,
    reason: OpenrtmpStr,
) -> i32 {
    boundary::status(|| {
        // SAFETY: the contract of the header.
        let (server, reason) = unsafe { (borrow(server)?, text(reason)?) };
        let request = server.pending()?.take(request_id)?;
        in_time(request.fail(reason), request_id)
    })
}

/// Says that the last segment of the name in a request is a key: it is not shown in
/// logs, events, numbers and file names, as long as the server knows of the stream. To be
/// called before the answer, whatever that is. "access.secret_names" says so of all.
/// OPENRTMP_ERROR_NOT_FOUND if the request was answered, or its time is over.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openrtmp_request_mark_secret(
    server: *mut OpenrtmpServer,
    request_id: u64,
) -> i32 {
    boundary::status(|| {
        // SAFETY: the contract of the header.
        let server = unsafe { borrow(server)? };
        server.pending()?.mark_secret(request_id)
    })
}

/// Refuses a request; the peer sees the reason. Fails as openrtmp_request_accept().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openrtmp_request_reject(
    server: *mut OpenrtmpServer,
    request_id: u64,
    reason: OpenrtmpStr,
) -> i32 {
    boundary::status(|| {
        // SAFETY: the contract of the header.
        let (server, reason) = unsafe { (borrow(server)?, text(reason)?) };
        let request = server.pending()?.take(request_id)?;
        in_time(request.reject(reason), request_id)
    })
}

/// OPENRTMP_ACCESS_* of an action.
pub(crate) fn action(action: AccessAction) -> u32 {
    match action {
        AccessAction::Connect => OPENRTMP_ACCESS_CONNECT,
        AccessAction::Publish => OPENRTMP_ACCESS_PUBLISH,
        AccessAction::Play => OPENRTMP_ACCESS_PLAY,
        _ => OPENRTMP_ACCESS_OTHER,
    }
}

/// Requests that were shown to the host and not answered.
#[derive(Default)]
pub(crate) struct Pending(Mutex<Requests>);

#[derive(Default)]
struct Requests {
    /// Ids only grow, so the first is the oldest.
    waiting: BTreeMap<u64, (Instant, AccessRequest)>,
    last_id: u64,
}

impl Pending {
    /// Keeps a request for the answer and shows it to C while `show` runs.
    pub(crate) fn lend(&self, request: AccessRequest, show: impl FnOnce(&OpenrtmpAccessRequest)) {
        let (app, stream) = (request.app.clone(), request.stream.clone());
        let (query, peer) = (request.query.clone(), request.peer.to_string());
        let connection_id = request.connection.map_or(0, |id| id.as_u64());
        let action = action(request.action);
        let timeout_ms = request.timeout.as_millis() as u64;
        let tls = (request.protocol == Protocol::Rtmps).into();
        let certificate = request.certificate.clone();
        let certificate = certificate.as_deref();
        let common_name = certificate.and_then(|c| c.common_name.as_deref());
        let names = certificate.map(|c| c.names.join("\n")).unwrap_or_default();
        let pin = certificate.map(|c| c.pin.as_str());
        let user = request.user.clone();
        let (tc_url, client) = (request.tc_url.clone(), request.client.clone());
        let (request_id, expired) = self.keep(request);
        drop(expired);
        show(&OpenrtmpAccessRequest {
            struct_size: size_of::<OpenrtmpAccessRequest>() as u32,
            action,
            request_id,
            connection_id,
            app: OpenrtmpStr::new(app.reveal()),
            stream: OpenrtmpStr::new(stream.reveal()),
            query: OpenrtmpStr::new(query.reveal()),
            peer: OpenrtmpStr::new(&peer),
            timeout_ms,
            tls,
            reserved: 0,
            certificate_common_name: OpenrtmpStr::new(common_name.unwrap_or_default()),
            certificate_names: OpenrtmpStr::new(&names),
            certificate_pin: OpenrtmpStr::new(pin.unwrap_or_default()),
            user: OpenrtmpStr::new(user.as_deref().unwrap_or_default()),
            tc_url: OpenrtmpStr::new(tc_url.reveal()),
            client: OpenrtmpStr::new(&client),
        });
    }

    /// Also lets go of those that the server has refused meanwhile: a host that
    /// never answers fills no memory.
    fn keep(&self, request: AccessRequest) -> (u64, Vec<AccessRequest>) {
        let now = Instant::now();
        let mut requests = self.lock();
        let mut expired = Vec::new();
        while let Some(oldest) = requests.waiting.first_entry()
            && now.duration_since(oldest.get().0) > oldest.get().1.timeout
        {
            expired.push(oldest.remove().1);
        }
        requests.last_id += 1;
        let id = requests.last_id;
        requests.waiting.insert(id, (now, request));
        (id, expired)
    }

    fn take(&self, id: u64) -> Result<AccessRequest, Failure> {
        let taken = self.lock().waiting.remove(&id);
        taken
            .map(|(_, request)| request)
            .ok_or_else(|| no_request(id))
    }

    fn mark_secret(&self, id: u64) -> Result<(), Failure> {
        let requests = self.lock();
        let (_, request) = requests.waiting.get(&id).ok_or_else(|| no_request(id))?;
        request.mark_secret();
        Ok(())
    }

    /// Nobody asks any more.
    pub(crate) fn clear(&self) {
        let gone = std::mem::take(&mut self.lock().waiting);
        drop(gone);
    }

    fn lock(&self) -> MutexGuard<'_, Requests> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn in_time(counts: bool, id: u64) -> Result<(), Failure> {
    match counts {
        true => Ok(()),
        false => Err(no_request(id)),
    }
}

fn no_request(id: u64) -> Failure {
    Failure::not_found(format!("no request {id} waits for an answer"))
}
