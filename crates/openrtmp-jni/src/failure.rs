//! Why a call failed, and the exception that tells so: with the codes of the C library.

use std::any::Any;

use jni::Env;
use jni::errors::ErrorPolicy;
pub(crate) use openrtmp_core::ErrorCode as Code;

use crate::jvm;

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

openrtmp_core::failures_of_errors! { Failure, Failure::new }

#[cfg(feature = "tls")]
impl From<openrtmp_core::TlsError> for Failure {
    fn from(error: openrtmp_core::TlsError) -> Failure {
        Failure::new(openrtmp_core::Coded::code(&error), error.to_string())
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
            ("UNSUPPORTED", Code::Unsupported),
        ] {
            let line = format!("#define OPENRTMP_ERROR_{name} {}\n", code as i32);
            assert!(HEADER.contains(&line), "{line}");
        }
    }
}
