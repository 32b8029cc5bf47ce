//! The executor: takes jobs from a graph's state, runs them, and brings back how they ended.
//!
//! Invariant: the state's lock is held only between two tasks, never while anything of the caller runs or is dropped
//! (but for the gate's answer). A worker keeps its seat at the graph until it has dropped all that it had of it, so an
//! idle graph holds nothing.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};

use super::graph::{Body, Graph, Payload};
use super::handle::GraphHandle;
use super::machine::TaskId;
use super::observer::{Change, Event, Observer};
use super::options::{Gate, Options};
use super::pool::{Pool, Seated};
use super::state::{Ending, Garbage, Job, Phase, RunState};
use super::task::{Label, Outcome, TaskContext};
use crate::cancel::CancelToken;

/// How long a worker stays with a graph while others wait for a turn; a running task is never interrupted.
const TURN: Duration = Duration::from_millis(2);
/// How many ids a worker keeps ready for a task that adds as many as the one before.
const STOCK: usize = 64;

/// Runs graphs, on a pool of workers or on the thread that waits.
#[derive(Clone)]
pub struct Scheduler {
    pool: Option<Arc<Pool>>,
}

impl Scheduler {
    /// A scheduler with its own `threads` workers (at least one).
    ///
    /// # Errors
    /// `IO_ERROR` when the operating system gives no threads.
    pub fn new(threads: usize) -> crate::error::Result<Self> {
        Ok(Scheduler { pool: Some(Pool::new(threads)?) })
    }

    /// A scheduler without workers: `wait` and `wait_idle` run the graph on the calling thread, always in the same
    /// order. A closed gate makes them wait for another thread's `gate_changed`.
    pub fn inline() -> Self {
        Scheduler { pool: None }
    }

    /// How many tasks may run at once.
    pub fn threads(&self) -> usize {
        self.pool.as_ref().map_or(1, |pool| pool.width())
    }

    /// Starts a graph. Its tasks run whether or not somebody waits; dropping the handle cancels them.
    pub fn submit<V, E>(&self, graph: Graph<V, E>, options: Options<V, E>) -> GraphHandle<V, E>
    where
        V: Send + Sync + 'static,
        E: Send + 'static,
    {
        let run = Arc::new(Run {
            state: Mutex::new(RunState::new(graph, options.gate, options.on_finish)),
            idle: Condvar::new(),
            cancel: options.cancel,
            gate_shut: AtomicBool::new(false),
            observer: options.observer,
            on_panic: options.on_panic,
            on_cancel: options.on_cancel,
            pool: self.pool.clone(),
            pokes: Mutex::new(0),
            poked: Condvar::new(),
        });
        run.begin();
        GraphHandle::new(run)
    }
}

/// A submitted graph.
pub(super) struct Run<V, E> {
    state: Mutex<RunState<V, E>>,
    /// Signalled when the state becomes idle.
    idle: Condvar,
    pub(super) cancel: CancelToken,
    /// Whether the gate's last answer was a refusal.
    gate_shut: AtomicBool,
    observer: Option<Arc<dyn Observer>>,
    on_panic: fn(String, &Label) -> E,
    on_cancel: fn() -> E,
    /// None: whoever waits is the worker.
    pool: Option<Arc<Pool>>,
    /// How often a waiting inline worker was told to look again.
    pokes: Mutex<u64>,
    poked: Condvar,
}

impl<V: Send + Sync + 'static, E: Send + 'static> Run<V, E> {
    fn begin(self: &Arc<Self>) {
        if self.observer.is_some() {
            let state = self.state.lock();
            let task =
                |(slot, payload): (usize, &Payload<V, E>)| (state.graph.machine.id(slot as u32), payload.label.clone());
            let tasks: Vec<(TaskId, Label)> = state.graph.payloads.iter().enumerate().map(task).collect();
            drop(state);
            tasks.iter().for_each(|(id, label)| self.observe(*id, label, Change::Added));
        }
        let mut state = self.state.lock();
        let ending = state.begin(self.on_panic);
        let seats = self.take_seats(&mut state);
        drop(state);
        self.enlist(seats);
        self.finish(ending);
    }

    /// Reserves an id for a task that is being added.
    pub(super) fn reserve(&self) -> TaskId {
        self.state.lock().graph.reserve()
    }

    /// Tells the observer, if there is one.
    pub(super) fn observe(&self, task: TaskId, label: &Label, change: Change) {
        if let Some(observer) = &self.observer {
            guarded(|| observer.observe(&Event { at: Instant::now(), task, label, change }));
        }
    }

    /// Drops what has not started; what runs sees the token.
    pub(super) fn cancel(&self) {
        let ending = {
            let mut state = self.state.lock();
            if state.phase != Phase::Running {
                return;
            }
            self.cancel.cancel();
            state.end(Err((self.on_cancel)()))
        };
        self.finish(ending);
        self.poke();
    }

    /// The gate may answer differently now. Takes no lock that a gate could be asked under.
    pub(super) fn gate_changed(self: &Arc<Self>) {
        fence(Ordering::SeqCst);
        if !self.gate_shut.swap(false, Ordering::SeqCst) {
            return;
        }
        match &self.pool {
            Some(pool) => pool.enlist(Arc::clone(self) as Arc<dyn Seated>, true),
            None => self.poke(),
        }
    }

    pub(super) fn is_finished(&self) -> bool {
        self.state.lock().phase != Phase::Running
    }

    /// Returns when the result is known and nothing runs.
    pub(super) fn wait_idle(self: &Arc<Self>) {
        if self.pool.is_some() {
            let mut state = self.state.lock();
            self.idle.wait_while(&mut state, |state| !state.is_idle());
            return;
        }
        loop {
            let seen = *self.pokes.lock();
            Arc::clone(self).turn(true);
            if self.state.lock().is_idle() {
                return;
            }
            self.poked.wait_while(&mut self.pokes.lock(), |pokes| *pokes == seen);
        }
    }

    /// Whether the calling thread is one of the workers, which must not wait.
    pub(super) fn is_worker(&self) -> bool {
        self.pool.as_ref().is_some_and(|pool| pool.is_worker())
    }

    /// The error of a misuse.
    pub(super) fn misuse(&self, text: &str, place: &'static str) -> E {
        (self.on_panic)(text.to_string(), &Label::from(place))
    }

    /// The result, once.
    pub(super) fn take_result(&self) -> Option<Result<Vec<Arc<V>>, E>> {
        self.state.lock().result.take()
    }

    /// Nobody will take the result.
    pub(super) fn abandon(&self) {
        let result = {
            let mut state = self.state.lock();
            state.abandoned = true;
            state.result.take()
        };
        guarded(|| drop(result));
    }

    /// How many slots the graph has, to see that its memory is bounded.
    #[cfg(test)]
    pub(super) fn slots(&self) -> usize {
        self.state.lock().graph.machine.slots()
    }

    fn poke(&self) {
        if self.pool.is_none() {
            *self.pokes.lock() += 1;
            self.poked.notify_all();
        }
    }

    fn width(&self) -> usize {
        self.pool.as_ref().map_or(1, |pool| pool.width())
    }

    fn take_seats(&self, state: &mut RunState<V, E>) -> usize {
        match &self.pool {
            Some(pool) => state.take_seats(pool.width(), !self.gate_shut.load(Ordering::Relaxed)),
            None => 0,
        }
    }

    fn enlist(self: &Arc<Self>, seats: usize) {
        if let Some(pool) = &self.pool {
            for _ in 0..seats {
                pool.enlist(Arc::clone(self) as Arc<dyn Seated>, false);
            }
        }
    }

    /// Asks the gate. It counts as shut from before the question, so that no `gate_changed` is lost in between. One
    /// that panics is open: a graph must not hang.
    fn admits(&self, gate: &dyn Gate, order: u64) -> bool {
        self.gate_shut.store(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        let admitted = catch_unwind(AssertUnwindSafe(|| gate.admits(order))).unwrap_or(true);
        if admitted {
            self.gate_shut.store(false, Ordering::SeqCst);
        }
        admitted
    }

    /// Works until there is nothing to start, or another graph has waited long enough (true).
    fn work(self: &Arc<Self>, state: &mut MutexGuard<'_, RunState<V, E>>) -> bool {
        let mut garbage = Garbage::new(self.observer.is_some());
        let context = TaskContext {
            run: Arc::clone(self),
            current: Cell::new(None),
            added: RefCell::default(),
            stock: RefCell::default(),
            taken: Cell::new(0),
        };
        let start = Instant::now();
        loop {
            if self.cancel.is_cancelled() && state.phase == Phase::Running {
                let ending = state.end(Err((self.on_cancel)()));
                MutexGuard::unlocked(state, || self.finish(ending));
            }
            let tired = self.pool.as_ref().is_some_and(|pool| pool.is_contended()) && start.elapsed() > TURN;
            let job = if tired { None } else { state.next(|gate, order| self.admits(gate, order), &mut garbage) };
            let Some(job) = job else {
                if !garbage.is_empty() {
                    MutexGuard::unlocked(state, || self.sweep(&mut garbage));
                    continue;
                }
                if state.phase == Phase::Running {
                    context.stock.borrow_mut().drain(..).for_each(|id| state.graph.machine.unreserve(id));
                }
                return tired;
            };
            self.restock(state, &context);
            let seats = self.take_seats(state);
            let (id, outcome) = MutexGuard::unlocked(state, || {
                self.enlist(seats);
                self.sweep(&mut garbage);
                (job.id, self.perform(job, &context))
            });
            let mut added = context.added.borrow_mut();
            let ending = state.apply(id, outcome, &mut added, &mut garbage, self.on_panic);
            if ending.is_some() {
                MutexGuard::unlocked(state, || self.finish(ending));
            }
        }
    }

    /// Reserves as many ids for the next task as the last one used.
    fn restock(&self, state: &mut RunState<V, E>, context: &TaskContext<V, E>) {
        let wanted = context.taken.take().min(STOCK);
        let mut stock = context.stock.borrow_mut();
        while stock.len() < wanted {
            stock.push(state.graph.reserve());
        }
    }

    /// Runs one task; a panic becomes an error.
    fn perform(&self, job: Job<V, E>, context: &TaskContext<V, E>) -> Result<Outcome<V>, E> {
        let Job { id, label, work, inputs } = job;
        self.observe(id, &label, Change::Started);
        context.current.set(Some(id));
        let outcome = catch_unwind(AssertUnwindSafe(|| work(context, inputs)));
        let outcome = outcome.unwrap_or_else(|panic| Err((self.on_panic)(panic_text(panic), &label)));
        self.observe(id, &label, if outcome.is_ok() { Change::Finished } else { Change::Failed });
        outcome
    }

    /// Drops what was released. A panic in a value's `drop` must not take the worker with it.
    fn sweep(&self, garbage: &mut Garbage<V, E>) {
        for (id, label) in garbage.released.iter_mut().flat_map(|released| released.drain(..)) {
            self.observe(id, &label, Change::Released);
        }
        let dropped = catch_unwind(AssertUnwindSafe(|| garbage.bodies.clear()));
        if let Err(panic) = dropped {
            let error = (self.on_panic)(panic_text(panic), &Label::from("dropping a value"));
            let ending = self.state.lock().end(Err(error));
            self.finish(ending);
        }
        for (id, task) in garbage.tasks.drain(..) {
            self.observe(id, &task.label, Change::Cancelled);
            guarded(|| drop(task.work));
        }
        guarded(|| garbage.outcomes.clear());
    }

    /// Drops what is left of an ended graph, tells the caller, and lays the result ready.
    fn finish(&self, ending: Option<Ending<V, E>>) {
        let Some(Ending { result, rest, gate, on_finish }) = ending else { return };
        if result.is_err() {
            self.cancel.cancel();
        }
        if self.observer.is_some() {
            for (slot, payload) in rest.payloads.iter().enumerate() {
                match payload.body {
                    Body::Work(_) => self.observe(rest.machine.id(slot as u32), &payload.label, Change::Cancelled),
                    Body::Value(_) => self.observe(rest.machine.id(slot as u32), &payload.label, Change::Released),
                    Body::Empty => {}
                }
            }
        }
        for payload in rest.payloads {
            guarded(|| drop(payload));
        }
        guarded(|| drop(gate));
        if let Some(on_finish) = on_finish {
            guarded(|| on_finish(result.as_ref().map(Vec::as_slice)));
        }
        let mut state = self.state.lock();
        if state.abandoned {
            MutexGuard::unlocked(&mut state, || guarded(|| drop(result)));
        } else {
            state.result = Some(result);
        }
        state.phase = Phase::Ended;
        if state.is_idle() {
            self.idle.notify_all();
        }
    }
}

impl<V: Send + Sync + 'static, E: Send + 'static> Seated for Run<V, E> {
    fn turn(self: Arc<Self>, fresh: bool) -> bool {
        let mut state = self.state.lock();
        if fresh {
            if state.seats >= self.width() {
                return false;
            }
            state.seats += 1;
        }
        state.active += 1;
        let again = match catch_unwind(AssertUnwindSafe(|| self.work(&mut state))) {
            Ok(again) => again,
            // Nothing of the caller's tasks gets here: a defect, which must end this graph and not the process.
            Err(panic) => {
                let ending = state.end(Err(self.misuse(&panic_text(panic), "the scheduler")));
                MutexGuard::unlocked(&mut state, || self.finish(ending));
                false
            }
        };
        state.active -= 1;
        if !again {
            state.seats -= 1;
        }
        if state.is_idle() {
            self.idle.notify_all();
            drop(state);
            self.poke();
        }
        again
    }
}

/// Runs code of the caller whose panic has nowhere to go.
fn guarded(action: impl FnOnce()) {
    let _ = catch_unwind(AssertUnwindSafe(action));
}

fn panic_text(panic: Box<dyn Any + Send>) -> String {
    match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(panic) => panic.downcast::<&'static str>().map_or_else(|_| "panic".to_string(), |text| text.to_string()),
    }
}
