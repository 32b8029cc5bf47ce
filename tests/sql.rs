//! Runs every `tests/sql/**/*.slt` under every combination of threads, memory and batch size: the answers must be the
//! same. A file is a session of its own; its paths are relative to the package's folder.
//!
//! `query` names a letter for each column: `I` integers, `R` doubles and decimals, `T` text, `B` booleans, `D` dates,
//! times and intervals, `?` anything. NULL reads `NULL`, an empty text `(empty)`. `statement error` takes a regular
//! expression for the error's text, which starts with its stable code.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use arrow::datatypes::DataType;
use arrow::record_batch::RecordBatch;
use floe::session::Session;
use floe::{Error, Result};
use sqllogictest::{ColumnType, DB, DBOutput, Runner};

#[path = "shared/cell.rs"]
mod cell;

use cell::cell_text;

/// How a session is built for one pass over the folder.
#[derive(Debug, Clone, Copy)]
struct Setting {
    threads: usize,
    memory_limit: Option<&'static str>,
    batch_size: Option<usize>,
}

const MANY: usize = 4;
const LITTLE: Option<&str> = Some("64MB");
const TINY: Option<usize> = Some(7);

/// The letter of a column.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Kind(char);

impl ColumnType for Kind {
    fn from_char(value: char) -> Option<Self> {
        "IRTBD?".contains(value).then_some(Kind(value))
    }

    fn to_char(&self) -> char {
        self.0
    }
}

fn kind(data_type: &DataType) -> Kind {
    Kind(match data_type {
        DataType::Decimal128(38, 0) => 'I',
        other if other.is_integer() => 'I',
        other if other.is_numeric() => 'R',
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => 'T',
        DataType::Boolean => 'B',
        other if other.is_temporal() => 'D',
        _ => '?',
    })
}

#[expect(clippy::ptr_arg, reason = "the runner takes a function of this very type")]
fn same_kinds(actual: &Vec<Kind>, expected: &Vec<Kind>) -> bool {
    let same = |(actual, expected): (&Kind, &Kind)| expected.0 == '?' || actual == expected;
    actual.len() == expected.len() && actual.iter().zip(expected).all(same)
}

struct Database(Session);

impl DB for Database {
    type Error = Error;
    type ColumnType = Kind;

    fn run(&mut self, sql: &str) -> Result<DBOutput<Kind>> {
        let stream = self.0.sql(sql)?.stream()?;
        let types: Vec<Kind> = stream.schema().fields().iter().map(|field| kind(field.data_type())).collect();
        let mut rows = Vec::new();
        for batch in stream {
            append_rows(&batch?, &mut rows)?;
        }
        Ok(if types.is_empty() { DBOutput::StatementComplete(0) } else { DBOutput::Rows { types, rows } })
    }

    fn engine_name(&self) -> &str {
        "floe"
    }
}

fn append_rows(batch: &RecordBatch, rows: &mut Vec<Vec<String>>) -> Result<()> {
    for row in 0..batch.num_rows() {
        let cells = batch.columns().iter().map(|column| {
            let cell = cell_text(column, row)?;
            Ok(if cell.is_empty() { "(empty)".to_owned() } else { cell })
        });
        rows.push(cells.collect::<Result<_>>()?);
    }
    Ok(())
}

impl Setting {
    fn session(&self) -> Result<Session> {
        let mut builder = Session::builder().threads(self.threads);
        if let Some(limit) = self.memory_limit {
            builder = builder.memory_limit(limit);
        }
        if let Some(rows) = self.batch_size {
            builder = builder.set("batch_size", rows.to_string());
        }
        builder.build()
    }

    /// Every failure of a file, each naming file, line and setting.
    fn run_file(&self, path: &Path) -> Vec<String> {
        let mut runner = Runner::new(|| async { self.session().map(Database) });
        runner.with_column_validator(same_kinds);
        let records = match sqllogictest::parse_file(path) {
            Ok(records) => records,
            Err(error) => return vec![error.to_string()],
        };
        let mut failures = Vec::new();
        for record in records {
            if let Err(error) = runner.run(record) {
                failures.push(format!("{}with {self:?}\n", error.display(false)));
            }
        }
        failures
    }
}

fn scripts(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            scripts(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "slt") {
            found.push(path);
        }
    }
}

/// Runs the folder, a few files at a time. `FLOE_SLT` picks the files whose path contains it.
fn run_folder(setting: Setting) {
    let mut paths = Vec::new();
    scripts(Path::new("tests/sql"), &mut paths);
    let wanted = std::env::var("FLOE_SLT").unwrap_or_default();
    paths.retain(|path| path.to_string_lossy().contains(&wanted));
    paths.sort();
    assert!(!paths.is_empty(), "no file under tests/sql matches {wanted:?}");
    let next = AtomicUsize::new(0);
    let failures = Mutex::new(Vec::new());
    let work = || {
        while let Some(path) = paths.get(next.fetch_add(1, Ordering::Relaxed)) {
            let failed = setting.run_file(path);
            failures.lock().unwrap().extend(failed);
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    let mut failures = failures.into_inner().unwrap();
    failures.sort();
    assert!(failures.is_empty(), "{} failures\n\n{}", failures.len(), failures.join("\n"));
}

macro_rules! settings {
    ($($name:ident: $threads:expr, $memory_limit:expr, $batch_size:expr;)*) => {
        $(
            #[test]
            fn $name() {
                run_folder(Setting { threads: $threads, memory_limit: $memory_limit, batch_size: $batch_size });
            }
        )*
    };
}

settings! {
    one_thread_roomy: 1, None, None;
    one_thread_roomy_tiny_batches: 1, None, TINY;
    one_thread_64mb: 1, LITTLE, None;
    one_thread_64mb_tiny_batches: 1, LITTLE, TINY;
    many_threads_roomy: MANY, None, None;
    many_threads_roomy_tiny_batches: MANY, None, TINY;
    many_threads_64mb: MANY, LITTLE, None;
    many_threads_64mb_tiny_batches: MANY, LITTLE, TINY;
}
