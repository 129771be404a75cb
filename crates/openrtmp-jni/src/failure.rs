//! Why a call failed, and the exception that tells so: with the codes of the C library.

use std::any::Any;

use jni::Env;
use jni::errors::ErrorPolicy;
use openrtmp_core::{
    CoalesceError, ConfigError, DocumentError, DrainError, FileError, KeyFileError, PublishError,
    ReconfigureError, RecordError, RelayError, StartError, Unanswered,
};

use crate::jvm;

/// The codes of `openrtmp.h` that this library uses, without their `OPENRTMP_ERROR_`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub(crate) enum Code {
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
}

/// Why a call failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Said by the server.
    Told(Code, String),
    /// Said by the virtual machine, which may be throwing already.
    Machine(jni::errors::Error),
}

impl Failure {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Failure {
        Failure::Told(code, message.into())
    }

    pub(crate) fn argument(message: impl Into<String>) -> Failure {
        Failure::new(Code::InvalidArgument, message)
    }

    pub(crate) fn state(message: impl Into<String>) -> Failure {
        Failure::new(Code::State, message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Failure {
        Failure::new(Code::NotFound, message)
    }
}

/// Turns failures and panics of native methods into exceptions.
pub(crate) struct Throw;

impl<T: Default> ErrorPolicy<T, Failure> for Throw {
    type Captures<'local: 'method, 'method> = ();

    fn on_error<'local: 'method, 'method>(
        env: &mut Env<'local>,
        (): &mut Self::Captures<'local, 'method>,
        failure: Failure,
    ) -> jni::errors::Result<T> {
        match failure {
            Failure::Told(code, message) => jvm::throw(env, code as i32, &message)?,
            Failure::Machine(error) => {
                let message = format!("the virtual machine: {error}");
                jvm::throw(env, Code::InvalidArgument as i32, &message)?;
            }
        }
        Ok(T::default())
    }

    fn on_panic<'local: 'method, 'method>(
        env: &mut Env<'local>,
        (): &mut Self::Captures<'local, 'method>,
        panic: Box<dyn Any + Send + 'static>,
    ) -> jni::errors::Result<T> {
        let message = format!("a bug in openrtmp: {}", describe(&*panic));
        log::error!("{message}");
        jvm::throw(env, Code::Panic as i32, &message)?;
        Ok(T::default())
    }
}

fn describe(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("panic")
}

impl From<jni::errors::Error> for Failure {
    fn from(error: jni::errors::Error) -> Failure {
        Failure::Machine(error)
    }
}

/// The same code for every error of these types.
macro_rules! always {
    ($($error:ty => $code:ident,)*) => {
        $(impl From<$error> for Failure {
            fn from(error: $error) -> Failure {
                Failure::new(Code::$code, error.to_string())
            }
        })*
    };
}

always! {
    ConfigError => Config,
    DocumentError => Config,
    std::io::Error => Io,
    Unanswered => Timeout,
}

/// A code by what the error is.
macro_rules! by_kind {
    ($($error:ident { $($kind:pat => $code:ident,)* })*) => {
        $(impl From<$error> for Failure {
            fn from(error: $error) -> Failure {
                let code = match &error {
                    $($kind => Code::$code,)*
                };
                Failure::new(code, error.to_string())
            }
        })*
    };
}

by_kind! {
    StartError {
        StartError::Config(_) => Config,
        StartError::Keys(KeyFileError::Io { .. }) => Io,
        StartError::Keys(_) => Config,
        StartError::Listen { .. } => Listen,
        _ => Io,
    }
    FileError {
        FileError::Io { .. } => Io,
        _ => Config,
    }
    RecordError {
        RecordError::Config(_) => Config,
        RecordError::Busy => Busy,
        RecordError::Full(_) => Limit,
        RecordError::EmptyName => InvalidArgument,
        RecordError::NoSuchStream => NotFound,
        RecordError::Stopping => State,
        _ => Io,
    }
    PublishError {
        PublishError::Busy => Busy,
        PublishError::Limit => Limit,
        PublishError::Stopping => State,
        PublishError::Full => WouldBlock,
        PublishError::Memory => Memory,
        PublishError::TakenOver | PublishError::Ended => Gone,
        _ => InvalidArgument,
    }
    RelayError {
        RelayError::Stopping => State,
        RelayError::Full(_) => Limit,
        _ => InvalidArgument,
    }
}

impl From<ReconfigureError> for Failure {
    fn from(error: ReconfigureError) -> Failure {
        match error {
            ReconfigureError::Start(error) => error.into(),
            ReconfigureError::Unanswered(error) => error.into(),
            ReconfigureError::NeedsRestart { .. } => {
                Failure::new(Code::NeedsRestart, error.to_string())
            }
            _ => Failure::state(error.to_string()),
        }
    }
}

impl From<DrainError> for Failure {
    fn from(error: DrainError) -> Failure {
        match error {
            DrainError::Url(_) => Failure::argument(error.to_string()),
            _ => Failure::state(error.to_string()),
        }
    }
}

impl From<CoalesceError> for Failure {
    fn from(error: CoalesceError) -> Failure {
        match error {
            CoalesceError::Window(error) => error.into(),
            CoalesceError::Unanswered(error) => error.into(),
            error => Failure::argument(error.to_string()),
        }
    }
}

#[cfg(feature = "tls")]
impl From<openrtmp_core::TlsError> for Failure {
    fn from(error: openrtmp_core::TlsError) -> Failure {
        match error {
            openrtmp_core::TlsError::NotSpoken => Failure::state(error.to_string()),
            error => Failure::new(Code::Io, error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Code;

    const HEADER: &str = include_str!("../../../include/openrtmp.h");

    #[test]
    fn codes_are_those_of_the_header() {
        for (name, code) in [
            ("INVALID_ARGUMENT", Code::InvalidArgument),
            ("NOT_FOUND", Code::NotFound),
            ("STATE", Code::State),
            ("CONFIG", Code::Config),
            ("LISTEN", Code::Listen),
            ("IO", Code::Io),
            ("BUSY", Code::Busy),
            ("LIMIT", Code::Limit),
            ("WOULD_BLOCK", Code::WouldBlock),
            ("PANIC", Code::Panic),
            ("GONE", Code::Gone),
            ("NEEDS_RESTART", Code::NeedsRestart),
            ("MEMORY", Code::Memory),
            ("TIMEOUT", Code::Timeout),
        ] {
            let line = format!("#define OPENRTMP_ERROR_{name} {}\n", code as i32);
            assert!(HEADER.contains(&line), "{line}");
        }
    }
}
