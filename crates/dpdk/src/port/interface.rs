//! The kernel network interface behind a virtual device, asked in the caller's network namespace (which is what
//! sysfs does not do).

use std::ffi::c_ulong;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// Whether there is an interface of that name.
pub(crate) fn exists(name: &str) -> bool {
    request(name, libc::SIOCGIFINDEX).is_ok()
}

/// The interface's MTU, in octets.
pub(crate) fn mtu(name: &str) -> io::Result<u32> {
    let reply = request(name, libc::SIOCGIFMTU)?;
    // SAFETY: SIOCGIFMTU succeeded, so the kernel filled this member.
    let mtu = unsafe { reply.ifr_ifru.ifru_mtu };
    Ok(u32::try_from(mtu).unwrap_or(0))
}

/// Whether the interface is up and has carrier.
pub(crate) fn running(name: &str) -> io::Result<bool> {
    const UP: i32 = libc::IFF_UP | libc::IFF_RUNNING;
    Ok(flags(name)? & UP == UP)
}

/// Whether the interface takes frames for other stations.
pub(crate) fn promiscuous(name: &str) -> io::Result<bool> {
    Ok(flags(name)? & libc::IFF_PROMISC != 0)
}

fn flags(name: &str) -> io::Result<i32> {
    let reply = request(name, libc::SIOCGIFFLAGS)?;
    // SAFETY: SIOCGIFFLAGS succeeded, so the kernel filled this member.
    Ok(i32::from(unsafe { reply.ifr_ifru.ifru_flags }))
}

/// Asks the kernel about interface `name`.
fn request(name: &str, code: c_ulong) -> io::Result<libc::ifreq> {
    // SAFETY: an array of integers and a union of such, for which zero is a value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    if name.is_empty() || name.len() >= request.ifr_name.len() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from.cast_signed();
    }
    // SAFETY: makes a new descriptor, or fails.
    let fd = unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor was just made and nobody else has it.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    // SAFETY: the request takes an `ifreq`, whose name is NUL-terminated as its last octet was left zero.
    match unsafe { libc::ioctl(socket.as_raw_fd(), code, &raw mut request) } {
        0 => Ok(request),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_there_and_nonsense_is_not() {
        assert!(exists("lo"));
        assert!(mtu("lo").expect("has one") >= 1500);
        assert!(!promiscuous("lo").expect("has flags"));
        for name in ["", "no-such-if0", "a-name-that-is-too-long"] {
            assert!(!exists(name), "{name}");
        }
    }
}
