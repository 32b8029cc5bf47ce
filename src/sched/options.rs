//! How a graph is to be run: where its errors come from, who is told, what holds it back.

use std::sync::Arc;

use super::observer::Observer;
use super::task::Label;
use crate::cancel::CancelToken;

/// Holds producers back while a consumer outside the pool is slow.
///
/// ```
/// use std::sync::atomic::{AtomicUsize, Ordering};
/// struct AtMost(AtomicUsize);
/// impl floe::sched::Gate for AtMost {
///     fn admits(&self, _order: u64) -> bool {
///         self.0.load(Ordering::SeqCst) < 16
///     }
/// }
/// ```
pub trait Gate: Send + Sync {
    /// Whether the producer of this order, the lowest of the ready ones, may start. Called under the scheduler's lock,
    /// at each attempt to start a producer: it must be quick, must not panic and must not call the scheduler. When a
    /// refusal is over, `gate_changed` of the handle must be called, after the state that `admits` reads has changed.
    fn admits(&self, order: u64) -> bool;
}

/// Told once, when the result of a graph is known: the values of the roots, or the first error.
pub type OnFinish<V, E> = Box<dyn FnOnce(Result<&[Arc<V>], &E>) + Send>;

/// How to run one graph.
pub struct Options<V, E> {
    pub(super) on_panic: fn(String, &Label) -> E,
    pub(super) on_cancel: fn() -> E,
    pub(super) cancel: CancelToken,
    pub(super) gate: Option<Arc<dyn Gate>>,
    pub(super) observer: Option<Arc<dyn Observer>>,
    pub(super) on_finish: Option<OnFinish<V, E>>,
}

impl<V, E> Options<V, E> {
    /// `on_panic` makes an error of a panic's text (also of a misuse of the graph) and the task's label; `on_cancel` is
    /// the error of a cancelled graph. Neither may panic.
    pub fn new(on_panic: fn(String, &Label) -> E, on_cancel: fn() -> E) -> Self {
        Options { on_panic, on_cancel, cancel: CancelToken::new(), gate: None, observer: None, on_finish: None }
    }

    /// The token of this graph alone: the first error or `cancel` of the handle sets it, and once it is set from
    /// outside no further task starts. A graph that its gate has parked needs `cancel` of the handle.
    #[must_use]
    pub fn cancel_token(self, cancel: CancelToken) -> Self {
        Options { cancel, ..self }
    }

    /// Holds producers back.
    #[must_use]
    pub fn gate(self, gate: Arc<dyn Gate>) -> Self {
        Options { gate: Some(gate), ..self }
    }

    /// Sees all state changes.
    #[must_use]
    pub fn observer(self, observer: Arc<dyn Observer>) -> Self {
        Options { observer: Some(observer), ..self }
    }

    /// Told when the result is known, before `wait` returns; tasks may still be running if it is an error. It must
    /// not wait for the graph.
    #[must_use]
    pub fn on_finish(self, on_finish: impl FnOnce(Result<&[Arc<V>], &E>) + Send + 'static) -> Self {
        Options { on_finish: Some(Box::new(on_finish)), ..self }
    }
}
