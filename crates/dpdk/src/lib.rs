//! Safe wrappers around the part of DPDK that a packet forwarder needs: the environment (EAL), packet buffers
//! and their pools, ports and their queues.
//!
//! Nothing here knows what is in a frame. Frames are [`Mbuf`]s: owned, freed on drop, moved between queues in
//! bursts and never copied. [`RxQueue::rx_burst`] and [`TxQueue::tx_burst`] cost what the same calls cost in C.
//!
//! Lifetimes are held by reference counts at the control level only: [`Pool`], [`Port`], the queues and
//! [`ThreadGuard`] keep the [`Eal`] alive, a port keeps its receive pool, a queue keeps its port. A frame keeps
//! nothing, so that it costs no atomic operation: instead a pool that still has frames outside when its last handle
//! goes is never freed, and neither is the environment below it.
//!
//! # Without a NIC
//!
//! `net_af_packet0,iface=…` makes a port of a kernel interface, but not a transparent one: an outer 802.1ad tag comes
//! out as 802.1Q, IPv4 fragments and what senders with segmentation offload send arrive glued together, and are dropped
//! where they are too long, and what the host itself sends on the interface is received too. Give it an interface
//! that nothing else uses, with offloads off at the sender, for trying things out.

mod burst;
mod eal;
mod log;
mod mbuf;
mod pool;
mod port;
mod reason;
mod thread;

pub use eal::{DEFAULT_MEMORY_MIB, Eal, EalError, EalOptions, free_hugepages_mib};
pub use log::{LogLevel, LogSink};
pub use mbuf::{Located, Mbuf, Segments, SegmentsMut};
pub use pool::{DEFAULT_DATA_ROOM, HEADROOM, Pool, PoolError};
pub use port::{Link, MtuOutcome, Port, PortConfig, PortError, PortStats, RxQueue, TxQueue};
pub use thread::{ThreadError, ThreadGuard};
