//! DPDK's error numbers as text.

use std::ffi::{CStr, c_int};

/// The number of the calling thread's last DPDK error.
pub(crate) fn last_errno() -> c_int {
    // SAFETY: reads a thread-local integer; always callable.
    unsafe { dpdk_sys::dpdk_sys_errno() }
}

/// Text for an error number; negative ones, as DPDK returns them, are taken by magnitude.
pub(crate) fn describe(errno: c_int) -> String {
    // SAFETY: `rte_strerror` accepts any number and returns a NUL-terminated string that lives until this
    // thread's next call to it; it is copied before that.
    unsafe { CStr::from_ptr(dpdk_sys::rte_strerror(errno.saturating_abs())) }.to_string_lossy().into_owned()
}
