//! The codes by which programs in other languages are told of errors: those of `openrtmp.h`,
//! which all bindings share.

use std::fmt::Display;

use crate::access::KeyFileError;
use crate::config::{ConfigError, DocumentError, FileError, NoDelivery};
use crate::drain::DrainError;
use crate::error::{RecordError, StartError};
use crate::publisher::PublishError;
use crate::reconfigure::ReconfigureError;
use crate::relay::RelayError;
use crate::server::{CoalesceError, Unanswered};
use crate::system_log::SystemLogError;
#[cfg(feature = "tls")]
use crate::tls::TlsError;

/// Codes of `openrtmp.h`, without their `OPENRTMP_ERROR_`; those that are about C alone have
/// none here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
#[allow(missing_docs, reason = "the header describes them")]
#[non_exhaustive]
pub enum ErrorCode {
    InvalidArgument = -1,
    NotFound = -5,
    State = -6,
    Config = -8,
    Listen = -9,
    Io = -10,
    Busy = -11,
    Limit = -12,
    WouldBlock = -13,
    Panic = -14,
    Gone = -15,
    NeedsRestart = -16,
    Memory = -17,
    Timeout = -18,
    Unsupported = -19,
}

/// An error that has a code; its text is that of the error.
pub trait Coded: Display {
    /// Which.
    fn code(&self) -> ErrorCode;
}

macro_rules! always {
    ($($error:ty => $code:ident,)*) => {
        $(impl Coded for $error {
            fn code(&self) -> ErrorCode {
                ErrorCode::$code
            }
        })*
    };
}

macro_rules! coded {
    ($($error:ty { $($kind:pat => $code:expr,)* })*) => {
        $(impl Coded for $error {
            fn code(&self) -> ErrorCode {
                match self {
                    $($kind => $code,)*
                }
            }
        })*
    };
}

always! {
    ConfigError => Config,
    DocumentError => Config,
    std::io::Error => Io,
    Unanswered => Timeout,
    SystemLogError => State,
    NoDelivery => Unsupported,
}

coded! {
    KeyFileError {
        KeyFileError::Io { .. } => ErrorCode::Io,
        _ => ErrorCode::Config,
    }
    StartError {
        StartError::Config(_) => ErrorCode::Config,
        StartError::Keys(error) => error.code(),
        StartError::Listen { .. } => ErrorCode::Listen,
        _ => ErrorCode::Io,
    }
    ReconfigureError {
        ReconfigureError::Start(error) => error.code(),
        ReconfigureError::Unanswered(error) => error.code(),
        ReconfigureError::NeedsRestart { .. } => ErrorCode::NeedsRestart,
        ReconfigureError::Stopping => ErrorCode::State,
    }
    CoalesceError {
        CoalesceError::Window(error) => error.code(),
        CoalesceError::Unanswered(error) => error.code(),
    }
    FileError {
        FileError::Io { .. } => ErrorCode::Io,
        _ => ErrorCode::Config,
    }
    RecordError {
        RecordError::Config(_) => ErrorCode::Config,
        RecordError::Busy => ErrorCode::Busy,
        RecordError::Full(_) => ErrorCode::Limit,
        RecordError::EmptyName => ErrorCode::InvalidArgument,
        RecordError::NoSuchStream => ErrorCode::NotFound,
        RecordError::Stopping => ErrorCode::State,
        _ => ErrorCode::Io,
    }
    PublishError {
        PublishError::Busy => ErrorCode::Busy,
        PublishError::Limit => ErrorCode::Limit,
        PublishError::Stopping => ErrorCode::State,
        PublishError::Full => ErrorCode::WouldBlock,
        PublishError::Memory => ErrorCode::Memory,
        PublishError::TakenOver | PublishError::Ended => ErrorCode::Gone,
        _ => ErrorCode::InvalidArgument,
    }
    RelayError {
        RelayError::Stopping => ErrorCode::State,
        RelayError::Full(_) => ErrorCode::Limit,
        _ => ErrorCode::InvalidArgument,
    }
    DrainError {
        DrainError::Url(_) => ErrorCode::InvalidArgument,
        _ => ErrorCode::State,
    }
}

#[cfg(feature = "tls")]
coded! {
    TlsError {
        TlsError::NotSpoken => ErrorCode::State,
        _ => ErrorCode::Io,
    }
}

/// Makes a binding's own failure, by `$told`, of each of these errors.
#[macro_export]
#[doc(hidden)]
macro_rules! failures_of_errors {
    ($failure:ty, $told:expr) => {
        $crate::failures_of_errors! { @ $failure, $told;
            $crate::ConfigError, $crate::DocumentError, std::io::Error, $crate::Unanswered,
            $crate::SystemLogError, $crate::StartError, $crate::ReconfigureError,
            $crate::CoalesceError, $crate::FileError, $crate::RecordError,
            $crate::PublishError, $crate::RelayError, $crate::DrainError, $crate::NoDelivery
        }
    };
    (@ $failure:ty, $told:expr; $($error:ty),*) => {
        $(impl From<$error> for $failure {
            fn from(error: $error) -> $failure {
                $told($crate::Coded::code(&error), error.to_string())
            }
        })*
    };
}
