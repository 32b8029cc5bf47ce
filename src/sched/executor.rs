//! The executor: takes jobs from a graph's core, runs them, and brings back how they ended.
//!
//! Invariant: the core's lock is held only between two tasks, never while anything of the caller runs or is dropped
//! (but for the gate's answer). A worker keeps its seat at the graph until it has dropped all that it had of it, so an
//! idle graph holds nothing.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};

use super::core::{Core, Ending, Garbage, Job, Phase};
use super::graph::{Body, Graph};
use super::handle::GraphHandle;
use super::machine::TaskId;
use super::observer::{Change, Event, Observer};
use super::options::{Gate, Options};
use super::pool::{Pool, Seated};
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
    /// The operating system's text when it gives no threads.
    pub fn new(threads: usize) -> Result<Self, String> {
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
            core: Mutex::new(Core::new(graph, options.on_finish)),
            idle: Condvar::new(),
            cancel: options.cancel,
            gate: options.gate,
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
    core: Mutex<Core<V, E>>,
    /// Signalled when the core becomes idle.
    idle: Condvar,
    pub(super) cancel: CancelToken,
    gate: Option<Arc<dyn Gate>>,
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
        let mut core = self.core.lock();
        if self.observer.is_some() {
            for payload in 0..core.graph.payloads.len() {
                let id = core.graph.machine.id(payload as u32);
                self.observe(id, core.graph.label(id), Change::Added);
            }
        }
        let ending = core.begin(self.on_panic);
        let seats = self.take_seats(&mut core);
        drop(core);
        self.enlist(seats);
        self.finish(ending);
    }

    /// Reserves an id for a task that is being added.
    pub(super) fn reserve(&self) -> TaskId {
        self.core.lock().graph.reserve()
    }

    /// Tells the observer, if there is one.
    pub(super) fn observe(&self, task: TaskId, label: &Label, change: Change) {
        if let Some(observer) = &self.observer {
            observer.observe(&Event { at: Instant::now(), task, label, change });
        }
    }

    /// Drops what has not started; what runs sees the token.
    pub(super) fn cancel(&self) {
        let ending = {
            let mut core = self.core.lock();
            if core.phase != Phase::Running {
                return;
            }
            self.cancel.cancel();
            core.end(Err((self.on_cancel)()))
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
        self.core.lock().phase != Phase::Running
    }

    /// Returns when the result is known and nothing runs.
    pub(super) fn wait_idle(self: &Arc<Self>) {
        if self.pool.is_some() {
            let mut core = self.core.lock();
            self.idle.wait_while(&mut core, |core| !core.is_idle());
            return;
        }
        loop {
            let seen = *self.pokes.lock();
            Arc::clone(self).turn(true);
            if self.core.lock().is_idle() {
                return;
            }
            self.poked.wait_while(&mut self.pokes.lock(), |pokes| *pokes == seen);
        }
    }

    /// The result, once.
    pub(super) fn take_result(&self) -> Option<Result<Vec<Arc<V>>, E>> {
        self.core.lock().result.take()
    }

    /// Nobody will take the result.
    pub(super) fn abandon(&self) {
        let result = {
            let mut core = self.core.lock();
            core.abandoned = true;
            core.result.take()
        };
        guarded(|| drop(result));
    }

    /// How many slots the graph has, to see that its memory is bounded.
    #[cfg(test)]
    pub(super) fn slots(&self) -> usize {
        self.core.lock().graph.machine.slots()
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

    fn take_seats(&self, core: &mut Core<V, E>) -> usize {
        match &self.pool {
            Some(pool) => core.take_seats(pool.width(), !self.gate_shut.load(Ordering::Relaxed)),
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

    /// Asks the gate. It counts as shut from before the question, so that no `gate_changed` is lost in between.
    fn admits(&self, order: u64) -> bool {
        let Some(gate) = &self.gate else { return true };
        self.gate_shut.store(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        let admitted = gate.admits(order);
        if admitted {
            self.gate_shut.store(false, Ordering::SeqCst);
        }
        admitted
    }

    /// Works until there is nothing to start, or another graph has waited long enough (true).
    fn work(self: &Arc<Self>, core: &mut MutexGuard<'_, Core<V, E>>) -> bool {
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
            if self.cancel.is_cancelled() && core.phase == Phase::Running {
                let ending = core.end(Err((self.on_cancel)()));
                MutexGuard::unlocked(core, || self.finish(ending));
            }
            let tired = self.pool.as_ref().is_some_and(|pool| pool.is_contended()) && start.elapsed() > TURN;
            let job = if tired { None } else { core.next(|order| self.admits(order), &mut garbage) };
            let Some(job) = job else {
                if !garbage.is_empty() {
                    MutexGuard::unlocked(core, || self.sweep(&mut garbage));
                    continue;
                }
                if core.phase == Phase::Running {
                    context.stock.borrow_mut().drain(..).for_each(|id| core.graph.machine.unreserve(id));
                }
                return tired;
            };
            self.restock(core, &context);
            let seats = self.take_seats(core);
            let (id, outcome) = MutexGuard::unlocked(core, || {
                self.enlist(seats);
                self.sweep(&mut garbage);
                (job.id, self.perform(job, &context))
            });
            let mut added = context.added.borrow_mut();
            let ending = core.apply(id, outcome, &mut added, &mut garbage, self.on_panic);
            if ending.is_some() {
                MutexGuard::unlocked(core, || self.finish(ending));
            }
        }
    }

    /// Reserves as many ids for the next task as the last one used.
    fn restock(&self, core: &mut Core<V, E>, context: &TaskContext<V, E>) {
        let wanted = context.taken.take().min(STOCK);
        let mut stock = context.stock.borrow_mut();
        while stock.len() < wanted {
            stock.push(core.graph.reserve());
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
            let ending = self.core.lock().end(Err(error));
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
        let Some(Ending { result, rest, on_finish }) = ending else { return };
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
        if let Some(on_finish) = on_finish {
            guarded(|| on_finish(result.as_ref().map(Vec::as_slice)));
        }
        let mut core = self.core.lock();
        if core.abandoned {
            MutexGuard::unlocked(&mut core, || guarded(|| drop(result)));
        } else {
            core.result = Some(result);
        }
        core.phase = Phase::Ended;
        if core.is_idle() {
            self.idle.notify_all();
        }
    }
}

impl<V: Send + Sync + 'static, E: Send + 'static> Seated for Run<V, E> {
    fn turn(self: Arc<Self>, fresh: bool) -> bool {
        let mut core = self.core.lock();
        if fresh {
            if core.seats >= self.width() {
                return false;
            }
            core.seats += 1;
        }
        core.active += 1;
        let again = self.work(&mut core);
        core.active -= 1;
        if !again {
            core.seats -= 1;
        }
        if core.is_idle() {
            self.idle.notify_all();
            drop(core);
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
