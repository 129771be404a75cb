//! The DASH manifest of one state of a stream.

use std::sync::Arc;

use openrtmp_media::dash::relocated;
use openrtmp_media::hls::Names;

use super::{Budget, Text};

/// A manifest, as it is where players begin and where they read it again.
///
/// That is another place: the run's own, which ends with the run. What comes later under the
/// stream's name is another presentation. Both are in one folder: some players take names in
/// what they read first to be relative to where they are led.
#[derive(Debug)]
pub(crate) struct Manifest {
    /// Counts those of the stream.
    pub(crate) version: u64,
    plain: String,
    /// The name of the run's.
    run: String,
    pub(crate) text: Text,
}

impl Manifest {
    pub(super) fn new(
        version: u64,
        plain: String,
        names: &Names,
        budget: &Arc<Budget>,
    ) -> Manifest {
        let run = names.manifest();
        Manifest {
            version,
            text: Text::counted(relocated(&plain, "", &run), budget),
            plain,
            run,
        }
    }

    /// What it says, wherever it is.
    pub(super) fn plain(&self) -> &str {
        &self.plain
    }

    /// As it is where players begin who are to go on below this URL.
    pub(crate) fn leading_to(&self, folder: &str) -> Text {
        let location = format!("{folder}{}", self.run);
        Text::new(relocated(&self.plain, folder, &location))
    }
}
