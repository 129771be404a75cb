//! Streams over HTTP.

use std::ffi::{c_char, c_void};
use std::mem::offset_of;
use std::sync::Arc;
use std::time::Duration;

use openrtmp_core::{Config, Server};

use crate::boundary;
use crate::convert::{
    OpenrtmpStr, Versioned, borrow, check_buffer, copy_out, fill, fillable, output, text,
};
use crate::error::Failure;
use crate::server::{OpenrtmpServer, OpenrtmpVisitText, required, visit_texts};

/// A page with a player; of no stream, the page of all that are live.
pub const OPENRTMP_FORM_PAGE: u32 = 0;
/// HLS, with low latency for players that know it.
pub const OPENRTMP_FORM_HLS: u32 = 1;
/// DASH.
pub const OPENRTMP_FORM_DASH: u32 = 2;
/// HLS of MPEG-TS.
pub const OPENRTMP_FORM_HLS_TS: u32 = 3;
/// FLV over HTTP, and with ws in place of http (wss of https) over a WebSocket.
pub const OPENRTMP_FORM_FLV: u32 = 4;

/// A token opens all streams below its path too.
pub const OPENRTMP_TOKEN_PREFIX: u32 = 1;

/// What is delivered over HTTP, at one moment.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct OpenrtmpHttpStats {
    /// sizeof(openrtmp_http_stats).
    pub struct_size: u32,
    /// Addresses that it listens on.
    pub listeners: u32,
    /// Connections of viewers now.
    pub connections: u64,
    /// Those since the start.
    pub accepted: u64,
    /// Streams that can be fetched, or come to be.
    pub streams: u64,
    /// Bytes that are kept of them.
    pub stream_bytes: u64,
    /// Bytes that are kept for answers alone that viewers have not taken.
    pub answer_bytes: u64,
    /// Bytes of segments in files ("http.dvr.directory").
    pub file_bytes: u64,
}

// SAFETY: integers without padding.
unsafe impl Versioned for OpenrtmpHttpStats {
    const FIRST: usize = offset_of!(OpenrtmpHttpStats, file_bytes);
}

#[cfg(not(feature = "live"))]
use absent::token;
#[cfg(not(feature = "live"))]
pub(crate) use absent::{Delivering, check};
#[cfg(feature = "live")]
use present::token;
#[cfg(feature = "live")]
pub(crate) use present::{Delivering, check};

/// What a token is to say, and what it is signed with.
#[cfg_attr(not(feature = "live"), allow(dead_code))]
struct Wanted<'a> {
    secret: &'a str,
    stream: &'a str,
    is_prefix: bool,
    expires: u64,
    address: &'a str,
}

/// Of a library that delivers.
#[cfg(feature = "live")]
mod present {
    use openrtmp_core::{HttpListen, Network};
    use openrtmp_live::{Delivery, DeliveryError, Form, Pass};

    use super::*;
    use crate::error::{OPENRTMP_ERROR_IO, OPENRTMP_ERROR_LISTEN};

    /// Nothing has to be refused.
    pub(crate) fn check(_: &Config) -> Result<(), Failure> {
        Ok(())
    }

    pub(super) fn token(wanted: &Wanted<'_>) -> Result<String, Failure> {
        let mut pass = Pass::new(wanted.stream, wanted.expires);
        pass.is_prefix = wanted.is_prefix;
        if !wanted.address.is_empty() {
            let from = Network::parse(wanted.address);
            let wrong = || Failure::argument("that is no address and no network");
            pass.from = Some(from.ok_or_else(wrong)?);
        }
        let token = pass.sign(wanted.secret);
        token.map_err(|error| Failure::argument(error.to_string()))
    }

    /// The delivery of a server's streams, where its settings name a place for it.
    pub(crate) struct Delivering(Delivery);

    impl Delivering {
        pub(crate) fn start(server: &Arc<Server>) -> Result<Delivering, Failure> {
            let listen = server.config().named_http_listen();
            let delivery = Delivery::start(server, &listen);
            let failure = |error: DeliveryError| {
                let code = match &error {
                    DeliveryError::Directory { .. } => OPENRTMP_ERROR_IO,
                    _ => OPENRTMP_ERROR_LISTEN,
                };
                Failure::new(code, error.to_string())
            };
            Ok(Delivering(delivery.map_err(failure)?))
        }

        pub(crate) fn begin_stop(&self) {
            self.0.begin_stop();
        }

        pub(crate) fn force(&self) {
            self.0.force();
        }

        pub(crate) fn stop(&self, grace: Duration) {
            self.0.stop(grace);
        }

        pub(super) fn port(&self, index: u32) -> Result<u16, Failure> {
            match self.0.listeners().get(index as usize) {
                Some(HttpListen::At { address, .. }) => Ok(address.port()),
                _ => Err(Failure::not_found(format!("no address {index} of HTTP"))),
            }
        }

        pub(super) fn urls(&self, stream: &str, form: u32) -> Result<Vec<String>, Failure> {
            let form = match form {
                super::OPENRTMP_FORM_PAGE => Form::Page,
                super::OPENRTMP_FORM_HLS => Form::Hls,
                super::OPENRTMP_FORM_DASH => Form::Dash,
                super::OPENRTMP_FORM_HLS_TS => Form::TransportStream,
                super::OPENRTMP_FORM_FLV => Form::Flv,
                other => return Err(Failure::argument(format!("no form {other}"))),
            };
            let path = form.path(stream);
            let path = path.ok_or_else(|| Failure::argument("only a page is of no stream"))?;
            let bases = self.0.urls();
            Ok(bases.iter().map(|base| format!("{base}{path}")).collect())
        }

        pub(super) fn stats(&self) -> Result<OpenrtmpHttpStats, Failure> {
            let delivery = &self.0;
            let held = delivery.held();
            Ok(OpenrtmpHttpStats {
                struct_size: 0,
                listeners: delivery.listeners().len() as u32,
                connections: delivery.connections() as u64,
                accepted: delivery.accepted(),
                streams: delivery.streams() as u64,
                stream_bytes: held.streams,
                answer_bytes: held.answers,
                file_bytes: held.files,
            })
        }
    }
}

/// Of one that does not.
#[cfg(not(feature = "live"))]
mod absent {
    use super::*;
    use crate::error::OPENRTMP_ERROR_UNSUPPORTED;

    pub(crate) fn check(config: &Config) -> Result<(), Failure> {
        Ok(config.check_no_delivery()?)
    }

    pub(super) fn token(_: &Wanted<'_>) -> Result<String, Failure> {
        Err(unsupported())
    }

    /// None.
    pub(crate) struct Delivering;

    impl Delivering {
        pub(crate) fn start(_: &Arc<Server>) -> Result<Delivering, Failure> {
            Ok(Delivering)
        }

        pub(crate) fn begin_stop(&self) {}

        pub(crate) fn force(&self) {}

        pub(crate) fn stop(&self, _: Duration) {}

        pub(super) fn port(&self, _: u32) -> Result<u16, Failure> {
            Err(unsupported())
        }

        pub(super) fn urls(&self, _: &str, _: u32) -> Result<Vec<String>, Failure> {
            Err(unsupported())
        }

        pub(super) fn stats(&self) -> Result<OpenrtmpHttpStats, Failure> {
            Err(unsupported())
        }
    }

    fn unsupported() -> Failure {
        let message = "this library delivers nothing over HTTP: it was built without `live`";
        Failure::new(OPENRTMP_ERROR_UNSUPPORTED, message)
    }
}

/// Writes the port of an address that it listens on, by their order in "http.listen", the real
/// one where 0 was asked for; "auto" is none, nor is one of IPv6 on a device without it.
/// OPENRTMP_ERROR_NOT_FOUND beyond the last, OPENRTMP_ERROR_STATE while the server is stopped.
/// While it runs this function and its kin are OPENRTMP_ERROR_UNSUPPORTED in a library that
/// does not deliver.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openrtmp_server_http_port(
    server: *const OpenrtmpServer,
    index: u32,
    out_port: *mut u32,
) -> i32 {
    boundary::status(|| {
        // SAFETY: the contract of the header.
        let (server, out) = unsafe { (borrow(server)?, output(out_port)?) };
        out.write(server.with_delivery()?.delivery.port(index)?.into());
        Ok(())
    })
}

/// Visits the URLs under which other devices, then this one, reach a form (OPENRTMP_FORM_*)
/// of a stream ("app/name", or empty for the page of all). Whether there is such a stream,
/// and whether it takes a key, is not asked.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openrtmp_server_http_urls(
    server: *const OpenrtmpServer,
    stream: OpenrtmpStr,
    form: u32,
    visit: OpenrtmpVisitText,
    user_data: *mut c_void,
) -> i32 {
    boundary::status(|| {
        // SAFETY: the contract of the header.
        let (running, stream) = unsafe { (borrow(server)?.with_delivery()?, text(stream)?) };
        let visit = required(visit)?;
        let urls = running.delivery.urls(stream, form)?;
        // SAFETY: the contract of the header.
        unsafe { visit_texts(urls, visit, user_data) };
        Ok(())
    })
}

/// Takes the numbers of what is delivered over HTTP.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openrtmp_server_http_stats(
    server: *const OpenrtmpServer,
    out_stats: *mut OpenrtmpHttpStats,
) -> i32 {
    boundary::status(|| {
        // SAFETY: the contract of the header.
        let running = unsafe {
            fillable(out_stats)?;
            borrow(server)?.with_delivery()?
        };
        let stats = running.delivery.stats()?;
        // SAFETY: the contract of the header.
        unsafe { fill(out_stats, &stats) }
    })
}

/// Writes a token for a viewer of a stream ("live/cam") that is not public: what stands in
/// "/v/TOKEN/live/cam/index.m3u8", or in "Authorization: Bearer TOKEN". secret is one of
/// "http.tokens.keys", of this server or of another, 16 bytes or more; a server believes such a
/// token and asks nobody. It is good until so many seconds since 1970, and from an address or a
/// network ("192.0.2.7", "2001:db8::/64"; empty: from anywhere). flags are OPENRTMP_TOKEN_* or
/// 0. OPENRTMP_ERROR_INVALID_ARGUMENT of anything of which no token can be made,
/// OPENRTMP_ERROR_UNSUPPORTED in a library that does not deliver.
#[allow(
    clippy::too_many_arguments,
    reason = "a token has these, a text its buffer"
)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openrtmp_http_token(
    secret: OpenrtmpStr,
    stream: OpenrtmpStr,
    flags: u32,
    expires: u64,
    address: OpenrtmpStr,
    buffer: *mut c_char,
    capacity: usize,
    out_length: *mut usize,
) -> i32 {
    boundary::status(|| {
        if flags & !OPENRTMP_TOKEN_PREFIX != 0 {
            return Err(Failure::argument(format!("no flags {flags:#x}")));
        }
        // What is wrong with the call is told by every library.
        check_buffer(buffer, capacity)?;
        // SAFETY: the contract of the header.
        let (secret, stream, address) = unsafe { (text(secret)?, text(stream)?, text(address)?) };
        let wanted = Wanted {
            secret,
            stream,
            is_prefix: flags & OPENRTMP_TOKEN_PREFIX != 0,
            expires,
            address,
        };
        let token = token(&wanted)?;
        // SAFETY: the contract of the header.
        unsafe { copy_out(&token, buffer, capacity, out_length) }
    })
}
