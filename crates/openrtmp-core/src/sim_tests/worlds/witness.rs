//! Judges what somebody got of a stream: a player, a tap, a file.
//!
//! It may begin anywhere, if at a key frame, and end anywhere. In between it is
//! what was sent: in order, byte for byte, with nothing missing but video that was
//! dropped up to a key frame, which the server has to own up to.

use std::collections::HashSet;

use super::lives::{Class, Lives};
use super::plan::FETCHED_PLACE;

/// A rule that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Broken {
    /// Which rule, in a word or two: the same for the same defect.
    pub(super) rule: &'static str,
    pub(super) what: String,
}

pub(super) fn broken<T>(rule: &'static str, what: impl Into<String>) -> Result<T, Broken> {
    let what = what.into();
    Err(Broken { rule, what })
}

/// What one subscription, tap or file got so far.
#[derive(Debug, Default)]
pub(super) struct Witness {
    /// It paused or chose, or memory was short: what is missing says nothing.
    pub(super) lenient: bool,
    /// Metadata may be missing: a recorder writes its own.
    pub(super) no_metadata: bool,
    /// It is of a copy at another server, to which publishers that follow each other are one.
    pub(super) is_copy: bool,
    /// Any frame may be dropped, not only video up to a key frame, if it is owned
    /// up to.
    pub(super) may_lose_all: bool,
    /// Frames that were dropped: are missing between others.
    pub(super) missing: u64,
    /// Frames it got.
    pub(super) frames: u64,
    /// The next life is got from its beginning.
    attached: bool,
    now: Option<Now>,
    over: HashSet<usize>,
    /// Last timestamps of video and audio on the stream's clock.
    clock: [Option<u32>; 2],
}

/// The life it gets now.
#[derive(Debug)]
struct Now {
    life: usize,
    /// It was there from the life's beginning.
    from_start: bool,
    /// Place of the last frame or data.
    last: Option<u32>,
    /// Newest header or metadata of each kind it has.
    known: [Option<u32>; 3],
    /// A video frame is missing: none may follow before a key frame.
    undecodable: bool,
    video_began: bool,
    audio_began: bool,
    data_began: bool,
    last_video: Option<u32>,
    /// Pictures and sounds that have come.
    timed: [u32; 2],
    /// Stretch, and distance from the stream's clock: of pictures, and of sound where it has
    /// one of its own.
    shifts: [Option<(u32, u32)>; 2],
    /// It has begun before, and its headers may come as they were.
    again: bool,
    /// Another was before it.
    follows: bool,
}

impl Now {
    fn new(life: usize, from_start: bool) -> Now {
        Now {
            life,
            from_start,
            last: None,
            known: [None; 3],
            undecodable: true,
            video_began: false,
            audio_began: false,
            data_began: false,
            last_video: None,
            timed: [0; 2],
            shifts: [None; 2],
            again: false,
            follows: false,
        }
    }
}

fn header_place(class: Class) -> Option<usize> {
    match class {
        Class::Metadata => Some(0),
        Class::VideoHeader => Some(1),
        Class::AudioHeader => Some(2),
        _ => None,
    }
}

impl Witness {
    pub(super) fn lenient(lenient: bool) -> Witness {
        Witness {
            lenient,
            ..Witness::default()
        }
    }

    /// It waits for a publisher, and was told of one.
    pub(super) fn announce(&mut self) {
        self.attached = true;
    }

    /// It came over a connection that broke, and comes again, from a key frame on that it
    /// may have been given before. Headers that it has need not be given again. The
    /// stream's clock goes on.
    pub(super) fn begin_again(&mut self) {
        self.attached = false;
        if let Some(now) = self.now.take() {
            self.now = Some(Now {
                known: now.known,
                again: true,
                follows: now.follows,
                ..Now::new(now.life, false)
            });
        }
    }

    /// What is fetched goes on within its grace behind a connection that broke, of which who
    /// gets a copy is not told.
    fn fetched_again(&mut self, key: u32) {
        if self.now.as_ref().is_some_and(|now| now.last >= Some(key)) {
            self.begin_again();
        }
    }

    /// The stream is over; it may come back with a clock of its own.
    pub(super) fn end_of_stream(&mut self) {
        self.clock = [None; 2];
    }

    /// Takes the next message. `skipped` bytes of its body are not there;
    /// `timestamp` is `None` where it says nothing.
    pub(super) fn take(
        &mut self,
        lives: &Lives,
        stream: usize,
        class: Class,
        timestamp: Option<u32>,
        body: &[u8],
        skipped: usize,
    ) -> Result<(), Broken> {
        let Some((life, index)) = lives.find(class, body, skipped) else {
            // The server makes metadata for a publisher that sends none.
            if class == Class::Metadata && lives.has_bare(stream) && !lives.is_ours(body) {
                return Ok(());
            }
            let shown = &body[..body.len().min(24)];
            return broken("never sent", format!("{class:?} {shown:02x?}"));
        };
        if lives.life(life).stream != stream {
            return broken("other stream", format!("life {life}, message {index}"));
        }
        self.enter(life)?;
        if self.is_copy && class == Class::Key && stream == FETCHED_PLACE {
            self.fetched_again(index);
        }
        if header_place(class).is_some() {
            self.header(lives, class, index)?;
        } else {
            self.content(lives, class, index)?;
        }
        self.time(lives, class, index, timestamp)
    }

    /// Lives come one after the other.
    fn enter(&mut self, life: usize) -> Result<(), Broken> {
        if self.now.as_ref().is_some_and(|now| now.life == life) {
            return Ok(());
        }
        if !self.over.insert(life) {
            return broken("order of lives", format!("life {life} comes again"));
        }
        self.now = Some(Now {
            follows: self.now.is_some(),
            ..Now::new(life, self.attached)
        });
        self.attached = true;
        Ok(())
    }

    fn header(&mut self, lives: &Lives, class: Class, index: u32) -> Result<(), Broken> {
        let Some(now) = &mut self.now else {
            return Ok(());
        };
        let place = header_place(class).unwrap_or_default();
        if now.again && now.known[place] == Some(index) {
            return Ok(());
        }
        if now.known[place].is_some_and(|known| known >= index) {
            return broken(
                "header repeated",
                format!("{class:?} {index} of life {}", now.life),
            );
        }
        // Behind a frame, it stands where it was sent.
        if let Some(last) = now.last
            && index > last
        {
            self.skip(lives, last + 1..index)?;
            if let Some(now) = &mut self.now {
                now.last = Some(index);
            }
        }
        if let Some(now) = &mut self.now {
            now.known[place] = Some(index);
        }
        Ok(())
    }

    fn content(&mut self, lives: &Lives, class: Class, index: u32) -> Result<(), Broken> {
        let Some(now) = &self.now else { return Ok(()) };
        let life = now.life;
        let start = match now.last {
            Some(last) if last >= index => {
                let what = format!("life {life}: message {index} after {last}");
                return broken("order", what);
            }
            Some(last) => last + 1,
            None if now.from_start => 0,
            None => index,
        };
        self.skip(lives, start..index)?;
        let Some(now) = &mut self.now else {
            return Ok(());
        };
        now.last = Some(index);
        let sent = &lives.life(life).sent[index as usize];
        if class.is_frame() {
            self.frames += 1;
            let place = if class == Class::Audio { 2 } else { 1 };
            if sent.header.is_some() && now.known[place] != sent.header {
                let (known, needed) = (now.known[place], sent.header);
                return broken(
                    "header before frame",
                    format!("life {life}: {class:?} {index} needs {needed:?}, has {known:?}"),
                );
            }
        }
        if matches!(class, Class::Key | Class::Inter) {
            now.last_video = Some(index);
        }
        match class {
            Class::Key => {
                now.undecodable = false;
                now.video_began = true;
            }
            Class::Inter if now.undecodable => {
                let what = format!("life {life}: frame {index} without those before it");
                return broken("decodable", what);
            }
            Class::Audio => now.audio_began = true,
            Class::Data => now.data_began = true,
            _ => {}
        }
        Ok(())
    }

    /// Messages it did not get though later ones came.
    fn skip(&mut self, lives: &Lives, range: std::ops::Range<u32>) -> Result<(), Broken> {
        let Some(now) = &mut self.now else {
            return Ok(());
        };
        let life = now.life;
        for index in range {
            let sent = &lives.life(life).sent[index as usize];
            if sent.repeated {
                continue;
            }
            let expected = match sent.class {
                Class::Inter => {
                    now.undecodable = true;
                    if now.video_began {
                        self.missing += 1;
                    }
                    false
                }
                Class::Key => {
                    now.undecodable = true;
                    now.video_began || now.from_start
                }
                Class::Audio => now.audio_began || now.from_start,
                Class::Data => now.data_began || now.from_start,
                // It is of use to the key frame behind it only.
                Class::Prelude => false,
                Class::Metadata if self.no_metadata => false,
                Class::Metadata | Class::VideoHeader | Class::AudioHeader => {
                    let place = header_place(sent.class).unwrap_or_default();
                    now.known[place].is_none_or(|known| known < index)
                }
            };
            if expected && self.may_lose_all {
                self.missing += u64::from(header_place(sent.class).is_none());
            } else if expected && !self.lenient {
                let what = format!("life {life}: {:?} {index} is missing", sent.class);
                return broken("gapless", what);
            }
        }
        Ok(())
    }

    fn time(
        &mut self,
        lives: &Lives,
        class: Class,
        index: u32,
        timestamp: Option<u32>,
    ) -> Result<(), Broken> {
        let Some((timestamp, now)) = timestamp.zip(self.now.as_mut()) else {
            return Ok(());
        };
        if class == Class::Metadata && timestamp != 0 {
            return broken("time of metadata", format!("{timestamp}, not 0"));
        }
        if !class.is_frame() {
            return Ok(());
        }
        let clock = &mut self.clock[usize::from(class == Class::Audio)];
        let life = now.life;
        if let Some(last) = clock.replace(timestamp)
            && (timestamp.wrapping_sub(last) as i32) < 0
        {
            let what = format!("life {life}: {class:?} {index} at {timestamp} after {last}");
            return broken("monotonic time", what);
        }
        let sent = &lives.life(life).sent[index as usize];
        let Some(stretch) = sent.stretch else {
            return Ok(());
        };
        let is_audio = usize::from(class == Class::Audio);
        now.timed[is_audio] += 1;
        let count = now.timed[is_audio];
        // Where sound was far ahead of pictures, or is, one of them jumps where another
        // publisher follows. To the other server that is a clock that was set, once it is said
        // twice: from then on each goes on as it did, and their distance is that of before.
        let is_apart = self.is_copy && now.follows;
        if is_apart && count <= 2 {
            return Ok(());
        }
        let shift = timestamp.wrapping_sub(sent.timestamp);
        let known = &mut now.shifts[if is_apart { is_audio } else { 0 }];
        // What has a negative time begins at zero there, and is moved on by what is behind it
        // and comes later, which is at zero then.
        let moves_on = self.is_copy && count == 1 && timestamp == 0;
        match *known {
            Some((old, known)) if old == stretch && known != shift && !moves_on => broken(
                "constant shift",
                format!("life {life}: {class:?} {index} at {timestamp}, {shift} not {known}"),
            ),
            _ => {
                *known = Some((stretch, shift));
                Ok(())
            }
        }
    }

    /// It should be up to date with a life that goes on.
    pub(super) fn assert_current(&self, lives: &Lives, life: usize) -> Result<(), Broken> {
        let sent = &lives.life(life).sent;
        let newest = |fits: fn(Class) -> bool| {
            let place = sent.iter().rposition(|sent| fits(sent.class))?;
            u32::try_from(place).ok()
        };
        let Some(frame) = newest(Class::is_frame) else {
            return Ok(());
        };
        let picture = newest(|class| matches!(class, Class::Key | Class::Inter));
        match &self.now {
            Some(now)
                if now.life == life && now.last >= Some(frame) && now.last_video >= picture =>
            {
                Ok(())
            }
            now => broken(
                "left behind",
                format!("message {frame} of life {life}, at {now:?}"),
            ),
        }
    }
}
