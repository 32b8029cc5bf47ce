//! Rows that are left out, written down: what was wrong, and where.
//!
//! Two tables as DuckDB has them: one row for each error, and one for each file with errors, with the dialect in which it
//! was read. Line, byte and column numbers begin with 1.
//!
//! Invariant: a row is left out if and only if it has an error in the table, unless the limit of its file is reached.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arrow::array::{ArrayRef, BooleanArray, StringViewArray, UInt32Array, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;

use crate::error::Result;
use crate::scan::csv::settings::{DATE_FORMS, DETECTED, FILE_COLUMNS, QUOTES_SEEN, RejectNames, Settings};
use crate::scan::csv::tokenize::Flaw;
use crate::scan::infer::sql_name;
use crate::scan::options::shown;
use crate::scan::prove::UNPROVEN;
use crate::scan::{FileEntry, Options};
use crate::store::SideTables;

/// Errors of a split that are gathered before they are written down.
const GATHERED: usize = 1024;

/// Bytes of a line that are kept.
const LINE_BYTES: usize = 64 << 10;

/// What all splits of a scan share.
pub struct Rejects {
    names: RejectNames,
    side: Arc<SideTables>,
    /// The number of the scan.
    scan: u64,
    files: Vec<FileRejects>,
    /// The row of the table of scans, without its file.
    dialect: ScanRow,
}

#[derive(Default)]
struct FileRejects {
    errors: AtomicU64,
    noted: AtomicBool,
}

/// How the files of a scan are read.
struct ScanRow {
    delimiter: String,
    quote: String,
    escape: String,
    newline: &'static str,
    skip: u32,
    header: bool,
    columns: String,
    date: Option<String>,
    timestamp: Option<String>,
    arguments: String,
}

/// One error.
#[derive(Debug, Clone)]
pub struct Reject {
    pub line: u64,
    /// Places in the file, from 0: of the record, and of the error.
    pub record: u64,
    pub at: u64,
    /// The column, from 1.
    pub column: Option<u64>,
    pub name: Option<String>,
    pub kind: &'static str,
    pub text: String,
    pub message: String,
}

/// How a flaw is called in the table.
pub fn kind_of(flaw: Flaw, expected: usize) -> &'static str {
    match flaw {
        Flaw::Columns(found) if found < expected => "MISSING COLUMNS",
        Flaw::Columns(_) => "TOO MANY COLUMNS",
        Flaw::AfterQuote | Flaw::OpenQuote => "UNQUOTED VALUE",
        Flaw::Size(_) => "LINE SIZE OVER MAXIMUM",
    }
}

impl Rejects {
    /// The tables of a scan, which are made now, so that they are there without any error, too.
    ///
    /// # Errors
    /// `ALREADY_EXISTS`: one of the tables has other columns.
    pub fn new(
        names: &RejectNames,
        side: &Arc<SideTables>,
        files: &[FileEntry],
        settings: &Settings,
        types: &[DataType],
        options: &Options,
    ) -> Result<Self> {
        side.ensure(&names.errors, &errors_schema())?;
        side.ensure(&names.scans, &scans_schema())?;
        let files = files.iter().map(|_| FileRejects::default()).collect();
        let dialect = ScanRow::new(settings, types, options);
        Ok(Rejects { names: names.clone(), side: side.clone(), scan: side.next_number(), files, dialect })
    }

    /// Notes the file, once.
    fn note_file(&self, file: usize, path: &str) -> Result<()> {
        match self.files.get(file) {
            Some(state) if !state.noted.swap(true, Ordering::SeqCst) => {
                let row = self.dialect.batch(self.scan, file as u64, path)?;
                self.side.append(&self.names.scans, row)
            }
            _ => Ok(()),
        }
    }

    /// Whether one more error of the file is written down.
    fn admits(&self, file: usize) -> bool {
        let Some(state) = self.files.get(file) else { return false };
        let before = state.errors.fetch_add(1, Ordering::SeqCst);
        self.names.limit == 0 || before < self.names.limit
    }
}

/// The errors of one split.
pub struct SplitRejects {
    scan: Arc<Rejects>,
    file: usize,
    path: String,
    gathered: Vec<Reject>,
}

impl SplitRejects {
    /// No errors of a split of file number `file` so far.
    pub fn new(scan: Arc<Rejects>, file: usize, path: &str) -> Self {
        SplitRejects { scan, file, path: path.to_string(), gathered: Vec::new() }
    }

    /// Writes an error down, sooner or later.
    ///
    /// # Errors
    /// What the store finds.
    pub fn push(&mut self, mut reject: Reject) -> Result<()> {
        if !self.scan.admits(self.file) {
            return Ok(());
        }
        if reject.text.len() > LINE_BYTES {
            let end = (0..=LINE_BYTES).rev().find(|&end| reject.text.is_char_boundary(end)).unwrap_or(0);
            reject.text.truncate(end);
        }
        self.gathered.push(reject);
        if self.gathered.len() >= GATHERED { self.flush() } else { Ok(()) }
    }

    /// Writes down what is gathered.
    ///
    /// # Errors
    /// What the store finds.
    pub fn flush(&mut self) -> Result<()> {
        let rows = std::mem::take(&mut self.gathered);
        if rows.is_empty() {
            return Ok(());
        }
        self.scan.note_file(self.file, &self.path)?;
        let batch = errors_batch(&rows, self.scan.scan, self.file as u64)?;
        self.scan.side.append(&self.scan.names.errors, batch)
    }
}

fn field(name: &str, data_type: DataType) -> Field {
    Field::new(name, data_type, true)
}

fn errors_schema() -> SchemaRef {
    let number = |name: &str| field(name, DataType::UInt64);
    let text = |name: &str| field(name, DataType::Utf8View);
    Arc::new(Schema::new(vec![
        number("scan_id"),
        number("file_id"),
        number("line"),
        number("line_byte_position"),
        number("byte_position"),
        number("column_idx"),
        text("column_name"),
        text("error_type"),
        text("csv_line"),
        text("error_message"),
    ]))
}

fn errors_batch(rows: &[Reject], scan: u64, file: u64) -> Result<RecordBatch> {
    fn numbers(rows: &[Reject], value: impl Fn(&Reject) -> Option<u64>) -> ArrayRef {
        Arc::new(rows.iter().map(value).collect::<UInt64Array>())
    }
    fn texts<'a>(rows: &'a [Reject], value: impl Fn(&'a Reject) -> Option<&'a str>) -> ArrayRef {
        Arc::new(rows.iter().map(value).collect::<StringViewArray>())
    }
    let columns = vec![
        numbers(rows, |_| Some(scan)),
        numbers(rows, |_| Some(file)),
        numbers(rows, |row| Some(row.line)),
        numbers(rows, |row| Some(row.record + 1)),
        numbers(rows, |row| Some(row.at + 1)),
        numbers(rows, |row| row.column),
        texts(rows, |row| row.name.as_deref()),
        texts(rows, |row| Some(row.kind)),
        texts(rows, |row| Some(&row.text)),
        texts(rows, |row| Some(&row.message)),
    ];
    Ok(RecordBatch::try_new(errors_schema(), columns)?)
}

fn scans_schema() -> SchemaRef {
    let text = |name: &str| field(name, DataType::Utf8View);
    Arc::new(Schema::new(vec![
        field("scan_id", DataType::UInt64),
        field("file_id", DataType::UInt64),
        text("file_path"),
        text("delimiter"),
        text("quote"),
        text("escape"),
        text("newline_delimiter"),
        field("skip_rows", DataType::UInt32),
        field("has_header", DataType::Boolean),
        text("columns"),
        text("date_format"),
        text("timestamp_format"),
        text("user_arguments"),
    ]))
}

impl ScanRow {
    fn new(settings: &Settings, types: &[DataType], options: &Options) -> Self {
        let dialect = settings.dialect();
        let text = |byte: Option<u8>| byte.map_or("(empty)".to_string(), |byte| char::from(byte).to_string());
        let columns = settings.file_columns.iter().zip(types);
        let columns: Vec<_> = columns.map(|(name, kind)| format!("'{name}': '{}'", sql_name(kind))).collect();
        let own = [FILE_COLUMNS, QUOTES_SEEN, UNPROVEN, DETECTED, DATE_FORMS];
        let escape = ["escape", "quote"].map(|name| name.to_string());
        let found =
            |name: &String| settings.is_detected(name) || escape.contains(name) && settings.is_detected("quote");
        let given = options.iter().filter(|(name, _)| !own.contains(&name.as_str()) && !found(name));
        let arguments: Vec<_> = given.map(|(name, value)| format!("{name}={}", shown(value))).collect();
        let form =
            |form: &Option<crate::scan::infer::pattern::Pattern>| form.as_ref().map(|form| form.text().to_string());
        ScanRow {
            delimiter: dialect.delimiter_text(),
            quote: text(dialect.quote),
            escape: text(dialect.escape),
            newline: if dialect.newline == b'\r' { "\\r" } else { "\\n" },
            skip: u32::try_from(settings.skip).unwrap_or(u32::MAX),
            header: settings.header.unwrap_or(false),
            columns: format!("{{{}}}", columns.join(",")),
            date: form(&settings.forms.date),
            timestamp: form(&settings.forms.timestamp),
            arguments: arguments.join(", "),
        }
    }

    fn batch(&self, scan: u64, file: u64, path: &str) -> Result<RecordBatch> {
        let text = |text: Option<&str>| Arc::new(StringViewArray::from_iter([text])) as ArrayRef;
        let columns = vec![
            Arc::new(UInt64Array::from(vec![scan])) as ArrayRef,
            Arc::new(UInt64Array::from(vec![file])),
            text(Some(path)),
            text(Some(&self.delimiter)),
            text(Some(&self.quote)),
            text(Some(&self.escape)),
            text(Some(self.newline)),
            Arc::new(UInt32Array::from(vec![self.skip])),
            Arc::new(BooleanArray::from(vec![self.header])),
            text(Some(&self.columns)),
            text(self.date.as_deref()),
            text(self.timestamp.as_deref()),
            text(Some(&self.arguments)),
        ];
        Ok(RecordBatch::try_new(scans_schema(), columns)?)
    }
}
