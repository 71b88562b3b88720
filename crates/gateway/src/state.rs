//! Packet numbers across restarts.
//!
//! Under a static SAK a packet number must never be used twice, also not after a crash. So numbers are reserved
//! ahead: a file holds the first one that is *not* reserved, written and synced before any number below it is
//! used, and a start goes on from there. An orderly end writes the exact number back, so that only a crash
//! wastes what was reserved.

use keys::{KeyId, Sak};
use secy::{PnGate, Xpn, last_pn};
use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
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
/// One that lasts longer was too large.
const TOO_LATE: Duration = Duration::from_secs(60);

/// What is wrong with the state directory.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// It cannot be made, or is not writable.
    #[error("state directory {}: {source}; packet numbers are kept there, without it nothing is sent: make it writable, or set gateway.state_dir", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// Another gateway has it.
    #[error("state directory {}: another macsec-gw uses it; stop that one, or give each its own gateway.state_dir", path.display())]
    Locked {
        /// The directory.
        path: PathBuf,
    },
    /// A file cannot be read or written.
    #[error("state file {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A file does not hold what it should.
    #[error("state file {}: damaged, so that the next packet number is unknown; use a new SAK for this link, then delete the file", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// Two transmit SAs with the same key and nonces.
    #[error(
        "link {link:?}: another link transmits with the same SAK and the same nonces; use a SAK of its own"
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
    reserved: BTreeSet<KeyId>,
}

impl StateDir {
    /// Makes the directory if need be, and takes it.
    ///
    /// # Errors
    /// [`StateError::Directory`] and [`StateError::Locked`].
    pub fn open(path: &Path) -> Result<Self, StateError> {
        let wrong = |source| StateError::Directory { path: path.into(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(wrong)?;
        let lock = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(path.join("lock"))
            .map_err(wrong)?;
        match lock.try_lock() {
            Ok(()) => Ok(StateDir { path: path.into(), _lock: lock, reserved: BTreeSet::new() }),
            Err(TryLockError::WouldBlock) => Err(StateError::Locked { path: path.into() }),
            Err(TryLockError::Error(source)) => Err(wrong(source)),
        }
    }

    /// Reserves the first numbers for a transmit SA that was never used below `first_pn`.
    ///
    /// Says from which number it may transmit, and up to which.
    ///
    /// # Errors
    /// [`StateError`]. Nothing may be sent then.
    pub fn reserve(&mut self, key: &TxKeyUse<'_>, first_pn: u64) -> Result<Reservation, StateError> {
        let link = key.link.to_owned();
        let id = key.id();
        if !self.reserved.insert(id) {
            return Err(StateError::SameNonces { link });
        }
        let path = self.path.join(format!("{id}.pn"));
        let first_pn = first_pn.max(read(&path)?.unwrap_or(1));
        let last = last_pn(key.xpn.is_some());
        if first_pn > last {
            return Err(StateError::UsedUp { link });
        }
        let end = last + 1;
        let mut reservation = Reservation {
            link,
            path,
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

/// A key and what its nonces are made of.
#[derive(Debug)]
pub struct TxKeyUse<'a> {
    /// The link, for messages.
    pub link: &'a str,
    /// The key.
    pub sak: &'a Sak,
    /// The transmit channel.
    pub sci: Sci,
    /// XPN suites.
    pub xpn: Option<Xpn>,
}

impl TxKeyUse<'_> {
    fn id(&self) -> KeyId {
        match self.xpn {
            None => self.sak.id(&self.sci.to_bytes()),
            Some(Xpn { ssci, salt }) => {
                // The two meet in the nonce by xor, so pairs with the same xor are the same.
                let mut base = salt.0;
                base[..4].iter_mut().zip(ssci.0.to_be_bytes()).for_each(|(s, x)| *s ^= x);
                self.sak.id(&base)
            }
        }
    }
}

/// Numbers reserved for one transmit SA.
#[derive(Debug)]
pub struct Reservation {
    link: String,
    path: PathBuf,
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
        write(&self.path, &self.link, limit)?;
        self.limit = limit;
        Ok(())
    }

    /// Gives back what was reserved and not used. To be called when nothing can be sent any more.
    ///
    /// # Errors
    /// [`StateError::File`]; what was reserved is wasted then, nothing worse.
    pub fn finish(self, gate: &PnGate) -> Result<(), StateError> {
        write(&self.path, &self.link, gate.next())
    }
}

fn read(path: &Path) -> Result<Option<u64>, StateError> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(StateError::File { path: path.into(), source }),
    };
    let next = text.parse::<toml::Table>().ok().and_then(|t| {
        let digits = t.get("next_pn")?.as_str()?.strip_prefix("0x")?.to_owned();
        // All sixteen digits, so that a number that was cut off is no number.
        (digits.len() == 16).then(|| u64::from_str_radix(&digits, 16).ok())?
    });
    next.filter(|pn| *pn >= 1).map(Some).ok_or_else(|| StateError::Damaged { path: path.into() })
}

/// Replaces the file as a whole, and returns only when that will survive a loss of power.
fn write(path: &Path, link: &str, next_pn: u64) -> Result<(), StateError> {
    let replace = || -> io::Result<()> {
        let new = path.with_extension("new");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        writeln!(
            file,
            "# The first packet number that macsec-gw has not reserved under this key. Do not lower it."
        )?;
        writeln!(file, "link = {}", toml::Value::from(link))?;
        writeln!(file, "next_pn = \"0x{next_pn:016x}\"")?;
        file.sync_all()?;
        fs::rename(&new, path)?;
        let dir = path.parent().unwrap_or(Path::new("."));
        File::open(dir)?.sync_all()
    };
    replace().map_err(|source| StateError::File { path: path.into(), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use keys::Salt;
    use secy::{SaParams, TxSa};
    use std::sync::Arc;
    use wire::{CipherSuite, Ssci};

    fn key<'a>(sak: &'a Sak, xpn: Option<Xpn>) -> TxKeyUse<'a> {
        TxKeyUse { link: "a \"link\"", sak, sci: Sci::from_bytes([1; 8]), xpn }
    }

    fn gate(r: &Reservation, sak: &Sak) -> Arc<PnGate> {
        let suite = CipherSuite::GcmAes128;
        let params = SaParams { suite, sak, sci: Sci::from_bytes([1; 8]), xpn: None, first_pn: r.first_pn() };
        TxSa::new(&params, r.limit()).unwrap().gate()
    }

    #[test]
    fn a_crash_skips_what_was_reserved_and_an_end_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let sak = Sak::from_octets(&[1; 16]).unwrap();
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
        let sak = Sak::from_octets(&[1; 16]).unwrap();
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
        assert_eq!(read(&file).unwrap(), Some(r.limit()), "written before the gate opens");
        assert_eq!(gate.limit(), r.limit());
        r.limit = 1;
        r.maintain(&gate, start + Duration::from_secs(600)).unwrap();
        assert_eq!(r.size, FIRST_RESERVATION);
    }

    #[test]
    fn the_last_number_is_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let sak = Sak::from_octets(&[1; 16]).unwrap();
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
        let sak = Sak::from_octets(&[1; 16]).unwrap();
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
        let sak = Sak::from_octets(&[1; 32]).unwrap();
        let id = |ssci, first| {
            let mut salt = [0; 12];
            salt[3] = first;
            key(&sak, Some(Xpn { ssci: Ssci(ssci), salt: Salt(salt) })).id()
        };
        assert_eq!(id(1, 2), id(2, 1));
        assert_ne!(id(1, 2), id(1, 1));
    }
}
