//! All workers, and the way of commands to their tasks.

use datapath::{TaskCommand, TaskEvent, TaskId, WorkerHandle};
use secy::Command;
use std::collections::VecDeque;

/// Where a task runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaskAddress {
    /// The worker, by the order in which they were added.
    pub worker: usize,
    /// The task within it.
    pub task: TaskId,
}

/// What has been sent to some workers so far.
#[derive(Clone, Copy, Debug)]
pub struct Mark([(usize, u64); 2]);

/// The workers of a gateway.
#[derive(Debug, Default)]
pub struct Workers {
    owners: Vec<Running>,
    /// What the others hand crypto to, with their cores.
    crypto: Vec<(usize, WorkerHandle)>,
}

#[derive(Debug)]
struct Running {
    core: usize,
    handle: WorkerHandle,
    /// Commands that found the ring full.
    waiting: VecDeque<TaskCommand>,
}

impl Workers {
    /// Takes over a worker that runs on `core`.
    pub fn add(&mut self, core: usize, handle: WorkerHandle) {
        self.owners.push(Running { core, handle, waiting: VecDeque::new() });
    }

    /// Takes over a crypto worker that runs on `core`.
    pub fn add_crypto(&mut self, core: usize, handle: WorkerHandle) {
        self.crypto.push((core, handle));
    }

    /// Sends a command, now or as soon as there is room, after all that were sent before.
    pub fn send(&mut self, to: TaskAddress, command: Command) {
        let Some(worker) = self.owners.get_mut(to.worker) else { return };
        worker.waiting.push_back(TaskCommand { task: to.task, command });
        worker.flush();
    }

    /// Sends on what found no room before.
    pub fn flush(&mut self) {
        self.owners.iter_mut().for_each(Running::flush);
    }

    /// What has been sent to the workers of these tasks.
    pub fn mark(&self, tasks: [TaskAddress; 2]) -> Mark {
        Mark(tasks.map(|task| {
            let sent = self.owners.get(task.worker).map_or(0, |w| w.handle.sent() + w.waiting.len() as u64);
            (task.worker, sent)
        }))
    }

    /// Whether all of it was carried out.
    pub fn has_reached(&self, mark: &Mark) -> bool {
        mark.0
            .iter()
            .all(|(worker, sent)| self.owners.get(*worker).is_none_or(|w| w.handle.applied() >= *sent))
    }

    /// What a task has to say.
    pub fn poll_event(&mut self) -> Option<(TaskAddress, secy::Event)> {
        self.owners.iter_mut().enumerate().find_map(|(worker, running)| {
            let TaskEvent { task, event } = running.handle.poll_event()?;
            Some((TaskAddress { worker, task }, event))
        })
    }

    /// The cores of workers that ended by themselves.
    pub fn ended(&self) -> impl Iterator<Item = usize> + '_ {
        let owners = self.owners.iter().map(|w| (w.core, &w.handle));
        let all = owners.chain(self.crypto.iter().map(|(core, handle)| (*core, handle)));
        all.filter(|(_, handle)| handle.has_ended()).map(|(core, _)| core)
    }

    /// Brings out what queues hold and ends all of them. Whether all ended well.
    pub fn stop(&mut self) -> bool {
        // All at once, so that the time to drain is one worker's.
        self.owners.iter().for_each(|w| w.handle.request_stop());
        let mut well = true;
        for worker in self.owners.drain(..) {
            well &= worker.handle.stop();
        }
        // Only now: what the others had to bring out went through these.
        self.crypto.iter().for_each(|(_, handle)| handle.request_stop());
        for (_, handle) in self.crypto.drain(..) {
            well &= handle.stop();
        }
        well
    }
}

impl Running {
    fn flush(&mut self) {
        while let Some(command) = self.waiting.pop_front() {
            if let Err(command) = self.handle.send(command) {
                self.waiting.push_front(command);
                return;
            }
        }
    }
}
