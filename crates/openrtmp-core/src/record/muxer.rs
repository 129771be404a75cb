//! What writes one kind of file.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::stream::packet::SharedPacket;
use crate::stream::tap_queue::TapStream;

/// A kind of file: what a recorder makes its muxers by.
pub(super) trait Format<F>: Send {
    /// The end of its files' names, without the dot.
    fn extension(&self) -> &'static str;

    /// Begins a file, which is empty. Nothing is written but what the file begins with;
    /// the frames come by [`Muxer::write`], the first of them being that of `start`.
    ///
    /// # Errors
    /// The file's own. The recorder removes the file then.
    fn begin(&self, file: F, start: &Start<'_>) -> io::Result<Box<dyn Muxer>>;
}

/// What is known of a stream when a file begins.
pub(super) struct Start<'a> {
    /// The stream.
    pub(super) stream: &'a Arc<TapStream>,
    /// The newest `onMetaData`, if there was one.
    pub(super) metadata: Option<&'a SharedPacket>,
    /// The newest decoder configuration of each track, and what refines it: in the order
    /// in which they came. They are in force from the first frame on.
    pub(super) headers: &'a [SharedPacket],
    /// Time of the first frame in milliseconds on the stream's clock.
    pub(super) time: i64,
}

/// Writes one file, from messages of one stream in the order of their arrival.
///
/// What it gets is whole messages, classified; [`split`](crate::stream::frame::split)
/// makes frames of them, with times in microseconds. Times are those of the stream's
/// clock, in 64 bits: they do not wrap, nor do they begin at zero.
///
/// The recorder decides where files begin and end: at a key frame, or at any audio frame
/// while there is no video; and whenever a track's decoder configuration or codec
/// becomes another, so that a file has one of each track. What a muxer does may fail or
/// panic; that ends its file, and no other.
pub(super) trait Muxer: Send {
    /// Adds a frame, data, or a header: of a track that is new, or the same again.
    ///
    /// # Errors
    /// `InvalidInput`: what such a file cannot hold. After any error the file can only be
    /// finished.
    fn write(&mut self, item: &Item<'_>) -> io::Result<()>;

    /// Hands what was written so far to the file, so that it is there after a crash of this
    /// process: everything, or, where a file consists of larger parts, all but the last
    /// second. Called twice a second, and after every batch.
    fn flush(&mut self) -> io::Result<()>;

    /// Hands everything to the file and syncs it: what was written survives a power cut.
    fn sync(&mut self) -> io::Result<()>;

    /// From the first frame to the latest.
    fn duration(&self) -> Duration;

    /// Size that the file will have with what was written so far.
    fn bytes(&self) -> u64;

    /// Whether the track of a message has a place in the file, or can get one now. If not,
    /// the next file begins with it.
    fn takes(&self, packet: &SharedPacket) -> bool;

    /// Completes the file and syncs it: what it holds now, and whether that worked. After
    /// an error it makes of the file what can be made, in place and without more room.
    fn finish(self: Box<Self>) -> (Summary, io::Result<()>);
}

/// A message to be written.
pub(super) struct Item<'a> {
    pub(super) packet: &'a SharedPacket,
    /// Milliseconds on the stream's clock.
    pub(super) time: i64,
    /// Decoding can start here.
    pub(super) is_sync: bool,
}

/// What a finished file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Summary {
    /// From the first frame to the latest.
    pub(super) duration: Duration,
    /// Bytes.
    pub(super) bytes: u64,
}
