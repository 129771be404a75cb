//! Settings.

use std::ffi::c_char;

use openrtmp_core::{Config, Format};

use crate::boundary;
use crate::convert::{OpenrtmpStr, borrow, borrow_mut, copy_out, output, path, text};
use crate::error::Failure;
use crate::http;

/// Defaults for a desktop or server machine.
pub const OPENRTMP_PROFILE_DESKTOP: u32 = 0;
/// Defaults for a phone or tablet: one worker thread, smaller limits.
pub const OPENRTMP_PROFILE_MOBILE: u32 = 1;

/// JSON.
pub const OPENRTMP_FORMAT_JSON: u32 = 0;
/// YAML.
pub const OPENRTMP_FORMAT_YAML: u32 = 1;

/// Settings of a server. Durations are told in whole milliseconds.
pub struct OpenrtmpConfig(pub(crate) Config);

/// Makes settings with the defaults of a profile (OPENRTMP_PROFILE_*). Free them
/// with openrtmp_config_free().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openrtmp_config_new(
    profile: u32,
    out_config: *mut *mut OpenrtmpConfig,
) -> i32 {
    boundary::status(|| {
        // SAFETY: the contract of the header.
        let out = unsafe { output(out_config)? };
        let config = match profile {
            OPENRTMP_PROFILE_DESKTOP => Config::desktop(),
            OPENRTMP_PROFILE_MOBILE => Config::mobile(),
            other => return Err(Failure::argument(format!("no profile {other}"))),
        };
        out.write(Box::into_raw(Box::new(OpenrtmpConfig(config))));
        Ok(())
    })
}

/// Frees settings. A server has its own copy.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openrtmp_config_free(config: *mut OpenrtmpConfig) {
    boundary::nothing(|| {
        if !config.is_null() {
            // SAFETY: from openrtmp_config_new and not freed, the header demands.
            drop(unsafe { Box::from_raw(config) });
        }
    });
}

/// Takes over what a document (OPENRTMP_FORMAT_*) names and leaves the rest. An
/// unknown name or a value out of its range changes nothing; the message names the line,
/// the path, the value and what is expected. Durations may be texts such as "10s", sizes
/// texts such as "64KiB". null, and an empty group, leave things as they are. At most
/// 1 MiB, as every text.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openrtmp_config_load_text(
    config: *mut OpenrtmpConfig,
    document: OpenrtmpStr,
    format: u32,
) -> i32 {
    boundary::status(|| {
        // SAFETY: the contract of the header.
        let (config, document) = unsafe { (borrow_mut(config)?, text(document)?) };
        Ok(config.0.merge(document, known_format(format)?)?)
    })
}

/// The same from a file, which the message names: YAML if its name ends with .yaml or
/// .yml, otherwise JSON.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openrtmp_config_load_file(
    config: *mut OpenrtmpConfig,
    file: OpenrtmpStr,
) -> i32 {
    boundary::status(|| {
        // SAFETY: the contract of the header.
        let (config, file) = unsafe { (borrow_mut(config)?, path(file)?) };
        Ok(config.0.merge_file(&file)?)
    })
}

/// Sets one value by its dotted path, for example "limits.connections". The value
/// is JSON, or, where a text stands, that text as it is, and where a list stands,
/// its elements with commas between them: "listen" to "127.0.0.1:0". Durations and sizes
/// are as in openrtmp_config_load_text(). A value out of its range changes nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openrtmp_config_set(
    config: *mut OpenrtmpConfig,
    path: OpenrtmpStr,
    value: OpenrtmpStr,
) -> i32 {
    boundary::status(|| {
        // SAFETY: the contract of the header.
        let (config, path, value) = unsafe { (borrow_mut(config)?, text(path)?, text(value)?) };
        Ok(config.0.set(path, value)?)
    })
}

/// Writes a value, or a whole group as JSON, by its dotted path.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openrtmp_config_get(
    config: *const OpenrtmpConfig,
    path: OpenrtmpStr,
    buffer: *mut c_char,
    capacity: usize,
    out_length: *mut usize,
) -> i32 {
    boundary::status(|| {
        // SAFETY: the contract of the header.
        let (config, path) = unsafe { (borrow(config)?, text(path)?) };
        let value = config.0.get(path)?;
        // SAFETY: the contract of the header.
        unsafe { copy_out(&value, buffer, capacity, out_length) }
    })
}

/// Writes all settings as a document (OPENRTMP_FORMAT_*) that
/// openrtmp_config_load_text() takes. It holds the keys: keep it from strangers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openrtmp_config_dump(
    config: *const OpenrtmpConfig,
    format: u32,
    buffer: *mut c_char,
    capacity: usize,
    out_length: *mut usize,
) -> i32 {
    boundary::status(|| {
        // SAFETY: the contract of the header.
        let config = unsafe { borrow(config)? };
        let document = config.0.dump(known_format(format)?);
        // SAFETY: the contract of the header.
        unsafe { copy_out(&document, buffer, capacity, out_length) }
    })
}

/// Checks every value, as starting a server does. OPENRTMP_ERROR_CONFIG with path,
/// value and what is allowed in the message; OPENRTMP_ERROR_UNSUPPORTED if "http.listen"
/// names an address and this library does not deliver.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openrtmp_config_validate(config: *const OpenrtmpConfig) -> i32 {
    boundary::status(|| {
        // SAFETY: the contract of the header.
        let config = unsafe { borrow(config)? };
        config.0.validate()?;
        http::check(&config.0)
    })
}

fn known_format(format: u32) -> Result<Format, Failure> {
    match format {
        OPENRTMP_FORMAT_JSON => Ok(Format::Json),
        OPENRTMP_FORMAT_YAML => Ok(Format::Yaml),
        other => Err(Failure::argument(format!("no format {other}"))),
    }
}
