//! The state machine of one graph: events in (methods), [`Action`]s out.
//!
//! Invariant: it holds ids and structure only, at most 200 bytes a task (48 and 16 more per input); no closures, values,
//! clocks, threads or locks. Actions are to be performed in order, before the next event: a slot freed by one event may
//! be given to another task by the next. A slot is freed as soon as its task has a value (or became another task) and
//! nobody claims it, so memory follows the live tasks, not the tasks there ever were.
//!
//! # Known limitation
//! At most 2^32 - 1 tasks and as many edges are live at once.

use super::edges::{Edge, Edges, NONE};
use super::ready::Ready;
use super::task::TaskKind;

/// Names a task of one graph. It stays usable until the task has a value that no other task or root still claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TaskId {
    pub(super) slot: u32,
    /// How often the slot was reused: tells a task from its predecessors in the slot.
    generation: u32,
}

impl TaskId {
    /// A number for traces: unique among the live tasks of a graph.
    pub fn index(self) -> u32 {
        self.slot
    }
}

/// What the executor must do after an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// Run this task; the `Give`s that follow are its inputs, in order.
    Run(TaskId),
    /// Hand the value of `input` to the task of the last `Run`; with `last` nobody else needs it and the slot is free.
    Give { input: TaskId, last: bool },
    /// The value of `from` is also the value of `to`.
    Share { from: TaskId, to: TaskId },
    /// Nobody needs this task's value: drop it; the slot is free.
    Release(TaskId),
    /// Every task has a value.
    Complete,
    /// Nothing runs and nothing can start, yet tasks are left: they wait for themselves.
    Stalled,
}

/// How a running task ended well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Finish {
    Value,
    /// Its value is that of another task.
    Become(TaskId),
}

/// A task named an input or a successor that is not live (any more).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NotLive(pub(super) TaskId);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Free,
    /// It has an id but is not part of the graph yet.
    Reserved,
    Waiting,
    Ready,
    Running,
    /// It ran, and its value will be that of another task, in whose list of followers it is.
    Following,
    Finished,
}

#[derive(Debug)]
struct Slot {
    /// Producers start in ascending order.
    order: u64,
    generation: u32,
    /// Inputs without a value so far.
    waiting: u32,
    /// Who will still take the value: dependants that have not started, and roots.
    claims: u32,
    first_input: u32,
    first_dependant: u32,
    /// The tasks whose value will be this one's.
    first_follower: u32,
    last_follower: u32,
    /// The next in the list of followers; for a free slot the next free one.
    next: u32,
    state: State,
    producer: bool,
}

/// The structure of one graph.
#[derive(Debug)]
pub(super) struct Machine {
    slots: Vec<Slot>,
    first_free: u32,
    edges: Edges,
    ready: Ready,
    running: u32,
    /// Tasks without a value.
    unfinished: u32,
    /// Tasks whose value has just become known; empty between events.
    settled: Vec<u32>,
}

impl Default for Machine {
    fn default() -> Self {
        Machine {
            slots: Vec::new(),
            first_free: NONE,
            edges: Edges::default(),
            ready: Ready::default(),
            running: 0,
            unfinished: 0,
            settled: Vec::new(),
        }
    }
}

impl Machine {
    /// How many slots there are, free ones included: every `TaskId::slot` is below it.
    pub(super) fn slots(&self) -> usize {
        self.slots.len()
    }

    /// How many more workers could start a task now; producers count only if `producers`.
    pub(super) fn startable(&self, producers: bool) -> usize {
        self.ready.consumers() + if producers { self.ready.producers() } else { 0 }
    }

    /// The id of the task that is in `slot` now.
    pub(super) fn id(&self, slot: u32) -> TaskId {
        TaskId { slot, generation: self.slots[slot as usize].generation }
    }

    /// Event: somebody wants to add a task. The id may be named as an input at once.
    pub(super) fn reserve(&mut self) -> TaskId {
        if self.first_free == NONE {
            let slot = self.slots.len() as u32;
            debug_assert!(slot < NONE);
            self.slots.push(Slot::new());
            return self.id(slot);
        }
        let slot = self.first_free;
        let place = &mut self.slots[slot as usize];
        self.first_free = place.next;
        *place = Slot { generation: place.generation, ..Slot::new() };
        self.id(slot)
    }

    /// Event: a reserved id is not needed.
    pub(super) fn unreserve(&mut self, id: TaskId) {
        if self.live(id).is_ok_and(|slot| self.slots[slot as usize].state == State::Reserved) {
            self.free(id.slot);
        }
    }

    /// Event: the value of `id` must stay until the graph is dropped.
    pub(super) fn want(&mut self, id: TaskId) -> Result<(), NotLive> {
        let slot = self.live(id)?;
        self.slots[slot as usize].claims += 1;
        Ok(())
    }

    /// Event: the task of the reserved `id` is known. It does not start before [`Machine::publish`] names it.
    pub(super) fn add(&mut self, id: TaskId, kind: TaskKind, inputs: &[TaskId]) -> Result<(), NotLive> {
        for input in inputs {
            self.live(*input)?;
        }
        let slot = id.slot;
        let mut waiting = 0;
        let mut first_input = NONE;
        for input in inputs.iter().rev() {
            let place = &mut self.slots[input.slot as usize];
            place.claims += 1;
            let edge = Edge {
                input: input.slot,
                dependant: slot,
                next_dependant: place.first_dependant,
                next_input: first_input,
            };
            first_input = self.edges.insert(edge);
            if place.state != State::Finished {
                place.first_dependant = first_input;
                waiting += 1;
            }
        }
        let place = &mut self.slots[slot as usize];
        place.state = State::Waiting;
        place.first_input = first_input;
        place.waiting = waiting;
        if let TaskKind::Producer { order } = kind {
            place.producer = true;
            place.order = order;
        }
        self.unfinished += 1;
        Ok(())
    }

    /// Event: these added tasks are all there, and may start. Of those ready at once the first starts first.
    pub(super) fn publish(&mut self, ids: &[TaskId]) {
        for id in ids {
            if self.slots[id.slot as usize].producer {
                self.ready_if_complete(id.slot);
            }
        }
        for id in ids.iter().rev() {
            self.ready_if_complete(id.slot);
        }
    }

    /// Event: all tasks so far are published; says `Complete` for an empty graph.
    pub(super) fn seal(&mut self, actions: &mut Vec<Action>) {
        self.check_end(actions);
    }

    /// Event: a worker is free. Says `Run` and `Give`s, or nothing when no task can start now.
    pub(super) fn start(&mut self, admits: impl FnOnce(u64) -> bool, actions: &mut Vec<Action>) {
        let Some(slot) = self.ready.pop(admits) else { return };
        self.slots[slot as usize].state = State::Running;
        self.running += 1;
        actions.push(Action::Run(self.id(slot)));
        let mut index = std::mem::replace(&mut self.slots[slot as usize].first_input, NONE);
        while index != NONE {
            let edge = self.edges.remove(index);
            let input = self.id(edge.input);
            let claims = &mut self.slots[edge.input as usize].claims;
            *claims -= 1;
            let last = *claims == 0;
            actions.push(Action::Give { input, last });
            if last {
                self.free(edge.input);
            }
            index = edge.next_input;
        }
    }

    /// Event: a running task ended well.
    pub(super) fn finish(&mut self, id: TaskId, finish: Finish, actions: &mut Vec<Action>) -> Result<(), NotLive> {
        let slot = id.slot;
        if let Finish::Become(target) = finish
            && (self.live(target).is_err() || target == id)
        {
            return Err(NotLive(target));
        }
        debug_assert_eq!(self.slots[slot as usize].state, State::Running);
        self.running -= 1;
        match finish {
            Finish::Value => self.settle(slot, actions),
            Finish::Become(target) if self.slots[target.slot as usize].state == State::Finished => {
                actions.push(Action::Share { from: target, to: id });
                self.settle(slot, actions);
            }
            Finish::Become(target) => self.follow(slot, target.slot, actions),
        }
        self.check_end(actions);
        Ok(())
    }

    /// The value of `slot` is known: tells dependants and followers, and frees what nobody claims.
    fn settle(&mut self, slot: u32, actions: &mut Vec<Action>) {
        self.settled.push(slot);
        while let Some(slot) = self.settled.pop() {
            let place = &mut self.slots[slot as usize];
            place.state = State::Finished;
            let claimed = place.claims > 0;
            let mut follower = std::mem::replace(&mut place.first_follower, NONE);
            let mut index = std::mem::replace(&mut place.first_dependant, NONE);
            self.unfinished -= 1;
            let from = self.id(slot);
            while follower != NONE {
                actions.push(Action::Share { from, to: self.id(follower) });
                self.settled.push(follower);
                follower = self.slots[follower as usize].next;
            }
            while index != NONE {
                let edge = self.edges.get(index);
                self.slots[edge.dependant as usize].waiting -= 1;
                self.ready_if_complete(edge.dependant);
                index = edge.next_dependant;
            }
            if !claimed {
                actions.push(Action::Release(from));
                self.free(slot);
            }
        }
    }

    /// `slot` will have the value of the unfinished `target`. Without claims it is freed, and its own followers follow
    /// `target` directly: a chain of tasks that each become the next one stays two slots long.
    fn follow(&mut self, slot: u32, target: u32, actions: &mut Vec<Action>) {
        let place = &mut self.slots[slot as usize];
        let (first, last) = if place.claims > 0 {
            place.state = State::Following;
            (slot, slot)
        } else {
            (place.first_follower, place.last_follower)
        };
        if place.claims == 0 {
            self.unfinished -= 1;
            actions.push(Action::Release(self.id(slot)));
            self.free(slot);
        }
        if first == NONE {
            return;
        }
        let old = self.slots[target as usize].first_follower;
        self.slots[last as usize].next = old;
        let target = &mut self.slots[target as usize];
        target.first_follower = first;
        if old == NONE {
            target.last_follower = last;
        }
    }

    fn check_end(&self, actions: &mut Vec<Action>) {
        if self.unfinished == 0 {
            actions.push(Action::Complete);
        } else if self.running == 0 && self.startable(true) == 0 {
            actions.push(Action::Stalled);
        }
    }

    fn ready_if_complete(&mut self, slot: u32) {
        let place = &mut self.slots[slot as usize];
        if place.waiting > 0 || place.state != State::Waiting {
            return;
        }
        place.state = State::Ready;
        if place.producer {
            self.ready.push_producer(place.order, slot);
        } else {
            self.ready.push_consumer(slot);
        }
    }

    fn live(&self, id: TaskId) -> Result<u32, NotLive> {
        match self.slots.get(id.slot as usize) {
            Some(place) if place.generation == id.generation && place.state != State::Free => Ok(id.slot),
            _ => Err(NotLive(id)),
        }
    }

    fn free(&mut self, slot: u32) {
        let place = &mut self.slots[slot as usize];
        place.state = State::Free;
        place.generation = place.generation.wrapping_add(1);
        place.next = self.first_free;
        self.first_free = slot;
    }

    /// How many edges were ever live at once (for tests of bounded memory).
    #[cfg(test)]
    pub(super) fn edges(&self) -> usize {
        self.edges.capacity()
    }
}

impl Slot {
    fn new() -> Self {
        Slot {
            order: 0,
            generation: 0,
            waiting: 0,
            claims: 0,
            first_input: NONE,
            first_dependant: NONE,
            first_follower: NONE,
            last_follower: NONE,
            next: NONE,
            state: State::Reserved,
            producer: false,
        }
    }
}

#[cfg(test)]
mod tests;
