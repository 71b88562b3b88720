//! Where a report goes.

use crate::BadUsage;
use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tempfile::Builder;

/// In every page, so that it can be told from others' files.
pub(super) const MARK: &str = "<meta name=\"generator\" content=\"macsec-gw bench\">";
/// Octets of a page in which the mark is.
const MARKED_WITHIN: u64 = 1024;

const PAGE: &str = "index.html";
const RESULTS: &str = "results.jsonl";

/// A directory that takes a report, which is known before anything is measured.
#[derive(Debug)]
pub(crate) struct Destination(PathBuf);

impl Destination {
    /// Makes the directory where there is none.
    ///
    /// # Errors
    /// [`BadUsage`] for what is no directory or cannot be written to, and where another page would be lost.
    pub(crate) fn new(directory: &Path) -> Result<Self, BadUsage> {
        let bad = |what: String| Err(BadUsage(format!("--report {}: {what}", directory.display())));
        if directory.exists() && !directory.is_dir() {
            return bad("is a file; name a directory, which is made if there is none".to_owned());
        }
        if let Err(e) = fs::create_dir_all(directory) {
            return bad(format!("cannot be made: {e}; name a directory that you may write to"));
        }
        if let Err(e) = tempfile::tempfile_in(directory) {
            return bad(format!("cannot be written to: {e}; name a directory that you may write to"));
        }
        match is_others(&directory.join(PAGE)) {
            Ok(false) => Ok(Destination(directory.to_owned())),
            Ok(true) => {
                bad(format!("has an {PAGE} that is no report; name another directory, or remove that"))
            }
            Err(e) => bad(format!("{PAGE} in it cannot be read: {e}; name another directory")),
        }
    }

    /// Writes page and rows, in the place of those of an earlier report, and says where the page is.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn write(&self, page: &str, results: &str) -> io::Result<PathBuf> {
        self.replace(RESULTS, results)?;
        self.replace(PAGE, page)
    }

    fn replace(&self, name: &str, text: &str) -> io::Result<PathBuf> {
        // Others may read it; the system takes away what the user does not want.
        let mut file = Builder::new().permissions(Permissions::from_mode(0o666)).tempfile_in(&self.0)?;
        file.write_all(text.as_bytes())?;
        let path = self.0.join(name);
        file.persist(&path)?;
        Ok(path)
    }
}

/// Whether there is a file, and without the mark.
fn is_others(page: &Path) -> io::Result<bool> {
    let mut begin = Vec::new();
    match File::open(page) {
        Ok(file) => file.take(MARKED_WITHIN).read_to_end(&mut begin)?,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(e) => return Err(e),
    };
    Ok(!String::from_utf8_lossy(&begin).contains(MARK))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(directory: &Path) -> String {
        Destination::new(directory).unwrap_err().to_string()
    }

    #[test]
    fn a_directory_is_made_and_a_report_replaced() {
        let home = tempfile::tempdir().unwrap();
        let directory = home.path().join("some").join("report");
        for text in ["first", "second"] {
            let destination = Destination::new(&directory).unwrap();
            let page = destination.write(&format!("<html>{MARK}{text}"), text).unwrap();
            assert_eq!(page, directory.join("index.html"));
            assert!(fs::read_to_string(page).unwrap().ends_with(text));
            assert_eq!(fs::read_to_string(directory.join("results.jsonl")).unwrap(), text);
        }
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 2, "nothing else is left there");
        let mode = fs::metadata(directory.join("index.html")).unwrap().permissions().mode();
        assert_eq!(mode & 0o400, 0o400);
    }

    #[test]
    fn what_cannot_take_a_report_is_refused_with_a_remedy() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("file");
        fs::write(&file, "mine").unwrap();
        assert!(refused(&file).contains("file: is a file; name a directory"), "{}", refused(&file));
        assert!(refused(&file.join("below")).contains("cannot be made"), "{}", refused(&file.join("below")));
        // Where even root may not write.
        let proc = refused(Path::new("/proc/self"));
        assert!(proc.contains("--report /proc/self: cannot be written to: "), "{proc}");
        assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
    }

    #[test]
    fn nobody_elses_page_is_lost() {
        let home = tempfile::tempdir().unwrap();
        let page = home.path().join("index.html");
        fs::write(&page, "<html>my holidays</html>").unwrap();
        assert!(refused(home.path()).contains("has an index.html that is no report; name another directory"));
        assert_eq!(fs::read_to_string(page).unwrap(), "<html>my holidays</html>");
    }
}
