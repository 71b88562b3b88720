//! Frames from port to port through a SecY.
//!
//! A link has two directions: protect, from the plain port to the line, and verify, back. Each is a [`Task`]
//! that owns a receive queue, a transmit queue and one half of the SecY. A [`Worker`] is a thread on a core of
//! its own that runs its tasks to completion, burst by burst: receive, protect or verify, transmit. Workers
//! share nothing with each other.
//!
//! Ports are anything that receives and transmits bursts ([`FrameRx`], [`FrameTx`]): DPDK queues, memory,
//! capture files. EAPOL frames of the line go past the SecY by a path of their own ([`control_port`]). Configuration,
//! keys and their agreement are elsewhere; commands come in and events go out over bounded lock-free rings.
#![forbid(unsafe_code)]

mod control;
mod counters;
#[cfg(feature = "dpdk")]
mod dpdk_io;
mod fan_out;
mod io;
mod line_rx;
mod memory;
mod path;
pub mod pcap;
mod sample;
mod worker;

pub use control::{ControlInlet, ControlOutlet, ControlPort, control_port};
pub use counters::PathCounters;
#[cfg(feature = "dpdk")]
pub use dpdk_io::{DpdkFrame, DpdkRx, DpdkTx, LocatedDpdkFrame};
pub use fan_out::{MAX_CRYPTO_WORKERS, bursts_on_their_way};
pub use io::{FrameRx, FrameTx, RECEIVED_AT_ONCE};
pub use memory::{MemoryRx, MemoryTx, wire, wire_of};
pub use path::{Part, Protect, Task, Verify};
pub use sample::{SampleInlet, SamplePort, sample_port};
pub use worker::{
    IdlePolicy, StartError, TaskCommand, TaskEvent, TaskId, ThreadSetup, Worker, WorkerHandle, WorkerSetup,
};
