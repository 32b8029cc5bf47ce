//! What the scheduler costs per empty task, end to end (build, submit, run, wait), from 10^3 to 10^6 tasks.
//!
//! Compared with the promise of 5 µs a task, on two workers: independent tasks, producers in order, a chain of
//! dependants, a chain in which each task adds the next and becomes it, a tree reduction, and forks that join again.
//! Prints µs per task; `-- --figures` stops there.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput};
use floe::sched::{Graph, Options, Outcome, Scheduler, Task, TaskContext};

type Empty = Graph<u64, String>;
type Build = fn(u64) -> Empty;

const SHAPES: [(&str, Build); 6] = [
    ("independent", independent),
    ("producers", producers),
    ("chain", chain),
    ("continuation", continuation),
    ("tree", tree),
    ("diamonds", diamonds),
];

fn independent(tasks: u64) -> Empty {
    let mut graph = Graph::new();
    for value in 0..tasks {
        graph.add(Task::consumer("task", move |_, _| Ok(Outcome::Value(value))));
    }
    graph
}

fn producers(tasks: u64) -> Empty {
    let mut graph = Graph::new();
    for value in 0..tasks {
        graph.add(Task::producer("task", value, move |_, _| Ok(Outcome::Value(value))));
    }
    graph
}

fn chain(tasks: u64) -> Empty {
    let mut graph = Graph::new();
    let mut last = graph.add(Task::producer("first", 0, |_, _| Ok(Outcome::Value(0))));
    for _ in 1..tasks {
        let next = Task::consumer("next", |_, inputs| Ok(Outcome::Value(*inputs[0] + 1)));
        last = graph.add(next.input(last));
    }
    graph.want(last);
    graph
}

fn step(context: &TaskContext<u64, String>, left: u64) -> Result<Outcome<u64>, String> {
    if left <= 1 {
        return Ok(Outcome::Value(0));
    }
    Ok(Outcome::Become(context.add(Task::consumer("step", move |context, _| step(context, left - 1)))))
}

fn continuation(tasks: u64) -> Empty {
    let mut graph = Graph::new();
    let first = graph.add(Task::consumer("step", move |context, _| step(context, tasks)));
    graph.want(first);
    graph
}

fn tree(tasks: u64) -> Empty {
    let mut graph = Graph::new();
    let leaf = |value| Task::producer("leaf", value, move |_, _| Ok(Outcome::Value(value)));
    let mut level: Vec<_> = (0..tasks.div_ceil(2)).map(|value| graph.add(leaf(value))).collect();
    while level.len() > 1 {
        let sum = |pair: &[_]| {
            let sum = Task::consumer("sum", |_, inputs| Ok(Outcome::Value(inputs.iter().map(|value| **value).sum())));
            graph.add(sum.inputs(pair.iter().copied()))
        };
        level = level.chunks(2).map(sum).collect();
    }
    graph.want(level[0]);
    graph
}

/// Forks of two that join again: work for the second worker comes and goes with every task.
fn diamonds(tasks: u64) -> Empty {
    let mut graph = Graph::new();
    let sum = || Task::consumer("sum", |_, inputs| Ok(Outcome::Value(inputs.iter().map(|value| **value).sum())));
    let mut last = graph.add(sum());
    for _ in 0..tasks / 3 {
        let sides = [graph.add(sum().input(last)), graph.add(sum().input(last))];
        last = graph.add(sum().inputs(sides));
    }
    graph.want(last);
    graph
}

fn run(scheduler: &Scheduler, graph: Empty) {
    let options = Options::new(|text, _| text, || "cancelled".to_string());
    black_box(scheduler.submit(graph, options).wait()).expect("no task fails");
}

/// The median and the best round, split into building the graph and running it (submit to the end of wait).
fn figures(scheduler: &Scheduler) {
    println!("{:<14}{:>10}{:>12}{:>12}{:>12}{:>12}", "shape", "tasks", "build µs", "run µs", "total µs", "best µs");
    for (name, build) in SHAPES {
        for tasks in [1_000_u64, 10_000, 100_000, 1_000_000] {
            let round = |_| {
                let start = Instant::now();
                let graph = build(tasks);
                let built = start.elapsed();
                run(scheduler, graph);
                (start.elapsed(), built)
            };
            let mut rounds: Vec<(Duration, Duration)> = (0..(2_000_000 / tasks).clamp(5, 51)).map(round).collect();
            rounds.sort();
            let per_task = |time: Duration| time.as_secs_f64() * 1e6 / tasks as f64;
            let (total, built) = rounds[rounds.len() / 2];
            let (build, run, best) = (per_task(built), per_task(total - built), per_task(rounds[0].0));
            println!("{name:<14}{tasks:>10}{build:>12.3}{run:>12.3}{:>12.3}{best:>12.3}", build + run);
        }
    }
}

fn main() {
    for threads in [2, 1] {
        println!("{threads} worker(s), cost per task");
        figures(&Scheduler::new(threads).expect("threads"));
    }
    if std::env::args().any(|argument| argument == "--figures") {
        return;
    }
    let mut criterion = Criterion::default().configure_from_args().sample_size(10);
    let scheduler = Scheduler::new(2).expect("threads");
    let mut group = criterion.benchmark_group("scheduler");
    for (name, build) in SHAPES {
        let tasks = 10_000_u64;
        group.throughput(Throughput::Elements(tasks));
        group.bench_function(BenchmarkId::new(name, tasks), |bencher| bencher.iter(|| run(&scheduler, build(tasks))));
    }
    group.finish();
    criterion.final_summary();
}
