//! Runs statement after statement and prints what they give.
//!
//! Invariant: one statement at a time; each is printed to its end, or its error is, before the next one starts.

use std::sync::Arc;
use std::time::Instant;

use floe::session::format::{Format, Limits, ResultWriter, only_counts_changes, write_error, writer};
use floe::{Error, Result};

use super::arguments::{Arguments, OnError};
use super::diagnostic::{self, note};
use super::engine::Engine;
use super::input::Input;
use super::interrupt::Interrupts;
use super::output::{Output, terminal_width};
use super::progress::ProgressLine;
use super::statements::Statement;

/// How it all ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    Succeeded,
    Failed,
    /// By Ctrl-C or a request to end; the exit code that says so.
    Interrupted(u8),
    /// The reader of the output has gone, as `head` does.
    OutputClosed,
}

/// Statements, engine and output brought together.
pub struct Runner {
    engine: Arc<dyn Engine>,
    format: Format,
    output: Output,
    writer: Box<dyn ResultWriter>,
    interrupts: Interrupts,
    on_error: Option<OnError>,
    timer: bool,
    progress: ProgressLine,
}

impl Runner {
    pub fn new(
        engine: Arc<dyn Engine>,
        format: Format,
        output: Output,
        interrupts: Interrupts,
        arguments: Arguments,
    ) -> Self {
        let width = if arguments.output.is_none() { terminal_width() } else { None };
        let writer = writer(format, Limits { width, ..Limits::default() }, output.clone());
        let progress = ProgressLine::new(engine.clone(), !arguments.no_progress);
        let Arguments { on_error, timer, .. } = arguments;
        Runner { engine, format, output, writer, interrupts, on_error, timer, progress }
    }

    /// Runs every statement of the input, as far as errors and interruptions let it.
    ///
    /// # Errors
    /// Only what has to do with no statement: input that cannot be read, output that cannot be written.
    pub fn run(&mut self, input: &mut Input) -> Result<Ending> {
        let stops = match self.on_error {
            Some(action) => action == OnError::Stop,
            None => !input.is_interactive(),
        };
        let mut ending = Ending::Succeeded;
        loop {
            let error = match input.next() {
                Ok(None) => return Ok(ending),
                Ok(Some(statement)) => {
                    let ended = self.statement(&statement)?;
                    match ended {
                        Ending::Succeeded => continue,
                        Ending::Interrupted(_) if input.is_interactive() && !self.interrupts.is_ending() => continue,
                        Ending::Interrupted(_) | Ending::OutputClosed => return Ok(ended),
                        Ending::Failed => None,
                    }
                }
                Err(error) => Some(error),
            };
            if let Some(error) = error {
                let unreadable = error.code() != floe::error::Code::Syntax;
                self.report(&error, None)?;
                if unreadable {
                    return Ok(Ending::Failed);
                }
            }
            ending = Ending::Failed;
            if stops {
                return Ok(ending);
            }
        }
    }

    fn statement(&mut self, statement: &Statement) -> Result<Ending> {
        let start = Instant::now();
        self.interrupts.statement_starts();
        self.progress.statement_starts();
        let result = self.answer(&statement.text);
        self.progress.hide();
        let interrupted = self.interrupts.statement_ends();
        if self.timer {
            note(&format!("time: {:.3} s\n", start.elapsed().as_secs_f64()));
        }
        let Err(error) = result else {
            return Ok(interrupted.map_or(Ending::Succeeded, Ending::Interrupted));
        };
        self.writer.abandon();
        if self.output.is_closed() {
            return Ok(Ending::OutputClosed);
        }
        self.report(&error, Some(statement))?;
        match interrupted {
            _ if self.output.is_closed() => Ok(Ending::OutputClosed),
            Some(code) => Ok(Ending::Interrupted(code)),
            None => Ok(Ending::Failed),
        }
    }

    fn answer(&mut self, text: &str) -> Result<()> {
        let answer = self.engine.run(text)?;
        if only_counts_changes(&answer.schema) && self.format != Format::JsonCompact {
            return Ok(());
        }
        let is_seen = self.output.is_seen();
        let mut batches = answer.batches.peekable();
        if is_seen {
            // Most of the work is done when the first rows come.
            let _ = batches.peek();
            self.progress.hide();
        }
        self.writer.begin(&answer.schema)?;
        for batch in batches {
            self.writer.batch(&batch?)?;
        }
        self.writer.end()
    }

    /// Tells of an error where the format says: on the output for programs, on standard error for people.
    fn report(&mut self, error: &Error, statement: Option<&Statement>) -> Result<()> {
        if self.format != Format::JsonCompact {
            diagnostic::print(error, statement);
            return Ok(());
        }
        let written = write_error(&mut self.output, error);
        if self.output.is_closed() { Ok(()) } else { written }
    }
}
