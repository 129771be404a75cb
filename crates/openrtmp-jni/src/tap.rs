//! Methods of taps and of their frames.

use std::collections::HashMap;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use bytes::Bytes;
use jni::objects::{JByteBuffer, JClass, JObject, JString};
use jni::sys::{jint, jlong, jvalue};
use jni::{Env, NativeMethod, native_method};
use openrtmp_core::protocol::media::codec::{LENGTH_SIZE, length_size};
use openrtmp_core::protocol::media::{FourCc, VideoCodec};
use openrtmp_core::protocol::session::MediaKind;
use openrtmp_core::{
    Frame, FrameContent, StreamId, Tap, TapCloser, TapEvent, TapOptions, TapStream, TapStreams,
    spawn_thread,
};
use serde_json::{Value, json};

use crate::failure::{Failure, Throw};
use crate::handles::{Handles, lock};
use crate::host::HOSTS;
use crate::jvm;

pub(crate) const METHODS: &[NativeMethod] = &[
    native_method! {
        static fn tap_open(
            server: jlong, kind: jint, name: java.lang.String, index: jint, count: jint,
            max_bytes: jlong, max_delay_ms: jlong
        ) -> jlong, fn = tap_open, error_policy = Throw
    },
    native_method! {
        static fn tap_next(tap: jlong, timeout_ms: jlong) -> java.lang.Object,
        fn = tap_next, error_policy = Throw
    },
    native_method! {
        static fn tap_poll(tap: jlong) -> java.lang.Object, fn = tap_poll, error_policy = Throw
    },
    native_method! {
        static fn tap_close(tap: jlong), fn = tap_close, error_policy = Throw
    },
    native_method! {
        static fn frame_retain(frame: jlong) -> jlong, fn = frame_retain, error_policy = Throw
    },
    native_method! {
        static fn frame_close(frame: jlong), fn = frame_close, error_policy = Throw
    },
];

static TAPS: Handles<OpenTap> = Handles::new("tap");

struct OpenTap {
    reader: Mutex<Reader>,
    closer: TapCloser,
    waker: Waker,
}

struct Reader {
    tap: Tap,
    /// Bytes of the lengths before units, of video tracks whose configuration came.
    lengths: HashMap<(StreamId, u8), usize>,
}

/// Tells the thread below that a tap has something: server threads do not wait for Java.
struct Bell(i64);

impl Wake for Bell {
    fn wake(self: Arc<Bell>) {
        if let Some(bells) = BELLS.get() {
            // It has ended only if the process does.
            let _ = bells.send(self.0);
        }
    }
}

/// To the thread that wakes collectors.
static BELLS: OnceLock<Sender<i64>> = OnceLock::new();

fn start_bells() -> Result<(), Failure> {
    if BELLS.get().is_none() {
        let (sender, receiver) = channel();
        let ring = move || receiver.into_iter().for_each(jvm::wake);
        spawn_thread("openrtmp-taps", Box::new(ring))?;
        // Of two at once one is kept; the other's thread ends with its sender.
        let _ = BELLS.set(sender);
    }
    Ok(())
}

/// `kind`: 0 all streams, 1 one stream, 2 those of an app, 3 a shard. Zero bytes or a
/// negative delay: what the settings say.
fn tap_open<'l>(
    env: &mut Env<'l>,
    _: JClass<'l>,
    server: jlong,
    kind: jint,
    name: JString<'l>,
    index: jint,
    count: jint,
    max_bytes: jlong,
    max_delay_ms: jlong,
) -> Result<jlong, Failure> {
    let (server, name) = (HOSTS.get(server)?.running()?, name.try_to_string(env)?);
    let streams = match kind {
        0 => TapStreams::All,
        1 if name.is_empty() => return Err(Failure::argument("the stream's name is empty")),
        1 => TapStreams::from(name),
        2 => TapStreams::App(name),
        3 => match (u32::try_from(index), u32::try_from(count)) {
            (Ok(index), Ok(count)) if index < count => TapStreams::Shard { index, count },
            _ => return Err(Failure::argument("a shard is from 0 to count - 1")),
        },
        other => return Err(Failure::argument(format!("no tap of kind {other}"))),
    };
    let mut options = TapOptions::new(streams);
    options.max_bytes = usize::try_from(max_bytes).ok().filter(|&bytes| bytes > 0);
    options.max_delay = u64::try_from(max_delay_ms).ok().map(Duration::from_millis);
    start_bells()?;
    let tap = server.tap_with(options);
    Ok(TAPS.insert_with(|handle| OpenTap {
        closer: tap.closer(),
        waker: Waker::from(Arc::new(Bell(handle))),
        reader: Mutex::new(Reader {
            tap,
            lengths: HashMap::new(),
        }),
    }))
}

/// Waits: a `Frame`, a text that tells something else, `null` if nothing came in time, or
/// an empty text if nothing will.
fn tap_next<'l>(
    env: &mut Env<'l>,
    _: JClass<'l>,
    tap: jlong,
    timeout_ms: jlong,
) -> Result<JObject<'l>, Failure> {
    let timeout = Duration::from_millis(u64::try_from(timeout_ms).unwrap_or(0));
    let Ok(tap) = TAPS.get(tap) else {
        return closed(env);
    };
    let mut reader = lock(&tap.reader);
    match reader.tap.recv(timeout) {
        Some(event) => reader.show(env, event),
        None if reader.tap.is_closed() => closed(env),
        None => Ok(JObject::null()),
    }
}

/// The same without waiting; after `null`, `Native.wake` is called once there is more.
fn tap_poll<'l>(env: &mut Env<'l>, _: JClass<'l>, tap: jlong) -> Result<JObject<'l>, Failure> {
    let Ok(tap) = TAPS.get(tap) else {
        return closed(env);
    };
    let mut reader = lock(&tap.reader);
    match reader.tap.poll_recv(&mut Context::from_waker(&tap.waker)) {
        Poll::Ready(Some(event)) => reader.show(env, event),
        Poll::Ready(None) => closed(env),
        Poll::Pending => Ok(JObject::null()),
    }
}

/// Whoever waits in it returns.
fn tap_close<'l>(_: &mut Env<'l>, _: JClass<'l>, tap: jlong) -> Result<(), Failure> {
    if let Some(tap) = TAPS.remove(tap) {
        tap.closer.close();
    }
    Ok(())
}

fn closed<'l>(env: &mut Env<'l>) -> Result<JObject<'l>, Failure> {
    Ok(env.new_string("")?.into())
}

impl Reader {
    fn show<'l>(&mut self, env: &mut Env<'l>, event: TapEvent) -> Result<JObject<'l>, Failure> {
        let of = |what: &str, stream: &TapStream| json!({ "tap": what, "stream": stream.id, "name": stream.name });
        let with = |mut value: Value, name: &str, more: Value| {
            value[name] = more;
            value
        };
        let told = match event {
            TapEvent::Frame(frame) => return self.frame(env, frame),
            TapEvent::Started(stream) => of("started", &stream),
            TapEvent::Tracks { stream, tracks } => {
                with(of("tracks", &stream), "tracks", json!(&*tracks))
            }
            TapEvent::Lost { stream, loss } => {
                let loss = json!({
                    "frames": loss.frames,
                    "bytes": loss.bytes,
                    "from_us": loss.from_micros,
                    "to_us": loss.to_micros,
                });
                with(of("lost", &stream), "loss", loss)
            }
            TapEvent::Republished(stream) => of("republished", &stream),
            TapEvent::Ended(stream) => {
                self.lengths.retain(|(id, _), _| *id != stream.id);
                of("ended", &stream)
            }
            _ => json!({ "tap": "other" }),
        };
        Ok(env.new_string(told.to_string())?.into())
    }

    /// A Java frame around this one's bytes, which it holds until it is closed.
    fn frame<'l>(&mut self, env: &mut Env<'l>, frame: Frame) -> Result<JObject<'l>, Failure> {
        let length_size = self.length_size(&frame);
        let ids = jvm::ids()?;
        let size = frame.payload.len();
        let address = frame.payload.as_ptr().cast_mut();
        let data = match size {
            0 => JByteBuffer::null(),
            // SAFETY: these bytes stay where they are until the last handle is closed, which
            // the Java frame sees to, and Kotlin hands out a read-only view.
            _ => unsafe { env.new_direct_byte_buffer(address, size)? },
        };
        let handle = hold(frame.payload);
        let arguments = [
            jvalue { j: handle },
            jvalue { l: data.as_raw() },
            jvalue {
                i: kind_number(frame.kind),
            },
            jvalue {
                i: frame.track.into(),
            },
            jvalue {
                i: frame.codec.map_or(0, FourCc::to_u32) as jint,
            },
            jvalue {
                i: content_number(frame.content),
            },
            jvalue {
                j: frame.dts_micros,
            },
            jvalue {
                j: frame.pts_micros,
            },
            jvalue {
                j: frame.dropped as jlong,
            },
            jvalue {
                j: frame.stream.id.as_u64() as jlong,
            },
            jvalue {
                i: length_size as jint,
            },
        ];
        // SAFETY: a constructor of that class with these arguments.
        let made = unsafe { env.new_object_unchecked(&ids.frame, ids.new_frame, &arguments) };
        made.map_err(|error| {
            release(handle);
            error.into()
        })
    }

    /// Bytes of the lengths before this frame's units; learned from configurations.
    fn length_size(&mut self, frame: &Frame) -> usize {
        let Some(codec) = frame.codec.filter(|_| frame.kind == MediaKind::Video) else {
            return 0;
        };
        let key = (frame.stream.id, frame.track);
        let codec = VideoCodec::from(codec);
        if frame.content == FrameContent::Header {
            // Others have no lengths, and no entry.
            match length_size(codec, &frame.payload) {
                Some(size) => self.lengths.insert(key, size),
                None => self.lengths.remove(&key),
            };
        }
        let by_default = match codec {
            VideoCodec::Avc | VideoCodec::Hevc | VideoCodec::Vvc => LENGTH_SIZE,
            _ => 0,
        };
        self.lengths.get(&key).copied().unwrap_or(by_default)
    }
}

/// `OPENRTMP_MEDIA_*`.
pub(crate) fn kind_number(kind: MediaKind) -> jint {
    match kind {
        MediaKind::Audio => 1,
        MediaKind::Video => 2,
        MediaKind::Data => 3,
    }
}

fn content_number(content: FrameContent) -> jint {
    match content {
        FrameContent::Header => 1,
        FrameContent::Key => 2,
        FrameContent::Inter => 3,
        FrameContent::Metadata => 4,
        FrameContent::End => 5,
        _ => 0,
    }
}

/// A handle of bytes: where a reference to them lies. Java holds each in one object, which
/// gives it back once.
fn hold(bytes: Bytes) -> jlong {
    Box::into_raw(Box::new(bytes)) as jlong
}

fn release(handle: jlong) {
    // SAFETY: of `hold`, and not given back before.
    drop(unsafe { Box::from_raw(handle as *mut Bytes) });
}

fn frame_retain<'l>(_: &mut Env<'l>, _: JClass<'l>, frame: jlong) -> Result<jlong, Failure> {
    // SAFETY: of `hold`, and not given back while the caller has its lock.
    let bytes = unsafe { &*(frame as *const Bytes) };
    Ok(hold(bytes.clone()))
}

fn frame_close<'l>(_: &mut Env<'l>, _: JClass<'l>, frame: jlong) -> Result<(), Failure> {
    release(frame);
    Ok(())
}
