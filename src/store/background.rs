//! A thread of the store that sleeps until there is something to do; started the first time it is woken.
//!
//! Invariant: it holds the store only while it works, and ends when the store does.

use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::keeper::Keeper;

/// How long it rests after a failure before it tries again.
const REST: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Background {
    name: &'static str,
    work: fn(&Keeper) -> Outcome,
    signal: Arc<Signal>,
}

/// What came of one round of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Done,
    Failed,
}

#[derive(Debug, Default)]
struct Signal {
    state: Mutex<Pending>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Pending {
    started: bool,
    work: bool,
    stop: bool,
}

impl Background {
    pub(super) fn new(name: &'static str, work: fn(&Keeper) -> Outcome) -> Self {
        Background { name, work, signal: Arc::default() }
    }

    /// Makes the thread do a round of work soon. Where no thread can be started nothing happens: all that is done here
    /// is done by whoever needs it otherwise.
    pub(super) fn wake(&self, keeper: &Weak<Keeper>) {
        let mut state = self.signal.state.lock();
        state.work = true;
        if state.started {
            self.signal.changed.notify_one();
            return;
        }
        let (signal, keeper, work) = (Arc::clone(&self.signal), keeper.clone(), self.work);
        let thread = std::thread::Builder::new().name(self.name.into()).spawn(move || run(&signal, &keeper, work));
        state.started = thread.is_ok();
    }

    /// Ends the thread after its present round.
    pub(super) fn stop(&self) {
        self.signal.state.lock().stop = true;
        self.signal.changed.notify_one();
    }
}

fn run(signal: &Signal, keeper: &Weak<Keeper>, work: fn(&Keeper) -> Outcome) {
    loop {
        let mut state = signal.state.lock();
        while !state.work && !state.stop {
            signal.changed.wait(&mut state);
        }
        if state.stop {
            return;
        }
        state.work = false;
        drop(state);
        let Some(keeper) = keeper.upgrade() else { return };
        let outcome = work(&keeper);
        drop(keeper);
        if outcome == Outcome::Failed {
            let mut state = signal.state.lock();
            if !state.stop {
                signal.changed.wait_for(&mut state, REST);
            }
        }
    }
}
