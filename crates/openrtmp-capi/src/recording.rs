//! Recording that the host begins and ends.

use std::ffi::c_void;

use openrtmp_core::RecordConfig;

use crate::boundary;
use crate::convert::{OpenrtmpStr, Versioned, borrow, fill, fillable, path, text};
use crate::error::{Failure, OPENRTMP_ERROR_IO};
use crate::server::{OpenrtmpServer, OpenrtmpVisitText, required, visit_texts};

/// What a recording has made.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct OpenrtmpRecording {
    /// sizeof(openrtmp_recording).
    pub struct_size: u32,
    /// 0.
    pub reserved: u32,
    /// Files that are complete.
    pub files: u64,
    /// Time in them.
    pub duration_ms: u64,
    /// Bytes in them.
    pub bytes: u64,
    /// Frames that are missing because the disk was too slow.
    pub lost_frames: u64,
    /// Their bytes.
    pub lost_bytes: u64,
}

// SAFETY: integers without padding.
unsafe impl Versioned for OpenrtmpRecording {
    const FIRST: usize = size_of::<OpenrtmpRecording>();
}

/// Records a stream ("app/name"), live or still to come, to files in a folder,
/// which is made if missing, until openrtmp_record_stop() or the end of the server.
/// Events tell the file names. Names and splitting are those of "record" in the
/// settings, where it is set.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openrtmp_record_start(
    server: *mut OpenrtmpServer,
    stream: OpenrtmpStr,
    directory: OpenrtmpStr,
) -> i32 {
    boundary::status(|| {
        // SAFETY: the contract of the header.
        let (server, stream, directory) =
            unsafe { (borrow(server)?.running()?, text(stream)?, path(directory)?) };
        let mut record = server
            .config()
            .record
            .clone()
            .unwrap_or_else(|| RecordConfig::new(&directory));
        record.directory = directory;
        Ok(server.record(stream, record)?)
    })
}

/// Visits the streams that openrtmp_record_start() records, by their paths, keys masked.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openrtmp_record_list(
    server: *const OpenrtmpServer,
    visit: OpenrtmpVisitText,
    user_data: *mut c_void,
) -> i32 {
    boundary::status(|| {
        // SAFETY: the contract of the header.
        let server = unsafe { borrow(server)?.running()? };
        let visit = required(visit)?;
        let names = server.recorded();
        let shown = names.iter().map(|name| name.shown());
        // SAFETY: the contract of the header.
        unsafe { visit_texts(shown, visit, user_data) };
        Ok(())
    })
}

/// Completes a recording begun by openrtmp_record_start(), and tells what became of it:
/// when it returns 0 the files are whole; OPENRTMP_ERROR_IO tells that one of them failed,
/// or could not be completed in 5 s, and the recording is over all the same. What it has
/// made is told after both; out_recording may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openrtmp_record_stop(
    server: *mut OpenrtmpServer,
    stream: OpenrtmpStr,
    out_recording: *mut OpenrtmpRecording,
) -> i32 {
    boundary::status(|| {
        // SAFETY: the contract of the header.
        let (server, stream) = unsafe { (borrow(server)?.running()?, text(stream)?) };
        if !out_recording.is_null() {
            // SAFETY: the contract of the header.
            unsafe { fillable(out_recording)? };
        }
        let summary = server.stop_recording(stream).ok_or_else(|| {
            let message = "the stream is not being recorded by openrtmp_record_start()";
            Failure::not_found(message)
        })?;
        let recording = OpenrtmpRecording {
            struct_size: 0,
            reserved: 0,
            files: summary.files,
            duration_ms: u64::try_from(summary.duration.as_millis()).unwrap_or(u64::MAX),
            bytes: summary.bytes,
            lost_frames: summary.lost_frames,
            lost_bytes: summary.lost_bytes,
        };
        if !out_recording.is_null() {
            // SAFETY: the contract of the header.
            unsafe { fill(out_recording, &recording)? };
        }
        match summary.error {
            Some(error) => Err(Failure::new(OPENRTMP_ERROR_IO, error)),
            None => Ok(()),
        }
    })
}
