//! A stream's messages as FLV tags, each made once for all who take them.
//!
//! Who joins begins at the newest key frame, with the headers that it needs. Who is too far
//! behind goes on at the newest key frame: what is live is worth more than what was. The
//! clock is the stream's, the same for all, so that tags are.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{BufMut, Bytes, BytesMut};
use openrtmp_protocol::session::MediaKind;
use tokio::sync::watch;

use super::Budget;

/// Who is so many milliseconds behind goes on at the newest key frame.
pub(super) const MOST_BEHIND: i64 = 3000;
/// And who is so many bytes behind.
const MOST_BYTES: usize = 8 << 20;
/// What is kept for who joins has no more bytes; with a longer GOP they wait for the next.
const MOST_KEPT: usize = 64 << 20;
/// Kinds of headers that are kept: of so many tracks.
const MOST_HEADERS: usize = 8;
/// What a tag takes beside its bytes, with what an allocator adds.
const TAG_ROOM: usize = size_of::<Tag>() + 64;
/// Header of a tag, and what stands behind it (FLV 10.1, E.4.1).
const TAG_HEADER: usize = 11;

/// What a tag is to who joins or jumps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// A header that frames need, of one of several kinds: what is of the same kind takes
    /// its place.
    Header(u8),
    /// The same of what frames can be decoded without: colors, channels.
    Hint(u8),
    /// Playing can begin here.
    Key,
    /// It needs what came before.
    Other,
    /// Neither a frame nor about frames: the end of a sequence, commands.
    Aside,
}

impl Role {
    /// Whether players that know frames and their headers alone are to get it.
    fn is_plain(self) -> bool {
        !matches!(self, Role::Hint(_) | Role::Aside)
    }
}

/// A tag as it is sent, with the size that follows it.
#[derive(Clone, Debug)]
struct Tag {
    bytes: Bytes,
    /// Milliseconds.
    time: i64,
    /// Bytes of all before it.
    behind: u64,
    is_plain: bool,
}

/// What who joins is sent in front of frames.
#[derive(Debug)]
struct Header {
    kind: MediaKind,
    /// Of which of its kinds it is: a header, or a hint.
    role: Role,
    payload: Bytes,
}

/// The newest tags of a stream.
#[derive(Debug)]
pub(crate) struct Ring {
    /// Where its tags are counted.
    budget: Arc<Budget>,
    state: Mutex<State>,
    /// The number of the tag that comes next.
    next: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    tags: VecDeque<Tag>,
    /// The number of the first of them.
    first: u64,
    bytes: usize,
    /// Bytes of all that came.
    all: u64,
    /// The newest where playing can begin.
    key: Option<u64>,
    /// One of each kind; and how often they became others.
    headers: Vec<Header>,
    changes: u64,
    /// Pictures were seen: sound alone is no place to begin at.
    has_video: bool,
    has_audio: bool,
    has_ended: bool,
}

/// How far somebody is.
#[derive(Debug, Default)]
pub(crate) struct Cursor {
    next: Option<u64>,
    changes: u64,
    /// Frames and their headers are all that is wanted.
    is_plain: bool,
}

impl Cursor {
    /// At the beginning, of somebody who knows frames and their headers alone.
    pub(crate) fn plain() -> Cursor {
        Cursor {
            is_plain: true,
            ..Cursor::default()
        }
    }
}

/// What there is for somebody.
#[derive(Debug)]
pub(crate) enum Taken {
    Bytes(Bytes),
    /// Nothing yet.
    Nothing,
    /// Nothing any more.
    End,
}

impl Ring {
    /// One that counts its tags there.
    pub(crate) fn new(budget: &Arc<Budget>) -> Ring {
        Ring {
            budget: budget.clone(),
            state: Mutex::default(),
            next: watch::Sender::new(0),
        }
    }

    /// The next message of the stream, at this time on its clock in milliseconds.
    pub(crate) fn push(&self, kind: MediaKind, role: Role, time: i64, payload: &[u8]) {
        let Some(bytes) = tag(kind, time, payload) else {
            return;
        };
        let mut state = self.lock();
        if matches!(role, Role::Header(_) | Role::Hint(_)) {
            state.set_header(kind, role, payload);
        }
        match kind {
            MediaKind::Video => state.has_video = true,
            MediaKind::Audio => state.has_audio = true,
            MediaKind::Data => {}
        }
        let is_key = role == Role::Key && (kind == MediaKind::Video || !state.has_video);
        if is_key {
            state.key = Some(state.next());
        }
        let (length, behind) = (bytes.len(), state.all);
        let bytes = self.budget.counted(bytes, length + TAG_ROOM);
        state.bytes += length + TAG_ROOM;
        state.all += length as u64;
        state.tags.push_back(Tag {
            bytes,
            time,
            behind,
            is_plain: role.is_plain(),
        });
        state.trim();
        let next = state.next();
        drop(state);
        self.next.send_replace(next);
    }

    /// Another publisher goes on, whose headers come.
    pub(crate) fn restart(&self) {
        let mut state = self.lock();
        state.headers.clear();
        state.key = None;
        (state.has_video, state.has_audio) = (false, false);
    }

    /// Nothing more comes.
    pub(crate) fn end(&self) {
        let mut state = self.lock();
        state.has_ended = true;
        let next = state.next();
        drop(state);
        self.next.send_replace(next);
    }

    /// Bytes that it keeps.
    pub(crate) fn held_bytes(&self) -> u64 {
        self.lock().bytes as u64
    }

    /// Wakes when there may be more.
    pub(crate) fn follow(&self) -> watch::Receiver<u64> {
        self.next.subscribe()
    }

    /// What comes next for somebody.
    pub(crate) fn take(&self, cursor: &mut Cursor) -> Taken {
        let state = self.lock();
        let end = match state.has_ended {
            true => Taken::End,
            false => Taken::Nothing,
        };
        let is_first = cursor.next.is_none();
        let next = match cursor.next {
            Some(next) if !state.is_behind(next) => next,
            Some(_) | None => match state.key {
                Some(key) => key,
                None => return end,
            },
        };
        let has_jumped = cursor.next != Some(next);
        let place = usize::try_from(next.wrapping_sub(state.first)).unwrap_or(usize::MAX);
        let is_wanted = |tag: &&Tag| tag.is_plain || !cursor.is_plain;
        let tags = state.tags.iter().skip(place);
        let Some((number, tag)) = (next..).zip(tags).find(|(_, tag)| is_wanted(tag)) else {
            return end;
        };
        let has_headers =
            !is_first && (cursor.changes == state.changes || state.headers.is_empty());
        if !has_jumped || has_headers {
            cursor.next = Some(number + 1);
            return Taken::Bytes(tag.bytes.clone());
        }
        // What stands in front of it: the tag itself comes next, as all have it.
        cursor.next = Some(number);
        cursor.changes = state.changes;
        let mut bytes = BytesMut::new();
        if is_first {
            bytes.extend_from_slice(&state.file_header());
        }
        let is_wanted = |header: &&Header| header.role.is_plain() || !cursor.is_plain;
        for header in state.headers.iter().filter(is_wanted) {
            // Metadata stands at the beginning of a file (FLV 10.1, E.5). FFmpeg takes what
            // comes later for a track of text.
            let time = match header.kind {
                MediaKind::Data => 0,
                MediaKind::Video | MediaKind::Audio => tag.time,
            };
            if let Some(header) = self::tag(header.kind, time, &header.payload) {
                bytes.extend_from_slice(&header);
            }
        }
        let size = bytes.len();
        Taken::Bytes(self.budget.counted(bytes.freeze(), size))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The number of the tag that comes next.
    fn next(&self) -> u64 {
        self.first + self.tags.len() as u64
    }

    /// Data first, then pictures and sound: what metadata is about follows it.
    fn set_header(&mut self, kind: MediaKind, role: Role, payload: &[u8]) {
        let is_it = |header: &Header| (header.kind, header.role) == (kind, role);
        match self.headers.iter().position(is_it) {
            Some(place) if self.headers[place].payload == payload => return,
            Some(place) => self.headers[place].payload = Bytes::copy_from_slice(payload),
            None if self.headers.len() < MOST_HEADERS => {
                let payload = Bytes::copy_from_slice(payload);
                self.headers.push(Header {
                    kind,
                    role,
                    payload,
                });
                self.headers
                    .sort_by_key(|header| header.kind != MediaKind::Data);
            }
            None => return,
        }
        self.changes += 1;
    }

    /// Whether who is there is to go on at the newest key frame.
    fn is_behind(&self, next: u64) -> bool {
        if next < self.first {
            return true;
        }
        let place = usize::try_from(next - self.first).unwrap_or(usize::MAX);
        let (Some(tag), Some(newest)) = (self.tags.get(place), self.tags.back()) else {
            return false;
        };
        let is_far = || {
            let waiting = self.all - tag.behind;
            newest.time - tag.time > MOST_BEHIND || waiting > MOST_BYTES as u64
        };
        self.key.is_some_and(|key| key > next) && is_far()
    }

    /// Keeps what who joins needs, and what those who are not too far behind do.
    fn trim(&mut self) {
        let newest = self.tags.back().map_or(0, |tag| tag.time);
        while let Some(oldest) = self.tags.front() {
            let is_needed = self.key.is_some_and(|key| key <= self.first);
            let is_recent = newest - oldest.time <= MOST_BEHIND && self.bytes <= MOST_BYTES;
            if self.bytes <= MOST_KEPT && (is_needed || is_recent) {
                break;
            }
            if is_needed {
                self.key = None;
            }
            self.bytes -= oldest.bytes.len() + TAG_ROOM;
            self.tags.pop_front();
            self.first += 1;
        }
    }

    /// What a file begins with (FLV 10.1, E.2), and the size of the tag before the first.
    fn file_header(&self) -> [u8; 13] {
        let flags = u8::from(self.has_video) | u8::from(self.has_audio) << 2;
        [b'F', b'L', b'V', 1, flags, 0, 0, 0, 9, 0, 0, 0, 0]
    }
}

/// A message as a tag; none if it is longer than a tag can be.
fn tag(kind: MediaKind, time: i64, payload: &[u8]) -> Option<Bytes> {
    let kind = match kind {
        MediaKind::Audio => 8,
        MediaKind::Video => 9,
        MediaKind::Data => 18,
    };
    let length = u32::try_from(payload.len())
        .ok()
        .filter(|length| *length < 1 << 24)?;
    // The highest byte stands apart; the clock wraps as RTMP's does.
    let time = time as u32;
    let mut tag = BytesMut::with_capacity(TAG_HEADER + payload.len() + 4);
    tag.put_u8(kind);
    tag.put_uint(u64::from(length), 3);
    tag.put_uint(u64::from(time & 0xff_ffff), 3);
    tag.put_u8((time >> 24) as u8);
    tag.put_uint(0, 3);
    tag.put_slice(payload);
    tag.put_u32(length + TAG_HEADER as u32);
    Some(tag.freeze())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(ring: &Ring, cursor: &mut Cursor) -> Vec<Bytes> {
        std::iter::from_fn(|| match ring.take(cursor) {
            Taken::Bytes(bytes) => Some(bytes),
            Taken::Nothing | Taken::End => None,
        })
        .collect()
    }

    /// Headers, then pictures each 100 ms with a key frame each second.
    fn filled(until: i64) -> Ring {
        let ring = Ring::new(&Arc::default());
        ring.push(MediaKind::Audio, Role::Header(0), 0, b"sound");
        ring.push(MediaKind::Video, Role::Header(0), 0, b"pictures");
        ring.push(MediaKind::Data, Role::Header(0), 0, b"data");
        for time in (0..until).step_by(100) {
            let role = if time % 1000 == 0 {
                Role::Key
            } else {
                Role::Other
            };
            ring.push(MediaKind::Video, role, time, &[time as u8; 100]);
        }
        ring
    }

    #[test]
    fn who_joins_begins_at_the_newest_key_frame_with_the_headers_before_it() {
        let ring = filled(2500);
        let mut cursor = Cursor::default();
        let all = taken(&ring, &mut cursor);
        assert_eq!(all.len(), 6, "from 2000 on");
        assert_eq!(&all[0][..13], b"FLV\x01\x05\0\0\0\x09\0\0\0\0");
        // Metadata first, at the beginning; then what the others need, at the key frame.
        assert_eq!(&all[0][13..28], b"\x12\0\0\x04\0\0\0\0\0\0\0data");
        assert_eq!(&all[0][32..43], b"\x08\0\0\x05\0\x07\xd0\0\0\0\0");
        // The frame is the one that all others have.
        assert_eq!(&all[1][..11], b"\x09\0\0\x64\0\x07\xd0\0\0\0\0");
        assert_eq!(&all[2][..11], b"\x09\0\0\x64\0\x08\x34\0\0\0\0");
        assert_eq!(&all[2][111..], [0, 0, 0, 111]);
        assert!(matches!(ring.take(&mut cursor), Taken::Nothing));
        ring.end();
        assert!(matches!(ring.take(&mut cursor), Taken::End));
    }

    #[test]
    fn who_wants_frames_alone_gets_them_with_their_headers() {
        let ring = Ring::new(&Arc::default());
        ring.push(MediaKind::Data, Role::Header(0), 0, b"data");
        ring.push(MediaKind::Video, Role::Header(0), 0, b"pictures");
        ring.push(MediaKind::Video, Role::Hint(0), 0, b"colors");
        let go_on = |time| {
            ring.push(MediaKind::Video, Role::Key, time, b"key");
            ring.push(MediaKind::Video, Role::Hint(0), time, b"colors");
            ring.push(MediaKind::Video, Role::Other, time, b"frame");
            ring.push(MediaKind::Video, Role::Aside, time, b"command");
        };
        go_on(0);
        let is_in = |bytes: &[Bytes], what: &[u8]| {
            let all = bytes.concat();
            all.windows(what.len()).filter(|it| *it == what).count()
        };
        let [mut all, mut plain] = [Cursor::default(), Cursor::plain()];
        let [every, some] = [&mut all, &mut plain].map(|cursor| taken(&ring, cursor));
        let counted = |bytes: &[Bytes]| {
            [
                &b"data"[..],
                b"pictures",
                b"colors",
                b"key",
                b"frame",
                b"command",
            ]
            .map(|what| is_in(bytes, what))
        };
        assert_eq!(counted(&every), [1, 1, 2, 1, 1, 1]);
        assert_eq!(counted(&some), [1, 1, 0, 1, 1, 0]);
        // It goes on from there, also behind what it was not given.
        go_on(100);
        let [every, some] = [&mut all, &mut plain].map(|cursor| taken(&ring, cursor));
        assert_eq!(counted(&every), [0, 0, 1, 1, 1, 1]);
        assert_eq!(counted(&some), [0, 0, 0, 1, 1, 0]);
        // And by a jump, with headers that are others.
        ring.push(
            MediaKind::Video,
            Role::Header(0),
            200,
            b"pictures of another size",
        );
        go_on(9000);
        let some = taken(&ring, &mut plain);
        assert_eq!(counted(&some), [1, 1, 0, 1, 1, 0]);
    }

    #[test]
    fn who_is_too_far_behind_goes_on_at_the_newest_key_frame() {
        let ring = filled(1000);
        let mut cursor = Cursor::default();
        ring.take(&mut cursor);
        for time in (1000..6500).step_by(100) {
            let role = if time % 1000 == 0 {
                Role::Key
            } else {
                Role::Other
            };
            ring.push(MediaKind::Video, role, time, b"x");
        }
        let rest = taken(&ring, &mut cursor);
        assert_eq!(rest.len(), 5);
        assert_eq!(
            &rest[0][4..7],
            [0, 0x17, 0x70],
            "6000, without headers that it has"
        );
    }

    #[test]
    fn what_is_kept_is_bounded_whatever_comes() {
        let ring = Ring::new(&Arc::default());
        let frame = vec![0; 1 << 20];
        ring.push(MediaKind::Video, Role::Key, 0, &frame);
        for time in 0..200 {
            ring.push(MediaKind::Video, Role::Other, time, &frame);
            assert!(ring.held_bytes() <= MOST_KEPT as u64);
        }
        let mut cursor = Cursor::default();
        assert!(
            matches!(ring.take(&mut cursor), Taken::Nothing),
            "no key frame is left"
        );
        ring.push(MediaKind::Video, Role::Key, 300, &frame);
        assert!(matches!(ring.take(&mut cursor), Taken::Bytes(_)));
        assert!(ring.held_bytes() <= MOST_KEPT as u64);
    }

    #[test]
    fn sound_alone_can_begin_anywhere() {
        let ring = Ring::new(&Arc::default());
        ring.push(MediaKind::Audio, Role::Header(0), 0, b"sound");
        for time in 0..500 {
            ring.push(MediaKind::Audio, Role::Key, time * 20, b"x");
        }
        let all = taken(&ring, &mut Cursor::default());
        assert_eq!(all.len(), 2, "headers, and the newest frame");
        assert_eq!(all[0][4], 4, "no pictures");
    }
}
