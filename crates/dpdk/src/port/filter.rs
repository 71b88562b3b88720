//! Frames that a driver must not hand on, or must not be given. Their queues have burst functions of their own before the
//! driver's, so that other queues, and the loops of a burst, know nothing of it.

use std::ffi::c_void;
use std::mem::ManuallyDrop;
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use dpdk_sys::{rte_eth_fp_ops, rte_ethdev_qdata, rte_mbuf};

use super::Inner;
use super::queue::Ops;
use crate::mbuf::Mbuf;

/// Burst functions before those of a queue. It keeps the port open.
pub(super) struct Filter(NonNull<Content>);

struct Content {
    functions: rte_eth_fp_ops,
    /// The data of these functions, which is this, and the callbacks before them, of which there are none.
    data: *mut c_void,
    callbacks: *mut c_void,
    driver: Ops,
    port: Arc<Inner>,
}

impl Filter {
    /// # Safety
    ///
    /// `driver` are those of a queue of the port.
    pub(super) unsafe fn new(port: &Arc<Inner>, driver: Ops) -> Self {
        // SAFETY: functions that may be missing, and pointers.
        let functions: rte_eth_fp_ops = unsafe { std::mem::zeroed() };
        let (data, callbacks) = (ptr::null_mut(), ptr::null_mut());
        let content = Box::new(Content { functions, data, callbacks, driver, port: port.clone() });
        let content = NonNull::from(Box::leak(content));
        let raw = content.as_ptr();
        // SAFETY: it was just made, and nobody else has it.
        unsafe {
            (*raw).data = raw.cast();
            let queue =
                rte_ethdev_qdata { data: &raw mut (*raw).data, clbk: (&raw mut (*raw).callbacks).cast() };
            (*raw).functions.rx_pkt_burst = Some(receive);
            (*raw).functions.tx_pkt_burst = Some(transmit);
            (*raw).functions.rxq = queue;
            (*raw).functions.txq = queue;
        }
        Self(content)
    }

    /// What a queue calls. Good for as long as this is kept.
    pub(super) fn ops(&self) -> Ops {
        // SAFETY: it is there until this is dropped.
        let functions = unsafe { &raw mut (*self.0.as_ptr()).functions };
        // SAFETY: a field's address.
        let (port, slot) = unsafe { (self.0.as_ref().port.id, NonNull::new_unchecked(functions)) };
        Ops::before(port, slot)
    }
}

impl Drop for Filter {
    fn drop(&mut self) {
        // SAFETY: it was made by a box, and whoever has the functions goes with this.
        drop(unsafe { Box::from_raw(self.0.as_ptr()) });
    }
}

/// Receives, but for frames that are longer than the port's longest.
unsafe extern "C" fn receive(content: *mut c_void, slots: *mut *mut rte_mbuf, room: u16) -> u16 {
    // SAFETY: the data of this function is a filter's content; the caller vouches for the slots, which then hold so many
    // owned mbufs. Of two that are read and written, the one written is no later one.
    unsafe {
        let Content { driver, port, .. } = &*content.cast::<Content>();
        let received = driver.receive(slots, room);
        let Some(longest) = port.longest else { return received };
        let mut kept = 0;
        for i in 0..usize::from(received) {
            let frame = Mbuf::from_raw(NonNull::new_unchecked(slots.add(i).read()));
            if frame.len() <= longest as usize {
                slots.add(usize::from(kept)).write(frame.into_raw().as_ptr());
                kept += 1;
            } else {
                port.too_long.fetch_add(1, Ordering::Relaxed);
            }
        }
        kept
    }
}

/// Transmits, but for frames that the driver must not be given, which are freed when their turn comes: of those in several
/// segments it would send what lies behind the first in memory, and those that are too long it would count as sent.
unsafe extern "C" fn transmit(content: *mut c_void, slots: *mut *mut rte_mbuf, count: u16) -> u16 {
    // SAFETY: the data of this function is a filter's content; the caller vouches for the slots. Those before such a frame go
    // to the driver, and if it takes them all, the frame is ours.
    unsafe {
        let Content { driver, port, .. } = &*content.cast::<Content>();
        let frame =
            |i: u16| ManuallyDrop::new(Mbuf::from_raw(NonNull::new_unchecked(slots.add(i.into()).read())));
        let is_taken = |frame: &Mbuf| {
            (port.sends_chains || frame.is_contiguous())
                && port.sends.is_none_or(|sends| sends.takes(frame.len(), frame.data()))
        };
        let mut taken = 0;
        loop {
            let other = (taken..count).find(|i| !is_taken(&frame(*i)));
            let end = other.unwrap_or(count);
            taken += driver.transmit(slots.add(taken.into()), end - taken);
            if taken < end || other.is_none() {
                return taken;
            }
            drop(ManuallyDrop::into_inner(frame(end)));
            port.not_sent.fetch_add(1, Ordering::Relaxed);
            taken += 1;
        }
    }
}
