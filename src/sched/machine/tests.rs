//! The machine alone: single claims, and random graphs with random interleavings of several workers.

use std::collections::{HashMap, HashSet};

use proptest::prelude::*;

use super::*;

fn add(machine: &mut Machine, inputs: &[TaskId]) -> TaskId {
    let id = machine.reserve();
    machine.add(id, TaskKind::Consumer, inputs).expect("inputs are live");
    id
}

fn start(machine: &mut Machine) -> Vec<Action> {
    let mut actions = Vec::new();
    machine.start(|_| true, &mut actions);
    actions
}

fn finish(machine: &mut Machine, id: TaskId, finish: Finish) -> Vec<Action> {
    let mut actions = Vec::new();
    machine.finish(id, finish, &mut actions).expect("the target is live");
    actions
}

#[test]
fn a_slot_is_far_below_200_bytes() {
    assert!(size_of::<Slot>() <= 48);
    assert!(size_of::<Edge>() <= 16);
}

#[test]
fn a_consumer_starts_after_its_inputs_and_takes_them() {
    let mut machine = Machine::default();
    let one = add(&mut machine, &[]);
    let two = add(&mut machine, &[]);
    let sum = add(&mut machine, &[two, one, two]);
    machine.want(sum).unwrap();
    machine.publish(&[one, two, sum]);
    assert_eq!(start(&mut machine), [Action::Run(one)]);
    assert_eq!(start(&mut machine), [Action::Run(two)]);
    assert_eq!(start(&mut machine), []);
    assert_eq!(finish(&mut machine, one, Finish::Value), []);
    assert_eq!(start(&mut machine), []);
    assert_eq!(finish(&mut machine, two, Finish::Value), []);
    let give = |input, last| Action::Give { input, last };
    assert_eq!(start(&mut machine), [Action::Run(sum), give(two, false), give(one, true), give(two, true)]);
    assert_eq!(finish(&mut machine, sum, Finish::Value), [Action::Complete]);
}

#[test]
fn a_value_that_nobody_claims_is_released_at_once() {
    let mut machine = Machine::default();
    let lonely = add(&mut machine, &[]);
    machine.publish(&[lonely]);
    start(&mut machine);
    assert_eq!(finish(&mut machine, lonely, Finish::Value), [Action::Release(lonely), Action::Complete]);
    let next = machine.reserve();
    assert_eq!(next.slot, lonely.slot);
    assert_ne!(next, lonely);
}

#[test]
fn an_id_of_a_freed_slot_is_refused() {
    let mut machine = Machine::default();
    let old = add(&mut machine, &[]);
    machine.publish(&[old]);
    start(&mut machine);
    finish(&mut machine, old, Finish::Value);
    let id = machine.reserve();
    assert_eq!(machine.add(id, TaskKind::Consumer, &[old]), Err(NotLive(old)));
    assert_eq!(machine.want(old), Err(NotLive(old)));
}

#[test]
fn dependants_of_a_task_that_became_another_wait_for_that_one() {
    let mut machine = Machine::default();
    let first = add(&mut machine, &[]);
    let user = add(&mut machine, &[first]);
    machine.publish(&[first, user]);
    start(&mut machine);
    let second = add(&mut machine, &[]);
    machine.publish(&[second]);
    assert_eq!(finish(&mut machine, first, Finish::Become(second)), []);
    assert_eq!(start(&mut machine), [Action::Run(second)]);
    assert_eq!(start(&mut machine), []);
    let share = Action::Share { from: second, to: first };
    assert_eq!(finish(&mut machine, second, Finish::Value), [share, Action::Release(second)]);
    assert_eq!(start(&mut machine), [Action::Run(user), Action::Give { input: first, last: true }]);
}

#[test]
fn becoming_a_finished_task_shares_its_value_at_once() {
    let mut machine = Machine::default();
    let done = add(&mut machine, &[]);
    let other = add(&mut machine, &[]);
    machine.want(done).unwrap();
    machine.want(other).unwrap();
    machine.publish(&[done, other]);
    start(&mut machine);
    start(&mut machine);
    finish(&mut machine, done, Finish::Value);
    let share = Action::Share { from: done, to: other };
    assert_eq!(finish(&mut machine, other, Finish::Become(done)), [share, Action::Complete]);
}

#[test]
fn a_chain_of_a_million_continuations_needs_three_slots() {
    let mut machine = Machine::default();
    let root = add(&mut machine, &[]);
    machine.want(root).unwrap();
    machine.publish(&[root]);
    start(&mut machine);
    let mut current = root;
    for _ in 0..1_000_000 {
        let next = add(&mut machine, &[]);
        machine.publish(&[next]);
        finish(&mut machine, current, Finish::Become(next));
        assert_eq!(start(&mut machine), [Action::Run(next)]);
        current = next;
    }
    let end = finish(&mut machine, current, Finish::Value);
    assert_eq!(end, [Action::Share { from: current, to: root }, Action::Release(current), Action::Complete]);
    assert!(machine.slots() <= 3);
}

#[test]
fn a_chain_of_a_million_dependants_reuses_slots_and_edges() {
    let mut machine = Machine::default();
    let mut current = add(&mut machine, &[]);
    machine.publish(&[current]);
    start(&mut machine);
    for _ in 0..1_000_000 {
        let next = add(&mut machine, &[current]);
        machine.publish(&[next]);
        finish(&mut machine, current, Finish::Value);
        start(&mut machine);
        current = next;
    }
    assert!(machine.slots() <= 3 && machine.edges() <= 2);
}

#[test]
fn tasks_that_become_each_other_stall() {
    let mut machine = Machine::default();
    let one = add(&mut machine, &[]);
    let two = add(&mut machine, &[]);
    machine.want(one).unwrap();
    machine.want(two).unwrap();
    machine.publish(&[one, two]);
    start(&mut machine);
    start(&mut machine);
    assert_eq!(finish(&mut machine, one, Finish::Become(two)), []);
    assert_eq!(finish(&mut machine, two, Finish::Become(one)), [Action::Stalled]);
}

#[test]
fn a_task_cannot_become_itself() {
    let mut machine = Machine::default();
    let one = add(&mut machine, &[]);
    machine.publish(&[one]);
    start(&mut machine);
    assert_eq!(machine.finish(one, Finish::Become(one), &mut Vec::new()), Err(NotLive(one)));
}

#[test]
fn only_the_lowest_producer_is_put_to_the_gate_and_only_without_ready_consumers() {
    let mut machine = Machine::default();
    let mut ids = Vec::new();
    for order in [5, 3, 9, 4] {
        let id = machine.reserve();
        machine.add(id, TaskKind::Producer { order }, &[]).unwrap();
        ids.push(id);
    }
    let consumer = add(&mut machine, &[]);
    ids.push(consumer);
    machine.publish(&ids);
    let mut actions = Vec::new();
    machine.start(|_| panic!("a consumer is ready"), &mut actions);
    assert_eq!(actions, [Action::Run(consumer)]);
    let mut asked = Vec::new();
    actions.clear();
    let refuse = |order| {
        asked.push(order);
        false
    };
    machine.start(refuse, &mut actions);
    assert_eq!((asked, actions.len()), (vec![3], 0));
    let orders = std::iter::from_fn(|| start(&mut machine).first().copied());
    assert!(orders.eq([1, 3, 0, 2].map(|index: usize| Action::Run(ids[index]))));
}

/// One step of a random schedule.
#[derive(Debug, Clone)]
enum Step {
    /// A free worker asks for a task.
    Start,
    /// One of the running tasks ends, after it added tasks with these inputs, and becomes one of them, or not.
    Finish { which: usize, adds: Vec<Vec<usize>>, becomes: Option<usize> },
}

fn step() -> impl Strategy<Value = Step> {
    let adds = prop::collection::vec(prop::collection::vec(0..64_usize, 0..4), 0..4);
    prop_oneof![
        Just(Step::Start),
        (0..8_usize, adds, prop::option::of(0..4_usize)).prop_map(|(which, adds, becomes)| Step::Finish {
            which,
            adds,
            becomes
        }),
    ]
}

/// Keeps books about what the machine says.
#[derive(Default)]
struct Books {
    machine: Machine,
    running: Vec<TaskId>,
    inputs: HashMap<TaskId, Vec<TaskId>>,
    /// Tasks with a value that was neither released nor given away for the last time.
    values: HashSet<TaskId>,
    started: HashSet<TaskId>,
    live: Vec<TaskId>,
    complete: bool,
}

impl Books {
    fn add(&mut self, picks: &[usize], among: &[TaskId]) -> TaskId {
        let inputs: Vec<TaskId> =
            picks.iter().filter_map(|pick| among.get(pick % among.len().max(1))).copied().collect();
        let id = add(&mut self.machine, &inputs);
        self.inputs.insert(id, inputs);
        self.live.push(id);
        id
    }

    fn forget(&mut self, id: TaskId) {
        assert!(self.values.remove(&id), "{id:?} has no value to give away");
        self.live.retain(|other| *other != id);
    }

    fn start(&mut self) {
        let actions = start(&mut self.machine);
        let Some(Action::Run(id)) = actions.first().copied() else { return };
        assert!(self.started.insert(id), "{id:?} runs twice");
        let mut given = Vec::new();
        for action in &actions[1..] {
            let Action::Give { input, last } = *action else { panic!("{action:?} after Run") };
            assert!(self.values.contains(&input), "{id:?} runs before {input:?}");
            given.push(input);
            if last {
                self.forget(input);
            }
        }
        assert_eq!(given, self.inputs[&id]);
        self.running.push(id);
    }

    fn finish(&mut self, which: usize, adds: &[Vec<usize>], becomes: Option<usize>) {
        if self.running.is_empty() {
            return;
        }
        let id = self.running.swap_remove(which % self.running.len());
        // Only tasks of its own and those that have values: a task that waits for its adder would stall.
        let mut among: Vec<TaskId> = self.live.iter().filter(|id| self.values.contains(id)).copied().collect();
        let mut added = Vec::new();
        for picks in adds {
            let child = self.add(picks, &among);
            among.push(child);
            added.push(child);
        }
        self.machine.publish(&added);
        let end = becomes.and_then(|index| added.get(index)).map_or(Finish::Value, |child| Finish::Become(*child));
        let actions = finish(&mut self.machine, id, end);
        if end == Finish::Value {
            self.values.insert(id);
        }
        for action in actions {
            match action {
                Action::Share { from, to } => {
                    assert!(self.values.contains(&from));
                    self.values.insert(to);
                }
                Action::Release(gone) if gone == id && end != Finish::Value => self.live.retain(|other| *other != id),
                Action::Release(gone) => self.forget(gone),
                Action::Complete => self.complete = true,
                other => panic!("{other:?} after Finish"),
            }
        }
    }
}

proptest! {
    #[test]
    fn random_schedules_run_each_task_once_and_leave_only_the_roots(
        first in prop::collection::vec(prop::collection::vec(0..64_usize, 0..4), 1..20),
        roots in prop::collection::vec(0..20_usize, 0..3),
        steps in prop::collection::vec(step(), 0..200),
    ) {
        let mut books = Books::default();
        let mut ids: Vec<TaskId> = Vec::new();
        for picks in &first {
            let id = books.add(picks, &ids);
            ids.push(id);
        }
        let wanted: HashSet<TaskId> = roots.iter().map(|root| ids[root % ids.len()]).collect();
        for root in &wanted {
            books.machine.want(*root).unwrap();
        }
        books.machine.publish(&ids);
        for step in steps {
            match step {
                Step::Start => books.start(),
                Step::Finish { which, adds, becomes } => books.finish(which, &adds, becomes),
            }
        }
        for _ in 0..10_000 {
            books.start();
            books.finish(0, &[], None);
        }
        prop_assert!(books.complete);
        prop_assert_eq!(books.started.len(), books.inputs.len());
        prop_assert_eq!(&books.values, &wanted);
    }
}
