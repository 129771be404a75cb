//! What comes from C, checked; what goes to C, written.

use std::ffi::c_char;
use std::mem::MaybeUninit;
use std::path::PathBuf;

use crate::error::{
    Failure, OPENRTMP_ERROR_BUFFER_TOO_SMALL, OPENRTMP_ERROR_INVALID_UTF8,
    OPENRTMP_ERROR_STRUCT_SIZE,
};

/// Text by pointer and length. In the header it is written by hand, with its helper.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct OpenrtmpStr {
    /// UTF-8, not necessarily ended by NUL.
    pub data: *const c_char,
    /// Bytes.
    pub length: usize,
}

impl OpenrtmpStr {
    /// Lends a text to C.
    pub fn new(text: &str) -> OpenrtmpStr {
        OpenrtmpStr {
            data: text.as_ptr().cast(),
            length: text.len(),
        }
    }
}

/// The thing behind a handle.
///
/// # Safety
/// `handle` is NULL or points to a live `T` that nobody changes during `'a`.
pub(crate) unsafe fn borrow<'a, T>(handle: *const T) -> Result<&'a T, Failure> {
    check(handle)?;
    // SAFETY: not NULL and aligned; the rest is the caller's promise.
    Ok(unsafe { &*handle })
}

/// The thing behind a handle, to be changed.
///
/// # Safety
/// `handle` is NULL or points to a live `T` that nobody else uses during `'a`.
pub(crate) unsafe fn borrow_mut<'a, T>(handle: *mut T) -> Result<&'a mut T, Failure> {
    check(handle)?;
    // SAFETY: not NULL and aligned; the rest is the caller's promise.
    Ok(unsafe { &mut *handle })
}

/// Where a result goes, checked before any work is done.
///
/// # Safety
/// `place` is NULL or may be written to during `'a`.
pub(crate) unsafe fn output<'a, T>(place: *mut T) -> Result<&'a mut MaybeUninit<T>, Failure> {
    check(place)?;
    // SAFETY: not NULL and aligned; MaybeUninit asks for no value to be there.
    Ok(unsafe { &mut *place.cast::<MaybeUninit<T>>() })
}

fn check<T>(pointer: *const T) -> Result<(), Failure> {
    if pointer.is_null() {
        return Err(Failure::argument("a pointer is NULL"));
    }
    if !pointer.is_aligned() {
        return Err(Failure::argument("a pointer is not aligned"));
    }
    Ok(())
}

/// A text.
///
/// # Safety
/// `text` is `{NULL, 0}` or describes bytes that nobody changes during `'a`.
pub(crate) unsafe fn text<'a>(text: OpenrtmpStr) -> Result<&'a str, Failure> {
    // SAFETY: the caller's promise.
    let bytes = unsafe { bytes(text.data.cast(), text.length, MAX_TEXT)? };
    std::str::from_utf8(bytes).map_err(|e| {
        Failure::new(
            OPENRTMP_ERROR_INVALID_UTF8,
            format!("not UTF-8 from byte {}", e.valid_up_to()),
        )
    })
}

/// Bytes of the longest text that is taken: a document of settings.
const MAX_TEXT: usize = openrtmp_core::MAX_DOCUMENT;

/// Bytes, at most so many.
///
/// # Safety
/// `data` is NULL, or points to `length` bytes that nobody changes during `'a`.
pub(crate) unsafe fn bytes<'a>(
    data: *const u8,
    length: usize,
    most: usize,
) -> Result<&'a [u8], Failure> {
    match (data.is_null(), length) {
        (_, 0) => Ok(&[]),
        (true, _) => Err(Failure::argument(
            "a pointer is NULL but its length is not 0",
        )),
        _ if length > most => Err(Failure::argument(format!(
            "a length of {length} is over {most}"
        ))),
        // SAFETY: not NULL, not longer than memory; the rest is the caller's promise.
        _ => Ok(unsafe { std::slice::from_raw_parts(data, length) }),
    }
}

/// Refuses a struct that asks for what this library does not know.
pub(crate) fn must_be_zero(reserved: u32) -> Result<(), Failure> {
    match reserved {
        0 => Ok(()),
        other => Err(Failure::argument(format!("reserved is {other}, not 0"))),
    }
}

/// A path: on Windows too it is UTF-8 on this side.
///
/// # Safety
/// As for [`text`].
pub(crate) unsafe fn path(name: OpenrtmpStr) -> Result<PathBuf, Failure> {
    // SAFETY: the caller's promise.
    let name = unsafe { text(name)? };
    if name.is_empty() {
        return Err(Failure::argument("a path is empty"));
    }
    Ok(PathBuf::from(name))
}

/// A struct that C fills, of this version, an older or a newer one.
///
/// # Safety
/// All zeroes are a `T`, as are all bytes that C may write; `T` begins with the
/// `u32` that is `struct_size` and has no padding that C would leave unwritten.
pub(crate) unsafe trait Versioned: Copy {
    /// Size of the first version.
    const FIRST: usize;
}

/// Reads a struct: what an older caller does not know is zero, and what a newer
/// one knows must be.
///
/// # Safety
/// `place` is NULL or points to as many bytes as its `struct_size` says.
pub(crate) unsafe fn versioned<T: Versioned>(place: *const T) -> Result<T, Failure> {
    check(place)?;
    // SAFETY: the struct begins with its size, and is at least that long.
    let size = unsafe { place.cast::<u32>().read() } as usize;
    let wrong = |what: &str| {
        let known = size_of::<T>();
        Failure::new(
            OPENRTMP_ERROR_STRUCT_SIZE,
            format!("struct_size is {size}, {what} (this library's is {known})"),
        )
    };
    if size < T::FIRST {
        return Err(wrong("less than its first version; use the _INIT macro"));
    }
    if size > MAX_STRUCT {
        return Err(wrong("which no version has"));
    }
    // SAFETY: that many bytes are there, the caller promises.
    let given = unsafe { std::slice::from_raw_parts(place.cast::<MaybeUninit<u8>>(), size) };
    let known = size.min(size_of::<T>());
    for byte in &given[known..] {
        // SAFETY: a caller initialises the whole struct, as the _INIT macros do.
        if unsafe { byte.assume_init() } != 0 {
            return Err(wrong("and something in it is newer than this library"));
        }
    }
    let mut value = MaybeUninit::<T>::zeroed();
    // SAFETY: both are `known` bytes long and do not overlap; zeroes and what C
    // wrote are a `T`, which the trait promises.
    unsafe {
        std::ptr::copy_nonoverlapping(
            given.as_ptr().cast(),
            value.as_mut_ptr().cast::<u8>(),
            known,
        );
        Ok(value.assume_init())
    }
}

/// No struct of this interface will ever be larger.
const MAX_STRUCT: usize = 4096;

/// Fills a struct of the caller, as much of it as its `struct_size` says, and says there
/// how much that was.
///
/// # Safety
/// `place` is NULL or points to as many writable bytes as its `struct_size` says;
/// `value` has no padding.
pub(crate) unsafe fn fill<T: Versioned>(place: *mut T, value: &T) -> Result<(), Failure> {
    // SAFETY: the caller's promise.
    let size = unsafe { fillable(place)? };
    let rest = size_of::<u32>();
    // SAFETY: `size` is at most the size of both, and more than that of struct_size.
    unsafe {
        place.cast::<u32>().write(size as u32);
        std::ptr::copy_nonoverlapping(
            std::ptr::from_ref(value).cast::<u8>().add(rest),
            place.cast::<u8>().add(rest),
            size - rest,
        );
    }
    Ok(())
}

/// Checks a struct that is to be filled, before any work is done. How many bytes
/// of it are known here.
///
/// # Safety
/// As for [`fill`].
pub(crate) unsafe fn fillable<T: Versioned>(place: *mut T) -> Result<usize, Failure> {
    check(place)?;
    // SAFETY: the struct begins with its size.
    let size = unsafe { place.cast::<u32>().read() } as usize;
    if size < T::FIRST || size > MAX_STRUCT {
        return Err(Failure::new(
            OPENRTMP_ERROR_STRUCT_SIZE,
            format!("struct_size is {size}; use the _INIT macro"),
        ));
    }
    Ok(size.min(size_of::<T>()))
}

/// Refuses a buffer that cannot be one, whatever was to be written to it.
pub(crate) fn check_buffer(buffer: *const c_char, capacity: usize) -> Result<(), Failure> {
    match buffer.is_null() && capacity != 0 {
        true => Err(Failure::argument(
            "the buffer is NULL but its capacity is not 0",
        )),
        false => Ok(()),
    }
}

/// Copies a text into the caller's buffer, see TEXT in the header.
///
/// # Safety
/// `buffer` is NULL or `capacity` bytes that may be written; `length` is NULL or
/// may be written.
pub(crate) unsafe fn copy_out(
    content: &str,
    buffer: *mut c_char,
    capacity: usize,
    length: *mut usize,
) -> Result<(), Failure> {
    check_buffer(buffer, capacity)?;
    if !length.is_null() {
        // SAFETY: not NULL; the caller's promise.
        unsafe { length.write(content.len()) };
    }
    if buffer.is_null() && !length.is_null() {
        return Ok(());
    }
    if content.len() >= capacity {
        let message = format!("{} bytes and NUL do not fit into {capacity}", content.len());
        return Err(Failure::new(OPENRTMP_ERROR_BUFFER_TOO_SMALL, message));
    }
    // SAFETY: the text and its NUL fit, which was just checked.
    unsafe {
        std::ptr::copy_nonoverlapping(content.as_ptr(), buffer.cast(), content.len());
        buffer.add(content.len()).write(0);
    }
    Ok(())
}

/// Copies bytes into the caller's buffer, as [`copy_out`] does a text, but without a NUL.
///
/// # Safety
/// As for [`copy_out`].
pub(crate) unsafe fn copy_bytes_out(
    content: &[u8],
    buffer: *mut u8,
    capacity: usize,
    length: *mut usize,
) -> Result<(), Failure> {
    check_buffer(buffer.cast(), capacity)?;
    if !length.is_null() {
        // SAFETY: not NULL; the caller's promise.
        unsafe { length.write(content.len()) };
    }
    if buffer.is_null() && !length.is_null() {
        return Ok(());
    }
    if content.len() > capacity {
        let message = format!("{} bytes do not fit into {capacity}", content.len());
        return Err(Failure::new(OPENRTMP_ERROR_BUFFER_TOO_SMALL, message));
    }
    if !content.is_empty() {
        // SAFETY: they fit, which was just checked, so the buffer is not NULL.
        unsafe { std::ptr::copy_nonoverlapping(content.as_ptr(), buffer, content.len()) };
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[repr(C)]
    #[derive(Clone, Copy, Debug, PartialEq)]
    struct Two {
        struct_size: u32,
        first: u32,
        second: u64,
    }

    // SAFETY: integers without padding.
    unsafe impl Versioned for Two {
        const FIRST: usize = 8;
    }

    fn read(bytes: &[u32]) -> Result<Two, i32> {
        #[repr(C, align(8))]
        struct Aligned([u32; 8]);
        let mut room = Aligned([0; 8]);
        room.0[..bytes.len()].copy_from_slice(bytes);
        // SAFETY: 32 bytes are there, aligned; no test says more.
        unsafe { versioned(room.0.as_ptr().cast::<Two>()) }.map_err(|f| f.code)
    }

    #[test]
    fn an_older_struct_has_zeroes_where_it_ends() {
        let two = read(&[8, 5, 77, 77]).unwrap();
        assert_eq!((two.first, two.second), (5, 0));
    }

    #[test]
    fn a_newer_struct_may_ask_for_nothing_new() {
        assert_eq!(read(&[24, 5, 6, 0, 0, 0]).unwrap().second, 6);
        assert_eq!(read(&[24, 5, 6, 0, 0, 1]), Err(OPENRTMP_ERROR_STRUCT_SIZE));
    }

    #[test]
    fn sizes_that_no_version_has_are_refused() {
        for size in [0, 4, 7, 1 << 20, u32::MAX] {
            assert_eq!(read(&[size]), Err(OPENRTMP_ERROR_STRUCT_SIZE));
        }
    }

    #[test]
    fn a_text_that_does_not_fit_only_tells_its_length() {
        let (mut buffer, mut length) = ([7 as c_char; 4], 0);
        let mut copy = |capacity| {
            // SAFETY: the buffer holds 4 bytes and no capacity given is larger.
            let result = unsafe { copy_out("abc", buffer.as_mut_ptr(), capacity, &mut length) };
            (result.map_err(|f| f.code), buffer[0], length)
        };
        assert_eq!(copy(3), (Err(OPENRTMP_ERROR_BUFFER_TOO_SMALL), 7, 3));
        assert_eq!(copy(4), (Ok(()), b'a' as c_char, 3));
    }
}
