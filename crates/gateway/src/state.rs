//! Packet numbers across restarts.
//!
//! Under a static SAK a packet number must never be used twice, also not after a crash. So numbers are reserved
//! ahead: a file holds the first one that is *not* reserved, written and synced before any number below it is
//! used, and a start goes on from there. An orderly end writes the exact number back, so that only a crash
//! wastes what was reserved.
//!
//! What was received is remembered too, so that a restart neither accepts recorded frames again nor loses the
//! high half of an XPN. That may lag behind: a number too low costs at most what the lag was.

use crate::sak_lock::{self, SakLock};
use crate::scribe::{Promise, Scribe};
use control::KeyStore;
use keys::{KeyId, Sak, Salt};
use secy::{PnGate, RxProgress, Xpn, last_pn};
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use wire::Sci;

/// Numbers reserved at first. Wasted by a crash: a five-hundredth of the 32-bit numbers. Tests get past them.
pub(crate) const FIRST_RESERVATION: u64 = if cfg!(test) { LEAST } else { 1 << 23 };
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
const PAUSE: Duration = Duration::from_secs(1);
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
    #[error("state directory {}: others than its owner can write to it, or it belongs to somebody else; {remedy}", path.display())]
    Exposed {
        /// The directory.
        path: PathBuf,
        /// What to run or write instead.
        remedy: String,
    },
    /// The same SAK was used with another salt.
    #[error(
        "link {link:?}: its SAK was used before with another salt, so that nonces could repeat; use a new SAK, not only a new salt"
    )]
    SaltChanged {
        /// The link.
        link: String,
    },
    /// Nobody could tell which SAKs are in use.
    #[error("directory {}: {reason}; this shows which SAKs transmit on this machine, so that none does twice: make it writable", path.display())]
    LockDirectory {
        /// The directory.
        path: PathBuf,
        /// What is wrong with it.
        reason: io::Error,
    },
    /// Another gateway has it.
    #[error("state directory {}: another macsec-gw uses it; stop that one, or give each its own gateway.state_dir", path.display())]
    Locked {
        /// The directory.
        path: PathBuf,
    },
    /// A file cannot be read or written.
    #[error("state file {}: {reason}; make it readable, and its directory writable and with room, or set gateway.state_dir and use new SAKs", path.display())]
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
    scribe: Scribe,
    _lock: File,
    /// One for each SAK that transmits.
    locks: Vec<SakLock>,
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
            let remedy = match me {
                // It is everybody's, and is to stay so.
                _ if meta.mode() & 0o1000 != 0 => "name another one in gateway.state_dir".to_owned(),
                0 => format!("run: chown root {0} && chmod 700 {0}", path.display()),
                me => format!("run: chown {me} {0} && chmod 700 {0}", path.display()),
            };
            return Err(StateError::Exposed { path: path.into(), remedy });
        }
        let lock = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(path.join("lock"))
            .map_err(wrong)?;
        match lock.try_lock() {
            Ok(()) => {
                let scribe = Scribe::start().map_err(wrong)?;
                Ok(StateDir { path: path.into(), scribe, _lock: lock, locks: Vec::new() })
            }
            Err(TryLockError::WouldBlock) => Err(StateError::Locked { path: path.into() }),
            Err(TryLockError::Error(reason)) => Err(wrong(reason)),
        }
    }

    /// Waits until all is written that was to be.
    fn settle(&self) {
        // Where the thread is gone nothing is written any more.
        let _ = self.scribe.have(|| Ok(())).wait();
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
        let (file, since) = (PnFile::new(self, key, path), Instant::now());
        Ok(RxMemory { file, stored: next_pn, since, writing: None })
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
        // Also before a gateway with another directory.
        let directory = sak_lock::directory();
        match SakLock::take(&directory, id) {
            Ok(Some(lock)) => self.locks.push(lock),
            Ok(None) => return Err(StateError::SameNonces { link }),
            Err(reason) => return Err(StateError::LockDirectory { path: directory, reason }),
        }
        let path = self.path.join(format!("{id}.pn"));
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
        let file = PnFile::new(self, key, path);
        let limit = first_pn.saturating_add(FIRST_RESERVATION).min(end);
        file.write(limit).map_err(|reason| file.wrong(reason))?;
        Ok(Reservation {
            file,
            first_pn,
            limit,
            end,
            size: FIRST_RESERVATION,
            since: Instant::now(),
            writing: None,
            pause_until: None,
        })
    }
}

impl Drop for StateDir {
    fn drop(&mut self) {
        // Before others may have the directory.
        self.settle();
    }
}

/// Which SAKs of key agreement a link has transmitted under, the latest, over restarts.
///
/// A key server gives a station that started anew a new SAK. Should one not, packet numbers would begin anew under the
/// old one. Each link has a file, and heeds those of all others: links are given other names.
#[derive(Debug)]
pub(crate) struct UsedKeys {
    path: PathBuf,
    scribe: Scribe,
    /// What is being asked.
    asked: Option<Promise<bool>>,
}

/// SAKs that are remembered for a link.
const USED_KEYS: usize = 64;

impl StateDir {
    /// What a link with key agreement remembers.
    pub(crate) fn used_keys(&self, link: &str) -> UsedKeys {
        UsedKeys { path: self.path.join(format!("{link}.used")), scribe: self.scribe.clone(), asked: None }
    }
}

impl KeyStore for UsedKeys {
    fn ask(&mut self, id: KeyId) {
        let (path, id) = (self.path.clone(), id.to_string());
        self.asked = Some(self.scribe.have(move || take(&path, &id)));
    }

    fn answer(&mut self) -> Option<Result<bool, String>> {
        let outcome = self.asked.as_ref()?.poll()?;
        self.asked = None;
        let wrong = |reason| StateError::File { path: self.path.clone(), reason }.to_string();
        Some(outcome.map_err(wrong))
    }
}

/// Notes a key in a link's file. Whether no link has noted it before.
fn take(path: &Path, id: &str) -> io::Result<bool> {
    let mut ids: Vec<String> = match fs::read_to_string(path) {
        Ok(text) => text.lines().filter(|l| !l.starts_with('#')).map(str::to_owned).collect(),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(e) => return Err(e),
    };
    if ids.iter().any(|known| known == id) || others_have(path, id)? {
        return Ok(false);
    }
    ids.push(id.to_owned());
    ids.drain(..ids.len().saturating_sub(USED_KEYS));
    let text = format!("# SAKs that this link has transmitted under, by digests.\n{}\n", ids.join("\n"));
    replace(path, &text)?;
    Ok(true)
}

/// Whether another link used it, or this one under another name.
fn others_have(own: &Path, id: &str) -> io::Result<bool> {
    let Some(directory) = own.parent() else { return Ok(false) };
    let about = |path: &Path, e: io::Error| io::Error::new(e.kind(), format!("{}: {e}", path.display()));
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path != own && path.extension().is_some_and(|extension| extension == "used") {
            let text = fs::read_to_string(&path).map_err(|e| about(&path, e))?;
            if text.lines().any(|line| line == id) {
                return Ok(true);
            }
        }
    }
    Ok(false)
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

/// The file of a key's packet numbers.
#[derive(Clone, Debug)]
struct PnFile {
    link: String,
    path: PathBuf,
    salted: u64,
    scribe: Scribe,
}

impl PnFile {
    fn new(state: &StateDir, key: &KeyUse<'_>, path: PathBuf) -> Self {
        PnFile { link: key.link.to_owned(), path, salted: key.salted(), scribe: state.scribe.clone() }
    }

    fn wrong(&self, reason: io::Error) -> StateError {
        StateError::File { path: self.path.clone(), reason }
    }

    fn write(&self, next_pn: u64) -> io::Result<()> {
        let text = format!(
            "# The first packet number that macsec-gw has not used under this key. Do not lower it.\n\
             link = {}\nnext_pn = \"0x{next_pn:016x}\"\nsalt_low = \"0x{:016x}\"\n",
            toml::Value::from(&self.link[..]),
            self.salted
        );
        replace(&self.path, &text)
    }

    /// Has it written while others go on.
    fn have_written(&self, next_pn: u64) -> Promise<()> {
        let file = self.clone();
        self.scribe.have(move || file.write(next_pn))
    }

    /// The same, but never back: another link may receive under the same key, and have got further.
    fn have_raised(&self, next_pn: u64) -> Promise<()> {
        let file = self.clone();
        self.scribe.have(move || {
            let known = read(&file.path).ok().flatten().filter(|known| known.salted == file.salted);
            if known.is_some_and(|known| known.next_pn >= next_pn) { Ok(()) } else { file.write(next_pn) }
        })
    }
}

/// Numbers reserved for one transmit SA.
#[derive(Debug)]
pub struct Reservation {
    file: PnFile,
    first_pn: u64,
    limit: u64,
    /// One after the last number that exists.
    end: u64,
    size: u64,
    since: Instant,
    /// More that is being reserved.
    writing: Option<Extension>,
    /// What could not be written is not tried again before.
    pause_until: Option<Instant>,
}

/// A reservation on its way to the disk.
#[derive(Debug)]
struct Extension {
    limit: u64,
    size: u64,
    written: Promise<()>,
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

    /// Has more reserved when half of it is used; opens the gate so far once that is on the disk. Called every few
    /// milliseconds. Says how a write went that came to its end; it is tried again where that did not do.
    ///
    /// # Errors
    /// [`StateError::File`]; the gate stays where it was.
    pub fn maintain(&mut self, gate: &PnGate, now: Instant) -> Option<Result<(), StateError>> {
        if let Some(Extension { limit, size, written }) = &self.writing {
            let outcome = written.poll()?;
            let (limit, size) = (*limit, *size);
            self.writing = None;
            if let Err(reason) = outcome {
                self.pause_until = Some(now + PAUSE);
                return Some(Err(self.file.wrong(reason)));
            }
            (self.limit, self.size, self.since) = (limit, size, now);
            gate.raise(limit);
            return Some(Ok(()));
        }
        let next = gate.next();
        let enough = self.limit == self.end || self.limit - next.min(self.limit) > self.size / 2;
        if enough || self.pause_until.is_some_and(|until| now < until) {
            return None;
        }
        let lasted = now.saturating_duration_since(self.since);
        let size = match lasted {
            _ if lasted < TOO_SOON => (self.size * 2).min(MOST),
            _ if lasted > TOO_LATE => (self.size / 2).max(LEAST),
            _ => self.size,
        };
        let limit = next.saturating_add(size).min(self.end).max(self.limit);
        self.writing = Some(Extension { limit, size, written: self.file.have_written(limit) });
        None
    }

    /// Gives back what was reserved and not used. To be called when nothing can be sent any more.
    ///
    /// # Errors
    /// [`StateError::File`]; what was reserved is wasted then, nothing worse.
    pub fn finish(self, gate: &PnGate) -> Result<(), StateError> {
        // After what is on its way.
        self.file.have_written(gate.next()).wait().map_err(|reason| self.file.wrong(reason))
    }
}

/// What was received under one key, over restarts.
#[derive(Debug)]
pub struct RxMemory {
    file: PnFile,
    stored: Option<u64>,
    since: Instant,
    /// What is being written.
    writing: Option<(u64, Promise<()>)>,
}

impl RxMemory {
    /// Where an earlier SA had got to.
    pub fn next_pn(&self) -> Option<u64> {
        self.stored
    }

    /// Has written down how far the SA has got, now and then. Called every few milliseconds. Says how a write went that came to
    /// its end; it is tried again where that did not do.
    ///
    /// # Errors
    /// [`StateError::File`].
    pub fn maintain(&mut self, progress: &RxProgress, now: Instant) -> Option<Result<(), StateError>> {
        if let Some((next, written)) = &self.writing {
            let outcome = written.poll()?;
            let next = *next;
            self.writing = None;
            if outcome.is_ok() {
                self.stored = Some(next);
            }
            return Some(outcome.map_err(|reason| self.file.wrong(reason)));
        }
        let moved = progress.next_pn().saturating_sub(self.stored.unwrap_or(1));
        let waited = now.saturating_duration_since(self.since);
        // The first soon: who has nothing takes all again.
        let due = moved >= RX_LAG || self.stored.is_none();
        if moved > 0 && ((due && waited >= PAUSE) || waited >= RX_LAG_TIME) {
            self.since = now;
            self.writing = self.news(progress).map(|next| (next, self.file.have_raised(next)));
        }
        None
    }

    /// Writes down how far the SA has got, at the end.
    ///
    /// # Errors
    /// [`StateError::File`].
    pub fn finish(mut self, progress: &RxProgress) -> Result<(), StateError> {
        if let Some((next, written)) = self.writing.take()
            && written.wait().is_ok()
        {
            self.stored = Some(next);
        }
        match self.news(progress) {
            Some(next) => self.file.have_raised(next).wait().map_err(|reason| self.file.wrong(reason)),
            None => Ok(()),
        }
    }

    /// How far it has got. Never back, and nothing for an SA that received nothing.
    fn news(&self, progress: &RxProgress) -> Option<u64> {
        Some(progress.next_pn()).filter(|next| *next > self.stored.unwrap_or(1))
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
    // Not in place of the extension: other files of the same key have their own.
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let new = Path::new(&new);
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(new)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(new, path)?;
    sync_parent(path)
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
