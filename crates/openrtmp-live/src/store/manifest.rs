//! The DASH manifest of one state of a stream.

use std::sync::OnceLock;

use openrtmp_media::dash::relocated;
use openrtmp_media::hls::Names;

use super::Text;

/// From the folder of a run to the one that names are relative to.
const ABOVE: &str = "../";

/// A manifest, in the two places where it can be read.
///
/// Players read it again and again. Where they begin they are led to the run's own, which
/// ends with the run: what comes later under the stream's name is another presentation.
#[derive(Debug)]
pub(crate) struct Manifest {
    /// Counts those of the stream.
    pub(crate) version: u64,
    plain: String,
    /// The name of the run's.
    run: String,
    at_entry: OnceLock<Text>,
    at_run: OnceLock<Text>,
}

impl Manifest {
    pub(super) fn new(version: u64, plain: String, names: &Names) -> Manifest {
        Manifest {
            version,
            plain,
            run: names.manifest(),
            at_entry: OnceLock::new(),
            at_run: OnceLock::new(),
        }
    }

    pub(super) fn plain(&self) -> &str {
        &self.plain
    }

    /// As it is where players begin.
    pub(crate) fn entry(&self) -> &Text {
        let made = || Text::new(relocated(&self.plain, "", &self.run));
        self.at_entry.get_or_init(made)
    }

    /// As it is in the folder of the run.
    pub(crate) fn run(&self) -> &Text {
        let made = || Text::new(relocated(&self.plain, ABOVE, ""));
        self.at_run.get_or_init(made)
    }

    /// As it is where players begin who are to go on below this URL.
    pub(crate) fn leading_to(&self, folder: &str) -> Text {
        let location = format!("{folder}{}", self.run);
        Text::new(relocated(&self.plain, folder, &location))
    }
}
