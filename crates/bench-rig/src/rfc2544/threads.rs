//! Threads for a trial, each on its core.

use super::task::Course;
use super::trial::{Executor, Group, TrialError};
use crate::ports::Registered;
use core_affinity::CoreId;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::ScopedJoinHandle;

/// Runs groups of tasks on cores.
pub(crate) struct Threads<'a> {
    /// One a thread.
    pub(crate) cores: Vec<usize>,
    /// Prepares a thread; what it returns lives as long as the thread.
    pub(crate) register: &'a (dyn Fn() -> anyhow::Result<Registered> + Sync),
    /// Whether somebody asked for the end.
    pub(crate) stop: &'a AtomicBool,
}

/// Ends the other threads when one panics: they would wait for its frames.
struct EndAll<'a>(&'a AtomicBool);

impl Drop for EndAll<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}

impl Threads<'_> {
    fn work(
        &self,
        core: usize,
        mut group: Group<'_>,
        course: &Course,
        failed: &AtomicBool,
    ) -> Result<(), String> {
        let _end_all = EndAll(failed);
        let prepared = if core_affinity::set_for_current(CoreId { id: core }) {
            (self.register)().map_err(|e| format!("{e:#}"))
        } else {
            Err(format!("cannot stay on core {core}: the system refuses"))
        };
        let _registered = prepared.inspect_err(|_| failed.store(true, Ordering::Relaxed))?;
        course.thread_ready();
        while !(self.stop.load(Ordering::Relaxed) || failed.load(Ordering::Relaxed)) {
            // All take their turns, also when the first has come to its end.
            let ended = group.iter_mut().map(|task| task.turn()).fold(true, |all, one| all & one);
            if ended {
                break;
            }
        }
        Ok(())
    }
}

impl Executor for Threads<'_> {
    fn threads(&self) -> usize {
        self.cores.len()
    }

    fn run(&self, groups: Vec<Group<'_>>, course: &Course) -> Result<(), TrialError> {
        let failed = AtomicBool::new(false);
        let ends: Vec<Result<(), String>> = std::thread::scope(|scope| {
            let spawn = |(group, &core)| {
                let failed = &failed;
                scope.spawn(move || self.work(core, group, course, failed))
            };
            let threads: Vec<_> = groups.into_iter().zip(&self.cores).map(spawn).collect();
            let end = |thread: ScopedJoinHandle<'_, _>| {
                thread.join().unwrap_or_else(|_| Err("a thread of the trial panicked".to_owned()))
            };
            threads.into_iter().map(end).collect()
        });
        ends.into_iter().collect::<Result<(), String>>().map_err(TrialError::Thread)?;
        match self.stop.load(Ordering::Relaxed) {
            true => Err(TrialError::Interrupted),
            false => Ok(()),
        }
    }
}
