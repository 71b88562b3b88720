//! Files that commands write, at the place that a user named.

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// Symbolic links that are followed, as many as the system does.
const MOST_LINKS: usize = 40;

/// What a name stands for, symbolic links followed.
enum Place {
    /// A file, or nothing yet. With the mode of the one that is there.
    File(PathBuf, Option<u32>),
    /// A pipe, a device or the like.
    Other,
}

impl Place {
    fn of(path: &Path) -> io::Result<Self> {
        match fs::metadata(path) {
            // One that was deleted and is still named below /proc is at no place any more, but can be written to.
            Ok(meta) if meta.is_file() => Ok(fs::canonicalize(path)
                .map_or(Place::Other, |at| Place::File(at, Some(meta.permissions().mode() & 0o777)))),
            Ok(_) => Ok(Place::Other),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                let mut at = path.to_owned();
                for _ in 0..MOST_LINKS {
                    let Ok(to) = fs::read_link(&at) else { break };
                    at = directory(&at).join(to);
                }
                Ok(Place::File(at, None))
            }
            Err(e) => Err(e),
        }
    }
}

/// A file that is written. One in a directory is another one until it is finished, and then replaces it: a reader sees
/// the old one or the new one, whole. A pipe or device is written as it comes; it is no file that could be left half
/// done.
pub(crate) struct Output {
    file: File,
    replaces: Option<Unfinished>,
}

struct Unfinished {
    /// Removed unless it is put in place.
    file: NamedTempFile<()>,
    at: PathBuf,
    mode: u32,
}

impl Output {
    /// Begins to write `path`. A file that is new gets `mode`, another one keeps its own. Waits for a pipe's reader.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn open(path: &Path, mode: u32) -> io::Result<Self> {
        Self::open_by(path, mode, |path| OpenOptions::new().write(true).truncate(true).open(path))
    }

    /// The same, but a pipe that nobody reads is an error: who is to stop cannot wait.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn open_at_once(path: &Path, mode: u32) -> io::Result<Self> {
        Self::open_by(path, mode, |path| {
            use rustix::fs::{Mode, OFlags, fcntl_setfl, open};
            use rustix::io::Errno;
            let flags = OFlags::WRONLY | OFlags::TRUNC | OFlags::CLOEXEC;
            let file = open(path, flags | OFlags::NONBLOCK, Mode::empty()).map_err(|e| match e {
                Errno::NXIO => io::Error::other("nobody reads this pipe"),
                e => e.into(),
            })?;
            fcntl_setfl(&file, OFlags::empty())?;
            Ok(file.into())
        })
    }

    fn open_by(path: &Path, mode: u32, open: impl FnOnce(&Path) -> io::Result<File>) -> io::Result<Self> {
        match Place::of(path)? {
            Place::File(at, old) => {
                let (file, unfinished) = unfinished(&at)?;
                let replaces = Unfinished { file: unfinished, at, mode: old.unwrap_or(mode) };
                Ok(Output { file, replaces: Some(replaces) })
            }
            Place::Other => Ok(Output { file: open(path)?, replaces: None }),
        }
    }

    /// Whether `path` could be written, as far as that shows before. What is there stays as it is.
    ///
    /// # Errors
    /// The system's.
    #[cfg_attr(not(feature = "dpdk"), allow(dead_code))]
    pub(crate) fn check(path: &Path) -> io::Result<()> {
        match Place::of(path)? {
            Place::File(at, _) => unfinished(&at).map(drop),
            Place::Other if fs::metadata(path)?.is_dir() => Err(io::Error::from(rustix::io::Errno::ISDIR)),
            // Not opened: that would wait for the reader of a pipe, or let it see an end.
            Place::Other => Ok(rustix::fs::access(path, rustix::fs::Access::WRITE_OK)?),
        }
    }

    /// Has SIGINT and SIGTERM remove what is not finished, and then do what they do. For who does not mind them itself.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn remove_when_interrupted(&self) -> io::Result<()> {
        let Some(Unfinished { file, .. }) = &self.replaces else { return Ok(()) };
        let path = file.path().to_owned();
        let mut signals = Signals::new([SIGINT, SIGTERM])?;
        // A thread, as the other one may be waiting for a disk or for a pipe.
        std::thread::Builder::new().name("interrupts".to_owned()).spawn(move || {
            if let Some(signal) = signals.forever().next() {
                // It is in place already, or will be missed by nobody.
                let _ = fs::remove_file(path);
                let _ = signal_hook::low_level::emulate_default_handler(signal);
            }
        })?;
        Ok(())
    }

    /// Where to write to.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Puts the file in its place.
    ///
    /// # Errors
    /// The system's; the old file is still there then.
    pub(crate) fn finish(self) -> io::Result<()> {
        let Some(Unfinished { file, at, mode }) = self.replaces else { return Ok(()) };
        self.file.set_permissions(Permissions::from_mode(mode))?;
        file.persist(at).map(drop).map_err(|e| e.error)
    }
}

/// A new file beside `at`, which others cannot read: what it will hold may be for fewer than the directory is.
fn unfinished(at: &Path) -> io::Result<(File, NamedTempFile<()>)> {
    // Opened here, as `tempfile` adds its own name to what the system says.
    let mut opened = None;
    let file = tempfile::Builder::new().make_in(directory(at), |path| {
        opened = Some(OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?);
        Ok(())
    })?;
    let opened = opened.ok_or(io::ErrorKind::NotFound)?;
    Ok((opened, file))
}

fn directory(path: &Path) -> &Path {
    path.parent().filter(|d| !d.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// What to do where a file cannot be written.
pub(crate) const REMEDY: &str = "name a file in a directory that is there and that you may write to";

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::unix::fs::FileTypeExt;

    fn write(path: &Path, text: &str) -> io::Result<()> {
        let output = Output::open(path, 0o644)?;
        output.file().write_all(text.as_bytes())?;
        output.finish()
    }

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn symbolic_links_stay_and_what_they_name_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir(at("below")).unwrap();
        fs::write(at("below/old"), "old").unwrap();
        fs::set_permissions(at("below/old"), Permissions::from_mode(0o640)).unwrap();
        for (link, to) in [("a", "below/old"), ("b", "below/new"), ("c", "b"), ("null", "/dev/null")] {
            std::os::unix::fs::symlink(to, at(link)).unwrap();
        }
        for (link, to, modes) in
            [("a", "below/old", 0o640), ("b", "below/new", 0o644), ("c", "below/new", 0o644)]
        {
            write(&at(link), link).unwrap();
            assert_eq!(fs::read_to_string(at(to)).unwrap(), link);
            assert_eq!(mode(&at(to)), modes, "{link}");
        }
        write(&at("null"), "nothing").unwrap();
        for link in ["a", "b", "c", "null"] {
            assert!(fs::symlink_metadata(at(link)).unwrap().is_symlink(), "{link}");
        }
        assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
        assert_eq!(fs::read_dir(at("below")).unwrap().count(), 2);
    }

    #[test]
    fn a_pipe_stays_a_pipe() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        Output::check(&pipe).unwrap();
        let refused = Output::open_at_once(&pipe, 0o644).err().unwrap();
        assert_eq!(refused.to_string(), "nobody reads this pipe");
        let reader = std::thread::spawn({
            let pipe = pipe.clone();
            move || {
                let mut text = String::new();
                File::open(pipe).unwrap().read_to_string(&mut text).unwrap();
                text
            }
        });
        write(&pipe, "through").unwrap();
        assert_eq!(reader.join().unwrap(), "through");
        assert!(fs::symlink_metadata(&pipe).unwrap().file_type().is_fifo());
    }

    #[test]
    fn nothing_is_left_of_what_is_not_finished_and_nobody_else_reads_it_before() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out");
        fs::write(&path, "old").unwrap();
        let output = Output::open(&path, 0o644).unwrap();
        let new = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().path()).find(|p| *p != path);
        assert_eq!(mode(&new.unwrap()), 0o600);
        drop(output);
        Output::check(&path).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        assert_eq!(fs::read(&path).unwrap(), b"old");
    }

    #[test]
    fn what_cannot_be_written_is_told_by_the_systems_words_alone() {
        let dir = tempfile::tempdir().unwrap();
        for (name, says) in [("gone/out", "No such file"), (".", "Is a directory")] {
            for outcome in [Output::check(&dir.path().join(name)), write(&dir.path().join(name), "")] {
                let text = outcome.unwrap_err().to_string();
                assert!(text.starts_with(says) && !text.contains("tmp"), "{text}");
            }
        }
    }
}
