//! Observers: every state change of every task, with its time.
//!
//! Invariant: for one task the changes come in causal order (added, started, finished, released), each from the thread
//! on which it happened, and never under a lock of the scheduler. Without an observer nothing is recorded, not even the
//! time.

use std::time::Instant;

use super::machine::TaskId;
use super::task::Label;

/// What happened to a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It was described; it becomes part of the graph when the task that added it ends.
    Added,
    /// A worker is about to run it.
    Started,
    /// It gave a value, or became another task.
    Finished,
    /// It gave an error or panicked.
    Failed,
    /// It will never start.
    Cancelled,
    /// Its value is not needed any more; its id may be given to another task.
    Released,
}

/// One state change.
#[derive(Debug, Clone, Copy)]
pub struct Event<'a> {
    pub at: Instant,
    pub task: TaskId,
    pub label: &'a Label,
    pub change: Change,
}

/// Sees the state changes of a graph, from several threads at once. It must be quick and must not panic.
pub trait Observer: Send + Sync {
    /// Called at each state change.
    fn observe(&self, event: &Event<'_>);
}
