//! Ctrl-C and requests to end.
//!
//! Invariant: the first Ctrl-C while a statement runs cancels it; any other, and every request to end, ends the program
//! as soon as the statement that runs has been cancelled, so that the files it was writing are gone, and after removing
//! the unfinished output file. (Spill files belong to the session, which leaves none behind.)

use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use floe::Result;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::low_level::pipe;

use super::INTERRUPTED;
use super::engine::Engine;
use super::output::Unfinished;

/// Exit code after a request to end, as shells expect it (128 + SIGTERM).
const TERMINATED: u8 = 143;

/// How soon an interruption is repeated.
const BETWEEN_INTERRUPTS: Duration = Duration::from_millis(10);
/// A statement that takes longer to be cancelled is left to itself when the program is to end.
const LONGEST_CANCEL: Duration = Duration::from_secs(1);

/// What the signals have done so far.
#[derive(Clone)]
pub struct Interrupts {
    running: Arc<AtomicBool>,
    pressed: Arc<AtomicBool>,
    /// The exit code with which the program is to end; 0 while it is not.
    ending: Arc<AtomicU8>,
}

impl Interrupts {
    /// Starts to listen. `unfinished` is removed when the program is ended.
    ///
    /// # Errors
    /// `IO_ERROR` when the system refuses a handler or a thread.
    pub fn install(engine: Arc<dyn Engine>, unfinished: Unfinished) -> Result<Self> {
        let interrupts = Interrupts { running: Arc::default(), pressed: Arc::default(), ending: Arc::default() };
        let (heard, pressing, remains) = (interrupts.clone(), engine.clone(), unfinished.clone());
        listen("ctrl-c", &[SIGINT], move || {
            if heard.running.load(Ordering::SeqCst) && !heard.pressed.swap(true, Ordering::SeqCst) {
                keep_interrupting(&heard, &pressing);
            } else {
                end(&heard, &pressing, &remains, INTERRUPTED);
            }
        })?;
        let heard = interrupts.clone();
        listen("terminate", &[SIGTERM, SIGHUP], move || end(&heard, &engine, &unfinished, TERMINATED))?;
        Ok(interrupts)
    }

    /// A statement starts: the next Ctrl-C is for it.
    pub fn statement_starts(&self) {
        self.pressed.store(false, Ordering::SeqCst);
        self.running.store(true, Ordering::SeqCst);
    }

    /// The statement has ended; the exit code of a program that was interrupted or asked to end meanwhile.
    pub fn statement_ends(&self) -> Option<u8> {
        self.running.store(false, Ordering::SeqCst);
        match self.ending.load(Ordering::SeqCst) {
            0 => self.pressed.load(Ordering::SeqCst).then_some(INTERRUPTED),
            code => Some(code),
        }
    }

    /// Whether the program is about to end.
    pub fn is_ending(&self) -> bool {
        self.ending.load(Ordering::SeqCst) != 0
    }
}

/// Interrupts until the statement has ended: one that is still being planned has nothing to cancel yet.
fn keep_interrupting(interrupts: &Interrupts, engine: &Arc<dyn Engine>) {
    let (interrupts, engine) = (interrupts.clone(), engine.clone());
    let interrupt = move || {
        while interrupts.running.load(Ordering::SeqCst) && interrupts.pressed.load(Ordering::SeqCst) {
            engine.interrupt();
            thread::sleep(BETWEEN_INTERRUPTS);
        }
    };
    // Without a thread the first interruption is all there is.
    if thread::Builder::new().name("interrupt".to_owned()).spawn(interrupt.clone()).is_err() {
        interrupt();
    }
}

/// Calls `act` on a thread of its own each time that one of the signals arrives.
fn listen(name: &str, signals: &[i32], act: impl Fn() + Send + 'static) -> io::Result<()> {
    let (mut receiver, sender) = UnixStream::pair()?;
    for signal in signals {
        pipe::register(*signal, sender.try_clone()?)?;
    }
    let wait = move || {
        let mut byte = [0];
        while matches!(receiver.read(&mut byte), Ok(1)) {
            act();
        }
    };
    thread::Builder::new().name(name.to_owned()).spawn(wait)?;
    Ok(())
}

/// Ends the program; before that the statement that runs, whose own unfinished files go away with it.
fn end(interrupts: &Interrupts, engine: &Arc<dyn Engine>, unfinished: &Unfinished, code: u8) {
    interrupts.ending.store(code, Ordering::SeqCst);
    let latest = Instant::now() + LONGEST_CANCEL;
    while interrupts.running.load(Ordering::SeqCst) && Instant::now() < latest {
        engine.interrupt();
        thread::sleep(BETWEEN_INTERRUPTS);
    }
    drop(unfinished.lock().take());
    std::process::exit(code.into());
}
