//! The scheduler as its callers see it, on all arms. Every test runs under a watchdog: a hang is a failure.

mod claims;
mod gates;
mod order;
mod random;

use std::sync::Arc;
use std::sync::atomic::{AtomicIsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use super::*;

/// Runs `test` on a thread of its own; fails when it takes longer than any test may.
fn watched(test: impl FnOnce() + Send + 'static) {
    let (sender, receiver) = channel();
    let thread = std::thread::spawn(move || {
        test();
        let _ = sender.send(());
    });
    match receiver.recv_timeout(Duration::from_secs(60)) {
        Ok(()) => {}
        Err(RecvTimeoutError::Timeout) => panic!("the scheduler hangs"),
        Err(RecvTimeoutError::Disconnected) => {
            if let Err(panic) = thread.join() {
                std::panic::resume_unwind(panic);
            }
        }
    }
}

/// The inline arm and pools of several sizes.
fn arms() -> Vec<Scheduler> {
    let mut arms: Vec<Scheduler> = [1, 2, 4].iter().map(|threads| Scheduler::new(*threads).unwrap()).collect();
    arms.push(Scheduler::inline());
    arms
}

fn options<V>() -> Options<V, String> {
    Options::new(|text, label| format!("{label} panicked: {text}"), || "cancelled".to_string())
}

/// A value (or the capture of a closure) that counts itself.
struct Tracked {
    value: u64,
    live: Arc<AtomicIsize>,
}

impl Tracked {
    fn new(value: u64, live: &Arc<AtomicIsize>) -> Self {
        live.fetch_add(1, Ordering::SeqCst);
        Tracked { value, live: Arc::clone(live) }
    }
}

impl Drop for Tracked {
    fn drop(&mut self) {
        self.live.fetch_sub(1, Ordering::SeqCst);
    }
}
