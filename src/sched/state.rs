//! What the lock of a running graph protects: the graph itself, who works on it, and its result.
//!
//! Invariant: nothing here runs, drops or observes what belongs to the caller (but for asking the gate); it is put into
//! the [`Garbage`] or the [`Ending`], which the executor deals with after it has let go of the lock.

use std::sync::Arc;

use super::graph::{Body, Graph};
use super::machine::{Action, Finish, TaskId};
use super::options::{Gate, OnFinish};
use super::task::{Label, Outcome, Task, Work};

/// A task to be run now.
pub(super) struct Job<V, E> {
    pub(super) id: TaskId,
    pub(super) label: Label,
    pub(super) work: Work<V, E>,
    pub(super) inputs: Vec<Arc<V>>,
}

/// How far a graph is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Running,
    /// The result is known; the caller is being told.
    Ending,
    /// The result lies ready.
    Ended,
}

/// The result of a graph, and what is left of it.
pub(super) struct Ending<V, E> {
    pub(super) result: Result<Vec<Arc<V>>, E>,
    pub(super) rest: Graph<V, E>,
    pub(super) gate: Option<Arc<dyn Gate>>,
    pub(super) on_finish: Option<OnFinish<V, E>>,
}

/// What must be dropped without the lock.
pub(super) struct Garbage<V, E> {
    pub(super) bodies: Vec<Body<V, E>>,
    pub(super) outcomes: Vec<Result<Outcome<V>, E>>,
    pub(super) tasks: Vec<(TaskId, Task<V, E>)>,
    /// For the observer, if there is one.
    pub(super) released: Option<Vec<(TaskId, Label)>>,
}

impl<V, E> Garbage<V, E> {
    pub(super) fn new(observed: bool) -> Self {
        let released = observed.then(Vec::new);
        Garbage { bodies: Vec::new(), outcomes: Vec::new(), tasks: Vec::new(), released }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bodies.is_empty()
            && self.outcomes.is_empty()
            && self.tasks.is_empty()
            && self.released.as_ref().is_none_or(Vec::is_empty)
    }
}

pub(super) struct RunState<V, E> {
    pub(super) graph: Graph<V, E>,
    /// Turns of this graph that are in the pool's queue or on a worker.
    pub(super) seats: usize,
    /// Those on a worker. A worker gives its seat up only after it has dropped all that it had of the graph.
    pub(super) active: usize,
    pub(super) phase: Phase,
    /// Dropped at the end, since it often knows who holds the handle.
    gate: Option<Arc<dyn Gate>>,
    on_finish: Option<OnFinish<V, E>>,
    pub(super) result: Option<Result<Vec<Arc<V>>, E>>,
    /// Nobody will take the result.
    pub(super) abandoned: bool,
    /// Reused between events, as is `ids`.
    actions: Vec<Action>,
    ids: Vec<TaskId>,
}

impl<V, E> RunState<V, E> {
    pub(super) fn new(graph: Graph<V, E>, gate: Option<Arc<dyn Gate>>, on_finish: Option<OnFinish<V, E>>) -> Self {
        RunState {
            graph,
            seats: 0,
            active: 0,
            phase: Phase::Running,
            gate,
            on_finish,
            result: None,
            abandoned: false,
            actions: Vec::new(),
            ids: Vec::new(),
        }
    }

    /// Whether the result lies ready and no task runs.
    pub(super) fn is_idle(&self) -> bool {
        self.phase == Phase::Ended && self.active == 0
    }

    /// Publishes the tasks that the graph was submitted with.
    pub(super) fn begin(&mut self, on_panic: fn(String, &Label) -> E) -> Option<Ending<V, E>> {
        if let Some((text, label)) = self.graph.misuse.take() {
            return self.end(Err(on_panic(text, &label)));
        }
        let machine = &mut self.graph.machine;
        let ids: Vec<TaskId> = (0..machine.slots() as u32).map(|slot| machine.id(slot)).collect();
        machine.publish(&ids);
        machine.seal(&mut self.actions);
        self.perform(None, on_panic)
    }

    /// The next task to run, if one can start now. `admits` answers for the gate.
    pub(super) fn next(
        &mut self,
        admits: impl FnOnce(&dyn Gate, u64) -> bool,
        garbage: &mut Garbage<V, E>,
    ) -> Option<Job<V, E>> {
        if self.phase != Phase::Running {
            return None;
        }
        let gate = self.gate.as_deref();
        let admits = |order| gate.is_none_or(|gate| admits(gate, order));
        self.graph.machine.start(admits, &mut self.actions);
        let mut job = None;
        let mut inputs = Vec::new();
        if self.actions.len() > 1 {
            inputs.reserve_exact(self.actions.len() - 1);
        }
        for action in self.actions.drain(..) {
            match action {
                Action::Run(id) => match self.graph.take(id) {
                    Body::Work(work) => job = Some((id, self.graph.label(id).clone(), work)),
                    body => garbage.bodies.push(body),
                },
                Action::Give { input, last } => {
                    let body = &mut self.graph.payloads[input.slot as usize].body;
                    match body {
                        Body::Value(value) if !last => inputs.push(Arc::clone(value)),
                        body => {
                            if let Body::Value(value) = std::mem::replace(body, Body::Empty) {
                                inputs.push(value);
                            }
                            if let Some(released) = &mut garbage.released {
                                released.push((input, self.graph.label(input).clone()));
                            }
                        }
                    }
                }
                _ => {}
            }
        }
        job.map(|(id, label, work)| Job { id, label, work, inputs })
    }

    /// The task `id` has ended. What it added joins the graph, unless it failed.
    pub(super) fn apply(
        &mut self,
        id: TaskId,
        outcome: Result<Outcome<V>, E>,
        added: &mut Vec<(TaskId, Task<V, E>)>,
        garbage: &mut Garbage<V, E>,
        on_panic: fn(String, &Label) -> E,
    ) -> Option<Ending<V, E>> {
        if self.phase != Phase::Running {
            garbage.tasks.append(added);
            garbage.outcomes.push(outcome);
            return None;
        }
        let finish = match outcome {
            Err(error) => {
                garbage.tasks.append(added);
                return self.end(Err(error));
            }
            Ok(Outcome::Value(value)) => self.keep(id, Arc::new(value)),
            Ok(Outcome::Shared(value)) => self.keep(id, value),
            Ok(Outcome::Become(target)) => Finish::Become(target),
        };
        if !added.is_empty() {
            self.ids.clear();
            for (id, task) in added.drain(..) {
                self.graph.place(id, task);
                self.ids.push(id);
            }
            self.graph.machine.publish(&self.ids);
        }
        if let Err(error) = self.graph.machine.finish(id, finish, &mut self.actions) {
            let label = self.graph.label(id).clone();
            self.graph.misused(error, &label);
        }
        if let Some((text, label)) = self.graph.misuse.take() {
            self.actions.clear();
            return self.end(Err(on_panic(text, &label)));
        }
        self.perform(Some(garbage), on_panic)
    }

    /// Ends the graph with this result, if it has none so far.
    pub(super) fn end(&mut self, result: Result<Vec<Arc<V>>, E>) -> Option<Ending<V, E>> {
        if self.phase != Phase::Running {
            return None;
        }
        self.phase = Phase::Ending;
        let rest = std::mem::take(&mut self.graph);
        Some(Ending { result, rest, gate: self.gate.take(), on_finish: self.on_finish.take() })
    }

    /// How many more seats should be taken at once, with `width` workers in the pool.
    pub(super) fn take_seats(&mut self, width: usize, producers: bool) -> usize {
        if self.phase != Phase::Running || self.seats >= width {
            return 0;
        }
        let more = self.graph.machine.startable(producers).min(width - self.seats);
        self.seats += more;
        more
    }

    fn keep(&mut self, id: TaskId, value: Arc<V>) -> Finish {
        self.graph.payloads[id.slot as usize].body = Body::Value(value);
        Finish::Value
    }

    /// Performs the actions that follow a finished task.
    fn perform(
        &mut self,
        mut garbage: Option<&mut Garbage<V, E>>,
        on_panic: fn(String, &Label) -> E,
    ) -> Option<Ending<V, E>> {
        let mut complete = false;
        let mut stalled = false;
        for action in self.actions.drain(..) {
            match action {
                Action::Share { from, to } => {
                    if let Body::Value(value) = &self.graph.payloads[from.slot as usize].body {
                        self.graph.payloads[to.slot as usize].body = Body::Value(Arc::clone(value));
                    }
                }
                Action::Release(id) => {
                    let body = self.graph.take(id);
                    if let Some(garbage) = garbage.as_deref_mut() {
                        if matches!(body, Body::Value(_)) {
                            garbage.bodies.push(body);
                        }
                        if let Some(released) = &mut garbage.released {
                            released.push((id, self.graph.payloads[id.slot as usize].label.clone()));
                        }
                    }
                }
                Action::Complete => complete = true,
                Action::Stalled => stalled = true,
                Action::Run(_) | Action::Give { .. } => {}
            }
        }
        if stalled {
            let text = "the tasks that are left wait for one another".to_string();
            return self.end(Err(on_panic(text, &Label::from("the graph"))));
        }
        if complete { self.end(Ok(self.roots())) } else { None }
    }

    fn roots(&self) -> Vec<Arc<V>> {
        let value = |id: &TaskId| match &self.graph.payloads[id.slot as usize].body {
            Body::Value(value) => Some(Arc::clone(value)),
            _ => None,
        };
        self.graph.wanted.iter().filter_map(value).collect()
    }
}
