//! COPY a query or table TO a file.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array};
use arrow::record_batch::RecordBatch;
use datafusion_expr::LogicalPlanBuilder;
use datafusion_sql::sqlparser::ast::{CopySource, CopyTarget, Ident, ObjectName, Statement};

use super::{Running, not_supported};
use crate::batch::MemorySource;
use crate::error::{Code, Error, Result};
use crate::ops::write::{WriteCompression, WriteFormat, WriteOptions};
use crate::plan::StoredTable;
use crate::session::DataFrame;
use crate::session::sql::{CopyOption, suggestion};

/// The options of COPY … TO.
const OPTIONS: [&str; 8] =
    ["format", "compression", "header", "delimiter", "delim", "quote", "nullstr", "row_group_size"];

impl Running<'_> {
    /// `COPY (query) | table [(columns)] TO 'file' (options)`: the answer is the number of rows.
    pub(super) fn copy(&self) -> Result<DataFrame> {
        let statement = &self.prepared.statement;
        let Statement::Copy { source, to: true, target: CopyTarget::File { filename }, legacy_options, .. } = statement
        else {
            return Err(not_supported(statement));
        };
        if !legacy_options.is_empty() {
            return Err(Error::not_supported("options of COPY outside of parentheses")
                .hint("write COPY … TO 'file' (FORMAT csv, HEADER)"));
        }
        let path = Path::new(filename);
        let (format, options) = self.copy_options(path)?;
        self.number("Count", self.copied(source)?.write(format, path, &options)?)
    }

    /// The rows that are written.
    pub(super) fn copied(&self, source: &CopySource) -> Result<DataFrame> {
        match source {
            CopySource::Query(query) => Ok(DataFrame::new(self.session.clone(), self.prepared.plan(query)?)),
            CopySource::Table { table_name, columns } => self.table_rows(table_name, columns),
        }
    }

    fn table_rows(&self, table: &ObjectName, columns: &[Ident]) -> Result<DataFrame> {
        let columns: Vec<String> = columns.iter().map(ToString::to_string).collect();
        let columns = if columns.is_empty() { "*".to_string() } else { columns.join(", ") };
        // The names go through the same door as those of any query.
        self.session.sql(&format!("SELECT {columns} FROM {table}"))
    }

    fn copy_options(&self, path: &Path) -> Result<(WriteFormat, WriteOptions)> {
        let mut options = WriteOptions::default();
        let mut format = None;
        for option in &self.prepared.copy_options {
            set(option, &mut format, &mut options).map_err(|error| error.span(option.span))?;
        }
        match format.or_else(|| format_of(path)) {
            Some(format) => Ok((format, options)),
            None => Err(Error::new(Code::InvalidQuery, format!("'{}' does not tell its format", path.display()))
                .hint("end the name in .csv, .json, .parquet or .arrow, or write (FORMAT parquet)")),
        }
    }

    /// A frame of one number.
    fn number(&self, name: &str, value: u64) -> Result<DataFrame> {
        let value = Int64Array::from(vec![i64::try_from(value).unwrap_or(i64::MAX)]);
        let batch = RecordBatch::try_from_iter([(name, Arc::new(value) as ArrayRef)])?;
        let table = StoredTable::new(Arc::new(MemorySource::new(batch.schema(), vec![batch])));
        let plan = LogicalPlanBuilder::scan("answer", Arc::new(table), None)?.build()?;
        Ok(DataFrame::new(self.session.clone(), plan))
    }
}

/// What the name of the file says; the ending of a compression may follow.
fn format_of(path: &Path) -> Option<WriteFormat> {
    let name = path.file_name()?.to_str()?.to_lowercase();
    let name = name.strip_suffix(".gz").or_else(|| name.strip_suffix(".zst")).unwrap_or(&name);
    match name.rsplit_once('.')?.1 {
        "csv" | "tsv" => Some(WriteFormat::Csv),
        "json" | "jsonl" | "ndjson" => Some(WriteFormat::Json),
        "parquet" => Some(WriteFormat::Parquet),
        "arrow" | "feather" | "ipc" => Some(WriteFormat::Arrow),
        "arrows" => Some(WriteFormat::ArrowStream),
        _ => None,
    }
}

fn set(option: &CopyOption, format: &mut Option<WriteFormat>, options: &mut WriteOptions) -> Result<()> {
    let value = option.value.as_deref();
    let bad =
        |takes: &str| Err(Error::new(Code::InvalidSetting, format!("option {} of COPY takes {takes}", option.name)));
    match option.name.as_str() {
        "format" => match value.map(str::to_lowercase).as_deref() {
            Some("csv") => *format = Some(WriteFormat::Csv),
            Some("json") => *format = Some(WriteFormat::Json),
            Some("parquet") => *format = Some(WriteFormat::Parquet),
            Some("arrow" | "feather" | "ipc") => *format = Some(WriteFormat::Arrow),
            Some("arrows") => *format = Some(WriteFormat::ArrowStream),
            _ => return bad("csv, json, parquet, arrow or arrows"),
        },
        "compression" => {
            options.compression = Some(match value.map(str::to_lowercase).as_deref() {
                Some("none" | "uncompressed") => WriteCompression::None,
                Some("gzip") => WriteCompression::Gzip,
                Some("zstd") => WriteCompression::Zstd,
                Some("snappy") => WriteCompression::Snappy,
                Some("lz4" | "lz4_raw") => WriteCompression::Lz4,
                _ => return bad("none, gzip, zstd, snappy or lz4"),
            });
        }
        "header" => match value.map(str::to_lowercase).as_deref() {
            None | Some("true" | "on" | "1") => options.header = true,
            Some("false" | "off" | "0") => options.header = false,
            _ => return bad("true or false"),
        },
        "delimiter" | "delim" => match value.map(str::as_bytes) {
            Some([byte]) if byte.is_ascii() => options.delimiter = *byte,
            _ => return bad("one character of ASCII"),
        },
        "quote" => match value.map(str::as_bytes) {
            Some([byte]) if byte.is_ascii() => options.quote = *byte,
            _ => return bad("one character of ASCII"),
        },
        "null" | "nullstr" => match value {
            Some(text) => options.null = text.to_string(),
            None => return bad("a text"),
        },
        "row_group_size" => match value.and_then(|value| value.parse().ok()) {
            Some(rows @ 1..) => options.row_group_rows = rows,
            _ => return bad("a number of rows"),
        },
        other => {
            let error = Error::new(Code::InvalidSetting, format!("COPY has no option {other}"));
            return Err(match suggestion(other, OPTIONS.iter().copied(), "options") {
                Some(hint) => error.hint(hint),
                None => error,
            });
        }
    }
    Ok(())
}
