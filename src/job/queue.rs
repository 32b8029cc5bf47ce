//! Result batches on their way to a consumer outside the pool.
//!
//! Invariant: batches leave in the order of the splits, and within a split in the order in which they came. They wait
//! in the store, so a slow consumer costs disk, not memory; and the gate stops producers long before that.

use std::collections::VecDeque;
use std::time::Duration;

use arrow::record_batch::RecordBatch;
use parking_lot::{Condvar, Mutex, MutexGuard};

use super::stream::Waited;
use crate::cancel::CancelToken;
use crate::error::{Error, Result};
use crate::sched::Gate;
use crate::store::{Handle, QueryContext, UseOrder};

/// Orders from here on are splits of the result pipeline; those below are never held back.
pub(super) const RESULT_ORDER: u64 = 1 << 40;

/// How long a consumer waits before it looks at the cancel token again.
const LONGEST_WAIT: Duration = Duration::from_millis(20);

/// The queue between the last pipeline and the result stream.
pub(super) struct ResultQueue {
    state: Mutex<State>,
    changed: Condvar,
    /// Bytes that may wait before producers are held back.
    bound: usize,
}

#[derive(Default)]
struct State {
    splits: VecDeque<SplitQueue>,
    /// Number of the split at the front of `splits`.
    head: usize,
    /// Bytes of all waiting batches.
    bytes: usize,
    outcome: Option<Result<()>>,
    closed: bool,
}

#[derive(Default)]
struct SplitQueue {
    batches: VecDeque<Handle>,
    bytes: usize,
    finished: bool,
}

impl ResultQueue {
    pub(super) fn new(bound: usize) -> Self {
        ResultQueue { state: Mutex::default(), changed: Condvar::new(), bound }
    }

    /// Adds a batch of split `split`.
    pub(super) fn put(&self, context: &QueryContext, split: usize, batch: RecordBatch) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let order = UseOrder(u32::try_from(split).unwrap_or(u32::MAX));
        let handle = context.store.put(batch, order)?;
        let mut state = self.state.lock();
        if state.closed {
            return Err(Error::cancelled());
        }
        let bytes = handle.bytes();
        state.bytes += bytes;
        let at_head = split == state.head;
        if let Some(queue) = state.split(split) {
            queue.bytes += bytes;
            queue.batches.push_back(handle);
        }
        if at_head {
            self.changed.notify_one();
        }
        Ok(())
    }

    /// Split `split` has given its last batch.
    pub(super) fn finish_split(&self, split: usize) {
        let mut state = self.state.lock();
        if let Some(queue) = state.split(split) {
            queue.finished = true;
        }
        state.advance();
        self.changed.notify_one();
    }

    /// The query has ended; nothing comes any more.
    pub(super) fn finish(&self, outcome: Result<()>) {
        self.state.lock().outcome.get_or_insert(outcome);
        self.changed.notify_one();
    }

    /// The consumer is gone: what waits is dropped.
    pub(super) fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        let splits = std::mem::take(&mut state.splits);
        drop(state);
        drop(splits);
    }

    /// The next batch in order; waits for it. `None` after the last, and the error once it is known. A query whose
    /// producers are all held back notices a cancelled token here: `end` ends it. (A query that fails sets the token,
    /// too, a little before its error is known.)
    pub(super) fn next(&self, cancel: &CancelToken, end: impl Fn()) -> Option<Result<Handle>> {
        let mut state = self.state.lock();
        let mut ended = false;
        loop {
            if cancel.is_cancelled() && state.outcome.is_none() && !ended {
                ended = true;
                MutexGuard::unlocked(&mut state, &end);
                continue;
            }
            if let Some(Err(error)) = &state.outcome {
                return Some(Err(error.clone()));
            }
            if let Some(handle) = state.pop() {
                return Some(Ok(handle));
            }
            if state.outcome.is_some() {
                return None;
            }
            self.changed.wait_for(&mut state, LONGEST_WAIT);
        }
    }

    /// Waits until the query has ended or holds its producers back.
    pub(super) fn wait(&self, cancel: &CancelToken, end: impl Fn()) -> Waited {
        let mut state = self.state.lock();
        let mut ended = false;
        loop {
            if cancel.is_cancelled() && state.outcome.is_none() && !ended {
                ended = true;
                MutexGuard::unlocked(&mut state, &end);
                continue;
            }
            match &state.outcome {
                Some(Ok(())) => return Waited::Ended,
                Some(Err(error)) => return Waited::Failed(error.clone()),
                None if state.bytes > self.bound => return Waited::Full,
                None => {}
            }
            self.changed.wait_for(&mut state, LONGEST_WAIT);
        }
    }

    /// Whether split `split` should let go of its worker until the consumer has caught up.
    pub(super) fn is_full_for(&self, split: usize) -> bool {
        let state = self.state.lock();
        state.is_full_for(split, self.bound)
    }
}

impl State {
    /// The queue of `split`; `None` for one that has left already.
    fn split(&mut self, split: usize) -> Option<&mut SplitQueue> {
        let index = split.checked_sub(self.head)?;
        while self.splits.len() <= index {
            self.splits.push_back(SplitQueue::default());
        }
        self.splits.get_mut(index)
    }

    fn pop(&mut self) -> Option<Handle> {
        let queue = self.splits.front_mut()?;
        let handle = queue.batches.pop_front()?;
        queue.bytes -= handle.bytes();
        self.bytes -= handle.bytes();
        self.advance();
        Some(handle)
    }

    /// Leaves the splits behind that have nothing to give any more, at once: the gate decides by the head, and nobody
    /// would ask it again after a consumer that found the queue empty.
    fn advance(&mut self) {
        while self.splits.front().is_some_and(|queue| queue.finished && queue.batches.is_empty()) {
            self.splits.pop_front();
            self.head += 1;
        }
    }

    fn is_full_for(&self, split: usize, bound: usize) -> bool {
        if split == self.head {
            self.splits.front().is_some_and(|queue| queue.bytes > bound)
        } else {
            self.bytes > bound
        }
    }
}

impl Gate for ResultQueue {
    fn admits(&self, order: u64) -> bool {
        match order.checked_sub(RESULT_ORDER).map(usize::try_from) {
            Some(Ok(split)) => !self.is_full_for(split),
            _ => true,
        }
    }
}
