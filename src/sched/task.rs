//! What a task is: a label, a kind, inputs, and a closure that runs once.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::sync::Arc;

use super::executor::Run;
use super::machine::TaskId;
use super::observer::Change;
use crate::cancel::CancelToken;

/// A task's name in errors and traces: a text shared by many tasks and a number. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Label {
    text: Text,
    index: Option<u32>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
enum Text {
    Static(&'static str),
    Shared(Arc<str>),
}

impl Label {
    /// The label `text index`, as in `scan 17`.
    #[must_use]
    pub fn index(self, index: u32) -> Self {
        Label { index: Some(index), ..self }
    }

    /// The text without the number.
    pub fn text(&self) -> &str {
        match &self.text {
            Text::Static(text) => text,
            Text::Shared(text) => text,
        }
    }

    /// The number among the tasks with this text.
    pub fn number(&self) -> Option<u32> {
        self.index
    }
}

impl From<&'static str> for Label {
    fn from(text: &'static str) -> Self {
        Label { text: Text::Static(text), index: None }
    }
}

impl From<Arc<str>> for Label {
    fn from(text: Arc<str>) -> Self {
        Label { text: Text::Shared(text), index: None }
    }
}

impl From<String> for Label {
    fn from(text: String) -> Self {
        Label::from(Arc::<str>::from(text))
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())?;
        self.index.map_or(Ok(()), |index| write!(f, " {index}"))
    }
}

impl fmt::Debug for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Whether a task brings new data in or works on what is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskKind {
    /// Reads: held back while any consumer is ready, and started in ascending `order`.
    Producer { order: u64 },
    /// Uses up what was read.
    Consumer,
}

/// What a task gives back.
#[derive(Debug)]
pub enum Outcome<V> {
    /// Its value.
    Value(V),
    /// Its value, shared with somebody (an input passed on, for instance).
    Shared(Arc<V>),
    /// Its value will be that of this task, usually one that it has just added. Its dependants wait for that one.
    Become(TaskId),
}

/// The closure of a task.
pub(super) type Work<V, E> = Box<dyn FnOnce(&TaskContext<V, E>, Vec<Arc<V>>) -> Result<Outcome<V>, E> + Send>;

/// A task that is not part of a graph yet.
pub struct Task<V, E> {
    pub(super) label: Label,
    pub(super) kind: TaskKind,
    pub(super) inputs: Vec<TaskId>,
    pub(super) work: Work<V, E>,
}

impl<V, E> Task<V, E> {
    /// A task of any kind. `work` gets the values of its inputs, in the order in which they were named; when it is the
    /// last to use one, `Arc::try_unwrap` gives it the value itself.
    pub fn new<F>(label: impl Into<Label>, kind: TaskKind, work: F) -> Self
    where
        F: FnOnce(&TaskContext<V, E>, Vec<Arc<V>>) -> Result<Outcome<V>, E> + Send + 'static,
    {
        Task { label: label.into(), kind, inputs: Vec::new(), work: Box::new(work) }
    }

    /// A task that works on what is there.
    pub fn consumer<F>(label: impl Into<Label>, work: F) -> Self
    where
        F: FnOnce(&TaskContext<V, E>, Vec<Arc<V>>) -> Result<Outcome<V>, E> + Send + 'static,
    {
        Task::new(label, TaskKind::Consumer, work)
    }

    /// A task that reads.
    pub fn producer<F>(label: impl Into<Label>, order: u64, work: F) -> Self
    where
        F: FnOnce(&TaskContext<V, E>, Vec<Arc<V>>) -> Result<Outcome<V>, E> + Send + 'static,
    {
        Task::new(label, TaskKind::Producer { order }, work)
    }

    /// Adds one input.
    #[must_use]
    pub fn input(mut self, input: TaskId) -> Self {
        self.inputs.push(input);
        self
    }

    /// Adds inputs, after those it has.
    #[must_use]
    pub fn inputs(mut self, inputs: impl IntoIterator<Item = TaskId>) -> Self {
        self.inputs.extend(inputs);
        self
    }
}

impl<V, E> fmt::Debug for Task<V, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task").field("label", &self.label).field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// What a running task may do to its graph.
pub struct TaskContext<V, E> {
    pub(super) run: Arc<Run<V, E>>,
    pub(super) current: Cell<Option<TaskId>>,
    /// Tasks that the running task added; they join the graph when it ends.
    pub(super) added: RefCell<Vec<(TaskId, Task<V, E>)>>,
    /// Ids reserved ahead, so that adding seldom takes the graph's lock.
    pub(super) stock: RefCell<Vec<TaskId>>,
    /// What the running task took from the stock.
    pub(super) taken: Cell<usize>,
}

impl<V: Send + Sync + 'static, E: Send + 'static> TaskContext<V, E> {
    /// Adds a task to the graph. It may depend on tasks that this one added before, and on others that are still live
    /// (not on this one's own inputs, whose values it has: capture those). It starts after this one has ended well,
    /// and never if this one fails.
    pub fn add(&self, task: Task<V, E>) -> TaskId {
        let stocked = self.stock.borrow_mut().pop();
        let id = stocked.unwrap_or_else(|| self.run.reserve());
        self.taken.set(self.taken.get() + 1);
        self.run.observe(id, &task.label, Change::Added);
        self.added.borrow_mut().push((id, task));
        id
    }

    /// Whether the graph was cancelled or failed: the result of this task is not needed any more.
    pub fn is_cancelled(&self) -> bool {
        self.run.cancel.is_cancelled()
    }

    /// The graph's token, for code that takes one.
    pub fn cancel_token(&self) -> &CancelToken {
        &self.run.cancel
    }

    /// The id of the running task.
    pub fn id(&self) -> Option<TaskId> {
        self.current.get()
    }
}
