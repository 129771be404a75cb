//! What an answer under way holds on to.

use std::sync::Weak;
use std::time::Duration;

use openrtmp_media::mp4::TrackName;

use super::{Stream, ring};

/// What an answer under way holds on to, so that it is not freed. Of its stream it keeps
/// nothing else.
#[derive(Clone, Debug)]
pub(crate) enum Holding {
    /// A segment in memory, or parts of it, by its sequence number.
    Segment(Weak<Stream>, TrackName, u64),
    /// A playlist, of a snapshot with this version.
    Playlist(Weak<Stream>, u64),
    /// FLV tags, a picture, a piece of a file: what is there for a moment.
    Passing,
}

impl Holding {
    /// Whether nobody else needs it: the stream has other things by now, or is gone. `age`: since when
    /// it is not taken.
    pub(crate) fn is_outlived(&self, age: Duration) -> bool {
        match self {
            Holding::Segment(stream, track, msn) => stream.upgrade().is_none_or(|stream| {
                let snapshot = stream.snapshot();
                snapshot
                    .track(*track)
                    .is_none_or(|track| !track.holds(*msn))
            }),
            Holding::Playlist(stream, version) => stream
                .upgrade()
                .is_none_or(|stream| stream.snapshot().version != *version),
            Holding::Passing => age.as_millis() > ring::MOST_BEHIND as u128,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use openrtmp_core::{Config, Server};
    use openrtmp_media::hls::Names;

    use super::super::Snapshot;
    use super::*;

    #[test]
    fn what_an_answer_holds_is_outlived_when_its_stream_has_let_go_of_it() {
        let mut config = Config::desktop();
        config.listen = vec!["127.0.0.1:0".parse().unwrap()];
        let server = Server::start(config).unwrap();
        let publisher = server.publish("live/cam").unwrap();
        let name = server.stream_name(publisher.stream()).unwrap();
        let epoch = "1-0".to_owned();
        let stream = Arc::new(Stream::new(name, Names { epoch }, false, &Arc::default()));
        let show = |version| {
            stream.show(Snapshot {
                version,
                ..Snapshot::default()
            });
        };
        show(7);
        let weak = Arc::downgrade(&stream);
        let playlist = Holding::Playlist(weak.clone(), 7);
        let segment = Holding::Segment(weak, TrackName::Video(0), 3);
        let now = |holding: &Holding| holding.is_outlived(Duration::ZERO);
        assert!(!now(&playlist) && now(&segment), "no such segment is there");
        show(8);
        assert!(now(&playlist));
        show(7);
        // A stream that is over is kept by nobody who takes something of it.
        drop(stream);
        assert!(now(&playlist));
        let tags = |seconds| Holding::Passing.is_outlived(Duration::from_secs(seconds));
        assert!(!tags(1) && tags(4));
    }
}
