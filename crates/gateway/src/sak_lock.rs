//! Which SAKs transmit on this machine: none does twice at a time, whatever state directories gateways have.

use keys::KeyId;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// A SAK that is this process's, with what its nonces are made of beside numbers, until this goes.
#[derive(Debug)]
pub(crate) struct SakLock {
    _file: File,
    path: PathBuf,
}

impl SakLock {
    /// Takes it; none where somebody else has it.
    ///
    /// # Errors
    /// The system's, and where others could write to the directory.
    pub(crate) fn take(directory: &Path, id: KeyId) -> io::Result<Option<Self>> {
        let path = directory.join(format!("{id}.lock"));
        loop {
            make(directory)?;
            let file = match OpenOptions::new().create(true).append(true).mode(0o600).open(&path) {
                Ok(file) => file,
                // The same, a moment later.
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                Err(e) => return Err(e),
            };
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(reason)) => return Err(reason),
            }
            // Whoever had it may have removed the file meanwhile, and the next one have made another.
            let identity = |meta: fs::Metadata| (meta.dev(), meta.ino());
            if fs::metadata(&path).ok().map(identity) == file.metadata().ok().map(identity) {
                return Ok(Some(SakLock { _file: file, path }));
            }
        }
    }
}

impl Drop for SakLock {
    fn drop(&mut self) {
        // As long as it is locked it is this one's to remove.
        let _ = fs::remove_file(&self.path);
        // Fails where others have files there.
        let _ = self.path.parent().map(fs::remove_dir);
    }
}

/// Where such files are. Network namespaces share it, where a machine has several.
pub(crate) fn directory() -> PathBuf {
    let me = rustix::process::geteuid();
    if me.is_root() {
        return PathBuf::from("/run/macsec-gw");
    }
    match std::env::var_os("XDG_RUNTIME_DIR").filter(|dir| !dir.is_empty()) {
        Some(dir) => Path::new(&dir).join("macsec-gw"),
        None => PathBuf::from(format!("/tmp/macsec-gw-{}", me.as_raw())),
    }
}

/// Makes a directory that nobody else writes to, or sees that it is one.
fn make(directory: &Path) -> io::Result<()> {
    let meta = loop {
        match DirBuilder::new().mode(0o700).create(directory) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
            _ => {}
        }
        match fs::symlink_metadata(directory) {
            // Whoever left last has removed it.
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            meta => break meta?,
        }
    };
    let me = rustix::process::geteuid().as_raw();
    if !meta.is_dir() || meta.uid() != me || meta.mode() & 0o022 != 0 {
        return Err(io::Error::other("it is not this user's own directory; remove it"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use keys::Sak;
    use std::os::unix::fs::PermissionsExt;

    fn id(octet: u8) -> KeyId {
        secy::key_id(
            &Sak::from_octets(&[octet; 16]).unwrap(),
            wire::Sci::from_bytes([2, 0, 0, 0, 0, 1, 0, 1]),
            None,
        )
    }

    #[test]
    fn a_sak_is_one_process_s() {
        let dir = tempfile::tempdir().unwrap();
        let directory = dir.path().join("locks");
        let first = SakLock::take(&directory, id(1)).unwrap().expect("nobody has it");
        assert!(SakLock::take(&directory, id(1)).unwrap().is_none());
        let other = SakLock::take(&directory, id(2)).unwrap().expect("another one");
        drop(first);
        let again = SakLock::take(&directory, id(1)).unwrap().expect("nobody has it any more");
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 2);
        drop((again, other));
        assert!(!directory.exists());
    }

    #[test]
    fn threads_take_turns() {
        use std::sync::atomic::{AtomicU32, Ordering};
        let dir = tempfile::tempdir().unwrap();
        let (inside, directory) = (AtomicU32::new(0), dir.path().join("locks"));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..2000 {
                        let Some(lock) = SakLock::take(&directory, id(1)).unwrap() else { continue };
                        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                        inside.fetch_sub(1, Ordering::SeqCst);
                        drop(lock);
                    }
                });
            }
        });
    }

    #[test]
    fn a_directory_that_is_not_ones_own_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let open = dir.path().join("open");
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(dir.path(), &link).unwrap();
        for directory in [open, link, "/proc/self/status".into(), dir.path().join("not/there")] {
            assert!(SakLock::take(&directory, id(1)).is_err(), "{}", directory.display());
        }
    }
}
