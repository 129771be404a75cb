//! A tap that the host fetches from.

use std::ptr::null;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use openrtmp_core::{Tap, TapEvent, TapStream};

use crate::bell::Bell;
use crate::boundary;
use crate::convert::{OpenrtmpStr, Versioned, borrow, fill, fillable, output};
use crate::error::{Failure, OPENRTMP_ERROR_TIMEOUT};
use crate::tap::{Held, OpenrtmpFrame, OpenrtmpLoss, OpenrtmpTap, Way};

/// A frame: frame.
pub const OPENRTMP_TAP_FRAME: u32 = 1;
/// A stream has a publisher; its frames follow.
pub const OPENRTMP_TAP_STARTED: u32 = 2;
/// A stream is over. It may start again.
pub const OPENRTMP_TAP_ENDED: u32 = 3;
/// A stream goes on with another publisher.
pub const OPENRTMP_TAP_REPUBLISHED: u32 = 4;
/// Frames are missing before the next one: loss.
pub const OPENRTMP_TAP_LOST: u32 = 5;

/// What a tap has, as the members of openrtmp_tap_callbacks tell it. What it points to
/// lives until the next call on the tap; frames that were retained until they are released.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct OpenrtmpTapItem {
    /// sizeof(openrtmp_tap_item).
    pub struct_size: u32,
    /// OPENRTMP_TAP_*.
    pub kind: u32,
    /// The stream.
    pub stream_id: u64,
    /// Its path, keys masked.
    pub stream: OpenrtmpStr,
    /// NULL but for OPENRTMP_TAP_FRAME.
    pub frame: *const OpenrtmpFrame,
    /// NULL but for OPENRTMP_TAP_LOST.
    pub loss: *const OpenrtmpLoss,
}

// SAFETY: integers and pointers without padding.
unsafe impl Versioned for OpenrtmpTapItem {
    const FIRST: usize = size_of::<OpenrtmpTapItem>();
}

/// A tap without a thread, and what it lent last.
pub(crate) struct Fetched {
    tap: Tap,
    lent: Option<Lent>,
    bell: Option<Arc<Ringer>>,
}

/// Where an item's pointers lead.
struct Lent {
    kind: u32,
    stream: Arc<TapStream>,
    frame: Option<Arc<Held>>,
    loss: Option<Box<OpenrtmpLoss>>,
}

struct Ringer(Bell);

impl Wake for Ringer {
    fn wake(self: Arc<Ringer>) {
        self.0.ring();
    }
}

/// Waits up to timeout_ms for what comes next from a tap that was opened without
/// callbacks. One thread at a time may fetch, and nobody while the tap is freed. Whoever
/// is slow loses frames, as a callback would. OPENRTMP_ERROR_TIMEOUT if nothing came;
/// OPENRTMP_ERROR_GONE once the server has stopped and all was told.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openrtmp_tap_next(
    tap: *mut OpenrtmpTap,
    timeout_ms: u32,
    out_item: *mut OpenrtmpTapItem,
) -> i32 {
    boundary::status(|| {
        // SAFETY: the contract of the header.
        let tap = unsafe {
            fillable(out_item)?;
            borrow(tap)?
        };
        let item = fetched(tap)?.next(Duration::from_millis(timeout_ms.into()))?;
        // SAFETY: the contract of the header.
        unsafe { fill(out_item, &item) }
    })
}

/// Writes what an event loop may wait for: a file descriptor, on Windows a SOCKET, which
/// is readable when openrtmp_tap_next() may have something to tell: then it is to be
/// called until it is OPENRTMP_ERROR_TIMEOUT. It belongs to the tap.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openrtmp_tap_descriptor(
    tap: *mut OpenrtmpTap,
    out_descriptor: *mut isize,
) -> i32 {
    boundary::status(|| {
        // SAFETY: the contract of the header.
        let (tap, out) = unsafe { (borrow(tap)?, output(out_descriptor)?) };
        out.write(fetched(tap)?.descriptor()?);
        Ok(())
    })
}

fn fetched(tap: &OpenrtmpTap) -> Result<MutexGuard<'_, Fetched>, Failure> {
    tap.check()?;
    match &tap.way {
        Way::Fetched(fetched) => Ok(fetched.lock().unwrap_or_else(PoisonError::into_inner)),
        Way::Called(_) => Err(Failure::state("the tap calls back")),
    }
}

impl Fetched {
    pub(crate) fn new(tap: Tap) -> Fetched {
        Fetched {
            tap,
            lent: None,
            bell: None,
        }
    }

    fn next(&mut self, timeout: Duration) -> Result<OpenrtmpTapItem, Failure> {
        let deadline = Instant::now() + timeout;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Some(event) = self.tap.recv(left) else {
                if self.tap.is_closed() {
                    let message = "the server has stopped";
                    return Err(Failure::new(crate::error::OPENRTMP_ERROR_GONE, message));
                }
                // Nothing, or something that came while the bell was hushed.
                match self.hush() {
                    Some(event) => match Lent::new(event) {
                        Some(lent) => return Ok(self.lend(lent)),
                        None => continue,
                    },
                    None => return Err(Failure::new(OPENRTMP_ERROR_TIMEOUT, "nothing came")),
                }
            };
            if let Some(lent) = Lent::new(event) {
                return Ok(self.lend(lent));
            }
        }
    }

    /// Has the bell rung for what comes from now on; what is there already is told.
    fn hush(&mut self) -> Option<TapEvent> {
        let bell = self.bell.as_ref()?;
        bell.0.hush();
        let waker = Waker::from(bell.clone());
        match self.tap.poll_recv(&mut Context::from_waker(&waker)) {
            Poll::Ready(event) => {
                bell.0.ring();
                event
            }
            Poll::Pending => None,
        }
    }

    fn lend(&mut self, lent: Lent) -> OpenrtmpTapItem {
        let lent = self.lent.insert(lent);
        OpenrtmpTapItem {
            struct_size: 0,
            kind: lent.kind,
            stream_id: lent.stream.id.as_u64(),
            stream: OpenrtmpStr::new(lent.stream.name.shown()),
            frame: lent.frame.as_ref().map_or(null(), Held::head),
            loss: lent.loss.as_deref().map_or(null(), std::ptr::from_ref),
        }
    }

    fn descriptor(&mut self) -> Result<isize, Failure> {
        if self.bell.is_none() {
            let bell = Bell::new()?;
            // Whoever looks finds out whether there is anything.
            bell.ring();
            self.bell = Some(Arc::new(Ringer(bell)));
        }
        Ok(self.bell.as_ref().map_or(-1, |bell| bell.0.descriptor()))
    }
}

impl Lent {
    /// Nothing for what C is not told.
    fn new(event: TapEvent) -> Option<Lent> {
        let of = |kind, stream| Lent {
            kind,
            stream,
            frame: None,
            loss: None,
        };
        Some(match event {
            TapEvent::Frame(frame) => Lent {
                frame: Some(Held::new(frame.clone())),
                ..of(OPENRTMP_TAP_FRAME, frame.stream)
            },
            TapEvent::Started(stream) => of(OPENRTMP_TAP_STARTED, stream),
            TapEvent::Ended(stream) => of(OPENRTMP_TAP_ENDED, stream),
            TapEvent::Republished(stream) => of(OPENRTMP_TAP_REPUBLISHED, stream),
            TapEvent::Lost { stream, loss } => Lent {
                loss: Some(Box::new(OpenrtmpLoss::new(&loss))),
                ..of(OPENRTMP_TAP_LOST, stream)
            },
            _ => return None,
        })
    }
}
