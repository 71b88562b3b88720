//! Packet numbers across restarts.
//!
//! Under a static SAK a packet number must never be used twice, also not after a crash. So numbers are reserved
//! ahead: a file holds the first one that is *not* reserved, written and synced before any number below it is
//! used, and a start goes on from there. An orderly end writes the exact number back, so that only a crash
//! wastes what was reserved.
//!
//! What was received is remembered too, so that a restart neither accepts recorded frames again nor loses the
//! high half of an XPN. That may lag behind: a number too low costs at most what the lag was.

use control::KeyStore;
use keys::{KeyId, Sak, Salt};
use secy::{PnGate, RxProgress, Xpn, last_pn};
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use wire::Sci;

/// Numbers reserved at first. Wasted by a crash: a five-hundredth of the 32-bit numbers.
const FIRST_RESERVATION: u64 = 1 << 23;
/// Never fewer at a time, when a link is slow.
const LEAST: u64 = 1 << 16;
/// Never more at a time, when it is fast: 5 s at 50 million frames a second.
const MOST: u64 = 1 << 28;
/// A reservation that is half used within this time was too small.
const TOO_SOON: Duration = Duration::from_secs(2);
/// What is remembered of reception lags by so many numbers at most: far less than 2^31, from which on the high half
/// of an XPN is lost.
const RX_LAG: u64 = 1 << 26;
/// And by so much time.
const RX_LAG_TIME: Duration = Duration::from_secs(10);
/// Not more often, also where writing fails again and again.
const RX_PAUSE: Duration = Duration::from_secs(1);
/// One that lasts longer was too large.
const TOO_LATE: Duration = Duration::from_secs(60);

/// What is wrong with the state directory.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// It cannot be made, or is not writable.
    #[error("state directory {}: {reason}; packet numbers are kept there, without it nothing is sent: make it writable, or set gateway.state_dir", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// The system's reason.
        reason: io::Error,
    },
    /// A file in its place.
    #[error("state directory {}: this is no directory; name one in gateway.state_dir", path.display())]
    NotADirectory {
        /// What should be a directory.
        path: PathBuf,
    },
    /// Others could change what is in it.
    #[error("state directory {}: others than its owner can write to it, or it belongs to somebody else; run: chown root {} && chmod 700 {}", path.display(), path.display(), path.display())]
    Exposed {
        /// The directory.
        path: PathBuf,
    },
    /// The same SAK was used with another salt.
    #[error(
        "link {link:?}: its SAK was used before with another salt, so that nonces could repeat; use a new SAK, not only a new salt"
    )]
    SaltChanged {
        /// The link.
        link: String,
    },
    /// Another gateway has it.
    #[error("state directory {}: another macsec-gw uses it; stop that one, or give each its own gateway.state_dir", path.display())]
    Locked {
        /// The directory.
        path: PathBuf,
    },
    /// A file cannot be read or written.
    #[error("state file {}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        reason: io::Error,
    },
    /// A file does not hold what it should.
    #[error("state file {}: damaged, so that the next packet number is unknown; use a new SAK for this link, then delete the file", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// Two transmit SAs with the same key and nonces.
    #[error(
        "link {link:?}: another link, or another macsec-gw here, transmits with the same SAK and the same \
         nonces; use a SAK of its own"
    )]
    SameNonces {
        /// The second link.
        link: String,
    },
    /// No packet number is left.
    #[error("link {link:?}: all packet numbers of its SAK are used up; use a new SAK at both ends")]
    UsedUp {
        /// The link.
        link: String,
    },
}

/// The directory of state files, held by one process.
#[derive(Debug)]
pub struct StateDir {
    path: PathBuf,
    _lock: File,
    /// One for each SAK that transmits.
    locks: Vec<UnixListener>,
}

impl StateDir {
    /// Makes the directory if need be, and takes it.
    ///
    /// # Errors
    /// [`StateError::Directory`] and [`StateError::Locked`].
    pub fn open(path: &Path) -> Result<Self, StateError> {
        let wrong = |reason| StateError::Directory { path: path.into(), reason };
        if path.exists() && !path.is_dir() {
            return Err(StateError::NotADirectory { path: path.into() });
        }
        if !path.exists() {
            DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(wrong)?;
            sync_parent(path).map_err(wrong)?;
        }
        let meta = fs::metadata(path).map_err(wrong)?;
        let me = rustix::process::geteuid().as_raw();
        if meta.is_dir() && (meta.mode() & 0o022 != 0 || (meta.uid() != me && meta.uid() != 0)) {
            return Err(StateError::Exposed { path: path.into() });
        }
        let lock = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(path.join("lock"))
            .map_err(wrong)?;
        match lock.try_lock() {
            Ok(()) => Ok(StateDir { path: path.into(), _lock: lock, locks: Vec::new() }),
            Err(TryLockError::WouldBlock) => Err(StateError::Locked { path: path.into() }),
            Err(TryLockError::Error(reason)) => Err(wrong(reason)),
        }
    }

    /// What was received before under a key.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn recall(&self, key: &KeyUse<'_>) -> Result<RxMemory, StateError> {
        let path = self.path.join(format!("{}.rx", key.id()));
        let stored = read(&path)?;
        // With another salt these are other numbers.
        let next_pn = stored.filter(|s| s.salted == key.salted()).map(|s| s.next_pn);
        let (link, salted) = (key.link.to_owned(), key.salted());
        Ok(RxMemory { link, path, salted, stored: next_pn, since: Instant::now() })
    }

    /// Reserves the first numbers for a transmit SA that was never used below `first_pn`.
    ///
    /// Says from which number it may transmit, and up to which.
    ///
    /// # Errors
    /// [`StateError`]. Nothing may be sent then.
    pub fn reserve(&mut self, key: &KeyUse<'_>, first_pn: u64) -> Result<Reservation, StateError> {
        let link = key.link.to_owned();
        let id = key.id();
        // A name that exists once in a network namespace, also for a gateway with another directory.
        let lock = SocketAddr::from_abstract_name(format!("macsec-gw-{id}"));
        let lock = lock.and_then(|name| UnixListener::bind_addr(&name));
        let path = self.path.join(format!("{id}.pn"));
        self.locks.push(lock.map_err(|reason| match reason.kind() {
            io::ErrorKind::AddrInUse => StateError::SameNonces { link: link.clone() },
            _ => StateError::File { path: path.clone(), reason },
        })?);
        let stored = read(&path)?;
        if stored.as_ref().is_some_and(|s| s.salted != key.salted()) {
            return Err(StateError::SaltChanged { link });
        }
        if stored.is_none() {
            tracing::warn!(
                link,
                pn = first_pn,
                "first use of this SAK according to {}: if it has transmitted before, with another state directory, \
                 stop and use a new one",
                self.path.display()
            );
        }
        let first_pn = first_pn.max(stored.map_or(1, |s| s.next_pn));
        let last = last_pn(key.xpn.is_some());
        if first_pn > last {
            return Err(StateError::UsedUp { link });
        }
        let end = last + 1;
        let salted = key.salted();
        let mut reservation = Reservation {
            link,
            path,
            salted,
            first_pn,
            limit: first_pn,
            end,
            size: FIRST_RESERVATION,
            since: Instant::now(),
        };
        reservation.extend_to(first_pn.saturating_add(FIRST_RESERVATION))?;
        Ok(reservation)
    }
}

/// Which SAKs of key agreement a link has transmitted under, the latest, over restarts.
///
/// A key server gives a station that started anew a new SAK. Should one not, packet numbers would begin anew under the
/// old one. Each link has a file, and heeds those of all others: links are given other names.
#[derive(Debug)]
pub(crate) struct UsedKeys {
    path: PathBuf,
    /// In their order; none before the file was read.
    ids: Option<Vec<String>>,
}

/// SAKs that are remembered for a link.
const USED_KEYS: usize = 64;

impl StateDir {
    /// What a link with key agreement remembers.
    pub(crate) fn used_keys(&self, link: &str) -> UsedKeys {
        UsedKeys { path: self.path.join(format!("{link}.used")), ids: None }
    }
}

impl UsedKeys {
    /// Whether another link used it, or this one under another name.
    fn others_have(&self, id: &str) -> Result<bool, StateError> {
        let Some(directory) = self.path.parent() else { return Ok(false) };
        let wrong = |path: &Path, reason| StateError::File { path: path.into(), reason };
        for entry in fs::read_dir(directory).map_err(|e| wrong(directory, e))? {
            let path = entry.map_err(|e| wrong(directory, e))?.path();
            if path != self.path && path.extension().is_some_and(|extension| extension == "used") {
                let text = fs::read_to_string(&path).map_err(|e| wrong(&path, e))?;
                if text.lines().any(|line| line == id) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }
}

impl KeyStore for UsedKeys {
    fn take(&mut self, id: KeyId) -> Result<bool, String> {
        let wrong = |reason| StateError::File { path: self.path.clone(), reason }.to_string();
        let id = id.to_string();
        let mut ids = match self.ids.take() {
            Some(ids) => ids,
            None => match fs::read_to_string(&self.path) {
                Ok(text) => text.lines().filter(|l| !l.starts_with('#')).map(str::to_owned).collect(),
                Err(e) if e.kind() == io::ErrorKind::NotFound => Vec::new(),
                Err(e) => return Err(wrong(e)),
            },
        };
        let new = !ids.contains(&id) && !self.others_have(&id).map_err(|e| e.to_string())?;
        if new {
            ids.push(id);
            ids.drain(..ids.len().saturating_sub(USED_KEYS));
            let text =
                format!("# SAKs that this link has transmitted under, by digests.\n{}\n", ids.join("\n"));
            replace(&self.path, &text).map_err(wrong)?;
        }
        self.ids = Some(ids);
        Ok(new)
    }
}

/// A key and what its nonces are made of.
#[derive(Debug)]
pub struct KeyUse<'a> {
    /// The link, for messages.
    pub link: &'a str,
    /// The key.
    pub sak: &'a Sak,
    /// The channel.
    pub sci: Sci,
    /// XPN suites.
    pub xpn: Option<Xpn>,
}

impl KeyUse<'_> {
    /// Names the SAK with that part of its nonces that no packet number reaches.
    pub(crate) fn id(&self) -> KeyId {
        secy::key_id(self.sak, self.sci, self.xpn)
    }

    /// That part of the salt that packet numbers are xored into: with two of these, numbers meet.
    fn salted(&self) -> u64 {
        self.xpn.map_or(0, |Xpn { salt: Salt(s), .. }| {
            u64::from_be_bytes([s[4], s[5], s[6], s[7], s[8], s[9], s[10], s[11]])
        })
    }
}

/// Numbers reserved for one transmit SA.
#[derive(Debug)]
pub struct Reservation {
    link: String,
    path: PathBuf,
    salted: u64,
    first_pn: u64,
    limit: u64,
    /// One after the last number that exists.
    end: u64,
    size: u64,
    since: Instant,
}

impl Reservation {
    /// The first number to use.
    pub fn first_pn(&self) -> u64 {
        self.first_pn
    }

    /// The first number that is not reserved.
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// Reserves more when half of it is used, then opens the gate so far. Called every few milliseconds.
    ///
    /// # Errors
    /// [`StateError::File`]; the gate stays where it was.
    pub fn maintain(&mut self, gate: &PnGate, now: Instant) -> Result<(), StateError> {
        let next = gate.next();
        if self.limit == self.end || self.limit - next.min(self.limit) > self.size / 2 {
            return Ok(());
        }
        let lasted = now.saturating_duration_since(self.since);
        if lasted < TOO_SOON {
            self.size = (self.size * 2).min(MOST);
        } else if lasted > TOO_LATE {
            self.size = (self.size / 2).max(LEAST);
        }
        self.extend_to(next.saturating_add(self.size))?;
        self.since = now;
        gate.raise(self.limit);
        Ok(())
    }

    fn extend_to(&mut self, limit: u64) -> Result<(), StateError> {
        let limit = limit.min(self.end).max(self.limit);
        write(&self.path, &self.link, self.salted, limit)?;
        self.limit = limit;
        Ok(())
    }

    /// Gives back what was reserved and not used. To be called when nothing can be sent any more.
    ///
    /// # Errors
    /// [`StateError::File`]; what was reserved is wasted then, nothing worse.
    pub fn finish(self, gate: &PnGate) -> Result<(), StateError> {
        write(&self.path, &self.link, self.salted, gate.next())
    }
}

/// What was received under one key, over restarts.
#[derive(Debug)]
pub struct RxMemory {
    link: String,
    path: PathBuf,
    salted: u64,
    stored: Option<u64>,
    since: Instant,
}

impl RxMemory {
    /// Where an earlier SA had got to.
    pub fn next_pn(&self) -> Option<u64> {
        self.stored
    }

    /// Writes down how far the SA has got, now and then. Called every few milliseconds.
    ///
    /// # Errors
    /// [`StateError::File`].
    pub fn maintain(&mut self, progress: &RxProgress, now: Instant) -> Result<(), StateError> {
        let moved = progress.next_pn() - self.stored.unwrap_or(0).min(progress.next_pn());
        let waited = now.saturating_duration_since(self.since);
        if (moved >= RX_LAG && waited >= RX_PAUSE) || (moved > 0 && waited >= RX_LAG_TIME) {
            self.since = now;
            self.store(progress)?;
        }
        Ok(())
    }

    /// Writes down how far the SA has got.
    ///
    /// # Errors
    /// [`StateError::File`].
    pub fn store(&mut self, progress: &RxProgress) -> Result<(), StateError> {
        let next = progress.next_pn();
        // Never back, and nothing for an SA that received nothing.
        if next > self.stored.unwrap_or(1) {
            write(&self.path, &self.link, self.salted, next)?;
            self.stored = Some(next);
        }
        Ok(())
    }
}

/// What a state file holds.
struct Stored {
    next_pn: u64,
    salted: u64,
}

fn read(path: &Path) -> Result<Option<Stored>, StateError> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(reason) => return Err(StateError::File { path: path.into(), reason }),
    };
    let stored = text.parse::<toml::Table>().ok().and_then(|table| {
        let number = |key| {
            let digits = table.get(key)?.as_str()?.strip_prefix("0x")?;
            // All sixteen digits, so that a number that was cut off is no number.
            (digits.len() == 16).then(|| u64::from_str_radix(digits, 16).ok())?
        };
        Some(Stored { next_pn: number("next_pn").filter(|pn| *pn >= 1)?, salted: number("salt_low")? })
    });
    stored.map(Some).ok_or_else(|| StateError::Damaged { path: path.into() })
}

/// Makes the directory entry survive a loss of power.
fn sync_parent(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent)?.sync_all()
}

/// Replaces the file as a whole, and returns only when that will survive a loss of power.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    sync_parent(path)
}

fn write(path: &Path, link: &str, salted: u64, next_pn: u64) -> Result<(), StateError> {
    let text = format!(
        "# The first packet number that macsec-gw has not used under this key. Do not lower it.\n\
         link = {}\nnext_pn = \"0x{next_pn:016x}\"\nsalt_low = \"0x{salted:016x}\"\n",
        toml::Value::from(link)
    );
    replace(path, &text).map_err(|reason| StateError::File { path: path.into(), reason })
}

#[cfg(test)]
mod tests {
    use super::*;
    use secy::{SaParams, TxSa};
    use std::sync::Arc;
    use wire::{CipherSuite, ConfidentialityOffset, Ssci};

    /// Keys are locked across directories: each test has its own.
    fn key<'a>(sak: &'a Sak, xpn: Option<Xpn>) -> KeyUse<'a> {
        KeyUse { link: "a \"link\"", sak, sci: Sci::from_bytes([1; 8]), xpn }
    }

    fn gate(r: &Reservation, sak: &Sak) -> Arc<PnGate> {
        TxSa::new(&params(sak, r.first_pn()), r.limit()).unwrap().gate()
    }

    fn params(sak: &Sak, first_pn: u64) -> SaParams<'_> {
        let (suite, offset) = (CipherSuite::GcmAes128, ConfidentialityOffset::None);
        SaParams { suite, sak, sci: Sci::from_bytes([1; 8]), xpn: None, offset, first_pn }
    }

    #[test]
    fn keys_that_were_used_are_known_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let id = |n: u8| Sak::from_octets(&[n; 16]).unwrap().id(&[]);
        for (n, new) in [(1, true), (1, false), (2, true), (1, false)] {
            // Each time another life.
            let mut used = StateDir::open(dir.path()).unwrap().used_keys("l");
            assert_eq!(used.take(id(n)), Ok(new));
            assert_eq!(used.take(id(n)), Ok(false));
        }
        // The link has another name now.
        let mut renamed = StateDir::open(dir.path()).unwrap().used_keys("m");
        assert_eq!([2, 101].map(|n| renamed.take(id(n))), [Ok(false), Ok(true)]);
        let mut used = StateDir::open(dir.path()).unwrap().used_keys("l");
        assert_eq!(used.take(id(101)), Ok(false));
        (3..=100).for_each(|n| assert_eq!(used.take(id(n)), Ok(true)));
        let text = fs::read_to_string(dir.path().join("l.used")).unwrap();
        assert_eq!(text.lines().count(), 1 + USED_KEYS);
        assert!(!text.contains("0303030303"), "digests, not keys");
        fs::remove_file(dir.path().join("l.used")).unwrap();
        fs::create_dir(dir.path().join("l.used")).unwrap();
        let refused = used.take(id(102)).unwrap_err();
        assert!(refused.contains("l.used"), "{refused}");
    }

    #[test]
    fn a_crash_skips_what_was_reserved_and_an_end_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let sak = Sak::from_octets(&[2; 16]).unwrap();
        let reserve = |first| StateDir::open(dir.path()).unwrap().reserve(&key(&sak, None), first).unwrap();
        let r = reserve(100);
        assert_eq!((r.first_pn(), r.limit()), (100, 100 + FIRST_RESERVATION));
        drop(r);
        let r = reserve(1);
        assert_eq!(r.first_pn(), 100 + FIRST_RESERVATION, "after a crash");
        let gate = gate(&r, &sak);
        r.finish(&gate).unwrap();
        let r = reserve(1);
        assert_eq!(r.first_pn(), 100 + FIRST_RESERVATION, "after an end without a frame");
        assert_eq!(reserve(1 << 30).first_pn(), 1 << 30, "a higher number in the configuration counts");
    }

    #[test]
    fn reservations_grow_with_the_rate() {
        let dir = tempfile::tempdir().unwrap();
        let sak = Sak::from_octets(&[3; 16]).unwrap();
        let mut state = StateDir::open(dir.path()).unwrap();
        let mut r = state.reserve(&key(&sak, None), 1).unwrap();
        let file = dir.path().join(format!("{}.pn", key(&sak, None).id()));
        let gate = gate(&r, &sak);
        let start = Instant::now();
        r.maintain(&gate, start).unwrap();
        assert_eq!(r.limit(), 1 + FIRST_RESERVATION, "nothing is used yet");
        // As if all had been used at once, and again.
        r.limit = 1;
        r.maintain(&gate, start + Duration::from_millis(1)).unwrap();
        assert_eq!((r.size, r.limit()), (2 * FIRST_RESERVATION, 1 + 2 * FIRST_RESERVATION));
        assert_eq!(read(&file).unwrap().map(|s| s.next_pn), Some(r.limit()), "written before the gate opens");
        assert_eq!(gate.limit(), r.limit());
        r.limit = 1;
        r.maintain(&gate, start + Duration::from_secs(600)).unwrap();
        assert_eq!(r.size, FIRST_RESERVATION);
    }

    #[test]
    fn the_last_number_is_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let sak = Sak::from_octets(&[4; 16]).unwrap();
        let r = StateDir::open(dir.path()).unwrap().reserve(&key(&sak, None), u64::from(u32::MAX)).unwrap();
        assert_eq!(r.limit(), 1 << 32);
        drop(r);
        let used_up = StateDir::open(dir.path()).unwrap().reserve(&key(&sak, None), 1).unwrap_err();
        assert!(matches!(used_up, StateError::UsedUp { .. }), "{used_up}");
        // The same key with other nonces has its own numbers.
        let xpn = Some(Xpn { ssci: Ssci(1), salt: Salt([0; 12]) });
        let r = StateDir::open(dir.path()).unwrap().reserve(&key(&sak, xpn), u64::MAX - 1).unwrap();
        assert_eq!(r.limit(), u64::MAX);
    }

    #[test]
    fn what_cannot_be_trusted_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let sak = Sak::from_octets(&[5; 16]).unwrap();
        let mut state = StateDir::open(dir.path()).unwrap();
        assert!(matches!(StateDir::open(dir.path()), Err(StateError::Locked { .. })));
        drop(state.reserve(&key(&sak, None), 1).unwrap());
        assert!(matches!(state.reserve(&key(&sak, None), 1), Err(StateError::SameNonces { .. })));
        drop(state);
        let file = dir.path().join(format!("{}.pn", key(&sak, None).id()));
        for damaged in
            ["", "next_pn = 5", "next_pn = \"0x00000000008000\"", "next_pn = \"0x0000000000000000\"", "\0"]
        {
            fs::write(&file, damaged).unwrap();
            let e = StateDir::open(dir.path()).unwrap().reserve(&key(&sak, None), 1).unwrap_err();
            assert!(matches!(e, StateError::Damaged { .. }), "{damaged:?}: {e}");
        }
        let blocked = dir.path().join("lock").join("below-a-file");
        let e = StateDir::open(&blocked).unwrap_err().to_string();
        assert!(e.contains("below-a-file") && e.contains("state_dir"), "{e}");
    }

    #[test]
    fn xpn_keys_are_the_same_where_their_nonces_are() {
        let sak = Sak::from_octets(&[6; 32]).unwrap();
        let id = |ssci, first| {
            let mut salt = [0; 12];
            salt[3] = first;
            key(&sak, Some(Xpn { ssci: Ssci(ssci), salt: Salt(salt) })).id()
        };
        assert_eq!(id(1, 2), id(2, 1));
        assert_ne!(id(1, 2), id(1, 1));
    }

    #[test]
    fn a_new_salt_alone_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let sak = Sak::from_octets(&[7; 32]).unwrap();
        let salted = |last| {
            let mut salt = [3; 12];
            salt[11] = last;
            Some(Xpn { ssci: Ssci(1), salt: Salt(salt) })
        };
        let reserve =
            |last| StateDir::open(dir.path()).unwrap().reserve(&key(&sak, salted(last)), 1).map(drop);
        reserve(0).unwrap();
        assert!(matches!(reserve(1), Err(StateError::SaltChanged { .. })));
        reserve(0).unwrap();
    }

    #[test]
    fn two_directories_do_not_share_a_key() {
        let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let sak = Sak::from_octets(&[8; 16]).unwrap();
        let mut states = dirs.each_ref().map(|d| StateDir::open(d.path()).unwrap());
        drop(states[0].reserve(&key(&sak, None), 1).unwrap());
        let second = states[1].reserve(&key(&sak, None), 1);
        assert!(matches!(second, Err(StateError::SameNonces { .. })));
        let [first, mut second] = states;
        drop(first);
        drop(second.reserve(&key(&sak, None), 1).unwrap());
    }

    #[test]
    fn a_directory_that_others_can_write_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let open_to = |mode| {
            fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
            StateDir::open(dir.path()).map(drop)
        };
        assert!(matches!(open_to(0o770), Err(StateError::Exposed { .. })));
        assert!(matches!(open_to(0o702), Err(StateError::Exposed { .. })));
        open_to(0o755).unwrap();
    }

    #[test]
    fn reception_is_remembered_and_never_goes_back() {
        let dir = tempfile::tempdir().unwrap();
        let sak = Sak::from_octets(&[10; 16]).unwrap();
        let state = StateDir::open(dir.path()).unwrap();
        let key = key(&sak, None);
        let at = |pn| secy::RxSa::new(&params(&sak, pn)).unwrap().progress();
        let mut memory = state.recall(&key).unwrap();
        assert_eq!(memory.next_pn(), None);
        memory.store(&at(1)).unwrap();
        assert_eq!(state.recall(&key).unwrap().next_pn(), None, "nothing was received");
        memory.maintain(&at(50), Instant::now()).unwrap();
        assert_eq!(state.recall(&key).unwrap().next_pn(), None, "not every number is worth a write");
        memory.maintain(&at(50), Instant::now() + RX_LAG_TIME).unwrap();
        assert_eq!(state.recall(&key).unwrap().next_pn(), Some(50));
        memory.maintain(&at(50 + RX_LAG), Instant::now() + RX_LAG_TIME + 2 * RX_PAUSE).unwrap();
        memory.store(&at(7)).unwrap();
        assert_eq!(state.recall(&key).unwrap().next_pn(), Some(50 + RX_LAG));
    }
}
