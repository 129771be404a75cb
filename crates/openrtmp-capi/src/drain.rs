//! Going out of service without cutting anybody off.

use openrtmp_core::DrainOptions;

use crate::boundary;
use crate::convert::{OpenrtmpStr, borrow, fillable, text};
use crate::server::{OpenrtmpServer, OpenrtmpSummary, Running, fill_summary, grace};

/// Goes out of service and stops, without cutting anybody off before grace_ms are over. Nobody
/// new is taken: who connects, or asks to publish or play, is refused and told that the server
/// is being drained, and, where "to" names a server, to go there (ex.redirect of
/// NetConnection.Connect.Rejected). Peers that announced that they know it are asked to connect
/// again (Enhanced RTMP v2), where "to" says: the URL of an app, "rtmp://host/app", in which
/// "{app}" stands for the app that a peer is in, or of a server alone, which leads to the same
/// app; empty: at the address that they know. All others go on until they leave; viewers over
/// HTTP are served until then. When all peers have left, or after the grace, it stops as
/// openrtmp_server_stop() does with 0, which cuts it short when called from another thread.
/// Returns when it is done, as long after the grace as openrtmp_server_stop() at the latest;
/// meanwhile the state is OPENRTMP_STATE_STOPPING, and openrtmp_server_health() says that it is
/// not ready. The summary may be NULL. OPENRTMP_ERROR_RECURSIVE inside a callback of this server.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openrtmp_server_drain(
    server: *mut OpenrtmpServer,
    grace_ms: u64,
    to: OpenrtmpStr,
    out_summary: *mut OpenrtmpSummary,
) -> i32 {
    boundary::status(|| {
        // SAFETY: the contract of the header.
        let (server, to) = unsafe { (borrow(server)?, text(to)?) };
        if !out_summary.is_null() {
            // SAFETY: the contract of the header.
            unsafe { fillable(out_summary)? };
        }
        let mut options = DrainOptions::new(grace(grace_ms));
        if !to.is_empty() {
            options = options.to(to);
        }
        let drain = |running: &Running| Ok(running.server.drain(&options)?);
        let summary = server.end(options.grace, drain)?;
        // SAFETY: the contract of the header.
        unsafe { fill_summary(out_summary, &summary) }
    })
}
