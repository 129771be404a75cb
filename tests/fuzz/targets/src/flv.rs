//! FLV files: reading them, and mending one that a crash cut off.
//!
//! - Any cutting of the bytes gives the same tags, error and offset, and what is
//!   held does not run ahead of the bytes.
//! - Cut at that offset a file reads wholly, and more tags can follow.
//! - What is written reads back.

use arbitrary::Unstructured;
use bytes::{Bytes, BytesMut};
use openrtmp_protocol::flv::{self, FlvError, FlvReader, Tag};

use crate::input::{Cuts, take};
use crate::memory;

/// Cuts, then the file.
pub fn run(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let cuts: Cuts = take(&mut input);
    let file = input.take_rest();

    let mut tags = Vec::new();
    let (error, offset) = read(file, Cuts::NONE, |tag| tags.push(tag));
    let mut cut_tags = Vec::new();
    assert_eq!(read(file, cuts, |tag| cut_tags.push(tag)), (error, offset));
    assert_eq!(tags, cut_tags);
    memory::within(4 * file.len() + 4096, || read(file, Cuts(1), drop));
    assert!(offset <= file.len());

    if offset > 0 {
        let mut mended = file[..offset].to_vec();
        let mut again = Vec::new();
        assert_eq!(read(&mended, cuts, |tag| again.push(tag)), (None, offset));
        let lost = tags.len() - again.len();
        assert!(lost <= 1, "only a tag without its trailer is lost");
        assert_eq!(again, tags[..again.len()]);

        let more = Tag {
            kind: 18,
            timestamp: 0xFEDC_BA98,
            payload: Bytes::from_static(b"more"),
        };
        write(&more, &mut mended);
        again.push(more);
        let mut whole = Vec::new();
        let end = read(&mended, cuts, |tag| whole.push(tag));
        assert_eq!(end, (None, mended.len()));
        assert_eq!(whole, again);
    }

    let mut written = BytesMut::new();
    flv::write_header(true, true, &mut written);
    let mut written = written.to_vec();
    tags.iter().for_each(|tag| write(tag, &mut written));
    let mut again = Vec::new();
    let end = read(&written, cuts, |tag| again.push(tag));
    assert_eq!(end, (None, written.len()));
    assert_eq!(again, tags);
    for tag in &tags {
        for (name, _) in flv::stream_members(&tag.payload) {
            assert_ne!(name, "duration", "is about the file");
        }
    }
}

fn write(tag: &Tag, output: &mut Vec<u8>) {
    let mut header = BytesMut::new();
    flv::write_tag_header(tag.kind, tag.timestamp, tag.payload.len(), &mut header);
    output.extend_from_slice(&header);
    output.extend_from_slice(&tag.payload);
    output.extend_from_slice(&flv::tag_trailer(tag.payload.len()));
}

/// How reading ended, and how far the file is good.
fn read(file: &[u8], cuts: Cuts, mut take: impl FnMut(Tag)) -> (Option<FlvError>, usize) {
    let mut reader = FlvReader::new();
    let mut error = None;
    for piece in cuts.of(file) {
        reader.push(piece);
        let mut offset = reader.offset();
        loop {
            match reader.next_tag() {
                Ok(Some(tag)) => take(tag),
                Ok(None) => break,
                Err(found) => {
                    assert_eq!(reader.next_tag().as_ref(), Err(&found), "it stays");
                    error = Some(found);
                    break;
                }
            }
            assert!(reader.offset() >= offset, "what is good stays good");
            offset = reader.offset();
        }
        if error.is_some() {
            break;
        }
    }
    (error, reader.offset() as usize)
}
