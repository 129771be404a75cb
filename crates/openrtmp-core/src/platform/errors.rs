//! Errors that have a number and no [`io::ErrorKind`].

use std::io;

#[cfg(unix)]
mod numbers {
    pub(crate) use libc::{EBADF, EINVAL, EMFILE, ENOTSOCK};
}

/// From winsock2.h.
#[cfg(not(unix))]
mod numbers {
    pub(crate) const EBADF: i32 = 10_009;
    pub(crate) const EINVAL: i32 = 10_022;
    pub(crate) const EMFILE: i32 = 10_024;
    pub(crate) const ENOTSOCK: i32 = 10_038;
}

pub(super) use numbers::{EINVAL, EMFILE};

/// True for an error of [`accept`](super::Listener::accept) or
/// [`probe`](super::Listener::probe) that says that the socket does not listen any
/// more: nobody will ever be accepted on it. Others pass, as that of a process out of
/// descriptors does.
pub fn listener_is_gone(error: &io::Error) -> bool {
    let gone = [numbers::EBADF, numbers::EINVAL, numbers::ENOTSOCK];
    error.raw_os_error().is_some_and(|raw| gone.contains(&raw))
}

/// True for an error that says that the process has as many descriptors as it may.
pub fn is_out_of_descriptors(error: &io::Error) -> bool {
    error.raw_os_error() == Some(EMFILE)
}

/// What the system says of a socket that does not listen.
pub(super) fn not_listening() -> io::Error {
    io::Error::from_raw_os_error(EINVAL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_listener_is_told_from_one_that_cannot_accept_now() {
        for raw in [numbers::EBADF, EINVAL, numbers::ENOTSOCK] {
            assert!(listener_is_gone(&io::Error::from_raw_os_error(raw)));
        }
        assert!(listener_is_gone(&not_listening()));
        assert!(!listener_is_gone(&io::Error::from_raw_os_error(EMFILE)));
        assert!(is_out_of_descriptors(&io::Error::from_raw_os_error(EMFILE)));
        assert!(!is_out_of_descriptors(&not_listening()));
        assert!(!listener_is_gone(&io::ErrorKind::WouldBlock.into()));
        assert!(!listener_is_gone(&io::ErrorKind::InvalidInput.into()));
    }
}
