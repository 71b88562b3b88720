//! `[gateway]` and `[dpdk]`: what concerns the process as a whole.

use crate::fields::Fields;
use std::path::{Path, PathBuf};

/// Highest core number that a Linux CPU set of the usual size can name.
pub(crate) const MAX_CORE: u64 = 1023;

/// The control socket where nothing else was said.
pub const CONTROL_SOCKET: &str = "/run/macsec-gw.sock";

/// Octets of the longest name of a Unix socket (unix(7)).
const MAX_SOCKET_NAME: usize = 107;

/// Size of ordinary memory where hugepages are off and nothing else was said, in MiB.
const DEFAULT_MEMORY_MIB: u32 = 512;

/// What a worker does when there is nothing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Poll {
    /// Asks again at once: least delay, all of a core.
    #[default]
    Busy,
    /// Sleeps briefly: for sharing a machine.
    Adaptive,
}

/// `[gateway]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gateway {
    /// Cores that workers run on: at least one, all different.
    pub worker_cores: Vec<usize>,
    /// Core of everything that is not a worker; `None` leaves it to the system.
    pub control_core: Option<usize>,
    /// What idle workers do.
    pub poll: Poll,
    /// Where packet numbers are reserved, so that a restart does not use one again.
    pub state_dir: PathBuf,
    /// Where `macsec-gw status` asks; `None` is [`CONTROL_SOCKET`], unless another gateway has that already.
    pub control_socket: Option<PathBuf>,
}

/// `[dpdk]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dpdk {
    /// Whether memory comes from hugepages.
    pub hugepages: bool,
    /// Memory in MiB; `None` (only with hugepages) lets EAL take what it needs.
    pub memory_mib: Option<u32>,
    /// Further arguments for EAL.
    pub eal_args: Vec<String>,
}

/// Cores that have their work.
#[derive(Default)]
pub(crate) struct Cores {
    pub(crate) workers: Vec<usize>,
    /// The control core, where nothing else fits beside it.
    pub(crate) control: Option<usize>,
}

impl Gateway {
    /// Also says which cores are somebody's already, and whose.
    pub(crate) fn read(mut fields: Fields<'_>, dir: &Path) -> (Option<Gateway>, Cores) {
        let worker_cores = worker_cores(&mut fields);
        let control_core =
            fields.optional("control_core", |v| Some(v.whole(0..=MAX_CORE, "control_core = 0")? as usize));
        let poll = fields
            .or("poll", Poll::Busy, |v| v.one_of(&[("busy", Poll::Busy), ("adaptive", Poll::Adaptive)]));
        if let (Some(Some(core)), Some(Poll::Busy), Some(workers)) = (control_core, poll, &worker_cores)
            && workers.contains(&core)
        {
            let what = format!("core {core} is one of worker_cores, and a busy worker leaves it no time");
            fields.fail("control_core", what, "name another core, or write poll = \"adaptive\"");
        }
        let example = "state_dir = \"/var/lib/macsec-gw\"";
        let state_dir =
            fields.or("state_dir", PathBuf::from("/var/lib/macsec-gw"), |v| match v.text(example)? {
                text if text.is_empty() || text.contains('\0') => v.wrong("a directory", example),
                text => Some(dir.join(text)),
            });
        let example = "control_socket = \"/run/macsec-gw.sock\"";
        let control_socket = fields.optional("control_socket", |v| match v.text(example)? {
            text if text.is_empty() || text.contains('\0') => v.wrong("the name of a socket", example),
            text if dir.join(text).as_os_str().len() > MAX_SOCKET_NAME => {
                v.fail("is longer than the 107 octets that the system allows", format!("write {example}"))
            }
            text => Some(dir.join(text)),
        });
        let remedy = "remove the line";
        fields.not_yet("metrics_listen", "Prometheus metrics come in a later release", remedy);
        fields.finish();
        let cores = Cores {
            workers: worker_cores.clone().unwrap_or_default(),
            // An idle thread that sleeps leaves the control core its time.
            control: control_core.flatten().filter(|_| poll == Some(Poll::Busy)),
        };
        let gateway = || {
            Some(Gateway {
                worker_cores: worker_cores?,
                control_core: control_core?,
                poll: poll?,
                state_dir: state_dir?,
                control_socket: control_socket?,
            })
        };
        (gateway(), cores)
    }
}

fn worker_cores(fields: &mut Fields<'_>) -> Option<Vec<usize>> {
    let example = "worker_cores = [1]";
    let value = fields.required("worker_cores", &format!("{example} below [gateway]"))?;
    let mut cores = Vec::new();
    let mut fit = true;
    for item in value.list(example)? {
        match item.whole(0..=MAX_CORE, example).map(|core| core as usize) {
            Some(core) if !cores.contains(&core) => cores.push(core),
            Some(core) => {
                item.fail::<()>(format!("core {core} is named twice"), "name each core once");
                fit = false;
            }
            None => fit = false,
        }
    }
    if cores.is_empty() && fit {
        return value.fail("no core is named", format!("write {example}"));
    }
    fit.then_some(cores)
}

impl Dpdk {
    pub(crate) fn read(mut fields: Fields<'_>) -> Option<Dpdk> {
        let hugepages = fields.or("hugepages", true, |v| v.boolean("hugepages = true"));
        let memory = fields.optional("memory_mib", |v| v.whole(16..=1 << 20, "memory_mib = 512"));
        let example = "eal_args = [\"--log-level=lib.eal:info\"]";
        let eal_args = fields.or("eal_args", Vec::new(), |v| {
            let mut args = Vec::new();
            for item in v.list(example)? {
                match item.text(example)? {
                    text if text.is_empty() || text.contains('\0') => {
                        return item.wrong("an argument", example);
                    }
                    text => args.push(text.to_owned()),
                }
            }
            Some(args)
        });
        fields.finish();
        let hugepages = hugepages?;
        let memory = memory?.map(|mib| mib as u32);
        Some(Dpdk {
            hugepages,
            memory_mib: if hugepages { memory } else { memory.or(Some(DEFAULT_MEMORY_MIB)) },
            eal_args: eal_args?,
        })
    }
}
