//! Versions.

use std::ffi::c_char;

use crate::boundary;

/// Version of the library this header came with: major * 1,000,000 + minor * 1,000
/// + patch.
pub const OPENRTMP_VERSION: u32 = 1_000;
/// Version of the binary interface. A program works with a library of the same
/// one; check openrtmp_abi_version() where the library is loaded at run time. CHANGES above
/// tells what each has brought.
pub const OPENRTMP_ABI_VERSION: u32 = 2;

/// OPENRTMP_ABI_VERSION of the library that is loaded.
#[unsafe(no_mangle)]
pub extern "C" fn openrtmp_abi_version() -> u32 {
    boundary::value(OPENRTMP_ABI_VERSION, || OPENRTMP_ABI_VERSION)
}

/// OPENRTMP_VERSION of the library that is loaded.
#[unsafe(no_mangle)]
pub extern "C" fn openrtmp_version() -> u32 {
    boundary::value(OPENRTMP_VERSION, || OPENRTMP_VERSION)
}

/// The version as text, for example "0.1.0". Static.
#[unsafe(no_mangle)]
pub extern "C" fn openrtmp_version_string() -> *const c_char {
    const TEXT: &str = concat!(env!("CARGO_PKG_VERSION"), "\0");
    boundary::value(TEXT.as_ptr().cast(), || TEXT.as_ptr().cast())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_is_the_package_version() {
        let part = |text: &str| text.parse::<u32>().unwrap();
        let number = part(env!("CARGO_PKG_VERSION_MAJOR")) * 1_000_000
            + part(env!("CARGO_PKG_VERSION_MINOR")) * 1_000
            + part(env!("CARGO_PKG_VERSION_PATCH"));
        assert_eq!(OPENRTMP_VERSION, number);
    }
}
