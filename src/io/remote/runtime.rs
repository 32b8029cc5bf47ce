//! The threads on which requests run, and waiting for their answers.
//!
//! Invariant: who waits is woken by cancellation within [`POLL`]; a request whose answer nobody wants any more is ended.

use std::future::Future;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};
use rayon::{ThreadPool, ThreadPoolBuilder};
use tokio::runtime::{Builder, Runtime};
use tokio::task::AbortHandle;

use crate::cancel::CancelToken;
use crate::error::{Code, Error, Result};

/// Threads of the runtime: they copy from sockets and decrypt.
const THREADS: usize = 2;
/// How often who waits looks whether it was cancelled.
const POLL: Duration = Duration::from_millis(20);
/// Files that are looked at side by side while planning. Their threads mostly wait.
const WAITING_THREADS: usize = 24;

static RUNTIME: LazyLock<Result<Runtime>> = LazyLock::new(|| {
    let runtime = Builder::new_multi_thread().worker_threads(THREADS).thread_name("floe-net").enable_all().build();
    runtime.map_err(|error| Error::new(Code::Io, format!("cannot start the threads for the network: {error}")))
});

static WAITING: LazyLock<Result<ThreadPool>> = LazyLock::new(|| {
    let pool = ThreadPoolBuilder::new().num_threads(WAITING_THREADS).thread_name(|_| "floe-wait".to_string()).build();
    pool.map_err(|error| Error::new(Code::Io, format!("cannot start the threads that wait for stores: {error}")))
});

/// Runs `work`; where it is about remote files, its parallel parts run on many threads, since they mostly wait.
///
/// # Errors
/// Those of `work`.
pub fn with_many_waiting<T: Send>(remote: bool, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    if !remote {
        return work();
    }
    let pool = WAITING.as_ref().map_err(Clone::clone)?;
    // Through a thread of its own: a worker that waits for another pool would take up tasks in the meantime.
    std::thread::scope(|scope| scope.spawn(|| pool.install(work)).join())
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// What ends a wait early.
#[derive(Debug, Clone, Copy)]
pub(super) struct Watch<'a> {
    pub(super) interrupts: &'a AtomicU64,
    pub(super) cancel: Option<&'a CancelToken>,
}

/// An answer that is under way.
#[derive(Debug)]
pub(super) struct Pending<T> {
    answer: Receiver<Result<T>>,
    task: AbortHandle,
}

impl<T: Send + 'static> Pending<T> {
    /// Starts `work`.
    ///
    /// # Errors
    /// When the runtime cannot be started.
    pub(super) fn start(work: impl Future<Output = Result<T>> + Send + 'static) -> Result<Self> {
        let runtime = RUNTIME.as_ref().map_err(Clone::clone)?;
        let (sender, answer) = bounded(1);
        let task = runtime.spawn(async move {
            // Nobody listens any more when the wait was given up.
            let _ = sender.send(work.await);
        });
        Ok(Pending { answer, task: task.abort_handle() })
    }

    /// Waits for the answer.
    ///
    /// # Errors
    /// Those of the work; `CANCELLED`.
    pub(super) fn wait(&self, watch: Watch<'_>) -> Result<T> {
        let before = watch.interrupts.load(Ordering::Acquire);
        loop {
            match self.answer.recv_timeout(POLL) {
                Ok(answer) => return answer,
                Err(RecvTimeoutError::Timeout) => {
                    watch.cancel.map_or(Ok(()), CancelToken::check)?;
                    if watch.interrupts.load(Ordering::Acquire) != before {
                        return Err(Error::cancelled());
                    }
                }
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Error::internal("a request ended without an answer"));
                }
            }
        }
    }
}

impl<T> Drop for Pending<T> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_ends_when_it_is_cancelled() {
        let (interrupts, cancel) = (AtomicU64::new(0), CancelToken::new());
        let pending = Pending::<()>::start(std::future::pending()).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(POLL);
                interrupts.fetch_add(1, Ordering::AcqRel);
            });
            let error = pending.wait(Watch { interrupts: &interrupts, cancel: None }).unwrap_err();
            assert_eq!(error.code(), Code::Cancelled);
        });
        cancel.cancel();
        let error = pending.wait(Watch { interrupts: &interrupts, cancel: Some(&cancel) }).unwrap_err();
        assert_eq!(error.code(), Code::Cancelled);
    }

    #[test]
    fn work_about_remote_files_runs_on_many_threads() {
        use rayon::prelude::*;
        let together = std::sync::Barrier::new(4);
        let work = || {
            (0..4).into_par_iter().for_each(|_| {
                together.wait();
            });
            Ok(rayon::current_num_threads())
        };
        assert_eq!(with_many_waiting(true, work).unwrap(), WAITING_THREADS);
    }
}
