//! Random graphs with additions, promises, errors, panics and cancellations, checked against a sequential oracle.

use std::collections::HashMap;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize};

use proptest::prelude::*;

use super::*;

/// A task as data. Inputs are picks among the tasks that it may see.
#[derive(Debug, Clone)]
struct Shape {
    picks: Vec<usize>,
    order: Option<u64>,
    children: Vec<Shape>,
    /// Which child to become, if it has any.
    becomes: Option<usize>,
}

/// A task with a number and with the numbers of its inputs.
#[derive(Debug)]
struct Node {
    number: usize,
    inputs: Vec<usize>,
    order: Option<u64>,
    children: Vec<Arc<Node>>,
    becomes: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    None,
    Error,
    Panic,
    Cancel,
    /// The handle is dropped by another thread while the task runs.
    Drop,
}

fn shape() -> impl Strategy<Value = Shape> {
    let picks = || prop::collection::vec(0..32_usize, 0..4);
    let order = || prop::option::weighted(0.4, 0..10_u64);
    let leaf = (picks(), order()).prop_map(|(picks, order)| Shape { picks, order, children: vec![], becomes: None });
    leaf.prop_recursive(3, 24, 4, move |inner| {
        (picks(), order(), prop::collection::vec(inner, 0..4), prop::option::of(0..4_usize)).prop_map(
            |(picks, order, children, becomes)| {
                let becomes = becomes.filter(|index| *index < children.len());
                Shape { picks, order, children, becomes }
            },
        )
    })
}

/// The graph as the oracle knows it.
#[derive(Default)]
struct Oracle {
    values: Vec<u64>,
    inputs: Vec<Vec<usize>>,
    becomes: Vec<Option<usize>>,
    /// The roots among the top-level tasks so far: always live, so that a child may depend on them at any time.
    roots: Vec<usize>,
}

impl Oracle {
    /// Numbers a task and all below it, and works their values out.
    fn number(&mut self, shape: &Shape, visible: &[usize]) -> Arc<Node> {
        let number = self.values.len();
        let pick = |pick: &usize| visible.get(pick % visible.len().max(1)).copied();
        let inputs: Vec<usize> = shape.picks.iter().filter_map(pick).collect();
        let mix = |sum: u64, input: &usize| sum.wrapping_mul(31).wrapping_add(self.values[*input]);
        self.values.push(inputs.iter().fold(number as u64 + 1, mix));
        self.inputs.push(inputs.clone());
        self.becomes.push(None);
        // A child sees what is sure to be live: its elder siblings and the roots that were added before its parent.
        let mut seen = self.roots.clone();
        let mut children = Vec::new();
        for child in &shape.children {
            let child = self.number(child, &seen);
            seen.push(child.number);
            children.push(child);
        }
        if let Some(index) = shape.becomes {
            let target = children[index].number;
            self.values[number] = self.values[target];
            self.becomes[number] = Some(target);
        }
        Arc::new(Node { number, inputs, order: shape.order, children, becomes: shape.becomes })
    }
}

/// How many of the first top-level tasks are roots.
const ROOTS: usize = 6;

struct World {
    oracle: Oracle,
    runs: Vec<AtomicUsize>,
    live: Arc<AtomicIsize>,
    fault: (usize, Fault),
    roots: OnceLock<HashMap<usize, TaskId>>,
    control: OnceLock<GraphControl<Tracked, String>>,
    hit: std::sync::Mutex<Option<std::sync::mpsc::Sender<()>>>,
}

fn task(world: &Arc<World>, node: &Arc<Node>, ids: &HashMap<usize, TaskId>) -> Task<Tracked, String> {
    let inputs: Vec<TaskId> = node.inputs.iter().map(|input| ids[input]).collect();
    let kind = node.order.map_or(TaskKind::Consumer, |order| TaskKind::Producer { order });
    let (world, node) = (Arc::clone(world), Arc::clone(node));
    let capture = Tracked::new(0, &world.live);
    let label = Label::from("node").index(node.number as u32);
    Task::new(label, kind, move |context, values| {
        let _capture = capture;
        execute(&world, &node, context, &values)
    })
    .inputs(inputs)
}

fn execute(
    world: &Arc<World>,
    node: &Node,
    context: &TaskContext<Tracked, String>,
    values: &[Arc<Tracked>],
) -> Result<Outcome<Tracked>, String> {
    world.runs[node.number].fetch_add(1, Ordering::SeqCst);
    let expected: Vec<u64> = node.inputs.iter().map(|input| world.oracle.values[*input]).collect();
    let given: Vec<u64> = values.iter().map(|value| value.value).collect();
    if given != expected {
        return Err(format!("node {} was given {given:?}, not {expected:?}", node.number));
    }
    let mut ids = world.roots.get().cloned().unwrap_or_default();
    for child in &node.children {
        let id = context.add(task(world, child, &ids));
        ids.insert(child.number, id);
    }
    if world.fault.0 == node.number {
        match world.fault.1 {
            Fault::None => {}
            Fault::Error => return Err("fault".to_string()),
            Fault::Panic => panic!("fault"),
            Fault::Cancel => world.control.wait().cancel(),
            Fault::Drop => drop(world.hit.lock().unwrap().take()),
        }
    }
    match node.becomes {
        Some(index) => Ok(Outcome::Become(ids[&node.children[index].number])),
        None => Ok(Outcome::Value(Tracked::new(world.oracle.values[node.number], &world.live))),
    }
}

/// Runs the graph of `shapes` and checks everything that can be seen of it.
fn check(scheduler: &Scheduler, shapes: &[Shape], fault: (usize, Fault)) {
    let mut oracle = Oracle::default();
    let mut visible = Vec::new();
    let mut nodes = Vec::new();
    for shape in shapes {
        let node = oracle.number(shape, &visible);
        visible.push(node.number);
        if nodes.len() < ROOTS {
            oracle.roots.push(node.number);
        }
        nodes.push(node);
    }
    let roots = oracle.roots.clone();
    let count = oracle.values.len();
    let (hit, was_hit) = std::sync::mpsc::channel();
    let world = Arc::new(World {
        runs: (0..count).map(|_| AtomicUsize::new(0)).collect(),
        oracle,
        live: Arc::default(),
        fault: (fault.0 % count, fault.1),
        roots: OnceLock::new(),
        control: OnceLock::new(),
        hit: std::sync::Mutex::new(Some(hit)),
    });
    let mut graph = Graph::new();
    let mut ids = HashMap::new();
    for node in &nodes {
        let id = graph.add(task(&world, node, &ids));
        ids.insert(node.number, id);
    }
    roots.iter().for_each(|root| graph.want(ids[root]));
    world.roots.set(roots.iter().map(|root| (*root, ids[root])).collect()).unwrap();
    let start = submit(scheduler, graph, &world);
    let control = start.control();
    if fault.1 == Fault::Drop {
        let waiter = control.clone();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                let _ = was_hit.recv();
                drop(start);
            });
            waiter.wait_idle();
        });
        control.wait_idle();
    } else {
        judge(&world, &roots, start.wait());
    }
    drop(control);
    verify_runs(&world);
    assert_eq!(world.live.load(Ordering::SeqCst), 0, "something was not released");
}

/// Submits with a gate that is shut until the submission is over.
fn submit(scheduler: &Scheduler, graph: Graph<Tracked, String>, world: &World) -> GraphHandle<Tracked, String> {
    struct Shut(AtomicBool);
    impl Gate for Shut {
        fn admits(&self, _order: u64) -> bool {
            !self.0.load(Ordering::SeqCst)
        }
    }
    let gate = Arc::new(Shut(AtomicBool::new(true)));
    let handle = scheduler.submit(graph, options().gate(Arc::clone(&gate) as Arc<dyn Gate>));
    assert!(world.control.set(handle.control()).is_ok());
    gate.0.store(false, Ordering::SeqCst);
    handle.gate_changed();
    handle
}

fn judge(world: &World, roots: &[usize], result: Result<Vec<Arc<Tracked>>, String>) {
    match (world.fault.1, result) {
        (Fault::None, Ok(values)) => {
            assert!(values.iter().map(|value| value.value).eq(roots.iter().map(|root| world.oracle.values[*root])));
            assert!(world.runs.iter().all(|runs| runs.load(Ordering::SeqCst) == 1));
        }
        (Fault::Error, Err(error)) => assert_eq!(error, "fault"),
        (Fault::Panic, Err(error)) => assert_eq!(error, format!("node {} panicked: fault", world.fault.0)),
        (Fault::Cancel, Err(error)) => assert_eq!(error, "cancelled"),
        (fault, result) => panic!("{fault:?} gave {:?}", result.map(|values| values.len())),
    }
}

/// No task runs twice, and none without its inputs.
fn verify_runs(world: &World) {
    let ran = |number: usize| world.runs[number].load(Ordering::SeqCst) > 0;
    let failed = |number: usize| number == world.fault.0 && matches!(world.fault.1, Fault::Error | Fault::Panic);
    for (number, inputs) in world.oracle.inputs.iter().enumerate() {
        assert!(world.runs[number].load(Ordering::SeqCst) <= 1, "node {number} ran twice");
        for input in inputs.iter().filter(|_| ran(number)) {
            let mut source = *input;
            while let Some(next) = world.oracle.becomes[source] {
                assert!(ran(source) && !failed(source));
                source = next;
            }
            assert!(ran(source) && !failed(source), "node {number} ran without node {input}");
        }
    }
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        2 => Just(Fault::None),
        1 => Just(Fault::Error),
        1 => Just(Fault::Panic),
        1 => Just(Fault::Cancel),
        1 => Just(Fault::Drop),
    ]
}

/// Panics on worker threads are part of these tests: their reports would bury everything else.
fn quiet_panics() {
    static QUIET: std::sync::Once = std::sync::Once::new();
    QUIET.call_once(|| {
        let report = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if info.payload().downcast_ref::<&str>() != Some(&"fault") {
                report(info);
            }
        }));
    });
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

#[test]
fn random_graphs_run_right_on_every_arm_and_end_whatever_goes_wrong() {
    quiet_panics();
    let arms = Arc::new(arms());
    let strategy = (prop::collection::vec(shape(), 1..20), 0..1000_usize, fault(), 0..arms.len());
    let mut runner = prop::test_runner::TestRunner::new(config(1000));
    let outcome = runner.run(&strategy, |(shapes, at, fault, arm)| {
        let arms = Arc::clone(&arms);
        watched(move || check(&arms[arm], &shapes, (at, fault)));
        Ok(())
    });
    outcome.unwrap();
}

#[test]
fn many_random_graphs_share_the_workers() {
    quiet_panics();
    let scheduler = Scheduler::new(2).unwrap();
    let mut runner = prop::test_runner::TestRunner::new(config(50));
    let graph = (prop::collection::vec(shape(), 1..20), 0..1000_usize, fault());
    let outcome = runner.run(&prop::collection::vec(graph, 2..8), |graphs| {
        let scheduler = scheduler.clone();
        watched(move || {
            std::thread::scope(|scope| {
                for (shapes, at, fault) in &graphs {
                    scope.spawn(|| check(&scheduler, shapes, (*at, *fault)));
                }
            });
        });
        Ok(())
    });
    outcome.unwrap();
}
