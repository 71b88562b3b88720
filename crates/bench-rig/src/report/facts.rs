//! What numbers depend on: the program, and the machine as the system describes it.
//!
//! Nothing is guessed: what the system does not say is left out, or "not known" where its absence would mislead.

use crate::clock::Clock;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

const NOT_KNOWN: &str = "not known";

/// Names and values, in the order in which they are shown.
#[derive(Clone, Debug)]
pub(crate) struct Facts(Vec<(String, String)>);

impl Facts {
    /// Those of this program and this machine, now.
    pub(crate) fn new() -> Self {
        let date = humantime::format_rfc3339_seconds(SystemTime::now());
        let facts =
            Facts(Vec::new()).with("Program", format!("macsec-gw {}", crate::VERSION)).with("Date", date);
        #[cfg(feature = "dpdk")]
        let facts = facts.with("DPDK", dpdk::Eal::version().trim_start_matches("DPDK "));
        let gcm = match gcm::Backend::from_environment() {
            Ok(backend) => backend.name().to_owned(),
            Err(e) => e.to_string(),
        };
        let clock = Clock::new().cycles(1.0).map(|ghz| format!("{ghz:.3} GHz"));
        facts
            .with("AES-GCM back end", gcm)
            .or_left_out("Time stamp counter", clock)
            .of_machine(Path::new("/"))
    }

    /// One more.
    pub(crate) fn with(mut self, name: &str, value: impl Display) -> Self {
        self.0.push((name.to_owned(), value.to_string()));
        self
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    fn or_left_out(self, name: &str, value: Option<impl Display>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    fn or_not_known(self, name: &str, value: Option<String>) -> Self {
        self.with(name, value.as_deref().unwrap_or(NOT_KNOWN))
    }

    /// What the files of `/proc` and `/sys` below `root` tell.
    fn of_machine(self, root: &Path) -> Self {
        let system = System(root);
        self.or_not_known("CPU", system.cpu())
            .or_left_out("Clock at most", system.clock())
            .or_left_out("Virtual machine", system.has_hypervisor().then_some("yes"))
            .or_left_out("Cores", system.cores())
            .or_left_out("Isolated cores", system.text("sys/devices/system/cpu/isolated"))
            .or_not_known(
                "Scaling governor",
                system.text("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
            )
            .or_left_out("Caches", system.caches())
            .or_left_out("Memory", system.memory())
            .or_left_out("Hugepages", system.hugepages())
            .or_left_out("Load before", system.load())
            .or_left_out("Kernel", system.text("proc/sys/kernel/osrelease").map(|k| format!("Linux {k}")))
            .with("Architecture", std::env::consts::ARCH)
    }
}

/// The root of a file system with `/proc` and `/sys`.
struct System<'a>(&'a Path);

impl System<'_> {
    /// A file's text; none where it is not there, cannot be read or says nothing.
    fn text(&self, path: &str) -> Option<String> {
        let text = fs::read_to_string(self.0.join(path)).ok()?;
        Some(text.trim().to_owned()).filter(|text| !text.is_empty())
    }

    /// Names and values of a file with `name: value` in its lines; the first of each name.
    fn values(&self, path: &str) -> BTreeMap<String, String> {
        let text = self.text(path).unwrap_or_default();
        let pairs = text.lines().rev().filter_map(|line| line.split_once(':'));
        pairs.map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned())).collect()
    }

    /// What is in a directory, by name.
    fn entries(&self, path: &str) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.0.join(path)).into_iter().flatten();
        let mut entries: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        entries.sort();
        entries
    }

    fn cpu(&self) -> Option<String> {
        self.values("proc/cpuinfo").remove("model name").filter(|name| !name.is_empty())
    }

    /// Where the system sets it.
    fn clock(&self) -> Option<String> {
        let khz: f64 = self.text("sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq")?.parse().ok()?;
        Some(format!("{:.3} GHz", khz / 1e6))
    }

    fn has_hypervisor(&self) -> bool {
        let values = self.values("proc/cpuinfo");
        values.get("flags").is_some_and(|flags| flags.split(' ').any(|flag| flag == "hypervisor"))
    }

    fn cores(&self) -> Option<String> {
        let allowed = self.values("proc/self/status").remove("Cpus_allowed_list")?;
        let all = self.text("sys/devices/system/cpu/online");
        let all = all.filter(|all| *all != allowed).map(|all| format!(" of {all}")).unwrap_or_default();
        let siblings = self.text("sys/devices/system/cpu/cpu0/topology/thread_siblings_list");
        let threads = match siblings.as_deref().map(|list| list.contains([',', '-'])) {
            Some(true) => ", several of which share a core",
            // A virtual machine cannot know.
            Some(false) if !self.has_hypervisor() => ", each a core of its own",
            _ => "",
        };
        Some(format!("{allowed}{all} allowed{threads}"))
    }

    fn caches(&self) -> Option<String> {
        let mut caches = Vec::new();
        for index in self.entries("sys/devices/system/cpu/cpu0/cache") {
            let read = |name| fs::read_to_string(index.join(name)).ok().map(|text| text.trim().to_owned());
            if let (Some(level), Some(kind), Some(size)) = (read("level"), read("type"), read("size")) {
                let kind = match kind.as_str() {
                    "Data" => " data",
                    "Instruction" => " instructions",
                    _ => "",
                };
                caches.push(format!("L{level}{kind} {}", with_unit(&size)));
            }
        }
        Some(caches.join(", ")).filter(|caches| !caches.is_empty())
    }

    fn memory(&self) -> Option<String> {
        let values = self.values("proc/meminfo");
        let mib = |name| Some(values.get(name)?.strip_suffix(" kB")?.trim().parse::<u64>().ok()? / 1024);
        let available = mib("MemAvailable").map(|free| format!(", {free} MiB available")).unwrap_or_default();
        Some(format!("{} MiB{available}", mib("MemTotal")?))
    }

    fn hugepages(&self) -> Option<String> {
        let mut sizes = Vec::new();
        let directories = self.entries("sys/kernel/mm/hugepages");
        if directories.is_empty() {
            return None;
        }
        for directory in directories {
            let name = directory.file_name()?.to_string_lossy().into_owned();
            let count = |name| fs::read_to_string(directory.join(name)).ok()?.trim().parse::<u64>().ok();
            let size = name.strip_prefix("hugepages-").and_then(|size| size.strip_suffix("kB"));
            if let (Some(size), Some(all @ 1..), Some(free)) =
                (size, count("nr_hugepages"), count("free_hugepages"))
            {
                sizes.push(format!("{all} of {}, {free} of them free", with_unit(&format!("{size}K"))));
            }
        }
        Some(if sizes.is_empty() { "none".to_owned() } else { sizes.join("; ") })
    }

    fn load(&self) -> Option<String> {
        let text = self.text("proc/loadavg")?;
        Some(format!("{} over a minute", text.split(' ').next()?))
    }
}

/// `"2048K"` as `"2 MiB"`.
fn with_unit(size: &str) -> String {
    match size.strip_suffix('K').and_then(|kib| kib.parse::<u64>().ok()) {
        Some(kib) if kib >= 1 << 20 && kib % (1 << 20) == 0 => format!("{} GiB", kib >> 20),
        Some(kib) if kib >= 1 << 10 && kib % (1 << 10) == 0 => format!("{} MiB", kib >> 10),
        Some(kib) => format!("{kib} KiB"),
        None => size.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forged(files: &[(&str, &str)]) -> BTreeMap<String, String> {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        Facts(Vec::new()).of_machine(root.path()).0.into_iter().collect()
    }

    #[test]
    fn a_machine_is_described() {
        let cpu = "sys/devices/system/cpu";
        let cache = |index: u8, file: &str| format!("{cpu}/cpu0/cache/index{index}/{file}");
        let caches: Vec<(String, &str)> =
            [(0, "1", "Data", "48K\n"), (1, "1", "Instruction", "32K"), (2, "2", "Unified", "2048K")]
                .into_iter()
                .flat_map(|(i, level, kind, size)| {
                    [(cache(i, "level"), level), (cache(i, "type"), kind), (cache(i, "size"), size)]
                })
                .collect();
        let mut files: Vec<(&str, &str)> = caches.iter().map(|(path, text)| (path.as_str(), *text)).collect();
        files.extend([
            ("proc/cpuinfo", "processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\nflags\t\t: aes hypervisor\n\nprocessor\t: 1\nmodel name\t: Another\n"),
            ("proc/self/status", "Name:\tx\nCpus_allowed:\t2\nCpus_allowed_list:\t1\n"),
            ("sys/devices/system/cpu/online", "0-1\n"),
            ("sys/devices/system/cpu/isolated", "\n"),
            ("sys/devices/system/cpu/cpu0/topology/thread_siblings_list", "0,2\n"),
            ("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "performance\n"),
            ("proc/meminfo", "MemTotal:       24684000 kB\nMemFree: 1 kB\nMemAvailable:   2048 kB\n"),
            ("sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "512\n"),
            ("sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "500\n"),
            ("sys/kernel/mm/hugepages/hugepages-64kB/nr_hugepages", "0\n"),
            ("sys/kernel/mm/hugepages/hugepages-64kB/free_hugepages", "0\n"),
            ("sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages", "1\n"),
            ("sys/kernel/mm/hugepages/hugepages-1048576kB/free_hugepages", "0\n"),
            ("proc/loadavg", "0.07 0.36 0.98 1/200 4711\n"),
            ("proc/sys/kernel/osrelease", "6.1.0-test\n"),
        ]);
        let facts = forged(&files);
        for (name, value) in [
            ("CPU", "Some CPU @ 2 GHz"),
            ("Virtual machine", "yes"),
            ("Cores", "1 of 0-1 allowed, several of which share a core"),
            ("Scaling governor", "performance"),
            ("Caches", "L1 data 48 KiB, L1 instructions 32 KiB, L2 2 MiB"),
            ("Memory", "24105 MiB, 2 MiB available"),
            ("Hugepages", "1 of 1 GiB, 0 of them free; 512 of 2 MiB, 500 of them free"),
            ("Load before", "0.07 over a minute"),
            ("Kernel", "Linux 6.1.0-test"),
        ] {
            assert_eq!(facts.get(name).map(String::as_str), Some(value), "{name}");
        }
        assert_eq!(facts.get("Isolated cores"), None);
    }

    #[test]
    fn what_is_not_there_is_not_made_up() {
        let facts = forged(&[("proc/meminfo", "MemTotal: much\n"), ("proc/cpuinfo", "CPU part : 0xd0c\n")]);
        let all: Vec<_> = facts.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let expected =
            [("Architecture", std::env::consts::ARCH), ("CPU", NOT_KNOWN), ("Scaling governor", NOT_KNOWN)];
        assert_eq!(all, expected);
    }

    #[test]
    fn the_program_says_what_it_is() {
        let facts = Facts::new().with("Core", 1);
        let all: BTreeMap<_, _> = facts.iter().collect();
        assert!(all["Program"].starts_with("macsec-gw 0."), "{all:?}");
        assert!(all["Date"].ends_with('Z') && !all["AES-GCM back end"].is_empty(), "{all:?}");
        assert_eq!(
            (facts.iter().last(), all.contains_key("DPDK")),
            (Some(("Core", "1")), cfg!(feature = "dpdk"))
        );
    }
}
