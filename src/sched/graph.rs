//! A graph: the state machine, and beside each of its slots the closure or the value that belongs there.
//!
//! Invariant: a slot holds the closure of a task that has not started, or the value of a finished one that somebody
//! claims, or nothing.

use std::sync::Arc;

use super::machine::{Machine, NotLive, TaskId};
use super::task::{Label, Task, Work};

pub(super) enum Body<V, E> {
    Empty,
    Work(Work<V, E>),
    Value(Arc<V>),
}

pub(super) struct Payload<V, E> {
    pub(super) label: Label,
    pub(super) body: Body<V, E>,
}

/// Tasks that depend on one another, to be submitted to a `Scheduler`.
pub struct Graph<V, E> {
    pub(super) machine: Machine,
    pub(super) payloads: Vec<Payload<V, E>>,
    pub(super) wanted: Vec<TaskId>,
    /// The first misuse: an input or a root that is not a live task of this graph.
    pub(super) misuse: Option<(String, Label)>,
}

impl<V, E> Default for Graph<V, E> {
    fn default() -> Self {
        Graph { machine: Machine::default(), payloads: Vec::new(), wanted: Vec::new(), misuse: None }
    }
}

impl<V, E> Graph<V, E> {
    /// A graph without tasks.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a task, whose inputs were added before.
    pub fn add(&mut self, task: Task<V, E>) -> TaskId {
        let id = self.reserve();
        self.place(id, task);
        id
    }

    /// Makes the value of this task one of the results; they come in the order of these calls.
    pub fn want(&mut self, id: TaskId) {
        match self.machine.want(id) {
            Ok(()) => self.wanted.push(id),
            Err(error) => self.misused(error, &Label::from("the result")),
        }
    }

    pub(super) fn reserve(&mut self) -> TaskId {
        let id = self.machine.reserve();
        if self.payloads.len() < self.machine.slots() {
            self.payloads.push(Payload { label: Label::from(""), body: Body::Empty });
        }
        id
    }

    /// Puts the task into its reserved slot, not yet published.
    pub(super) fn place(&mut self, id: TaskId, task: Task<V, E>) {
        if let Err(error) = self.machine.add(id, task.kind, &task.inputs) {
            self.misused(error, &task.label);
        }
        self.payloads[id.slot as usize] = Payload { label: task.label, body: Body::Work(task.work) };
    }

    pub(super) fn misused(&mut self, error: NotLive, label: &Label) {
        let text = format!("depends on task {}, whose value has been released", error.0.index());
        self.misuse.get_or_insert_with(|| (text, label.clone()));
    }

    pub(super) fn take(&mut self, id: TaskId) -> Body<V, E> {
        std::mem::replace(&mut self.payloads[id.slot as usize].body, Body::Empty)
    }

    pub(super) fn label(&self, id: TaskId) -> &Label {
        &self.payloads[id.slot as usize].label
    }
}
