use openrtmp_protocol::session::MediaKind;

use super::class::Class;
use super::packet::Packet;

/// Which packets a subscriber gets: nothing undecodable, nothing it did not ask
/// for. One per subscription.
#[derive(Debug)]
pub(crate) struct Gate {
    /// A bit per video track (modulo 64): its frames wait for a key frame.
    waiting: u64,
    /// Audio waits for the first key frame too, so that playback starts with both.
    hold_audio: bool,
    wants_audio: bool,
    wants_video: bool,
    paused: bool,
    /// The wait is for congestion, not for the join: what it keeps back is lost.
    shedding: bool,
    dropped: u64,
}

impl Gate {
    /// For a subscriber that just joined. `has_video` holds audio back until the
    /// first key frame.
    pub(crate) fn joining(has_video: bool) -> Gate {
        Gate {
            waiting: u64::MAX,
            hold_audio: has_video,
            wants_audio: true,
            wants_video: true,
            paused: false,
            shedding: false,
            dropped: 0,
        }
    }

    /// One that lets everything pass.
    pub(crate) fn open() -> Gate {
        Gate {
            waiting: 0,
            ..Gate::joining(false)
        }
    }

    /// Starts again as [`Gate::joining`] does; what the subscriber asked for stays.
    pub(crate) fn join(&mut self, has_video: bool) {
        self.hold_audio = has_video && self.wants_video;
        self.restart_video();
    }

    /// True if the subscriber shall have the packet.
    pub(crate) fn admit(&mut self, packet: &Packet) -> bool {
        let bit = 1u64 << (packet.track & 63);
        match packet.class {
            Class::Metadata | Class::Header => true,
            _ if self.paused => false,
            Class::Data => true,
            Class::Audio => self.wants_audio && !self.hold_audio,
            Class::Key => {
                if self.wants_video {
                    self.waiting &= !bit;
                    self.hold_audio = false;
                    self.shedding = false;
                }
                self.wants_video
            }
            Class::Inter => {
                let admitted = self.wants_video && self.waiting & bit == 0;
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
    pub(crate) fn set_paused(&mut self, paused: bool) {
        self.paused = paused;
        self.restart_video();
    }

    /// The player's receiveAudio or receiveVideo.
    pub(crate) fn set_wanted(&mut self, kind: MediaKind, wanted: bool) {
        match kind {
            MediaKind::Audio => self.wants_audio = wanted,
            MediaKind::Video => {
                self.wants_video = wanted;
                self.hold_audio &= wanted;
                self.restart_video();
            }
            MediaKind::Data => {}
        }
    }

    /// Another publisher's frames follow: no video before its first key frame.
    /// Audio goes on. It may be all that this publisher sends, and players take
    /// it with the audio header that came before it.
    pub(crate) fn restart(&mut self) {
        self.join(false);
    }

    fn restart_video(&mut self) {
        self.waiting = u64::MAX;
        self.shedding = false;
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
    fn a_joiner_gets_headers_then_a_keyframe_then_the_rest() {
        let mut gate = Gate::joining(true);
        let mut admit = |class| gate.admit(&test_packet(class, 0, 1));
        assert!(admit(Class::Metadata));
        assert!(admit(Class::Header));
        assert!(!admit(Class::Inter));
        assert!(!admit(Class::Audio));
        assert!(admit(Class::Key));
        assert!(admit(Class::Inter));
        assert!(admit(Class::Audio));
        assert_eq!(gate.dropped(), 0);
    }

    #[test]
    fn audio_of_a_stream_without_video_starts_at_once() {
        assert!(Gate::joining(false).admit(&test_packet(Class::Audio, 0, 1)));
    }

    #[test]
    fn each_track_waits_for_its_own_keyframe() {
        let mut gate = Gate::joining(true);
        assert!(gate.admit(&test_track_packet(Class::Key, 0, 0)));
        assert!(!gate.admit(&test_track_packet(Class::Inter, 1, 0)));
        assert!(gate.admit(&test_track_packet(Class::Inter, 0, 0)));
        assert!(gate.admit(&test_track_packet(Class::Key, 1, 0)));
        assert!(gate.admit(&test_track_packet(Class::Inter, 1, 0)));
    }

    #[test]
    fn a_pause_resumes_at_a_keyframe() {
        let mut gate = Gate::joining(true);
        gate.admit(&test_packet(Class::Key, 0, 1));
        gate.set_paused(true);
        assert!(!gate.admit(&test_packet(Class::Key, 0, 1)));
        assert!(!gate.admit(&test_packet(Class::Audio, 0, 1)));
        assert!(gate.admit(&test_packet(Class::Header, 0, 1)));
        gate.set_paused(false);
        assert!(!gate.admit(&test_packet(Class::Inter, 0, 1)));
        assert!(gate.admit(&test_packet(Class::Key, 0, 1)));
    }

    #[test]
    fn what_congestion_keeps_back_is_counted() {
        let mut gate = Gate::joining(true);
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
            let mut gate = Gate::joining(true);
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
    fn audio_only_on_request() {
        let mut gate = Gate::joining(true);
        gate.set_wanted(MediaKind::Video, false);
        assert!(gate.admit(&test_packet(Class::Audio, 0, 1)));
        assert!(!gate.admit(&test_packet(Class::Key, 0, 1)));
    }
}
