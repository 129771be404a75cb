//! Frames for the host.

use std::collections::BTreeMap;
use std::ffi::c_void;
use std::mem::offset_of;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use openrtmp_core::protocol::session::MediaKind;
use openrtmp_core::{
    Frame, FrameContent, Loss, StreamId, Tap, TapCloser, TapEvent, TapOptions, TapStream,
    TapStreams, spawn_thread,
};

use crate::boundary;
use crate::callback::{self, Call, UserData};
use crate::convert::{OpenrtmpStr, Versioned, borrow, must_be_zero, output, text, versioned};
use crate::error::{Failure, OPENRTMP_ERROR_TIMEOUT};
use crate::fetch::Fetched;
use crate::process::Process;
use crate::server::{OpenrtmpServer, required};

/// Audio.
pub const OPENRTMP_MEDIA_AUDIO: u32 = 1;
/// Video.
pub const OPENRTMP_MEDIA_VIDEO: u32 = 2;
/// AMF0 values: onMetaData and other data messages.
pub const OPENRTMP_MEDIA_DATA: u32 = 3;

/// Decoding can start here; set for every audio frame.
pub const OPENRTMP_FRAME_KEY: u32 = 1;
/// Decoder configuration (sequence header), which comes before the frames it is for.
pub const OPENRTMP_FRAME_CONFIG: u32 = 2;
/// Data about the media: onMetaData, HDR metadata, channel layouts.
pub const OPENRTMP_FRAME_METADATA: u32 = 4;
/// The end of a sequence.
pub const OPENRTMP_FRAME_END: u32 = 8;
/// Something else: a command to players, silence without a codec, or a message that
/// cannot be read, whole; then codec is 0.
pub const OPENRTMP_FRAME_OTHER: u32 = 16;

/// H.264, "avc1".
pub const OPENRTMP_FOURCC_AVC: u32 = 0x6176_6331;
/// H.265, "hvc1".
pub const OPENRTMP_FOURCC_HEVC: u32 = 0x6876_6331;
/// H.266, "vvc1".
pub const OPENRTMP_FOURCC_VVC: u32 = 0x7676_6331;
/// AV1, "av01".
pub const OPENRTMP_FOURCC_AV1: u32 = 0x6176_3031;
/// VP8, "vp08".
pub const OPENRTMP_FOURCC_VP8: u32 = 0x7670_3038;
/// VP9, "vp09".
pub const OPENRTMP_FOURCC_VP9: u32 = 0x7670_3039;
/// AAC, "mp4a".
pub const OPENRTMP_FOURCC_AAC: u32 = 0x6D70_3461;
/// MP3, ".mp3".
pub const OPENRTMP_FOURCC_MP3: u32 = 0x2E6D_7033;
/// Opus, "Opus".
pub const OPENRTMP_FOURCC_OPUS: u32 = 0x4F70_7573;
/// FLAC, "fLaC".
pub const OPENRTMP_FOURCC_FLAC: u32 = 0x664C_6143;
/// AC-3, "ac-3".
pub const OPENRTMP_FOURCC_AC3: u32 = 0x6163_2D33;
/// E-AC-3, "ec-3".
pub const OPENRTMP_FOURCC_EAC3: u32 = 0x6563_2D33;

/// One frame of one track. Read only. Lives as long as the callback, or, once
/// retained, until it is released.
#[repr(C)]
#[derive(Debug)]
pub struct OpenrtmpFrame {
    /// Size of the struct that the library fills.
    pub struct_size: u32,
    /// OPENRTMP_MEDIA_*.
    pub kind: u32,
    /// FourCC, first character in the most significant byte; 0 for data and for what
    /// cannot be read.
    pub codec: u32,
    /// OPENRTMP_FRAME_*, combined.
    pub flags: u32,
    /// Track; 0 is the default track.
    pub track: u32,
    /// 0.
    pub reserved: u32,
    /// The stream.
    pub stream_id: u64,
    /// Its path, for example "live/cam", keys masked, as in "live/***1f3a";
    /// openrtmp_server_stream_name() tells the whole.
    pub stream: OpenrtmpStr,
    /// Decoding time on the stream's clock.
    pub dts_us: i64,
    /// Presentation time on the stream's clock.
    pub pts_us: i64,
    /// The codec's bytes: H.264 and H.265 as NAL units with length prefixes, AAC
    /// without ADTS, data as AMF0 values.
    pub payload: *const u8,
    /// Bytes.
    pub payload_length: usize,
    /// Frames of this stream that this tap has lost so far because it was too slow.
    pub dropped: u64,
}

/// What a tap did not get. Lives as long as the callback.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct OpenrtmpLoss {
    /// Size of the struct that the library fills.
    pub struct_size: u32,
    /// 0.
    pub reserved: u32,
    /// Frames; those of several tracks in one message count as one.
    pub frames: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Decoding time of the earliest, on the stream's clock.
    pub from_us: i64,
    /// Decoding time of the latest.
    pub to_us: i64,
}

impl OpenrtmpLoss {
    pub(crate) fn new(loss: &Loss) -> OpenrtmpLoss {
        OpenrtmpLoss {
            struct_size: size_of::<OpenrtmpLoss>() as u32,
            reserved: 0,
            frames: loss.frames,
            bytes: loss.bytes,
            from_us: loss.from_micros,
            to_us: loss.to_micros,
        }
    }
}

/// What a tap calls back, on a thread of its own. Only on_frame must not be NULL.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct OpenrtmpTapCallbacks {
    /// sizeof(openrtmp_tap_callbacks).
    pub struct_size: u32,
    /// 0.
    pub reserved: u32,
    /// Handed to each callback.
    pub user_data: *mut c_void,
    /// A frame. When it returns too late, video up to a later key frame is dropped,
    /// as for any slow player ("queue" in the settings), and everything at twice that;
    /// nobody else waits.
    pub on_frame: Option<unsafe extern "C" fn(user_data: *mut c_void, frame: *const OpenrtmpFrame)>,
    /// A stream has a publisher; its frames follow.
    pub on_started:
        Option<unsafe extern "C" fn(user_data: *mut c_void, stream_id: u64, stream: OpenrtmpStr)>,
    /// A stream is over. It may start again.
    pub on_ended:
        Option<unsafe extern "C" fn(user_data: *mut c_void, stream_id: u64, stream: OpenrtmpStr)>,
    /// The last call, after openrtmp_tap_free() or the server's stop. Each stream that
    /// on_started told of has had its on_ended by then.
    pub on_closed: Option<unsafe extern "C" fn(user_data: *mut c_void)>,
    /// A stream goes on with another publisher: its own configuration comes, and video
    /// starts at a key frame; time goes on.
    pub on_republished:
        Option<unsafe extern "C" fn(user_data: *mut c_void, stream_id: u64, stream: OpenrtmpStr)>,
    /// Frames are missing since on_frame returned too late. Comes before the frame that
    /// follows the gap.
    pub on_lost: Option<
        unsafe extern "C" fn(
            user_data: *mut c_void,
            stream_id: u64,
            stream: OpenrtmpStr,
            loss: *const OpenrtmpLoss,
        ),
    >,
}

// SAFETY: pointers, nullable functions and integers without padding.
unsafe impl Versioned for OpenrtmpTapCallbacks {
    const FIRST: usize = offset_of!(OpenrtmpTapCallbacks, on_republished);
}

/// Receives the frames of one stream or of all.
pub struct OpenrtmpTap {
    process: Process,
    pub(crate) way: Way,
}

/// How frames reach the host.
pub(crate) enum Way {
    /// A thread calls it.
    Called(Called),
    /// It fetches them.
    Fetched(Mutex<Fetched>),
}

pub(crate) struct Called {
    closer: TapCloser,
    /// The host is done with it: what waits is not delivered.
    done: Arc<AtomicBool>,
    /// Ends when on_closed has returned.
    ended: Receiver<()>,
}

impl OpenrtmpTap {
    pub(crate) fn check(&self) -> Result<(), Failure> {
        self.process.check()
    }
}

/// Opens a tap on a stream ("app/name"), live or still to come, or, with an empty name,
/// on every stream. Headers come first, then frames from the newest key frame on. The
/// queue to the callback is bounded as that of a player. With callbacks NULL
/// openrtmp_tap_next() fetches what there is. Free it with openrtmp_tap_free(), also after
/// the server has stopped.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openrtmp_tap_open(
    server: *mut OpenrtmpServer,
    stream: OpenrtmpStr,
    callbacks: *const OpenrtmpTapCallbacks,
    out_tap: *mut *mut OpenrtmpTap,
) -> i32 {
    boundary::status(|| {
        // SAFETY: the contract of the header.
        let (server, stream, out) =
            unsafe { (borrow(server)?.running()?, text(stream)?, output(out_tap)?) };
        let listener = match callbacks.is_null() {
            true => None,
            // SAFETY: the contract of the header.
            false => Some(Listener::new(unsafe { versioned(callbacks)? })?),
        };
        let streams = match stream {
            "" => TapStreams::All,
            name => name.into(),
        };
        let config = server.config();
        let queue = &config.queue;
        let options = TapOptions::new(streams)
            .max_bytes(queue.max_bytes)
            .max_delay(queue.max_delay);
        let tap = server.tap_with(options);
        let way = match listener {
            None => Way::Fetched(Mutex::new(Fetched::new(tap))),
            Some(listener) => Way::Called(Called::spawn(tap, listener)?),
        };
        out.write(Box::into_raw(Box::new(OpenrtmpTap {
            process: Process::this(),
            way,
        })));
        Ok(())
    })
}

impl Called {
    fn spawn(tap: Tap, listener: Listener) -> Result<Called, Failure> {
        let (closer, done) = (tap.closer(), Arc::new(AtomicBool::new(false)));
        let (alive, ended) = channel::<()>();
        let seen = done.clone();
        let work = move || {
            let identity = Arc::as_ptr(&seen) as usize;
            callback::inside(identity, Call::Other, || listener.run(tap, &seen));
            drop(alive);
        };
        spawn_thread("openrtmp-tap", Box::new(work))?;
        Ok(Called {
            closer,
            done,
            ended,
        })
    }
}

/// Closes a tap and frees it: waits until its callback has returned, on_ended was called
/// for each stream that on_started told of, and on_closed, or until 1 s is over:
/// OPENRTMP_ERROR_TIMEOUT, and they follow the callback that hangs. OPENRTMP_ERROR_RECURSIVE
/// inside a callback of this tap, and then nothing is freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openrtmp_tap_free(tap: *mut OpenrtmpTap) -> i32 {
    boundary::status(|| {
        if tap.is_null() {
            return Ok(());
        }
        // SAFETY: the contract of the header.
        let there = unsafe { borrow(tap)? };
        there.check()?;
        if let Way::Called(called) = &there.way {
            let identity = Arc::as_ptr(&called.done) as usize;
            callback::refuse_inside(identity, "closing the tap")?;
        }
        // SAFETY: from openrtmp_tap_open and not freed, the header demands.
        let tap = unsafe { Box::from_raw(tap) };
        let Way::Called(called) = tap.way else {
            return Ok(());
        };
        called.done.store(true, Ordering::Release);
        called.closer.close();
        match called.ended.recv_timeout(PATIENCE) {
            Err(RecvTimeoutError::Timeout) => {
                let message = "a callback of the tap has not returned";
                Err(Failure::new(OPENRTMP_ERROR_TIMEOUT, message))
            }
            _ => Ok(()),
        }
    })
}

/// How long a callback is waited for.
const PATIENCE: Duration = Duration::from_secs(1);

/// Keeps a frame beyond its callback, payload included. Give the result to
/// openrtmp_frame_release() once, from any thread. NULL for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openrtmp_frame_retain(
    frame: *const OpenrtmpFrame,
) -> *const OpenrtmpFrame {
    boundary::value(std::ptr::null(), || {
        if !frame.is_null() {
            // SAFETY: every frame that C sees is the head of a `Held` in an `Arc`.
            unsafe { Arc::increment_strong_count(frame.cast::<Held>()) };
        }
        frame
    })
}

/// Lets go of a frame that was retained.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openrtmp_frame_release(frame: *const OpenrtmpFrame) {
    boundary::nothing(|| {
        if !frame.is_null() {
            // SAFETY: as in openrtmp_frame_retain, which the header demands first.
            unsafe { Arc::decrement_strong_count(frame.cast::<Held>()) };
        }
    });
}

/// A frame with what it borrows from. C sees its first member.
#[repr(C)]
pub(crate) struct Held {
    head: OpenrtmpFrame,
    frame: Frame,
}

// SAFETY: the head's pointers go to `frame`, which is never changed.
unsafe impl Send for Held {}
// SAFETY: as above.
unsafe impl Sync for Held {}

impl Held {
    /// The frame as C sees it, for openrtmp_frame_retain().
    pub(crate) fn head(held: &Arc<Held>) -> *const OpenrtmpFrame {
        // The pointer is of the whole.
        Arc::as_ptr(held).cast()
    }

    pub(crate) fn new(frame: Frame) -> Arc<Held> {
        let flags = match frame.content {
            FrameContent::Key => OPENRTMP_FRAME_KEY,
            FrameContent::Header => OPENRTMP_FRAME_CONFIG,
            FrameContent::Metadata => OPENRTMP_FRAME_METADATA,
            FrameContent::End => OPENRTMP_FRAME_END,
            FrameContent::Other => OPENRTMP_FRAME_OTHER,
            _ => 0,
        };
        Arc::new(Held {
            head: OpenrtmpFrame {
                struct_size: size_of::<OpenrtmpFrame>() as u32,
                kind: match frame.kind {
                    MediaKind::Audio => OPENRTMP_MEDIA_AUDIO,
                    MediaKind::Video => OPENRTMP_MEDIA_VIDEO,
                    MediaKind::Data => OPENRTMP_MEDIA_DATA,
                },
                codec: frame.codec.map_or(0, |codec| codec.to_u32()),
                flags,
                track: frame.track.into(),
                reserved: 0,
                stream_id: frame.stream.id.as_u64(),
                // Both are on the heap: moving the frame leaves them in place.
                stream: OpenrtmpStr::new(frame.stream.name.shown()),
                dts_us: frame.dts_micros,
                pts_us: frame.pts_micros,
                payload: frame.payload.as_ptr(),
                payload_length: frame.payload.len(),
                dropped: frame.dropped,
            },
            frame,
        })
    }
}

/// Calls the host for what a tap yields.
struct Listener {
    callbacks: OpenrtmpTapCallbacks,
    on_frame: unsafe extern "C" fn(*mut c_void, *const OpenrtmpFrame),
    user_data: UserData,
    /// Streams that the host was told the start of and not the end.
    live: BTreeMap<StreamId, Arc<TapStream>>,
}

// SAFETY: the functions are the host's, who is told which thread calls them.
unsafe impl Send for Listener {}

/// How long to wait for frames before waiting again.
const FOREVER: Duration = Duration::from_secs(86_400);

impl Listener {
    fn new(callbacks: OpenrtmpTapCallbacks) -> Result<Listener, Failure> {
        must_be_zero(callbacks.reserved)?;
        Ok(Listener {
            on_frame: required(callbacks.on_frame)?,
            user_data: UserData(callbacks.user_data),
            callbacks,
            live: BTreeMap::new(),
        })
    }

    fn run(mut self, mut tap: Tap, done: &AtomicBool) {
        while !done.load(Ordering::Acquire) {
            match tap.recv(FOREVER) {
                // Freed meanwhile: the host wants no more.
                Some(_) if done.load(Ordering::Acquire) => break,
                Some(event) => self.deliver(event),
                None if tap.is_closed() => break,
                None => {}
            }
        }
        drop(tap);
        for stream in std::mem::take(&mut self.live).into_values() {
            self.tell(self.callbacks.on_ended, &stream);
        }
        if let Some(on_closed) = self.callbacks.on_closed {
            // SAFETY: the host's function, for the last time.
            unsafe { on_closed(self.user_data.0) };
        }
    }

    fn deliver(&mut self, event: TapEvent) {
        match event {
            TapEvent::Frame(frame) => {
                let held = Held::new(frame);
                // SAFETY: the host's function; `held` outlives the call.
                unsafe { (self.on_frame)(self.user_data.0, Held::head(&held)) };
                debug_assert_eq!(held.head.payload, held.frame.payload.as_ptr());
            }
            TapEvent::Started(stream) => {
                self.tell(self.callbacks.on_started, &stream);
                self.live.insert(stream.id, stream);
            }
            TapEvent::Ended(stream) => {
                self.live.remove(&stream.id);
                self.tell(self.callbacks.on_ended, &stream);
            }
            TapEvent::Republished(stream) => self.tell(self.callbacks.on_republished, &stream),
            TapEvent::Lost { stream, loss } => self.tell_loss(&stream, &loss),
            _ => {}
        }
    }

    fn tell_loss(&self, stream: &TapStream, loss: &Loss) {
        if let Some(on_lost) = self.callbacks.on_lost {
            let name = OpenrtmpStr::new(stream.name.shown());
            let loss = OpenrtmpLoss::new(loss);
            // SAFETY: the host's function; name and loss outlive the call.
            unsafe { on_lost(self.user_data.0, stream.id.as_u64(), name, &raw const loss) };
        }
    }

    fn tell(
        &self,
        callback: Option<unsafe extern "C" fn(*mut c_void, u64, OpenrtmpStr)>,
        stream: &TapStream,
    ) {
        if let Some(callback) = callback {
            let name = OpenrtmpStr::new(stream.name.shown());
            // SAFETY: the host's function; the name outlives the call.
            unsafe { callback(self.user_data.0, stream.id.as_u64(), name) };
        }
    }
}
