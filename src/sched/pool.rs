//! The workers, and whose turn it is on them.
//!
//! Invariant: a graph that wants a worker has a turn in the queue; at most `width` dispatchers take turns from it, first
//! come first served, and exit when it is empty. So graphs share the workers fairly, and one without work has no thread.
//!
//! # Known limitation
//! A task that blocks in rayon's own `join` or `scope` may find itself running another task inside its wait.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use crate::error::{Code, Error, Result};

/// A graph as the pool sees it.
pub(super) trait Seated: Send + Sync {
    /// Works on the graph for a while. With `fresh` the turn has no seat yet. True: it wants another turn.
    fn turn(self: Arc<Self>, fresh: bool) -> bool;
}

struct Turn {
    graph: Arc<dyn Seated>,
    fresh: bool,
}

#[derive(Default)]
struct Queue {
    turns: VecDeque<Turn>,
    dispatchers: usize,
}

/// A rayon pool whose threads are shared by graphs.
pub(super) struct Pool {
    threads: rayon::ThreadPool,
    width: usize,
    queue: Mutex<Queue>,
    /// Length of the queue, to be read without its lock.
    queued: AtomicUsize,
}

/// A worker's stack: tasks may recurse into deep trees. Pages that are not touched cost nothing.
const STACK_BYTES: usize = 64 << 20;

impl Pool {
    pub(super) fn new(width: usize) -> Result<Arc<Self>> {
        let width = width.max(1);
        let threads = rayon::ThreadPoolBuilder::new()
            .num_threads(width)
            .stack_size(STACK_BYTES)
            .thread_name(|index| format!("floe-worker-{index}"))
            .build()
            .map_err(|error| Error::new(Code::Io, format!("{width} worker threads cannot be started: {error}")))?;
        Ok(Arc::new(Pool { threads, width, queue: Mutex::default(), queued: AtomicUsize::new(0) }))
    }

    /// How many threads there are.
    pub(super) fn width(&self) -> usize {
        self.width
    }

    /// Whether the calling thread is one of them.
    pub(super) fn is_worker(&self) -> bool {
        self.threads.current_thread_index().is_some()
    }

    /// Whether a graph waits for its turn.
    pub(super) fn is_contended(&self) -> bool {
        self.queued.load(Ordering::Relaxed) > 0
    }

    /// Queues a turn of `graph`.
    pub(super) fn enlist(self: &Arc<Self>, graph: Arc<dyn Seated>, fresh: bool) {
        let mut queue = self.queue.lock();
        queue.turns.push_back(Turn { graph, fresh });
        self.queued.store(queue.turns.len(), Ordering::Relaxed);
        if queue.dispatchers == self.width {
            return;
        }
        queue.dispatchers += 1;
        drop(queue);
        let pool = Arc::clone(self);
        self.threads.spawn(move || pool.dispatch());
    }

    fn dispatch(self: Arc<Self>) {
        while let Some(Turn { graph, fresh }) = self.take() {
            if Arc::clone(&graph).turn(fresh) {
                self.enlist(graph, false);
            }
        }
    }

    fn take(&self) -> Option<Turn> {
        let mut queue = self.queue.lock();
        let turn = queue.turns.pop_front();
        self.queued.store(queue.turns.len(), Ordering::Relaxed);
        if turn.is_none() {
            queue.dispatchers -= 1;
        }
        turn
    }
}
