use std::time::Duration;

use openrtmp_protocol::session::MediaKind;

use super::class::Class;
use super::packet::Packet;

/// Which packets a subscriber gets: nothing undecodable, nothing it did not ask
/// for. One per subscription. Audio never waits for video, which may not come.
#[derive(Debug)]
pub(crate) struct Gate {
    /// A bit per video track (modulo 64): its frames wait for a key frame.
    waiting: u64,
    wants_audio: bool,
    wants_video: bool,
    paused: bool,
    /// It is paused, or ends, or does without something: what passes is looked at more
    /// closely.
    restricted: bool,
    end: Option<End>,
    /// What the subscriber did not get since it asked to go without.
    missing: Missing,
    /// The wait is for congestion, not for the join: what it keeps back is lost.
    shedding: bool,
    dropped: u64,
}

/// A subscriber wants so much only.
#[derive(Debug)]
struct End {
    /// Milliseconds.
    span: u32,
    /// Time of the first packet.
    from: Option<u32>,
    /// Nothing more passes.
    reached: bool,
    told: bool,
}

/// What a subscriber misses of what it wants again, the least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Missing {
    Nothing,
    Video,
    /// All media.
    All,
}

impl Gate {
    /// For a subscriber that just joined.
    pub(crate) fn joining() -> Gate {
        Gate {
            waiting: u64::MAX,
            wants_audio: true,
            wants_video: true,
            paused: false,
            restricted: false,
            end: None,
            missing: Missing::Nothing,
            shedding: false,
            dropped: 0,
        }
    }

    /// One that lets everything pass.
    pub(crate) fn open() -> Gate {
        Gate {
            waiting: 0,
            ..Gate::joining()
        }
    }

    /// The same for one that wants so much of the stream, by its clock.
    pub(crate) fn for_so_long(duration: Option<Duration>) -> Gate {
        let span = duration.and_then(|duration| i32::try_from(duration.as_millis()).ok());
        Gate {
            restricted: span.is_some(),
            end: span.map(|span| End {
                span: span.unsigned_abs(),
                from: None,
                reached: false,
                told: false,
            }),
            ..Gate::joining()
        }
    }

    /// Whether the subscriber got all it wanted, which it is to be told: once.
    #[inline]
    pub(crate) fn take_end(&mut self) -> bool {
        self.restricted
            && self
                .end
                .as_mut()
                .is_some_and(|end| end.reached && !std::mem::replace(&mut end.told, true))
    }

    /// Whether anything passes at this time.
    #[cold]
    fn is_open_at(&mut self, timestamp: u32) -> bool {
        if let (Some(end), false) = (&mut self.end, self.paused) {
            let from = *end.from.get_or_insert(timestamp);
            let played = timestamp.wrapping_sub(from) as i32;
            end.reached |= played >= end.span as i32;
            return !end.reached;
        }
        if self.paused {
            self.missing = Missing::All;
        }
        !self.paused
    }

    /// Whether a frame passes one that does not want everything, or not for ever.
    #[cold]
    fn permits(&mut self, packet: &Packet) -> bool {
        let wanted = match packet.class {
            Class::Audio => self.wants_audio,
            Class::Key | Class::Prelude | Class::Inter => self.wants_video,
            Class::Data | Class::Metadata | Class::Header => true,
        };
        let open = self.is_open_at(packet.timestamp);
        if open && !wanted && packet.class != Class::Audio {
            self.missing = self.missing.max(Missing::Video);
        }
        open && wanted
    }

    /// Starts again as [`Gate::joining`] does, for whatever reason: no video before a
    /// key frame. What the subscriber asked for stays.
    pub(crate) fn restart(&mut self) {
        self.waiting = u64::MAX;
        self.shedding = false;
    }

    /// Whether no video passed yet.
    pub(crate) fn waits_for_video(&self) -> bool {
        self.waiting == u64::MAX
    }

    /// True if the subscriber shall have the packet.
    #[inline]
    pub(crate) fn admit(&mut self, packet: &Packet) -> bool {
        let bit = 1u64 << (packet.track & 63);
        match packet.class {
            Class::Metadata | Class::Header => true,
            _ if self.restricted && !self.permits(packet) => false,
            Class::Data | Class::Audio | Class::Prelude => true,
            Class::Key => {
                self.waiting &= !bit;
                self.shedding = false;
                true
            }
            Class::Inter => {
                let admitted = self.waiting & bit == 0;
                if !admitted && self.shedding {
                    self.dropped += 1;
                }
                admitted
            }
        }
    }

    /// Video was dropped for congestion: `frames` of them; the next key frame ends it.
    pub(crate) fn shed(&mut self, frames: u64, until_keyframe: bool) {
        self.dropped += frames;
        if until_keyframe {
            self.waiting = u64::MAX;
            self.shedding = true;
        }
    }

    /// True while video is kept back for congestion.
    pub(crate) fn is_shedding(&self) -> bool {
        self.shedding
    }

    /// The player's pause or resume.
    pub(crate) fn set_paused(&mut self, paused: bool) -> Missing {
        self.paused = paused;
        self.take_missing()
    }

    /// The player's receiveAudio or receiveVideo.
    pub(crate) fn set_wanted(&mut self, kind: MediaKind, wanted: bool) -> Missing {
        match kind {
            MediaKind::Audio => self.wants_audio = wanted,
            MediaKind::Video => self.wants_video = wanted,
            MediaKind::Data => {}
        }
        self.take_missing()
    }

    /// What can be made up for now. Who went without for a moment in which nothing came
    /// misses nothing; any other goes on at a key frame.
    fn take_missing(&mut self) -> Missing {
        let wants_all = self.wants_audio && self.wants_video;
        self.restricted = self.paused || !wants_all || self.end.is_some();
        let goes_without = match self.missing {
            Missing::Nothing => return Missing::Nothing,
            Missing::Video => self.paused || !self.wants_video,
            Missing::All => self.paused,
        };
        if goes_without {
            return Missing::Nothing;
        }
        self.restart();
        std::mem::replace(&mut self.missing, Missing::Nothing)
    }

    /// Frames lost to congestion so far.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::{test_packet, test_track_packet};

    #[test]
    fn a_joiner_gets_headers_and_audio_and_video_from_a_keyframe_on() {
        let mut gate = Gate::joining();
        let mut admit = |class| gate.admit(&test_packet(class, 0, 1));
        assert!(admit(Class::Metadata));
        assert!(admit(Class::Header));
        assert!(!admit(Class::Inter));
        assert!(admit(Class::Audio), "video may never come");
        assert!(admit(Class::Prelude));
        assert!(!admit(Class::Inter), "no picture came with that");
        assert!(admit(Class::Key));
        assert!(admit(Class::Inter));
        assert!(admit(Class::Audio));
        assert_eq!(gate.dropped(), 0);
    }

    #[test]
    fn each_track_waits_for_its_own_keyframe() {
        let mut gate = Gate::joining();
        assert!(gate.admit(&test_track_packet(Class::Key, 0, 0)));
        assert!(!gate.admit(&test_track_packet(Class::Inter, 1, 0)));
        assert!(gate.admit(&test_track_packet(Class::Inter, 0, 0)));
        assert!(gate.admit(&test_track_packet(Class::Key, 1, 0)));
        assert!(gate.admit(&test_track_packet(Class::Inter, 1, 0)));
    }

    #[test]
    fn a_pause_resumes_at_a_keyframe() {
        let mut gate = Gate::joining();
        gate.admit(&test_packet(Class::Key, 0, 1));
        assert_eq!(gate.set_paused(true), Missing::Nothing);
        assert!(!gate.admit(&test_packet(Class::Key, 0, 1)));
        assert!(!gate.admit(&test_packet(Class::Audio, 0, 1)));
        assert!(gate.admit(&test_packet(Class::Header, 0, 1)));
        assert_eq!(gate.set_paused(false), Missing::All);
        assert!(!gate.admit(&test_packet(Class::Inter, 0, 1)));
        assert!(gate.admit(&test_packet(Class::Key, 0, 1)));
    }

    #[test]
    fn who_goes_without_while_nothing_comes_misses_nothing() {
        let mut gate = Gate::joining();
        gate.admit(&test_packet(Class::Key, 0, 1));
        for wanted in [false, true] {
            assert_eq!(gate.set_paused(!wanted), Missing::Nothing);
            assert_eq!(gate.set_wanted(MediaKind::Video, wanted), Missing::Nothing);
        }
        assert!(gate.admit(&test_packet(Class::Inter, 0, 1)));
    }

    #[test]
    fn what_is_missed_is_told_when_nothing_withholds_it_any_more() {
        let mut gate = Gate::joining();
        gate.admit(&test_packet(Class::Key, 0, 1));
        gate.set_wanted(MediaKind::Video, false);
        gate.admit(&test_packet(Class::Inter, 0, 1));
        gate.set_paused(true);
        assert_eq!(gate.set_wanted(MediaKind::Video, true), Missing::Nothing);
        assert_eq!(gate.set_paused(false), Missing::Video);
        assert!(!gate.admit(&test_packet(Class::Inter, 0, 1)));
        gate.set_paused(true);
        gate.admit(&test_packet(Class::Audio, 0, 1));
        gate.set_wanted(MediaKind::Video, false);
        assert_eq!(gate.set_paused(false), Missing::All);
        gate.admit(&test_packet(Class::Key, 0, 1));
        assert_eq!(gate.set_wanted(MediaKind::Video, true), Missing::Video);
    }

    #[test]
    fn what_congestion_keeps_back_is_counted() {
        let mut gate = Gate::joining();
        gate.admit(&test_packet(Class::Key, 0, 1));
        gate.shed(7, true);
        assert!(!gate.admit(&test_packet(Class::Inter, 0, 1)));
        assert!(gate.admit(&test_packet(Class::Audio, 0, 1)));
        assert!(gate.admit(&test_packet(Class::Key, 0, 1)));
        assert_eq!((gate.dropped(), gate.is_shedding()), (8, false));
    }

    #[test]
    fn another_publisher_goes_on_with_audio_and_with_video_at_a_keyframe() {
        for joined_before in [true, false] {
            let mut gate = Gate::joining();
            if joined_before {
                gate.admit(&test_packet(Class::Key, 0, 1));
            }
            gate.restart();
            assert!(gate.admit(&test_packet(Class::Header, 0, 1)));
            assert!(gate.admit(&test_packet(Class::Audio, 0, 1)));
            assert!(!gate.admit(&test_packet(Class::Inter, 0, 1)));
            assert!(gate.admit(&test_packet(Class::Key, 0, 1)));
        }
    }

    #[test]
    fn one_that_wants_so_much_gets_it_and_is_told_once() {
        let mut gate = Gate::for_so_long(Some(Duration::from_millis(1000)));
        // Over the wrap of 32 bits.
        for (time, passes) in [
            (0, true),
            (400, true),
            (999, true),
            (1000, false),
            (400, false),
        ] {
            let packet = test_packet(Class::Audio, (u32::MAX - 500).wrapping_add(time), 1);
            assert_eq!(gate.admit(&packet), passes, "{time}");
        }
        assert!(gate.take_end());
        assert!(!gate.take_end());
        gate.set_paused(true);
        gate.set_paused(false);
        assert!(!gate.admit(&test_packet(Class::Key, 5000, 1)));
        let mut gate = Gate::for_so_long(None);
        assert!(gate.admit(&test_packet(Class::Audio, 0, 1)));
        assert!(gate.admit(&test_packet(Class::Audio, 1 << 30, 1)));
        assert!(!gate.take_end());
    }

    #[test]
    fn audio_only_on_request() {
        let mut gate = Gate::joining();
        assert_eq!(gate.set_wanted(MediaKind::Video, true), Missing::Nothing);
        assert_eq!(gate.set_wanted(MediaKind::Video, false), Missing::Nothing);
        for class in [Class::Key, Class::Prelude, Class::Inter] {
            assert!(!gate.admit(&test_packet(class, 0, 1)));
        }
        assert!(gate.admit(&test_packet(Class::Audio, 0, 1)));
        assert_eq!(gate.set_wanted(MediaKind::Video, true), Missing::Video);
        assert!(gate.waits_for_video());
    }
}
