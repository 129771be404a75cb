//! Arguments as a careless host gives them.

use std::cell::UnsafeCell;
use std::ffi::{CStr, c_char};
use std::marker::PhantomData;
use std::path::Path;
use std::ptr::null_mut;

use arbitrary::Unstructured;
use openrtmp::OpenrtmpStr;
use openrtmp::error::OPENRTMP_OK;

use crate::input::{Piece, take};

/// A text by pointer and length, or something that is none.
pub(super) enum Text {
    Given(Vec<u8>),
    /// NULL with this length.
    Null(usize),
}

/// Texts that mean something somewhere.
const TEXTS: [&[u8]; 24] = [
    b"live/cam",
    b"secret",
    b"live/../../out",
    b"..",
    b"/",
    b"a//b?key=secret",
    b"rtmp.chunk_size",
    b"4096",
    b"access.publish_keys",
    b"limits.connections",
    b"limits.memory",
    b"gop.max_bytes",
    b"0",
    b"1",
    b"rtmp:\n  idle_timeout: 100\n",
    b"{\"limits\": {\"publishers\": 1}}",
    b"streams.second_publisher",
    b"takeover",
    b"queue.write_coalesce",
    b"350",
    b"a\0b",
    b"\xFF\xFE",
    b"{app}",
    b"con",
];

impl Text {
    pub(super) fn take(input: &mut Unstructured<'_>) -> Text {
        match take::<u8>(input) % 8 {
            0 => Text::Given(take::<Piece<'_>>(input).0.to_vec()),
            1 => Text::Null(0),
            2 => Text::Null(usize::from(take::<u8>(input))),
            _ => Text::Given(TEXTS[usize::from(take::<u8>(input)) % TEXTS.len()].to_vec()),
        }
    }

    /// Mostly this path: others would lead out of the folder of the test.
    pub(super) fn take_path(input: &mut Unstructured<'_>, path: &Path) -> Text {
        match take::<u8>(input) % 8 {
            6 => Text::Null(3),
            7 => Text::Given(b"\xFF".to_vec()),
            _ => Text::Given(path.to_str().expect("UTF-8").as_bytes().to_vec()),
        }
    }

    pub(super) fn lend(&self) -> OpenrtmpStr {
        match self {
            Text::Given(bytes) => OpenrtmpStr {
                data: bytes.as_ptr().cast(),
                length: bytes.len(),
            },
            Text::Null(length) => OpenrtmpStr {
                data: std::ptr::null(),
                length: *length,
            },
        }
    }
}

/// A text of the test itself.
pub(super) fn constant(text: &'static CStr) -> OpenrtmpStr {
    OpenrtmpStr {
        data: text.as_ptr(),
        length: text.count_bytes(),
    }
}

/// A buffer for a text, too small at times, or NULL.
pub(super) struct Output {
    buffer: Option<Vec<u8>>,
    /// What is said of a buffer that is not there.
    lie: usize,
    length: Option<usize>,
}

/// Fills what was not written.
const CANARY: u8 = 0xA5;

impl Output {
    pub(super) fn take(input: &mut Unstructured<'_>) -> Output {
        let what: u8 = take(input);
        let sizes = [0, 1, 8, 40, 400, 16_384];
        let size = sizes[usize::from(what & 15) % sizes.len()];
        Output {
            buffer: (what & 0x30 != 0x30).then(|| vec![CANARY; size]),
            lie: usize::from(what & 1) * 5,
            length: (what & 0x40 == 0).then_some(usize::MAX),
        }
    }

    pub(super) fn buffer(&mut self) -> *mut c_char {
        let buffer = self.buffer.as_mut();
        buffer.map_or(null_mut(), |buffer| buffer.as_mut_ptr().cast())
    }

    pub(super) fn capacity(&self) -> usize {
        self.buffer.as_ref().map_or(self.lie, Vec::len)
    }

    pub(super) fn length(&mut self) -> *mut usize {
        self.length.as_mut().map_or(null_mut(), |length| length)
    }

    pub(super) fn check(&self, code: i32) {
        let Some(buffer) = &self.buffer else { return };
        let end = buffer.iter().rposition(|byte| *byte != CANARY);
        if code != OPENRTMP_OK {
            assert_eq!(end, None, "nothing is written after a failure");
            return;
        }
        let Some(end) = end else { return };
        assert_eq!(buffer[end], 0, "ended with NUL");
        std::str::from_utf8(&buffer[..end]).expect("UTF-8");
        assert!(self.length.is_none_or(|length| length == end));
    }
}

/// A struct with a `struct_size` that is right, or of another version, or wrong; or
/// NULL.
pub(super) struct Struct<T> {
    room: Option<Box<UnsafeCell<Room>>>,
    of: PhantomData<T>,
}

#[repr(C, align(16))]
struct Room([u8; ROOM]);

const ROOM: usize = 512;

impl<T: Copy> Struct<T> {
    /// What the input makes of a struct that would be right.
    pub(super) fn take(input: &mut Unstructured<'_>, value: T) -> Struct<T> {
        let known = size_of::<T>();
        let mut room = Room([0; ROOM]);
        // SAFETY: the room is larger than any struct of the interface, and aligned.
        unsafe { room.0.as_mut_ptr().cast::<T>().write(value) };
        let size = match take::<u8>(input) % 16 {
            0..=8 => known as u32,
            9 => return Struct::null(),
            10 => 0,
            11 => 4,
            12 => known as u32 - 4,
            // Newer, and asks for nothing new.
            13 => known as u32 + 8,
            14 => {
                room.0[known] = 1;
                known as u32 + 8
            }
            _ => u32::MAX,
        };
        room.0[..4].copy_from_slice(&size.to_ne_bytes());
        Struct {
            room: Some(Box::new(UnsafeCell::new(room))),
            of: PhantomData,
        }
    }

    /// The same for one that the library fills.
    pub(super) fn empty(input: &mut Unstructured<'_>) -> Struct<T> {
        // SAFETY: structs that the library fills hold integers only.
        Struct::take(input, unsafe { std::mem::zeroed() })
    }

    fn null() -> Struct<T> {
        Struct {
            room: None,
            of: PhantomData,
        }
    }

    pub(super) fn is_there(&self) -> bool {
        self.room.is_some()
    }

    pub(super) fn lend(&self) -> *const T {
        self.lend_mut()
    }

    pub(super) fn lend_mut(&self) -> *mut T {
        let room = self.room.as_ref();
        room.map_or(null_mut(), |room| room.get().cast())
    }

    /// A failure has written nothing.
    pub(super) fn check(&self, code: i32) {
        let Some(room) = &self.room else { return };
        // SAFETY: the call that wrote there is over.
        let room = unsafe { &*room.get() };
        let known = size_of::<T>();
        if code != OPENRTMP_OK {
            assert!(room.0[4..known].iter().all(|byte| *byte == 0));
        }
        assert!(room.0[known + 1..].iter().all(|byte| *byte == 0));
    }
}
