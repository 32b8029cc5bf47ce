//! From pipelines to tasks: the only module that knows both queries and the scheduler.
//!
//! * [`Runner`] owns the workers and turns a [`PhysicalPlan`](crate::plan::PhysicalPlan) into a task graph.
//! * A pipeline is a *start* task, which becomes one task per split, one finishing task per lane and one that combines
//!   the lanes; its value is the source that later pipelines read. So a barrier is an edge of the graph.
//! * [`BatchStream`] is the result as it comes, in the order of the splits. Producers are held back while its consumer
//!   is slow; no worker ever waits for it.

mod feed;
mod lanes;
mod metrics;
mod pipeline;
mod progress;
mod queue;
mod runner;
mod stages;
mod stream;
#[cfg(test)]
mod tests;

pub use metrics::{QueryMetrics, Usage};
pub use progress::{Progress, ProgressHandle};
pub use runner::Runner;
pub use stream::{BatchStream, Waited};
