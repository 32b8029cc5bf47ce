//! Where statements come from: the command line, files, or standard input as it arrives.
//!
//! Invariant: a statement is handed on as soon as its `;` was read, without waiting for more input, so that a program
//! on the other side can converse line by line.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, IsTerminal, Read};

use floe::error::Code;
use floe::{Error, Result};

use super::arguments::Arguments;
use super::diagnostic::note;
use super::shell::{Shell, Typed};
use super::statements::{Splitter, Statement};

const READ_BYTES: usize = 64 * 1024;

/// Statements one after another.
pub struct Input {
    sources: VecDeque<Source>,
    splitter: Splitter,
    interactive: bool,
    /// Where a person types at a terminal that shows it.
    shell: Option<Shell>,
}

/// One text of statements and the name to give in errors.
struct Source {
    name: Option<String>,
    reader: Box<dyn Read>,
}

impl Input {
    /// What the arguments name; files are opened now, so that a missing one is an error before anything runs.
    ///
    /// # Errors
    /// `FILE_NOT_FOUND` or `IO_ERROR` for a file that cannot be read.
    pub fn open(arguments: &Arguments) -> Result<Self> {
        let mut sources = VecDeque::new();
        for text in arguments.sql.iter().chain(&arguments.commands) {
            sources.push_back(Source { name: None, reader: Box::new(io::Cursor::new(text.clone().into_bytes())) });
        }
        for path in &arguments.files {
            let name = path.display().to_string();
            let reader: Box<dyn Read> = match name.as_str() {
                "-" => Box::new(io::stdin()),
                _ => Box::new(File::open(path).map_err(|error| Error::from(error).context(name.clone()))?),
            };
            sources.push_back(Source { name: Some(name), reader });
        }
        let interactive = sources.is_empty() && io::stdin().is_terminal();
        let shell = if interactive && io::stdout().is_terminal() { Some(Shell::open()?) } else { None };
        if sources.is_empty() {
            sources.push_back(Source { name: None, reader: Box::new(io::stdin()) });
        }
        Ok(Input { sources, splitter: Splitter::default(), interactive, shell })
    }

    /// Whether a person types the statements.
    pub fn is_interactive(&self) -> bool {
        self.interactive
    }

    /// The next statement; blocks while standard input has no whole one yet. `None` after the last.
    ///
    /// # Errors
    /// `IO_ERROR` when a source cannot be read, `SYNTAX_ERROR` when it is not UTF-8.
    pub fn next(&mut self) -> Result<Option<Statement>> {
        loop {
            let Some(source) = self.sources.front_mut() else { return Ok(None) };
            if let Some(statement) = self.splitter.next() {
                return statement.map(Some).map_err(|error| named(error, source.name.as_deref()));
            }
            if let Some(shell) = &mut self.shell {
                match shell.line(self.splitter.is_between_statements())? {
                    Typed::Line(line) => {
                        self.splitter.push(line.as_bytes());
                        self.splitter.push(b"\n");
                        continue;
                    }
                    Typed::Cleared => {
                        self.splitter = Splitter::default();
                        continue;
                    }
                    // What is left of the input is nothing.
                    Typed::Ended => source.reader = Box::new(io::empty()),
                }
            } else if self.interactive {
                note(if self.splitter.is_between_statements() { "floe> " } else { "  ... " });
            }
            let mut buffer = vec![0; READ_BYTES];
            let read = match source.reader.read(&mut buffer) {
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(named(Error::from(error), source.name.as_deref())),
            };
            self.splitter.push(buffer.get(..read).unwrap_or_default());
            if read == 0 {
                let name = source.name.clone();
                self.sources.pop_front();
                let last = std::mem::take(&mut self.splitter).finish();
                if let Some(statement) = last {
                    return statement.map(Some).map_err(|error| named(error, name.as_deref()));
                }
            }
        }
    }
}

fn named(error: Error, name: Option<&str>) -> Error {
    match (name, error.code()) {
        (Some(name), _) => error.context(name),
        (None, Code::Io) => error.context("standard input"),
        (None, _) => error,
    }
}
