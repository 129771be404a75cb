//! The files that settings name.

use super::Config;
use crate::access::KeyRecord;
use crate::error::StartError;

impl Config {
    /// Reads the files that a server with these settings begins with, and makes none: keys on
    /// record, certificates with their keys, and authorities.
    ///
    /// # Errors
    /// What [`Server::start`](crate::Server::start) would say of the first that is not right.
    pub fn check_files(&self) -> Result<(), StartError> {
        if let Some(file) = &self.access.keys_file {
            KeyRecord::read_file(file)?;
        }
        #[cfg(feature = "tls")]
        crate::tls::check_files(self)?;
        Ok(())
    }
}
