//! Where ports come from.

use datapath::{FrameRx, FrameTx, ThreadSetup};
use wire::MacAddr;

/// Reads a port's own counters by name.
pub type PortReader = Box<dyn Fn() -> Vec<(&'static str, u64)>>;

/// A port that is up.
pub struct OpenPort<R, T> {
    /// Its receive queue.
    pub rx: R,
    /// Its transmit queue.
    pub tx: T,
    /// Its address.
    pub mac: MacAddr,
    /// Octets of the largest payload it carries; `None` where nothing limits it.
    pub mtu: Option<u16>,
    /// The device's counters.
    pub counters: PortReader,
}

/// Opens the ports of a configuration: DPDK's, or memory for tests.
pub trait Ports {
    /// Receive queues.
    type Rx: FrameRx + 'static;
    /// Transmit queues.
    type Tx: FrameTx<Frame = <Self::Rx as FrameRx>::Frame> + 'static;

    /// Opens a port for frames with a payload of `mtu` octets; `None` takes the device as it is.
    ///
    /// # Errors
    /// Why not, in words that name the device and the remedy.
    fn open(&mut self, port: &config::Port, mtu: Option<u16>)
    -> anyhow::Result<OpenPort<Self::Rx, Self::Tx>>;

    /// What a worker's thread does before it touches a port.
    fn thread_setup(&self) -> Option<ThreadSetup>;
}
