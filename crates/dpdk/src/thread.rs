//! Threads that DPDK did not start.

use std::marker::PhantomData;

use crate::eal::Eal;
use crate::reason;

/// Why a thread could not be registered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ThreadError {
    /// The thread has an lcore id already: it is the one that initialised the EAL, or holds another guard.
    #[error("this thread is known to DPDK already, as lcore {lcore}")]
    AlreadyRegistered {
        /// The id it has.
        lcore: u32,
    },
    /// DPDK has no lcore id left (it is usually built for 128), or refused.
    #[error("DPDK could not register the thread: {reason}")]
    Refused {
        /// DPDK's reason.
        reason: String,
    },
}

/// Keeps the current thread registered with DPDK: it has an lcore id, and with it a cache in every pool.
/// Dropping it gives the id back; frames left in the caches stay counted as available.
#[derive(Debug)]
pub struct ThreadGuard {
    lcore: u32,
    _eal: Eal,
    /// The id lives in thread-local storage, so the guard must be dropped where it was made.
    _not_send: PhantomData<*const ()>,
}

impl ThreadGuard {
    pub(crate) fn register(eal: &Eal) -> Result<Self, ThreadError> {
        // SAFETY: reads a thread-local integer; always callable.
        let lcore = unsafe { dpdk_sys::rte_lcore_id() };
        // DPDK itself would hand out a second id and lose the first.
        if lcore != dpdk_sys::DPDK_SYS_LCORE_ID_ANY {
            return Err(ThreadError::AlreadyRegistered { lcore });
        }
        // SAFETY: the EAL is initialised, as `eal` exists, and this thread has no lcore id yet.
        if unsafe { dpdk_sys::rte_thread_register() } != 0 {
            return Err(ThreadError::Refused { reason: reason::describe(reason::last_errno()) });
        }
        // SAFETY: as above.
        let lcore = unsafe { dpdk_sys::rte_lcore_id() };
        Ok(Self { lcore, _eal: eal.clone(), _not_send: PhantomData })
    }

    /// The lcore id that this thread has while the guard lives.
    pub fn lcore(&self) -> u32 {
        self.lcore
    }
}

impl Drop for ThreadGuard {
    fn drop(&mut self) {
        // SAFETY: this is the thread that registered, as the guard is not `Send`, and the EAL is still up, as
        // `_eal` is dropped after this.
        unsafe { dpdk_sys::rte_thread_unregister() };
    }
}
