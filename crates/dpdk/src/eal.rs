//! The environment abstraction layer: DPDK's process-wide state.

use std::collections::BTreeSet;
use std::ffi::{CStr, CString, OsStr, c_char, c_int};
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::log::{self, LogLevel, LogSink};
use crate::port::Device;
use crate::reason;
use crate::thread::{ThreadError, ThreadGuard};

/// Memory set aside when neither hugepages nor an amount is asked for, in MiB. Pages are only taken from the
/// system as they are touched.
pub const DEFAULT_MEMORY_MIB: u32 = 512;

/// How to bring up DPDK.
#[derive(Clone, Debug)]
pub struct EalOptions {
    /// Take packet memory from the system's reserved hugepages. Without them, ordinary pages: fit for virtual
    /// devices, not for a NIC that does DMA.
    pub hugepages: bool,
    /// Memory to take at the start, in MiB. `None`: as needed from hugepages, or [`DEFAULT_MEMORY_MIB`] of
    /// ordinary pages, which cannot grow.
    pub memory_mib: Option<u32>,
    /// The CPU that the initialising thread and DPDK's own service threads run on. `None` leaves the thread's
    /// affinity alone.
    pub control_core: Option<usize>,
    /// PCI devices that DPDK may touch (`0000:3b:00.0`, device arguments allowed after a comma); no others are
    /// probed. Empty: the PCI bus is left alone altogether.
    pub allowed_pci: Vec<String>,
    /// Further EAL arguments, after ours.
    pub extra_args: Vec<String>,
    /// How much of DPDK's log gets through.
    pub log_level: LogLevel,
    /// Where DPDK's log goes; `None`: standard error.
    pub log_sink: Option<LogSink>,
}

impl Default for EalOptions {
    fn default() -> Self {
        Self {
            hugepages: true,
            memory_mib: None,
            control_core: None,
            allowed_pci: Vec::new(),
            extra_args: Vec::new(),
            log_level: LogLevel::default(),
            log_sink: None,
        }
    }
}

/// Why DPDK did not come up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EalError {
    /// DPDK can be initialised once per process, successful or not.
    #[error("DPDK was initialised in this process before; that works once only")]
    AlreadyInitialised,
    /// Not a PCI address.
    #[error("{device:?} is not a PCI address such as 0000:3b:00.0")]
    BadPciAddress {
        /// What was given.
        device: String,
    },
    /// An argument cannot be passed to C.
    #[error("EAL argument {argument:?} contains a NUL character")]
    BadArgument {
        /// The offending argument.
        argument: String,
    },
    /// The control core is not one this process may run on.
    #[error("control core {core} is not a CPU that this process may run on ({reason})")]
    BadCore {
        /// The offending CPU number.
        core: usize,
        /// The system's reason.
        reason: String,
    },
    /// Hugepages were asked for and none are free.
    #[error(
        "no free hugepages: reserve some (`sysctl vm.nr_hugepages=1024`), or write hugepages = false in [dpdk] to try virtual devices out"
    )]
    NoHugepages,
    /// `rte_eal_init` failed.
    #[error("DPDK did not initialise: {reason}")]
    Init {
        /// DPDK's reason.
        reason: String,
    },
}

/// A handle to the initialised environment. Clones are cheap; pools, ports, queues and thread guards hold one.
/// When the last goes, DPDK is cleaned up and cannot come back in this process.
#[derive(Clone)]
pub struct Eal {
    inner: Arc<Inner>,
}

struct Inner {
    allowed_pci: BTreeSet<String>,
}

static INITIALISED: AtomicBool = AtomicBool::new(false);

impl Eal {
    /// Initialises DPDK for this process, sharing no files with others: any number may run side by side.
    ///
    /// With [`EalOptions::control_core`] the calling thread is pinned to that CPU afterwards, and threads that it
    /// starts inherit this: workers must set their own affinity, and code that asks which CPUs exist (by
    /// affinity) must ask before. The calling thread is DPDK's main lcore, number 0, whatever its CPU.
    ///
    /// # Errors
    ///
    /// Any [`EalError`]. A failed attempt counts as the one initialisation of the process, unless the options
    /// were refused before DPDK saw them ([`EalError::BadPciAddress`], [`EalError::BadArgument`],
    /// [`EalError::BadCore`]).
    pub fn init(options: EalOptions) -> Result<Self, EalError> {
        let allowed_pci = allowed_addresses(&options.allowed_pci)?;
        let arguments = arguments(&options)?;
        if INITIALISED.swap(true, Ordering::AcqRel) {
            return Err(EalError::AlreadyInitialised);
        }
        let restore = match options.control_core {
            Some(core) => match pin(core) {
                Ok(restore) => Some(restore),
                Err(error) => {
                    INITIALISED.store(false, Ordering::Release);
                    return Err(error);
                }
            },
            None => None,
        };

        log::install(options.log_sink.unwrap_or(log::to_stderr));
        // DPDK keeps pointers into its arguments and may reorder the array, so both live for ever.
        let argv: &'static mut [*mut c_char] =
            Box::leak(arguments.into_iter().map(CString::into_raw).collect::<Vec<_>>().into_boxed_slice());
        let argc = c_int::try_from(argv.len()).unwrap_or(c_int::MAX);
        // SAFETY: `argv` has `argc` NUL-terminated writable strings that are never freed, and `INITIALISED`
        // makes this the only call in the process.
        let (rc, captured) = log::capture(|| unsafe { dpdk_sys::rte_eal_init(argc, argv.as_mut_ptr()) });
        let errno = reason::last_errno();
        remove_runtime_dir();
        if rc < 0 {
            if let Some(set) = restore {
                set_affinity(&set).ok();
            }
            if options.hugepages && free_hugepages_mib().unwrap_or(0) == 0 {
                return Err(EalError::NoHugepages);
            }
            let problems = captured.problems();
            let reason = if problems.is_empty() { reason::describe(errno) } else { problems };
            return Err(EalError::Init { reason });
        }
        captured.replay();
        Ok(Self { inner: Arc::new(Inner { allowed_pci }) })
    }

    /// Registers the current thread, so that its allocations and frees go through per-thread pool caches.
    ///
    /// # Errors
    ///
    /// When the thread is registered already, or DPDK has no lcore id left.
    pub fn register_thread(&self) -> Result<ThreadGuard, ThreadError> {
        ThreadGuard::register(self)
    }

    /// DPDK's version, as in `"DPDK 22.11.11"`.
    pub fn version() -> String {
        // SAFETY: returns a NUL-terminated string in static storage.
        unsafe { CStr::from_ptr(dpdk_sys::rte_version()) }.to_string_lossy().into_owned()
    }

    /// Whether `address` (full form, without arguments) was among [`EalOptions::allowed_pci`].
    pub(crate) fn allows_pci(&self, address: &str) -> bool {
        self.inner.allowed_pci.contains(address)
    }
}

impl fmt::Debug for Eal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Eal").field("allowed_pci", &self.inner.allowed_pci).finish()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // SAFETY: the EAL was initialised, and everything that uses it holds an `Eal`: pools with frames
        // outside are leaked together with theirs, so no mbuf survives into the unmapping.
        unsafe { dpdk_sys::rte_eal_cleanup() };
    }
}

/// The addresses of `devices`, arguments stripped.
fn allowed_addresses(devices: &[String]) -> Result<BTreeSet<String>, EalError> {
    devices
        .iter()
        .map(|device| match Device::parse(device) {
            Ok(Device::Pci { address, .. }) => Ok(address),
            _ => Err(EalError::BadPciAddress { device: device.clone() }),
        })
        .collect()
}

/// The EAL's command line.
fn arguments(options: &EalOptions) -> Result<Vec<CString>, EalError> {
    let mut arguments: Vec<String> = vec![
        "macsec-gw".into(),
        "--no-telemetry".into(),
        // The EAL makes a directory of this name even in memory; a name of our own can be removed again.
        format!("--file-prefix=macsec-gw-{}", std::process::id()),
        format!("--log-level={}", options.log_level.as_arg()),
    ];
    if options.log_level > LogLevel::Notice {
        // The general level only caps; each component's own level must be raised too.
        arguments.push(format!("--log-level=*:{}", options.log_level.as_arg()));
    }
    let cpus = match options.control_core {
        Some(core) => core.to_string(),
        None => affinity_list(),
    };
    // One lcore, number 0: workers are our own threads, and CPU numbers past DPDK's lcore limit work too.
    arguments.push(format!("--lcores=0@({cpus})"));
    if options.hugepages {
        arguments.push("--in-memory".into());
    } else {
        // Ordinary pages never have files; the EAL refuses to hear both.
        arguments.extend(["--no-huge".into(), "--no-shconf".into()]);
    }
    let memory = options.memory_mib.or((!options.hugepages).then_some(DEFAULT_MEMORY_MIB));
    if let Some(mib) = memory {
        arguments.extend(["-m".into(), mib.to_string()]);
    }
    if options.allowed_pci.is_empty() {
        arguments.push("--no-pci".into());
    }
    for device in &options.allowed_pci {
        arguments.extend(["-a".into(), device.clone()]);
    }
    arguments.extend(options.extra_args.iter().cloned());
    arguments
        .into_iter()
        .map(|argument| {
            CString::new(argument).map_err(|error| EalError::BadArgument {
                argument: String::from_utf8_lossy(&error.into_vec()).into_owned(),
            })
        })
        .collect()
}

fn affinity() -> Option<libc::cpu_set_t> {
    // SAFETY: a `cpu_set_t` is an array of integers, for which zero is a value.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: `set` is writable and of the size given; 0 names the calling thread.
    let rc = unsafe { libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &mut set) };
    (rc == 0).then_some(set)
}

fn set_affinity(set: &libc::cpu_set_t) -> std::io::Result<()> {
    // SAFETY: `set` is readable and of the size given; 0 names the calling thread.
    match unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), set) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}

/// The CPUs that the calling thread may run on, as `0,1,5`.
fn affinity_list() -> String {
    let Some(set) = affinity() else { return "0".into() };
    let cpus: Vec<String> = (0..libc::CPU_SETSIZE as usize)
        // SAFETY: the index is below `CPU_SETSIZE`.
        .filter(|cpu| unsafe { libc::CPU_ISSET(*cpu, &set) })
        .map(|cpu| cpu.to_string())
        .collect();
    cpus.join(",")
}

/// Pins the calling thread to `core` ahead of the EAL, and returns what its affinity was. The EAL gives its service
/// threads all CPUs of the caller that are no lcore, which would let them run on the workers' cores.
fn pin(core: usize) -> Result<libc::cpu_set_t, EalError> {
    let bad = |reason: String| EalError::BadCore { core, reason };
    if core >= libc::CPU_SETSIZE as usize {
        return Err(bad("no such CPU".into()));
    }
    let before = affinity().ok_or_else(|| bad(std::io::Error::last_os_error().to_string()))?;
    // SAFETY: a `cpu_set_t` is an array of integers, for which zero is a value.
    let mut only: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: the index is below `CPU_SETSIZE`.
    unsafe { libc::CPU_SET(core, &mut only) };
    set_affinity(&only).map_err(|error| bad(error.to_string()))?;
    Ok(before)
}

/// What the free hugepages of all sizes come to, in MiB; `None` where the kernel does not say.
pub fn free_hugepages_mib() -> Option<u64> {
    let free = |size: &Path| {
        let kib = size.file_name()?.to_str()?.strip_prefix("hugepages-")?.strip_suffix("kB")?;
        let pages = std::fs::read_to_string(size.join("free_hugepages")).ok()?;
        Some(kib.parse::<u64>().ok()? * pages.trim().parse::<u64>().ok()? / 1024)
    };
    let sizes = std::fs::read_dir("/sys/kernel/mm/hugepages").ok()?;
    Some(sizes.flatten().filter_map(|size| free(&size.path())).sum())
}

/// Removes the EAL's run-time directory, which stays empty without shared files.
fn remove_runtime_dir() {
    // SAFETY: a NUL-terminated string in static storage, empty before the EAL has read its arguments.
    let dir = unsafe { CStr::from_ptr(dpdk_sys::rte_eal_get_runtime_dir()) };
    // Not empty, or gone: nothing of ours either way.
    std::fs::remove_dir(Path::new(OsStr::from_bytes(dir.to_bytes()))).ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_to_write_to_go_without_hugepages() {
        assert!(EalError::NoHugepages.to_string().contains("write hugepages = false in [dpdk]"));
    }
}
