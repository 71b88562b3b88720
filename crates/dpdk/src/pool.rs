//! Pools of packet buffers.

use std::ffi::CString;
use std::fmt;
use std::ptr::NonNull;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use arrayvec::ArrayVec;

use crate::burst;
use crate::eal::Eal;
use crate::mbuf::Mbuf;
use crate::reason;

/// Octets in front of a received or newly allocated frame, in its first segment.
pub const HEADROOM: u16 = dpdk_sys::DPDK_SYS_PKTMBUF_HEADROOM;

/// Buffer octets per segment that fit an ordinary Ethernet frame: [`HEADROOM`] and 2048 for data.
pub const DEFAULT_DATA_ROOM: u16 = 2048 + HEADROOM;

/// Held for reading while a segment is taken from a pool that is only known through one of its mbufs, and for
/// writing while a pool that has lost its last handle is counted. See [`Inner::drop`].
static RETIRING: RwLock<()> = RwLock::new(());

/// How long a thread may take from making its last buffer countable to leaving the pool's code, a few instructions
/// in which it still writes to the pool. Nothing announces their end.
const SETTLE: Duration = Duration::from_millis(10);

/// Why a pool could not be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PoolError {
    /// Names have 1 to 25 octets, none of them NUL, and no pool of the process shares one.
    #[error("bad pool name {name:?}: {reason}")]
    BadName {
        /// The offending name.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Not a count, cache size or data room that DPDK can do.
    #[error("pool {name:?}: {count} buffers of {data_room} octets with a cache of {cache}: {reason}")]
    BadSize {
        /// The pool's name.
        name: String,
        /// Buffers asked for.
        count: u32,
        /// Cached buffers per thread asked for.
        cache: u32,
        /// Octets per buffer asked for.
        data_room: u16,
        /// What is wrong with them.
        reason: &'static str,
    },
    /// The memory is not there.
    #[error("no memory for pool {name:?}: {count} buffers of {data_room} octets ({reason})")]
    NoMemory {
        /// The pool's name.
        name: String,
        /// Buffers asked for.
        count: u32,
        /// Octets per buffer asked for.
        data_room: u16,
        /// DPDK's reason.
        reason: String,
    },
    /// DPDK refused for another reason.
    #[error("pool {name:?}: {reason}")]
    Refused {
        /// The pool's name.
        name: String,
        /// DPDK's reason.
        reason: String,
    },
}

/// A pool of packet buffers. Clones are handles to the same pool.
///
/// Threads that are registered ([`Eal::register_thread`]) allocate and free through a cache of their own, which
/// may hold back up to one and a half times its size; count on that when sizing a pool.
#[derive(Clone)]
pub struct Pool {
    inner: Arc<Inner>,
}

struct Inner {
    raw: NonNull<dpdk_sys::rte_mempool>,
    name: String,
    count: u32,
    data_room: u16,
    eal: Eal,
}

// SAFETY: mempools allow any thread to get, put and count concurrently.
unsafe impl Send for Inner {}
// SAFETY: as above.
unsafe impl Sync for Inner {}

impl Pool {
    /// Makes a pool of `count` buffers (2^n - 1 uses memory best) of `data_room` octets, headroom included, on
    /// NUMA node `socket` (`None`: any), with `cache` buffers cached per registered thread (0: none, at most
    /// 512 and two thirds of `count`).
    ///
    /// # Errors
    ///
    /// A [`PoolError`] that names the pool.
    pub fn new(
        eal: &Eal,
        name: &str,
        count: u32,
        cache: u32,
        data_room: u16,
        socket: Option<u32>,
    ) -> Result<Self, PoolError> {
        let bad_name = |reason| PoolError::BadName { name: name.to_owned(), reason };
        let bad_size = |reason| PoolError::BadSize { name: name.to_owned(), count, cache, data_room, reason };
        if name.is_empty() {
            return Err(bad_name("it is empty"));
        }
        let c_name = CString::new(name).map_err(|_| bad_name("it contains a NUL character"))?;
        if count == 0 {
            return Err(bad_size("there must be at least one buffer"));
        }
        if data_room <= HEADROOM {
            return Err(bad_size("no room for data behind the headroom"));
        }
        if cache > dpdk_sys::DPDK_SYS_MEMPOOL_CACHE_MAX_SIZE || u64::from(cache) * 3 > u64::from(count) * 2 {
            return Err(bad_size("the cache is too large"));
        }
        let socket = socket.and_then(|socket| i32::try_from(socket).ok());
        // SAFETY: the EAL is initialised, as `eal` exists, and the name is NUL-terminated; all other arguments
        // are checked by DPDK.
        let raw = unsafe {
            dpdk_sys::rte_pktmbuf_pool_create(
                c_name.as_ptr(),
                count,
                cache,
                0,
                data_room,
                socket.unwrap_or(dpdk_sys::DPDK_SYS_SOCKET_ID_ANY),
            )
        };
        match NonNull::new(raw) {
            Some(raw) => {
                let inner = Inner { raw, name: name.to_owned(), count, data_room, eal: eal.clone() };
                Ok(Self { inner: Arc::new(inner) })
            }
            None => Err(match reason::last_errno() {
                libc::EEXIST => bad_name("another pool has it"),
                libc::ENAMETOOLONG => bad_name("it is longer than 25 octets"),
                errno @ (libc::ENOMEM | libc::ENOBUFS) => PoolError::NoMemory {
                    name: name.to_owned(),
                    count,
                    data_room,
                    reason: reason::describe(errno),
                },
                errno => PoolError::Refused { name: name.to_owned(), reason: reason::describe(errno) },
            }),
        }
    }

    /// The pool's name.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// Buffers in the pool, free or not.
    pub fn capacity(&self) -> usize {
        self.inner.count as usize
    }

    /// Octets per buffer, headroom included.
    pub fn data_room(&self) -> u16 {
        self.inner.data_room
    }

    /// Free buffers, those in threads' caches included. A snapshot, and slow: it visits every cache.
    pub fn available(&self) -> usize {
        self.inner.available()
    }

    /// Buffers that are neither free nor cached. A snapshot, and slow.
    pub fn in_use(&self) -> usize {
        self.capacity().saturating_sub(self.available())
    }

    /// An empty frame of one segment with [`HEADROOM`] in front; `None` when the pool is exhausted.
    #[inline]
    pub fn alloc(&self) -> Option<Mbuf> {
        // SAFETY: the pool is alive; what it returns is reset and owned by nobody else.
        unsafe {
            NonNull::new(dpdk_sys::rte_pktmbuf_alloc(self.inner.raw.as_ptr())).map(|raw| Mbuf::from_raw(raw))
        }
    }

    /// Puts `count` empty frames behind those in `out`: all of them, or, with the pool exhausted or no room for
    /// so many, none and `false`.
    #[inline]
    pub fn alloc_bulk<T: From<Mbuf>, const N: usize>(&self, count: usize, out: &mut ArrayVec<T, N>) -> bool {
        if count > out.remaining_capacity() {
            return false;
        }
        // SAFETY: the pool is alive; on success it has written `want` mbufs that are reset and owned by nobody
        // else, and otherwise none is reported.
        let got = unsafe {
            burst::fill(out, count, |slots, want| {
                match dpdk_sys::rte_pktmbuf_alloc_bulk(self.inner.raw.as_ptr(), slots, u32::from(want)) {
                    0 => want,
                    _ => 0,
                }
            })
        };
        got == count
    }

    /// The pool as DPDK knows it.
    pub(crate) fn as_ptr(&self) -> *mut dpdk_sys::rte_mempool {
        self.inner.raw.as_ptr()
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("name", &self.inner.name)
            .field("count", &self.inner.count)
            .field("data_room", &self.inner.data_room)
            .finish()
    }
}

impl Inner {
    fn available(&self) -> usize {
        // SAFETY: the pool is alive.
        unsafe { dpdk_sys::rte_mempool_avail_count(self.raw.as_ptr()) as usize }
    }
}

impl Drop for Inner {
    /// Frees the pool if all its buffers are back, and otherwise leaks it, and the EAL with it: frames carry no
    /// reference count, so they may outlive every handle.
    ///
    /// The count cannot be too high. No handle is left to allocate through, ports hold handles, and the lock keeps
    /// [`alloc_sibling`] out, so buffers can only come back while it runs; it visits the common store first and the
    /// caches after, against the direction of a cache's overflow, so a buffer may be missed but not counted twice.
    fn drop(&mut self) {
        let guard = RETIRING.write().unwrap_or_else(PoisonError::into_inner);
        let complete = self.available() == self.count as usize;
        drop(guard);
        if !complete {
            std::mem::forget(self.eal.clone());
            return;
        }
        std::thread::sleep(SETTLE);
        // SAFETY: every buffer is in the pool and no handle is left, so nothing refers to it; whoever returned
        // the last one has left the pool's code by now.
        unsafe { dpdk_sys::rte_mempool_free(self.raw.as_ptr()) };
    }
}

/// An empty segment from `pool`; `None` when it is exhausted.
///
/// # Safety
///
/// The caller owns an mbuf of `pool`, and keeps it over the call.
pub(crate) unsafe fn alloc_sibling(
    pool: NonNull<dpdk_sys::rte_mempool>,
) -> Option<NonNull<dpdk_sys::rte_mbuf>> {
    let _guard = RETIRING.read().unwrap_or_else(PoisonError::into_inner);
    // SAFETY: a pool with a buffer outside is never freed, and the caller has one.
    NonNull::new(unsafe { dpdk_sys::rte_pktmbuf_alloc(pool.as_ptr()) })
}
