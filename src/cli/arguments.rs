//! The command line.

use std::path::PathBuf;

use clap::{ArgGroup, Parser, ValueEnum};
use floe::Result;
use floe::session::format::Format;

use super::engine::Settings;

/// Larger-than-memory SQL over CSV, Parquet and JSON files.
///
/// Without SQL on the command line, statements are read from standard input and run as they arrive.
#[derive(Debug, Clone, Parser)]
#[command(name = "floe", version, max_term_width = 100)]
#[command(group = ArgGroup::new("source").multiple(false))]
pub struct Arguments {
    /// SQL statements, separated by `;`, e.g. "SELECT count(*) FROM 'logs/*.csv'"
    #[arg(group = "source", value_name = "SQL")]
    pub sql: Vec<String>,

    /// SQL statements, as the positional argument
    #[arg(short = 'c', long = "command", group = "source", value_name = "SQL")]
    pub commands: Vec<String>,

    /// A file of SQL statements; `-` is standard input
    #[arg(short = 'f', long = "file", group = "source", value_name = "FILE")]
    pub files: Vec<PathBuf>,

    /// How answers are printed: table, csv, tsv, json, jsonl, json-compact or markdown
    ///
    /// Without it, the extension of --output decides, else it is table.
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<String>,

    /// Write the answers to this file or object (s3://…), which appears only when everything has succeeded
    #[arg(short = 'o', long, value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// The most memory to use, e.g. 1GB or 60% [default: 60% of what the machine or container has]
    #[arg(long, value_name = "SIZE")]
    pub memory_limit: Option<String>,

    /// Worker threads [default: one for each processor]
    #[arg(long, value_name = "COUNT")]
    pub threads: Option<usize>,

    /// The directory for what does not fit into memory [default: the system's temporary directory]
    #[arg(long, value_name = "DIRECTORY")]
    pub spill_dir: Option<PathBuf>,

    /// The most that may be written to the spill directory, e.g. 100GB
    #[arg(long, value_name = "SIZE")]
    pub max_spill_size: Option<String>,

    /// What to do after a statement that failed [default: stop; continue at a terminal]
    #[arg(long, value_enum, value_name = "ACTION")]
    pub on_error: Option<OnError>,

    /// Never show on a terminal how far a statement is
    #[arg(long)]
    pub no_progress: bool,

    /// Print the time that each statement took to standard error
    #[arg(long)]
    pub timer: bool,
}

/// What to do after a statement that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OnError {
    /// Run no further statement.
    Stop,
    /// Run the statements that follow.
    Continue,
}

impl Arguments {
    /// The output format that was asked for, or that the output file's extension says.
    ///
    /// # Errors
    /// `INVALID_SETTING` for a name that is no format.
    pub fn format(&self) -> Result<Format> {
        if let Some(name) = &self.format {
            return name.parse();
        }
        let extension = self.output.as_deref().and_then(|path| path.extension()).and_then(|text| text.to_str());
        Ok(extension.and_then(Format::of_extension).unwrap_or(Format::Table))
    }

    /// Whether statements after a failed one run, when standard input is not a terminal.
    pub fn continues_after_errors(&self) -> bool {
        self.on_error == Some(OnError::Continue)
    }

    /// Whether statements come from standard input.
    pub fn reads_standard_input(&self) -> bool {
        let is_given = [self.sql.len(), self.commands.len(), self.files.len()] != [0; 3];
        !is_given || self.files.iter().any(|file| file.as_os_str() == "-")
    }

    /// What the session is to be built with.
    pub fn settings(&self) -> Settings {
        Settings {
            memory_limit: self.memory_limit.clone(),
            threads: self.threads,
            spill_dir: self.spill_dir.clone(),
            max_spill_size: self.max_spill_size.clone(),
            reads_statements: self.reads_standard_input(),
        }
    }
}
