//! What the caller holds of a submitted graph.

use std::sync::Arc;

use super::executor::Run;

/// A submitted graph. Dropping the handle cancels the graph, without waiting for the tasks that run.
pub struct GraphHandle<V: Send + Sync + 'static, E: Send + 'static> {
    control: GraphControl<V, E>,
}

impl<V: Send + Sync + 'static, E: Send + 'static> GraphHandle<V, E> {
    pub(super) fn new(run: Arc<Run<V, E>>) -> Self {
        GraphHandle { control: GraphControl(run) }
    }

    /// Waits until the result is known and no task runs: the values of the roots in the order in which they were
    /// wanted, or the first error. A task of the same scheduler gets an error instead, since its worker must not block.
    ///
    /// # Errors
    /// That of the first task that failed or panicked, or of the cancellation.
    pub fn wait(self) -> Result<Vec<Arc<V>>, E> {
        let run = &self.control.0;
        if run.is_worker() {
            return Err(run.misuse("a task must not wait for a graph of its own scheduler", "wait"));
        }
        run.wait_idle();
        run.take_result().unwrap_or_else(|| Err(run.misuse("the result was taken before", "wait")))
    }

    /// Something to cancel or poke the graph with, from wherever; it neither cancels nor keeps the handle.
    pub fn control(&self) -> GraphControl<V, E> {
        self.control.clone()
    }

    /// See [`GraphControl::cancel`].
    pub fn cancel(&self) {
        self.control.cancel();
    }

    /// See [`GraphControl::is_finished`].
    pub fn is_finished(&self) -> bool {
        self.control.is_finished()
    }

    /// See [`GraphControl::gate_changed`].
    pub fn gate_changed(&self) {
        self.control.gate_changed();
    }

    /// See [`GraphControl::wait_idle`].
    pub fn wait_idle(&self) {
        self.control.wait_idle();
    }
}

impl<V: Send + Sync + 'static, E: Send + 'static> Drop for GraphHandle<V, E> {
    fn drop(&mut self) {
        self.control.cancel();
        self.control.0.abandon();
    }
}

/// A cheap clone of a handle's reins, without its result.
pub struct GraphControl<V, E>(Arc<Run<V, E>>);

impl<V, E> Clone for GraphControl<V, E> {
    fn clone(&self) -> Self {
        GraphControl(Arc::clone(&self.0))
    }
}

impl<V: Send + Sync + 'static, E: Send + 'static> GraphControl<V, E> {
    /// Ends the graph with the cancellation error, unless it has a result: what has not started is dropped before this
    /// returns, what runs sees `is_cancelled`.
    pub fn cancel(&self) {
        self.0.cancel();
    }

    /// Whether the result is known. Tasks may still be running if it is an error.
    pub fn is_finished(&self) -> bool {
        self.0.is_finished()
    }

    /// Asks the gate again, if it has refused. Callable from anywhere, also under locks that the gate takes.
    pub fn gate_changed(&self) {
        self.0.gate_changed();
    }

    /// Waits until the result is known and no task runs. Not to be called from a task or from `on_finish`.
    pub fn wait_idle(&self) {
        self.0.wait_idle();
    }
}
