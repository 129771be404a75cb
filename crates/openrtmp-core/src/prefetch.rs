//! Asking for memory ahead of its use.

/// Bytes of a cache line, or of half of one.
const LINE: usize = 64;

/// Begins to bring the first `BYTES` of a value into the caches. It is a hint: nothing
/// waits for it, and nothing is read by it.
#[inline]
pub(crate) fn prefetch<T, const BYTES: usize>(value: &T) {
    let first = std::ptr::from_ref(value).cast::<u8>();
    for offset in (0..BYTES.min(size_of::<T>())).step_by(LINE) {
        hint(first.wrapping_add(offset));
    }
}

#[cfg(all(target_arch = "x86_64", not(miri)))]
#[allow(unsafe_code)]
#[inline]
fn hint(address: *const u8) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: the instruction reads nothing that a program can tell, and does nothing at an
    // address that is not there. All x86-64 processors have it.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) }
}

#[cfg(all(target_arch = "aarch64", not(miri)))]
#[allow(unsafe_code)]
#[inline]
fn hint(address: *const u8) {
    // SAFETY: as on x86-64; registers, flags and the stack are left alone.
    unsafe {
        std::arch::asm!(
            "prfm pldl1keep, [{address}]",
            address = in(reg) address,
            options(nostack, preserves_flags, readonly)
        );
    }
}

#[cfg(not(all(any(target_arch = "x86_64", target_arch = "aarch64"), not(miri))))]
#[inline]
fn hint(_: *const u8) {}
