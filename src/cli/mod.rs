//! The program around the library: arguments, statements from wherever they come, printing, signals, exit codes.
//!
//! Invariant: the exit code is 0 only when every statement succeeded; answers go to the output, diagnostics to standard
//! error. This module must know nothing of the library but the session's public API, and that only in `engine`.

mod allocator;
mod arguments;
mod bar;
mod diagnostic;
mod engine;
mod input;
mod interrupt;
mod output;
mod progress;
mod runner;
mod shell;
mod statements;

use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use floe::Result;

use arguments::Arguments;
use engine::{Engine, SessionEngine};
use input::Input;
use interrupt::Interrupts;
use output::Output;
use runner::{Ending, Runner};

/// Exit code when a statement failed.
const FAILED: u8 = 1;
/// Exit code after Ctrl-C, as shells expect it (128 + SIGINT).
const INTERRUPTED: u8 = 130;
/// Exit code when the reader of the output has gone, as of a program ended by SIGPIPE (128 + 13).
const OUTPUT_CLOSED: u8 = 141;

/// Runs the program to its end.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(Ending::Succeeded) => ExitCode::SUCCESS,
        Ok(Ending::Failed) => ExitCode::from(FAILED),
        Ok(Ending::Interrupted(code)) => ExitCode::from(code),
        Ok(Ending::OutputClosed) => ExitCode::from(OUTPUT_CLOSED),
        Err(error) => {
            diagnostic::print(&error, None);
            ExitCode::from(FAILED)
        }
    }
}

fn run(arguments: &Arguments) -> Result<Ending> {
    let format = arguments.format()?;
    let mut input = Input::open(arguments)?;
    let engine: Arc<dyn Engine> = Arc::new(SessionEngine::new(&arguments.settings())?);
    let output = Output::open(arguments.output.as_deref())?;
    let interrupts = Interrupts::install(engine.clone(), output.unfinished())?;
    let mut runner = Runner::new(engine.clone(), format, output.clone(), interrupts, arguments.clone());
    let ended = runner.run(&mut input);
    match ended {
        Ok(Ending::Succeeded) => output.keep(engine.as_ref())?,
        Ok(Ending::Failed) if arguments.continues_after_errors() => output.keep(engine.as_ref())?,
        _ => output.discard(),
    }
    ended
}
