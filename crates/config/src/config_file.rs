//! The gateway's configuration as a whole.

use crate::document::{Report, Source};
use crate::error::{ConfigError, Errors};
use crate::fields::Fields;
use crate::gateway::Cores;
use crate::link::{self, LinkRead, Surroundings};
use crate::nonces::{self, Clash, Entry};
use crate::{Dpdk, Gateway, Link, Port, port};
use std::path::{Path, PathBuf};
use toml::de::DeTable;
use wire::Sci;

/// A valid configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The file it was read from, as it was named.
    pub file: PathBuf,
    /// `[gateway]`.
    pub gateway: Gateway,
    /// `[dpdk]`.
    pub dpdk: Dpdk,
    /// `[[port]]`, at least two. Links name them by index.
    pub ports: Vec<Port>,
    /// `[[link]]`, at least one.
    pub links: Vec<Link>,
}

impl Config {
    /// Reads and checks the file at `path`, and the key files it names. Names of files in it are relative to
    /// its directory.
    ///
    /// # Errors
    /// All problems that could be found.
    pub fn load(path: &Path) -> Result<Config, Errors> {
        let source = Source::read(path)?;
        let report = Report::new(&source, false);
        let config = report.parse(&source.text).and_then(|table| read(path, &report, &table));
        report.finish()?;
        config.ok_or_else(|| Report::unexplained(path))
    }

    /// Checks that no two transmitters would use the same nonces, now that `scis` are the SCIs that the links
    /// really transmit with, in their order.
    ///
    /// [`Config::load`] has checked this for the links that name their SCI. One that is derived from a MAC
    /// address is known only after the port was opened.
    ///
    /// # Errors
    /// Every SA that shares nonces with another.
    pub fn check_nonces(&self, scis: &[Sci]) -> Result<(), Errors> {
        let links: Vec<_> = self.links.iter().collect();
        let scis: Vec<_> = scis.iter().copied().map(Some).collect();
        let error = |clash: Clash| ConfigError {
            file: self.file.clone(),
            line: None,
            key: clash.key,
            what: clash.what,
            remedy: Some(clash.remedy.to_owned()),
        };
        Errors::none_in(nonces::clashes(&links, &scis).into_iter().map(error).collect())
    }
}

fn read(path: &Path, report: &Report, table: &DeTable<'_>) -> Option<Config> {
    let dir = path.parent().unwrap_or(Path::new(""));
    let empty = DeTable::new();
    let mut root = Fields::new(report, String::new(), None, table);
    let (gateway, cores) = match root.table("gateway", &empty) {
        Some(fields) => Gateway::read(fields, dir),
        None => (None, Cores::default()),
    };
    let dpdk = root.table("dpdk", &empty).and_then(Dpdk::read);
    let ports = port::read_all(&mut root);
    let around = Surroundings { ports: &ports, cores: &cores, dir };
    let links = link::read_all(&mut root, &around);
    root.finish();

    check_nonces(report, &links.iter().flatten().collect::<Vec<_>>());
    Some(Config {
        file: path.to_owned(),
        gateway: gateway?,
        dpdk: dpdk?,
        ports: ports.into_iter().map(|p| p.port).collect::<Option<_>>()?,
        links: links.into_iter().map(|l| l.map(|l| l.link)).collect::<Option<_>>()?,
    })
}

fn check_nonces(report: &Report, reads: &[&LinkRead]) {
    let links: Vec<_> = reads.iter().map(|read| &read.link).collect();
    let scis: Vec<_> = links.iter().map(|link| link.sci).collect();
    for clash in nonces::clashes(&links, &scis) {
        let at = reads.get(clash.link).and_then(|read| match clash.entry {
            Entry::Tx => read.tx_at,
            Entry::Rx(i) => read.rx_at.get(i).copied().flatten(),
        });
        report.add(at, &clash.key, clash.what, Some(clash.remedy.to_owned()));
    }
}
