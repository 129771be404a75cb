//! Who is cut off when answers that are not taken hold too much.
//!
//! What a stream has let go of is freed when the last answer with it was taken. All answers
//! together may hold a quarter of `http.memory` of such. From half of that on, connections are
//! cut off whose answers do, those first that have waited longest, until it is less; where the
//! whole is held, no answer with media begins (503). Who takes what is listed is not touched.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http::{Response, StatusCode};
use openrtmp_core::{Limit, Server};

use super::accept::Counts;
use super::answer::status;
use crate::store::{Budget, Shares};

/// Of those who hold too much one of so many is cut off at a time.
const AT_A_TIME: usize = 8;
/// Connections that were cut off are gone by then.
const PAUSE: Duration = Duration::from_millis(100);

/// Refuses to begin with media where answers hold all that they may.
///
/// # Errors
/// The answer to who asked.
pub(super) fn room(server: &Server, budget: &Budget) -> Result<(), Response<Body>> {
    match budget.outlived() > Shares::of(&server.config()).answers {
        false => Ok(()),
        true => Err(status(
            StatusCode::SERVICE_UNAVAILABLE,
            "too much waits for viewers that do not take it",
        )),
    }
}

/// Cuts off whoever has to be, as long as the server runs.
pub(crate) async fn relieve(server: Arc<Server>, budget: Arc<Budget>, counts: Arc<Counts>) {
    loop {
        budget.pressed().await;
        let mut cut = 0;
        loop {
            let held = budget.outlived();
            if held <= Shares::of(&server.config()).answers / 2 {
                break;
            }
            let peers = counts.peers().into_iter();
            let held_since = peers.filter_map(|peer| Some((peer.holds_outlived()?, peer)));
            let mut slow: Vec<_> = held_since.collect();
            slow.sort_by_key(|(since, _)| *since);
            let most = slow.len().div_ceil(AT_A_TIME);
            for (_, peer) in slow.iter().take(most) {
                if log::log_enabled!(log::Level::Debug) && server.admits_connection_line() {
                    log::debug!(peer:% = peer.address; "a viewer is cut off: it has not taken what is kept for nobody else");
                }
                peer.cut_off();
            }
            cut += most;
            drop(slow);
            tokio::time::sleep(PAUSE).await;
            if most == 0 {
                break;
            }
        }
        if cut > 0 {
            server.report_limit(Limit::Memory);
            if log::log_enabled!(log::Level::Warn) && server.admits_viewer_line() {
                log::warn!(viewers = cut; "viewers were cut off that took too little: what they held was a share of http.memory");
            }
        }
    }
}
