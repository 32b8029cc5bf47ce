//! The task scheduler: a dynamic graph of closures, run depth first on a pool of workers.
//!
//! Invariant: a task runs at most once, after all its inputs have values, and never waits; whatever has to wait is a
//! task of its own or a closed [`Gate`]. The scheduler is generic over the value `V` and the error `E` of a task and
//! knows nothing of batches, queries or memory. README.md in this folder explains the state machine.
//!
//! ```
//! use floe::sched::{Graph, Options, Outcome, Scheduler, Task};
//! let mut graph: Graph<u64, String> = Graph::new();
//! let one = graph.add(Task::producer("one", 0, |_, _| Ok(Outcome::Value(1))));
//! let two = graph.add(Task::producer("two", 1, |_, _| Ok(Outcome::Value(2))));
//! let sum = Task::consumer("sum", |_, inputs| Ok(Outcome::Value(inputs.iter().map(|value| **value).sum())));
//! let sum = graph.add(sum.inputs([one, two]));
//! graph.want(sum);
//! let options = Options::new(|text, label| format!("{label}: {text}"), || "cancelled".to_string());
//! let values = Scheduler::new(2).unwrap().submit(graph, options).wait().unwrap();
//! assert_eq!(*values[0], 3);
//! ```

mod edges;
mod executor;
mod graph;
mod handle;
mod machine;
mod observer;
mod options;
mod pool;
mod ready;
mod state;
mod task;
#[cfg(test)]
mod tests;

pub use executor::Scheduler;
pub use graph::Graph;
pub use handle::{GraphControl, GraphHandle};
pub use machine::TaskId;
pub use observer::{Change, Event, Observer};
pub use options::{Gate, OnFinish, Options};
pub use task::{Label, Outcome, Task, TaskContext, TaskKind};
