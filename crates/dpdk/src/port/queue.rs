//! Receive and transmit queues: the calls that run for every burst.

use std::ffi::c_void;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, Ordering};

use arrayvec::ArrayVec;
use dpdk_sys::{rte_eth_fp_ops, rte_ethdev_qdata, rte_mbuf};

use super::Inner;
use super::filter::Filter;
use crate::burst;
use crate::mbuf::Mbuf;

/// Where DPDK keeps a port's burst functions. The slot is static; its contents change when the port starts or
/// stops, so they are read for each burst.
#[derive(Clone, Copy)]
pub(super) struct Ops {
    slot: NonNull<rte_eth_fp_ops>,
    port: u16,
    queue: u16,
}

impl Ops {
    /// # Safety
    ///
    /// The port is open and has that queue.
    pub(super) unsafe fn new(port: u16, queue: u16) -> Self {
        // SAFETY: open ports have numbers below the array's length.
        let slot =
            unsafe { (&raw mut dpdk_sys::rte_eth_fp_ops).cast::<rte_eth_fp_ops>().add(usize::from(port)) };
        // SAFETY: an address within a static.
        Self { slot: unsafe { NonNull::new_unchecked(slot) }, port, queue }
    }

    /// Functions that stand before those of a port, for one queue.
    pub(super) fn before(port: u16, slot: NonNull<rte_eth_fp_ops>) -> Self {
        Self { slot, port, queue: 0 }
    }

    /// The driver's own data for the queue.
    ///
    /// # Safety
    ///
    /// The port is open and has the queue; `data` is its `rxq` or `txq`.
    #[inline(always)]
    unsafe fn queue_data(self, data: &rte_ethdev_qdata) -> *mut c_void {
        // SAFETY: on an open port this array has an entry for each queue.
        unsafe { *data.data.add(usize::from(self.queue)) }
    }

    /// Functions that something else in the process, such as a packet capture, hung onto the queue.
    ///
    /// # Safety
    ///
    /// As for [`Ops::queue_data`].
    #[inline(always)]
    unsafe fn callbacks(self, data: &rte_ethdev_qdata) -> *mut c_void {
        // SAFETY: on an open port this array has an entry for each queue, read atomically as the list may be
        // added to meanwhile. Relaxed suffices: what it points to is reached through it (`rte_eth_rx_burst`).
        unsafe {
            let entry = data.clbk.cast::<*mut c_void>().add(usize::from(self.queue));
            AtomicPtr::from_ptr(entry).load(Ordering::Relaxed)
        }
    }

    /// What `rte_eth_rx_burst` does inline in C.
    ///
    /// # Safety
    ///
    /// The port is started and has the receive queue, no other call on the queue runs, and `slots` has room for
    /// `room` pointers.
    #[inline(always)]
    pub(super) unsafe fn receive(self, slots: *mut *mut rte_mbuf, room: u16) -> u16 {
        // SAFETY: while the port is started nobody writes to the slot, and its function, queue data and callbacks
        // are valid; the caller vouches for the rest.
        unsafe {
            let slot = self.slot.as_ref();
            let Some(burst) = slot.rx_pkt_burst else { return 0 };
            let received = burst(self.queue_data(&slot.rxq), slots, room);
            let callbacks = self.callbacks(&slot.rxq);
            if callbacks.is_null() {
                return received;
            }
            dpdk_sys::rte_eth_call_rx_callbacks(self.port, self.queue, slots, received, room, callbacks)
        }
    }

    /// What `rte_eth_tx_burst` does inline in C.
    ///
    /// # Safety
    ///
    /// The port is started and has the transmit queue, no other call on the queue runs, and `slots` holds `count`
    /// owned mbufs, of which as many as returned are given away.
    #[inline(always)]
    pub(super) unsafe fn transmit(self, slots: *mut *mut rte_mbuf, count: u16) -> u16 {
        // SAFETY: as for `receive`.
        unsafe {
            let slot = self.slot.as_ref();
            let Some(burst) = slot.tx_pkt_burst else { return 0 };
            let callbacks = self.callbacks(&slot.txq);
            let mut count = count;
            if !callbacks.is_null() {
                count = dpdk_sys::rte_eth_call_tx_callbacks(self.port, self.queue, slots, count, callbacks);
            }
            burst(self.queue_data(&slot.txq), slots, count)
        }
    }
}

/// A receive queue. It exists once, and keeps its port open.
pub struct RxQueue {
    ops: Ops,
    index: u16,
    port: Arc<Inner>,
    /// What `ops` are then: they are valid as long as this is kept.
    _filter: Option<Filter>,
}

/// A transmit queue. It exists once, and keeps its port open.
pub struct TxQueue {
    ops: Ops,
    index: u16,
    port: Arc<Inner>,
    /// What `ops` are then: they are valid as long as this is kept.
    _filter: Option<Filter>,
}

// SAFETY: a queue may be used from any one thread at a time, and `&mut self` sees to that.
unsafe impl Send for RxQueue {}
// SAFETY: as for `RxQueue`.
unsafe impl Send for TxQueue {}

impl RxQueue {
    /// # Safety
    ///
    /// The port has this receive queue, and no other handle to it was or will be made.
    pub(super) unsafe fn new(port: Arc<Inner>, queue: u16) -> Self {
        // SAFETY: the caller vouches for the queue, and holding the port keeps it open.
        let ops = unsafe { Ops::new(port.id, queue) };
        // SAFETY: as above, and the filter is kept beside the port.
        let filter = port.longest.is_some().then(|| unsafe { Filter::new(&port, ops) });
        Self { ops: filter.as_ref().map_or(ops, Filter::ops), index: queue, port, _filter: filter }
    }

    /// The queue's number within its port.
    pub fn index(&self) -> u16 {
        self.index
    }

    /// The device string of the queue's port.
    pub fn device(&self) -> &str {
        &self.port.device
    }

    /// Receives frames into the free room of `out`, behind what is there, without waiting. Returns how many.
    #[inline]
    pub fn rx_burst<T: From<Mbuf>, const N: usize>(&mut self, out: &mut ArrayVec<T, N>) -> usize {
        self.rx_burst_up_to(N, out)
    }

    /// The same of so many frames at most.
    #[inline]
    pub fn rx_burst_up_to<T: From<Mbuf>, const N: usize>(
        &mut self,
        most: usize,
        out: &mut ArrayVec<T, N>,
    ) -> usize {
        let room = out.remaining_capacity().min(most);
        // SAFETY: holding the port keeps it started, and `&mut self` makes this the only call on the queue;
        // `receive` fills as many slots as it says with mbufs that the driver is done with.
        unsafe { burst::fill(out, room, |slots, room| self.ops.receive(slots, room)) }
    }
}

impl TxQueue {
    /// # Safety
    ///
    /// The port has this transmit queue, and no other handle to it was or will be made.
    pub(super) unsafe fn new(port: Arc<Inner>, queue: u16) -> Self {
        // SAFETY: the caller vouches for the queue, and holding the port keeps it open.
        let ops = unsafe { Ops::new(port.id, queue) };
        // SAFETY: as above, and the filter is kept beside the port.
        let filter = (!port.sends_chains || port.sends.is_some()).then(|| unsafe { Filter::new(&port, ops) });
        Self { ops: filter.as_ref().map_or(ops, Filter::ops), index: queue, port, _filter: filter }
    }

    /// The queue's number within its port.
    pub fn index(&self) -> u16 {
        self.index
    }

    /// The device string of the queue's port.
    pub fn device(&self) -> &str {
        &self.port.device
    }

    /// Hands frames to the device, from the first, without waiting. Those it took are gone from `frames`, the
    /// others stay in order. Returns how many it took; taken is not yet sent. Frames in several segments are dropped
    /// where the device takes one alone, and on `net_af_packet` those that are longer than the interface sends: they count
    /// as taken, and as [`oerrors`](super::PortStats::oerrors).
    #[inline]
    pub fn tx_burst<T: From<Mbuf> + Into<Mbuf>, const N: usize>(
        &mut self,
        frames: &mut ArrayVec<T, N>,
    ) -> usize {
        // SAFETY: holding the port keeps it started, and `&mut self` makes this the only call on the queue;
        // `transmit` takes as many mbufs as it says, and leaves the others alone.
        unsafe { burst::drain(frames, |slots, count| self.ops.transmit(slots, count)) }
    }
}
