//! The control socket: a question a connection, a line of JSON each way.

use rustix::fs::Mode;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, socket_with};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::{UnixListener as StdListener, UnixStream as StdStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader as AsyncReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::timeout;

/// Octets of the longest question.
const MAX_QUESTION: u64 = 4096;
/// Octets of the longest answer that [`ask`] reads.
const MAX_ANSWER: u64 = 64 << 20;
/// How long either side waits for the other.
const PATIENCE: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 5 });
/// Connections at a time. Others wait.
const MAX_CONNECTIONS: usize = 16;
/// Held while the mask of new files is another.
static UMASK: Mutex<()> = Mutex::new(());

/// What can be asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case")]
pub enum Ask {
    /// All links at a glance: a list of [`LinkStatus`](crate::LinkStatus).
    Status,
    /// A new SAK for a link, or for all; the names of those that make one.
    Rekey {
        /// Its name.
        link: Option<String>,
    },
}

/// A question, and the way back.
#[derive(Debug)]
pub struct Request {
    /// What is asked for.
    pub ask: Ask,
    reply: oneshot::Sender<Result<serde_json::Value, String>>,
}

impl Request {
    /// Answers it: with a value, or why there is none.
    pub fn answer<T: Serialize>(self, answer: Result<T, String>) {
        let answer = answer.and_then(|value| serde_json::to_value(value).map_err(|e| e.to_string()));
        // Who has gone meanwhile needs no answer.
        let _ = self.reply.send(answer);
    }
}

/// What goes over the socket in answer.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Answer<T> {
    Done(T),
    Error(String),
}

/// What is wrong with the control socket.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Somebody answers there already.
    #[error("control socket {}: another macsec-gw has it; stop that one, or give each its own gateway.control_socket", .0.display())]
    Taken(PathBuf),
    /// Something else has the name.
    #[error("control socket {}: there is a file of this name that is no socket; remove it, or set gateway.control_socket", .0.display())]
    NotASocket(PathBuf),
    /// Whether somebody listens there cannot be told.
    #[error("control socket {}: {reason}; it may be another gateway's: stop that one and remove it, or set gateway.control_socket", path.display())]
    Unknown {
        /// Its name.
        path: PathBuf,
        /// The system's reason.
        reason: io::Error,
    },
    /// It cannot be made.
    #[error("control socket {}: {reason}; set gateway.control_socket to a name in a directory that this user can write to", path.display())]
    Bind {
        /// Its name.
        path: PathBuf,
        /// The system's reason.
        reason: io::Error,
    },
    /// Nobody answers.
    #[error("control socket {}: {reason}; is a gateway running, as this user or root, with this gateway.control_socket?", path.display())]
    Connect {
        /// Its name.
        path: PathBuf,
        /// The system's reason.
        reason: io::Error,
    },
    /// The connection broke, or what came over it makes no sense.
    #[error("control socket {}: {reason}", path.display())]
    Talk {
        /// Its name.
        path: PathBuf,
        /// What happened.
        reason: String,
    },
    /// The gateway cannot do what it was asked for.
    #[error("{0}")]
    Refused(String),
}

/// A control socket that listens. Its name goes when it is dropped, unless that is another's by then.
#[derive(Debug)]
pub struct ControlSocket {
    listener: StdListener,
    path: PathBuf,
    /// Device and inode of its name.
    file: (u64, u64),
}

impl ControlSocket {
    /// Listens at `path`, where only this user, and root, can ask.
    ///
    /// # Errors
    /// [`SocketError`].
    pub fn bind(path: &Path) -> Result<Self, SocketError> {
        let wrong = |reason| SocketError::Bind { path: path.into(), reason };
        match std::fs::symlink_metadata(path) {
            Ok(meta) if !meta.file_type().is_socket() => return Err(SocketError::NotASocket(path.into())),
            Ok(_) => match listens(path) {
                Ok(true) => return Err(SocketError::Taken(path.into())),
                // One that a gateway left behind which did not end in order.
                Ok(false) => remove(path).map_err(wrong)?,
                Err(reason) => return Err(SocketError::Unknown { path: path.into(), reason }),
            },
            Err(_) => {}
        }
        // From the first moment on: what exists for others, if only for a moment, they may open.
        let listener = {
            // The mask is the whole process's.
            let _alone = UMASK.lock().unwrap_or_else(PoisonError::into_inner);
            let mask = rustix::process::umask(Mode::from_raw_mode(0o177));
            let listener = StdListener::bind(path);
            rustix::process::umask(mask);
            listener
        };
        let listener = listener.map_err(wrong)?;
        let file = identity(path).map_err(wrong)?;
        let socket = ControlSocket { listener, path: path.into(), file };
        socket.listener.set_nonblocking(true).map_err(wrong)?;
        Ok(socket)
    }

    /// Its name.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Takes questions for as long as somebody receives them. To be run beside whatever answers.
    ///
    /// # Errors
    /// The system's.
    pub async fn serve(&self, requests: mpsc::Sender<Request>) -> io::Result<()> {
        let listener = UnixListener::from_std(self.listener.try_clone()?)?;
        let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        loop {
            let Ok(place) = room.clone().acquire_owned().await else { return Ok(()) };
            let (stream, _) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(e) => {
                    tracing::warn!("control socket: {e}");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let requests = requests.clone();
            tokio::spawn(async move {
                // Whoever asks and does not listen to the end loses nothing but the answer.
                let _ = timeout(PATIENCE, converse(stream, requests)).await;
                drop(place);
            });
        }
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        // Somebody may have removed it, and another gateway begun to listen there.
        if identity(&self.path).is_ok_and(|file| file == self.file) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

async fn converse(stream: UnixStream, requests: mpsc::Sender<Request>) -> io::Result<()> {
    let (from, mut to) = stream.into_split();
    let mut line = String::new();
    AsyncReader::new(from).take(MAX_QUESTION).read_line(&mut line).await?;
    let answer = match serde_json::from_str(&line) {
        Ok(question) => match pass_on(question, requests).await {
            Ok(value) => Answer::Done(value),
            Err(e) => Answer::Error(e),
        },
        Err(e) => Answer::Error(format!("not a question: {e}")),
    };
    let mut text = serde_json::to_string(&answer)?;
    text.push('\n');
    to.write_all(text.as_bytes()).await?;
    to.shutdown().await
}

async fn pass_on(ask: Ask, requests: mpsc::Sender<Request>) -> Result<serde_json::Value, String> {
    let (reply, answer) = oneshot::channel();
    let gone = || "the gateway is stopping".to_owned();
    requests.send(Request { ask, reply }).await.map_err(|_| gone())?;
    answer.await.map_err(|_| gone())?
}

/// Asks the gateway that listens at `path`.
///
/// # Errors
/// [`SocketError`].
pub fn ask<T: DeserializeOwned>(path: &Path, question: &Ask) -> Result<T, SocketError> {
    let talk = |reason: String| SocketError::Talk { path: path.into(), reason };
    let silent = |e: &io::Error| matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
    let no_answer = || talk("the gateway does not answer".into());
    let stream = connect(path).map_err(|reason| match silent(&reason) {
        true => no_answer(),
        false => SocketError::Connect { path: path.into(), reason },
    })?;
    let line = exchange(&stream, question).map_err(|e| match silent(&e) {
        true => no_answer(),
        false => talk(e.to_string()),
    })?;
    if line.is_empty() {
        return Err(talk("the gateway ended before it answered".into()));
    }
    match serde_json::from_str(&line) {
        Ok(Answer::Done(value)) => Ok(value),
        Ok(Answer::Error(text)) => Err(SocketError::Refused(text)),
        Err(e) => Err(talk(format!("another version of macsec-gw answers there, or something else: {e}"))),
    }
}

/// Connects, unless that takes too long: nobody is waited for who has more who wait than he looks after.
fn connect(path: &Path) -> io::Result<StdStream> {
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    for direction in [Timeout::Recv, Timeout::Send] {
        set_socket_timeout(&socket, direction, Some(PATIENCE))?;
    }
    let address = SocketAddrUnix::new(path)?;
    rustix::io::retry_on_intr(|| rustix::net::connect(&socket, &address))?;
    Ok(socket.into())
}

/// Whether somebody listens there, who may be slow to answer. An error where that is not for this user to know.
fn listens(path: &Path) -> io::Result<bool> {
    match connect(path) {
        Ok(_) => Ok(true),
        Err(e) => match e.kind() {
            ErrorKind::WouldBlock => Ok(true),
            // Bound by nobody, or gone meanwhile.
            ErrorKind::ConnectionRefused | ErrorKind::NotFound => Ok(false),
            _ => Err(e),
        },
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Device and inode of what has this name.
fn identity(path: &Path) -> io::Result<(u64, u64)> {
    std::fs::symlink_metadata(path).map(|meta| (meta.dev(), meta.ino()))
}

fn exchange(mut stream: &StdStream, question: &Ask) -> io::Result<String> {
    let mut text = serde_json::to_string(question)?;
    text.push('\n');
    stream.write_all(text.as_bytes())?;
    let mut line = String::new();
    BufReader::new(stream.take(MAX_ANSWER)).read_line(&mut line)?;
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    /// Runs `test` beside a socket whose questions `answer` answers.
    fn with_socket(path: &Path, answer: impl Fn(Request) + Send + 'static, test: impl FnOnce()) {
        let socket = ControlSocket::bind(path).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            runtime.block_on(async {
                let (requests, mut asked) = mpsc::channel(4);
                tokio::select! {
                    end = socket.serve(requests) => end.unwrap(),
                    () = async { while let Some(request) = asked.recv().await { answer(request) } } => {},
                    _ = stopped => {}
                }
            });
        });
        test();
        stop.send(()).unwrap();
        thread.join().unwrap();
    }

    #[test]
    fn what_is_asked_is_answered() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("control");
        let answer = |request: Request| match request.ask.clone() {
            Ask::Status => request.answer(Ok(vec!["a", "b"])),
            Ask::Rekey { link } => request.answer::<()>(Err(format!("no link {link:?}"))),
        };
        with_socket(&path, answer, || {
            let mode = std::fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
            assert_eq!(ask::<Vec<String>>(&path, &Ask::Status).unwrap(), ["a", "b"]);
            let refused = ask::<()>(&path, &Ask::Rekey { link: Some("x".into()) }).unwrap_err();
            assert_eq!(refused.to_string(), "no link Some(\"x\")");
            let strange = ask::<u32>(&path, &Ask::Status).unwrap_err().to_string();
            assert!(strange.contains("another version"), "{strange}");
            assert!(matches!(ControlSocket::bind(&path), Err(SocketError::Taken(_))));
            // Nonsense, nothing, too much, and many who say nothing.
            for text in [&b"hello\n"[..], b"", b"{\"ask\":\"x\"}\n", &[b'x'; 10_000]] {
                let mut stream = StdStream::connect(&path).unwrap();
                // It may not be read to the end.
                let _ = stream.write_all(text);
                let _ = stream.shutdown(std::net::Shutdown::Write);
                let mut said = String::new();
                let _ = stream.read_to_string(&mut said);
                assert!(said.is_empty() || said.contains("not a question"), "{said}");
            }
            let silent: Vec<_> = (0..8).map(|_| StdStream::connect(&path).unwrap()).collect();
            assert!(ask::<Vec<String>>(&path, &Ask::Status).is_ok());
            drop(silent);
        });
        assert!(!path.exists(), "the name goes with the socket");
    }

    /// As a gateway that hangs does, sooner or later.
    #[test]
    fn nobody_waits_for_one_who_takes_no_connections() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("full");
        let socket =
            socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap();
        rustix::net::bind(&socket, &SocketAddrUnix::new(&path).unwrap()).unwrap();
        rustix::net::listen(&socket, 0).unwrap();
        let _waits = StdStream::connect(&path).unwrap();
        let e = ask::<()>(&path, &Ask::Status).unwrap_err().to_string();
        assert!(e.contains("the gateway does not answer"), "{e}");
        assert!(matches!(ControlSocket::bind(&path), Err(SocketError::Taken(_))));
    }

    /// What cannot be connected to may be somebody's all the same.
    #[test]
    fn a_socket_of_which_nothing_can_be_told_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let refused = |path: &Path| {
            let e = ControlSocket::bind(path).unwrap_err();
            assert!(matches!(e, SocketError::Unknown { .. }), "{e}");
            assert!(path.exists());
            e.to_string()
        };
        // Listens in another way.
        let path = dir.path().join("datagrams");
        let _theirs = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
        let e = refused(&path);
        assert!(e.contains("datagrams: Protocol wrong type") && e.contains("gateway.control_socket"), "{e}");
        // Root may connect to all.
        if !rustix::process::geteuid().is_root() {
            let path = dir.path().join("theirs");
            let _theirs = StdListener::bind(&path).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o000)).unwrap();
            let e = refused(&path);
            assert!(e.contains("theirs: Permission denied"), "{e}");
        }
    }

    #[test]
    fn a_name_that_is_anothers_by_now_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("control");
        let first = ControlSocket::bind(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let second = ControlSocket::bind(&path).unwrap();
        drop(first);
        assert!(StdStream::connect(&path).is_ok());
        drop(second);
        assert!(!path.exists());
    }

    #[test]
    fn names_that_do_not_do_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "x").unwrap();
        assert!(matches!(ControlSocket::bind(&file), Err(SocketError::NotASocket(_))));
        assert!(file.exists());
        let nowhere = dir.path().join("no/such/dir");
        let e = ControlSocket::bind(&nowhere).unwrap_err().to_string();
        assert!(e.contains("No such file") && e.contains("gateway.control_socket"), "{e}");
        let e = ask::<()>(&dir.path().join("none"), &Ask::Status).unwrap_err().to_string();
        assert!(e.contains("is a gateway running"), "{e}");
        // What a gateway left behind that was killed.
        let path = dir.path().join("left");
        drop(StdListener::bind(&path).unwrap());
        assert!(path.exists());
        ControlSocket::bind(&path).unwrap();
    }
}
