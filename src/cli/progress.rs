//! A line on the terminal that says how far a statement is that takes longer than a second.
//!
//! Invariant: it is on standard error, and only where that is a terminal; it never takes more than one line, and it is
//! gone before anything else is printed. Elsewhere there is not even a thread.

use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::bar::line;
use super::diagnostic::note;
use super::engine::Engine;

/// How long a statement runs before the line appears, and how often it is drawn then.
const FIRST: Duration = Duration::from_secs(1);
const BETWEEN: Duration = Duration::from_millis(100);
/// Back to the first column, and nothing behind it.
const WIPE: &str = "\r\x1b[K";

/// See the module. Without a terminal it does nothing.
pub struct ProgressLine(Option<Arc<Shared>>);

struct Shared {
    engine: Arc<dyn Engine>,
    // Held while the line is drawn, so that whoever has hidden it can print.
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// When the line is drawn next; `None` while it is hidden.
    next: Option<Instant>,
    is_drawn: bool,
}

impl ProgressLine {
    /// The line for the statements of `engine`, where it is `wanted`.
    pub fn new(engine: Arc<dyn Engine>, wanted: bool) -> Self {
        let is_dumb = std::env::var_os("TERM").is_none_or(|name| name == "dumb");
        if !wanted || is_dumb || !io::stderr().is_terminal() {
            return ProgressLine(None);
        }
        let shared = Arc::new(Shared { engine, state: Mutex::default(), changed: Condvar::new() });
        let drawing = shared.clone();
        let draws = thread::Builder::new().name("progress".to_owned()).spawn(move || draw(&drawing));
        ProgressLine(draws.ok().map(|_| shared))
    }

    /// A statement starts.
    pub fn statement_starts(&self) {
        if let Some(shared) = &self.0 {
            shared.state.lock().next = Some(Instant::now() + FIRST);
            shared.changed.notify_one();
        }
    }

    /// Wipes the line, until the next statement starts: something is about to be printed.
    pub fn hide(&self) {
        if let Some(shared) = &self.0 {
            let mut state = shared.state.lock();
            state.next = None;
            if std::mem::take(&mut state.is_drawn) {
                note(WIPE);
            }
        }
    }
}

/// Draws the line whenever it is time, for as long as the program runs.
fn draw(shared: &Shared) {
    let mut state = shared.state.lock();
    loop {
        match state.next {
            None => shared.changed.wait(&mut state),
            Some(next) if next > Instant::now() => drop(shared.changed.wait_until(&mut state, next)),
            Some(_) => {
                state.next = Some(Instant::now() + BETWEEN);
                if let Some(progress) = shared.engine.progress() {
                    let width = terminal_size::terminal_size_of(io::stderr()).map_or(80, |(width, _)| width.0);
                    note(&format!("\r{}\x1b[K", line(&progress, width.into())));
                    state.is_drawn = true;
                }
            }
        }
    }
}
