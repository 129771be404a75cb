//! FLV as a kind of recording.

use std::io;
use std::time::Duration;

use openrtmp_protocol::message::kind;
use openrtmp_protocol::session::MediaKind;

use super::flv_file::{FlvFile, FlvSummary};
use super::muxer::{Format, Item, Muxer, Start, Summary};
use crate::platform::File;
use crate::stream::packet::SharedPacket;

/// Messages as they came: an FLV tag's body is that of an RTMP message.
pub(super) struct Flv;

impl<F: File + Send + 'static> Format<F> for Flv {
    fn extension(&self) -> &'static str {
        "flv"
    }

    fn begin(&self, file: F, start: &Start<'_>) -> io::Result<Box<dyn Muxer>> {
        let metadata = start.metadata.map(|packet| packet.payload());
        let mut flv = FlvFile::create(file, metadata)?;
        for packet in start.headers {
            flv.write(tag_kind(packet.kind), start.time, packet.payload(), false)?;
        }
        Ok(Box::new(flv))
    }
}

impl<F: File + Send> Muxer for FlvFile<F> {
    fn write(&mut self, item: &Item<'_>) -> io::Result<()> {
        let kind = tag_kind(item.packet.kind);
        self.write(kind, item.time, item.packet.payload(), item.is_sync)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.flush()
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync()
    }

    fn duration(&self) -> Duration {
        self.duration()
    }

    fn bytes(&self) -> u64 {
        self.bytes()
    }

    fn takes(&self, _packet: &SharedPacket) -> bool {
        true
    }

    fn finish(self: Box<Self>) -> (Summary, io::Result<()>) {
        let so_far = Summary {
            duration: (*self).duration(),
            bytes: (*self).bytes(),
        };
        match (*self).finish() {
            Ok(FlvSummary {
                duration, bytes, ..
            }) => (Summary { duration, bytes }, Ok(())),
            Err(error) => (so_far, Err(error)),
        }
    }
}

fn tag_kind(kind: MediaKind) -> u8 {
    match kind {
        MediaKind::Audio => kind::AUDIO,
        MediaKind::Video => kind::VIDEO,
        MediaKind::Data => kind::DATA_AMF0,
    }
}
