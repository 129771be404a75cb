//! Recording that the host begins and ends.

use std::ffi::c_void;

use openrtmp_core::RecordConfig;

use crate::boundary;
use crate::convert::{OpenrtmpStr, borrow, path, text};
use crate::error::{Failure, OPENRTMP_ERROR_IO};
use crate::server::{OpenrtmpServer, OpenrtmpVisitText, required};

/// Records a stream ("app/name"), live or still to come, to FLV files in a folder,
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
        for name in server.recorded() {
            // SAFETY: the host's function; the text outlives the call.
            unsafe { visit(user_data, OpenrtmpStr::new(name.shown())) };
        }
        Ok(())
    })
}

/// Completes a recording begun by openrtmp_record_start(), and tells what became of it:
/// when it returns 0 the files are whole; OPENRTMP_ERROR_IO tells that one of them failed,
/// or could not be completed in 5 s, and the recording is over all the same.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openrtmp_record_stop(
    server: *mut OpenrtmpServer,
    stream: OpenrtmpStr,
) -> i32 {
    boundary::status(|| {
        // SAFETY: the contract of the header.
        let (server, stream) = unsafe { (borrow(server)?.running()?, text(stream)?) };
        let summary = server.stop_recording(stream).ok_or_else(|| {
            let message = "the stream is not being recorded by openrtmp_record_start()";
            Failure::not_found(message)
        })?;
        match summary.error {
            Some(error) => Err(Failure::new(OPENRTMP_ERROR_IO, error)),
            None => Ok(()),
        }
    })
}
