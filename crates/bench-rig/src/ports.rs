//! DPDK ports for whatever measures with frames: opened by their device strings.
//!
//! Built without the feature `dpdk` there are none, and [`Ports::start`] says so.

use clap::Args;
use std::any::Any;

/// How to bring DPDK up; flattened into the command lines that take ports.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "DPDK")]
pub(crate) struct PortArgs {
    /// Ordinary memory instead of hugepages: for virtual devices, not for a NIC
    #[arg(long)]
    pub(crate) no_huge: bool,
    /// Memory to take at the start, in MiB [default: as needed from hugepages, 512 with --no-huge]
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u32).range(16..=1 << 20))]
    pub(crate) memory: Option<u32>,
    /// A further argument for DPDK's EAL, such as --eal-arg=--log-level=lib.eal:info; can be repeated
    #[arg(long = "eal-arg", value_name = "ARG", allow_hyphen_values = true)]
    pub(crate) eal_args: Vec<String>,
}

/// An open port with one queue each way.
pub(crate) struct OpenPort {
    pub(crate) rx: Rx,
    pub(crate) tx: Tx,
    pub(crate) watch: PortWatch,
}

/// Keeps a thread's preparation for DPDK as long as the thread.
pub(crate) type Registered = Box<dyn Any>;

#[cfg(feature = "dpdk")]
pub(crate) use with::{PortWatch, Ports, Rx, Tx};
#[cfg(not(feature = "dpdk"))]
pub(crate) use without::{PortWatch, Ports, Rx, Tx};

#[cfg(feature = "dpdk")]
mod with {
    use super::{OpenPort, PortArgs, Registered};
    use crate::BadUsage;
    use anyhow::{Context, Result};
    use dpdk::{
        DEFAULT_DATA_ROOM, Eal, EalError, EalOptions, HEADROOM, LogLevel, Pool, Port, PortConfig, PortError,
    };
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    /// A receive queue.
    pub(crate) type Rx = datapath::DpdkRx;
    /// A transmit queue.
    pub(crate) type Tx = datapath::DpdkTx;

    /// Frames of a receive ring: many, for a loss here would be taken for the device's.
    const RX_DESCRIPTORS: u16 = 2048;
    /// Frames of a transmit ring.
    const TX_DESCRIPTORS: u16 = 1024;
    /// Buffers of a port's pool: both rings of two ports, caches, and what is in hand.
    const BUFFERS: u32 = (1 << 13) - 1;
    /// Buffers that each thread keeps to itself.
    const POOL_CACHE: u32 = 256;
    /// Octets of a frame that MTU does not count: Ethernet header and FCS.
    const L2_OVERHEAD: usize = 14 + 4;
    /// The largest frame that every port can carry, with FCS, and what one VLAN tag adds to that.
    const USUAL_FRAME: usize = 1518;
    const VLAN_TAG: usize = 4;

    /// DPDK, up.
    pub(crate) struct Ports {
        eal: Eal,
    }

    impl Ports {
        /// Brings DPDK up for these devices.
        ///
        /// # Errors
        /// [`BadUsage`] for a PCI address that is none; what DPDK says.
        pub(crate) fn start(args: &PortArgs, devices: &[&str]) -> Result<Self> {
            let eal = Eal::init(EalOptions {
                hugepages: !args.no_huge,
                memory_mib: args.memory,
                control_core: None,
                // Only an address has colons before the first comma.
                allowed_pci: devices.iter().filter(|d| is_pci(d)).map(|&d| d.to_owned()).collect(),
                extra_args: args.eal_args.clone(),
                log_level: LogLevel::default(),
                log_sink: None,
            })
            .map_err(|e| match e {
                EalError::BadPciAddress { .. } | EalError::BadArgument { .. } => BadUsage(e.to_string()).into(),
                EalError::NoHugepages => {
                    let text = "no free hugepages: reserve some (`sysctl vm.nr_hugepages=1024`), or add --no-huge \
                                to try virtual devices out";
                    anyhow::anyhow!(text)
                }
                EalError::Init { .. } if !args.eal_args.is_empty() => {
                    anyhow::Error::new(e).context("are the --eal-arg right?")
                }
                other => other.into(),
            })?;
            Ok(Ports { eal })
        }

        /// Opens a device for frames of up to `frame_octets`, FCS and, where they are `tagged`, a VLAN tag included.
        ///
        /// # Errors
        /// Whatever is in its way, after the name of the option that asked for it.
        pub(crate) fn open(
            &self,
            option: &str,
            device: &str,
            frame_octets: usize,
            tagged: bool,
        ) -> Result<OpenPort> {
            self.try_open(device, frame_octets, tagged).map_err(|e| {
                let bad = matches!(e, PortError::BadDevice { .. });
                let size = match e {
                    PortError::MtuRefused { .. } | PortError::InterfaceMtu { .. } => {
                        format!(" (for frames of {frame_octets} octets)")
                    }
                    _ => String::new(),
                };
                let text = format!("{option}: {e}{size}");
                if bad { BadUsage(text).into() } else { anyhow::anyhow!(text) }
            })
        }

        /// Opens a virtual device that asks for no MTU, with room for frames of up to `frame_octets` in `buffers` buffers.
        ///
        /// # Errors
        /// Whatever is in its way.
        pub(crate) fn open_virtual(
            &self,
            device: &str,
            frame_octets: usize,
            buffers: u32,
        ) -> Result<OpenPort> {
            let (port, pool) = self.open_with_room(device, None, data_room(frame_octets), buffers)?;
            Ok(opened(port, pool, false)?)
        }

        fn try_open(&self, device: &str, frame_octets: usize, tagged: bool) -> Result<OpenPort, PortError> {
            let mtu = wanted_mtu(frame_octets, tagged);
            let mut found = self.open_with_room(device, mtu, data_room(frame_octets), BUFFERS);
            if let Err(PortError::DataRoomTooSmall { needed, .. }) = &found {
                // The device has its own idea of a buffer and says so only now.
                let room = u16::try_from(needed.next_multiple_of(64)).unwrap_or(u16::MAX);
                found = self.open_with_room(device, mtu, room, BUFFERS);
            }
            let (port, pool) = found?;
            opened(port, pool, is_pci(device))
        }

        fn open_with_room(
            &self,
            device: &str,
            mtu: Option<u16>,
            data_room: u16,
            buffers: u32,
        ) -> Result<(Port, Pool), PortError> {
            // Names of pools are short and differ, whatever devices are called.
            static POOLS: AtomicUsize = AtomicUsize::new(0);
            let name = device.split(',').next().unwrap_or(device);
            let number = POOLS.fetch_add(1, Relaxed);
            let name: String = format!("{number}-{name}").chars().take(25).collect();
            let pool =
                Pool::new(&self.eal, &name, buffers, POOL_CACHE, data_room, None).map_err(|reason| {
                    PortError::Setup {
                        device: device.to_owned(),
                        step: "making room for frames",
                        reason: format!("{reason}; raise --memory, or set more hugepages aside"),
                    }
                })?;
            let config = PortConfig {
                rx_descriptors: RX_DESCRIPTORS,
                tx_descriptors: TX_DESCRIPTORS,
                mtu,
                ..PortConfig::new(device)
            };
            Port::open(&self.eal, &config, &pool).map(|port| (port, pool))
        }

        /// Makes this thread known to DPDK, which gives it caches of its own. To be called on every thread that uses
        /// queues; what it returns is dropped when the thread ends.
        ///
        /// # Errors
        /// What DPDK says.
        pub(crate) fn register(&self) -> Result<Registered> {
            let guard = self.eal.register_thread().context("a thread for DPDK")?;
            Ok(Box::new(guard))
        }
    }

    /// Octets of a buffer for frames of up to so many.
    fn data_room(frame_octets: usize) -> u16 {
        let room = frame_octets.next_multiple_of(64) + usize::from(HEADROOM);
        DEFAULT_DATA_ROOM.max(u16::try_from(room).unwrap_or(u16::MAX))
    }

    /// A port with its queues taken.
    fn opened(port: Port, pool: Pool, physical: bool) -> Result<OpenPort, PortError> {
        let (Some(rx), Some(tx)) = (port.take_rx_queue(0), port.take_tx_queue(0)) else {
            return Err(PortError::Setup {
                device: port.name().to_owned(),
                step: "taking its queues",
                reason: "it has not got one each way".to_owned(),
            });
        };
        let watch = PortWatch { port, physical };
        Ok(OpenPort { rx: Rx::new(rx), tx: Tx::new(tx, pool), watch })
    }

    /// Whether a device string begins with a PCI address, right or wrong.
    fn is_pci(device: &str) -> bool {
        device.split(',').next().is_some_and(|name| name.contains(':'))
    }

    /// What is asked of a port while its queues are in use elsewhere.
    pub(crate) struct PortWatch {
        port: Port,
        physical: bool,
    }

    impl PortWatch {
        /// The line's rate in Gbit/s; virtual devices have none, whatever they say.
        pub(crate) fn gbit(&self) -> Option<f64> {
            let link = self.port.link().ok().filter(|link| self.physical && link.up)?;
            link.speed_mbps.map(|mbps| f64::from(mbps) / 1e3)
        }

        /// Whether frames can pass, as far as the device knows.
        pub(crate) fn is_up(&self) -> bool {
            self.port.link().is_ok_and(|link| link.up)
        }

        /// The device string.
        pub(crate) fn device(&self) -> &str {
            self.port.name()
        }

        /// Frames that the port itself lost on their way in.
        pub(crate) fn missed(&self) -> u64 {
            self.port.stats().map_or(0, |stats| stats.imissed.unwrap_or(0) + stats.rx_nombuf)
        }
    }

    /// Only large frames want an MTU: most devices refuse less than the usual, and virtual ones any.
    fn wanted_mtu(frame_octets: usize, tagged: bool) -> Option<u16> {
        let usual = USUAL_FRAME + if tagged { VLAN_TAG } else { 0 };
        (frame_octets > usual).then(|| u16::try_from(frame_octets - L2_OVERHEAD).unwrap_or(u16::MAX))
    }

    #[cfg(test)]
    mod tests {
        use super::{is_pci, wanted_mtu};

        #[test]
        fn what_a_usual_port_carries_asks_for_no_mtu() {
            assert_eq!(
                [64, 1518, 1519, 9018].map(|octets| wanted_mtu(octets, false)),
                [None, None, Some(1501), Some(9000)]
            );
            assert_eq!([1518, 1522, 1523].map(|octets| wanted_mtu(octets, true)), [None, None, Some(1505)]);
        }

        #[test]
        fn colons_of_arguments_make_no_address() {
            assert!(is_pci("0000:3b:00.0") && is_pci("3b:00.0,key=value") && is_pci("3b:xx"));
            assert!(!is_pci("net_null0") && !is_pci("net_pcap0,rx_pcap=a:b.pcap"));
        }
    }
}

#[cfg(not(feature = "dpdk"))]
mod without {
    use super::{OpenPort, PortArgs, Registered};
    use anyhow::{Result, bail};
    use std::convert::Infallible;

    /// A receive queue.
    pub(crate) type Rx = datapath::MemoryRx;
    /// A transmit queue.
    pub(crate) type Tx = datapath::MemoryTx;

    /// No ports: there is no value of it.
    pub(crate) struct Ports(Infallible);

    impl Ports {
        /// # Errors
        /// Always.
        pub(crate) fn start(_: &PortArgs, _: &[&str]) -> Result<Self> {
            bail!(
                "this build has no ports: it was made without the feature `dpdk`, which takes the DPDK libraries"
            )
        }

        pub(crate) fn open(&self, _: &str, _: &str, _: usize, _: bool) -> Result<OpenPort> {
            match self.0 {}
        }

        pub(crate) fn open_virtual(&self, _: &str, _: usize, _: u32) -> Result<OpenPort> {
            match self.0 {}
        }

        pub(crate) fn register(&self) -> Result<Registered> {
            match self.0 {}
        }
    }

    /// What is asked of a port, of which there is none.
    pub(crate) struct PortWatch(Infallible);

    impl PortWatch {
        pub(crate) fn gbit(&self) -> Option<f64> {
            match self.0 {}
        }

        pub(crate) fn is_up(&self) -> bool {
            match self.0 {}
        }

        pub(crate) fn device(&self) -> &str {
            match self.0 {}
        }

        pub(crate) fn missed(&self) -> u64 {
            match self.0 {}
        }
    }
}
