//! COPY a query or table TO a file or a folder of files, and a table FROM files.

mod options;

use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, ListBuilder, StringBuilder};
use arrow::datatypes::{DataType, FieldRef, TimeUnit};
use arrow::record_batch::RecordBatch;
use datafusion_common::Column;
use datafusion_expr::{Expr, LogicalPlanBuilder, lit};
use datafusion_sql::sqlparser::ast::{CopySource, CopyTarget, Ident, ObjectName, Statement};

use self::options::{CopyOptions, Settings, TimeFormats, bad_format, format_named, format_of, no_format};
use super::export::stored_columns;
use super::{Running, not_supported};
use crate::batch::MemorySource;
use crate::batch::logical::{JSON, is_logical};
use crate::error::{Error, Result};
use crate::expr::functions;
use crate::expr::types::sql_type_name;
use crate::ops::write::WriteFormat;
use crate::plan::StoredTable;
use crate::scan::infer::parse_type;
use crate::session::DataFrame;
use crate::session::catalog::Entry;
use crate::session::names::Name;
use crate::session::sql::CopyOption;

impl Running<'_> {
    /// `COPY (query) | table [(columns)] TO 'file' (options)`: the answer is the number of rows.
    pub(super) fn copy(&self) -> Result<DataFrame> {
        let statement = &self.prepared.statement;
        let Statement::Copy { source, to, target: CopyTarget::File { filename }, legacy_options, .. } = statement
        else {
            return Err(not_supported(statement));
        };
        if !legacy_options.is_empty() {
            return Err(Error::not_supported("options of COPY outside of parentheses")
                .hint("write COPY … TO 'file' (FORMAT csv, HEADER)"));
        }
        if !to {
            return self.copy_from(source, filename);
        }
        let path = Path::new(filename);
        let CopyOptions { format, write, folder, returns_files, times } = self.copy_options(path)?;
        let rows = self.with_times(self.copied(source)?, &times)?;
        let (count, files) = match folder {
            Some(folder) => {
                let written = rows.write_folder(format, path, &write, &folder)?;
                (written.rows, written.files)
            }
            None => (rows.write(format, path, &write)?, vec![filename.clone()]),
        };
        if returns_files { self.count_and_files(count, files) } else { self.number("Count", count) }
    }

    /// `COPY table [(columns)] FROM 'file' (options)`, in other words.
    fn copy_from(&self, source: &CopySource, filename: &str) -> Result<DataFrame> {
        let CopySource::Table { table_name, columns } = source else {
            return Err(not_supported(&self.prepared.statement));
        };
        let mut format = None;
        let mut options = String::new();
        let quoted = |text: &str| format!("'{}'", text.replace('\'', "''"));
        for CopyOption { name, values, span, .. } in &self.prepared.copy_options {
            let value = match values.as_slice() {
                [] => "true".to_string(),
                [value]
                    if matches!(value.to_lowercase().as_str(), "true" | "false") || value.parse::<u64>().is_ok() =>
                {
                    value.clone()
                }
                [value] => quoted(value),
                several => format!("[{}]", several.iter().map(|value| quoted(value)).collect::<Vec<_>>().join(", ")),
            };
            match (name.as_str(), values.as_slice()) {
                ("format", [value]) => format = Some(format_named(value).ok_or_else(|| bad_format().span(*span))?),
                (name, _) => options += &format!(", {name} => {value}"),
            }
        }
        let columns_of_table = format!("SELECT {} FROM {table_name}", self.loaded(table_name, columns));
        let typed = |read: fn(&DataType) -> String| -> Result<String> {
            let fields = self.session.sql(&columns_of_table)?;
            let column = |field: &FieldRef| format!("{}: {}", quoted(field.name()), quoted(&read(field.data_type())));
            let types = fields.plan().schema().fields().iter().map(column).collect::<Vec<_>>().join(", ");
            Ok(format!(", columns => {{{types}}}"))
        };
        let function = match format.or_else(|| format_of(Path::new(filename))) {
            Some(WriteFormat::Csv) => {
                // The table's types count, not those that the values look like.
                options += &typed(type_in_csv)?;
                "read_csv"
            }
            Some(WriteFormat::Json) => {
                // Keys go to the columns of their names.
                options += &typed(type_in_json)?;
                "read_json"
            }
            Some(WriteFormat::Parquet) => "read_parquet",
            Some(WriteFormat::Arrow | WriteFormat::ArrowStream) => "read_arrow",
            None => return Err(no_format(Path::new(filename))),
        };
        let target = if columns.is_empty() { String::new() } else { format!(" ({})", names(columns)) };
        let read = format!("SELECT * FROM {function}({}{options})", quoted(filename));
        self.session.sql(&format!("INSERT INTO {table_name}{target} {read}"))
    }

    /// The columns that a file has: without names all but those that are computed.
    fn loaded(&self, table: &ObjectName, columns: &[Ident]) -> String {
        let found = Name::of(table).and_then(|name| self.session.engine().catalog.get(&name));
        match found {
            Some(Entry::Table(table)) if columns.is_empty() => stored_columns(&table),
            _ => None,
        }
        .unwrap_or_else(|| names(columns))
    }

    /// The rows that are written.
    pub(super) fn copied(&self, source: &CopySource) -> Result<DataFrame> {
        match source {
            CopySource::Query(query) => Ok(DataFrame::new(self.session.clone(), self.prepared.plan(query)?)),
            CopySource::Table { table_name, columns } => self.table_rows(table_name, columns),
        }
    }

    /// The rows with texts for times that are written by a format.
    fn with_times(&self, rows: DataFrame, times: &TimeFormats) -> Result<DataFrame> {
        let format_of = |field: &FieldRef| match field.data_type() {
            DataType::Date32 => times.date.as_ref(),
            DataType::Timestamp(..) => times.timestamp.as_ref(),
            _ => None,
        };
        if !rows.plan().schema().fields().iter().any(|field| format_of(field).is_some()) {
            return Ok(rows);
        }
        let strftime = functions().scalar.get("strftime").cloned();
        let strftime = strftime.ok_or_else(|| Error::internal("there is no function strftime"))?;
        let plan = rows.plan().clone();
        let columns = plan.schema().iter().map(|(qualifier, field)| {
            let column = Expr::Column(Column::from((qualifier, field.as_ref())));
            match format_of(field) {
                Some(format) => strftime.call(vec![column, lit(format.as_str())]).alias(field.name()),
                None => column,
            }
        });
        let columns: Vec<Expr> = columns.collect();
        let plan = LogicalPlanBuilder::from(plan).project(columns)?.build()?;
        Ok(DataFrame::new(self.session.clone(), crate::plan::analyze(plan)?))
    }

    fn table_rows(&self, table: &ObjectName, columns: &[Ident]) -> Result<DataFrame> {
        // The names go through the same door as those of any query.
        self.session.sql(&format!("SELECT {} FROM {table}", names(columns)))
    }

    fn copy_options(&self, path: &Path) -> Result<CopyOptions> {
        let mut options = Settings::default();
        for option in &self.prepared.copy_options {
            options.set(option).map_err(|error| error.span(option.span))?;
        }
        options.into_options(path)
    }

    fn count_and_files(&self, count: u64, files: Vec<String>) -> Result<DataFrame> {
        let mut list = ListBuilder::new(StringBuilder::new());
        files.iter().for_each(|file| list.values().append_value(file));
        list.append(true);
        let count = Int64Array::from(vec![i64::try_from(count).unwrap_or(i64::MAX)]);
        self.row([("Count", Arc::new(count) as ArrayRef), ("Files", Arc::new(list.finish()) as ArrayRef)])
    }

    /// A frame of one number.
    fn number(&self, name: &str, value: u64) -> Result<DataFrame> {
        let value = Int64Array::from(vec![i64::try_from(value).unwrap_or(i64::MAX)]);
        self.row([(name, Arc::new(value) as ArrayRef)])
    }

    fn row<'a>(&self, columns: impl IntoIterator<Item = (&'a str, ArrayRef)>) -> Result<DataFrame> {
        let batch = RecordBatch::try_from_iter(columns)?;
        let table = StoredTable::new(Arc::new(MemorySource::new(batch.schema(), vec![batch])));
        let plan = LogicalPlanBuilder::scan("answer", Arc::new(table), None)?.build()?;
        Ok(DataFrame::new(self.session.clone(), plan))
    }
}

/// The type in which a column of a table is read from CSV: INSERT makes more of texts than the reader.
fn type_in_csv(data_type: &DataType) -> String {
    let name = sql_type_name(data_type);
    let is_read = !is_logical(data_type) && parse_type(&name).is_ok_and(|read| read == *data_type);
    if is_read { name } else { "VARCHAR".to_string() }
}

/// The same from JSON, of which a cast makes everything: numbers that are texts, too. The reader's options have the forms of times.
fn type_in_json(data_type: &DataType) -> String {
    let is_read =
        matches!(data_type, DataType::Utf8View | DataType::Date32 | DataType::Timestamp(TimeUnit::Microsecond, None));
    sql_type_name(if is_read { data_type } else { &JSON })
}

fn names(columns: &[Ident]) -> String {
    let columns: Vec<String> = columns.iter().map(ToString::to_string).collect();
    if columns.is_empty() { "*".to_string() } else { columns.join(", ") }
}
