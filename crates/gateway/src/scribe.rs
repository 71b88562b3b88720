//! A thread for what waits for a disk.
//!
//! A disk may take longer to answer than stations wait for each other. So while links run nothing is read or written by the
//! control core: it hands out work, and looks later what has come of it.

use std::io;
use std::sync::mpsc::{self, Receiver, Sender, TryRecvError};

type Work = Box<dyn FnOnce() + Send>;

/// The thread, which does one thing after the other. It ends when nobody can hand it anything any more.
#[derive(Clone, Debug)]
pub(crate) struct Scribe {
    work: Sender<Work>,
}

impl Scribe {
    /// Starts it.
    ///
    /// # Errors
    /// The system's, where there is no thread to be had.
    pub(crate) fn start() -> io::Result<Self> {
        let (work, todo) = mpsc::channel::<Work>();
        std::thread::Builder::new()
            .name("state".to_owned())
            .spawn(move || todo.iter().for_each(|work| work()))?;
        Ok(Scribe { work })
    }

    /// Has something done.
    pub(crate) fn have<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> Promise<T> {
        let (done, outcome) = mpsc::sync_channel(1);
        // Whoever does not want to know any more is not told. Where the thread is gone, so is `done`, as the promise says.
        let work = move || drop(done.send(work()));
        let _ = self.work.send(Box::new(work));
        Promise { outcome }
    }
}

/// What will have come of something.
#[derive(Debug)]
pub(crate) struct Promise<T> {
    outcome: Receiver<io::Result<T>>,
}

impl<T> Promise<T> {
    /// The outcome, once it is there.
    pub(crate) fn poll(&self) -> Option<io::Result<T>> {
        match self.outcome.try_recv() {
            Ok(outcome) => Some(outcome),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => Some(Err(gone())),
        }
    }

    /// Waits for it.
    ///
    /// # Errors
    /// What went wrong.
    pub(crate) fn wait(self) -> io::Result<T> {
        self.outcome.recv().unwrap_or_else(|_| Err(gone()))
    }
}

fn gone() -> io::Error {
    io::Error::other("the thread that writes files of state has ended by itself")
}
