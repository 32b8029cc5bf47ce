//! What makes a frame run.

use std::path::Path;

use arrow::array::AsArray;
use arrow::datatypes::{DataType, FieldRef, Int64Type};
use arrow::record_batch::RecordBatch;
use datafusion_common::tree_node::TreeNodeRecursion;
use datafusion_common::{Column, TableReference};
use datafusion_expr::{Expr, LogicalPlan, LogicalPlanBuilder, cast};
use datafusion_functions_aggregate::count::count_all;

use super::DataFrame;
use crate::batch::logical::in_files;
use crate::error::{Code, Error, Result};
use crate::expr::functions;
use crate::io::Location;
use crate::memory::Budget;
use crate::ops::write::{Existing, FileWriter, FolderOptions, WriteFolder, WriteFormat, WriteOptions, WrittenFolder};
use crate::plan::FileTable;
use crate::session::ResultStream;
use crate::session::format::{Format, Limits, writer};
use crate::session::sql::with_excerpt;
use crate::session::statement::with_certain_types;

impl DataFrame {
    /// Begins to run the query: its batches as they come. Dropping the stream cancels the query.
    ///
    /// Types of columns in large CSV files rest on samples. Where the query reads such columns, this returns when the
    /// types are certain; if one did not hold, the query is planned anew, and the stream's schema, which has the types
    /// that hold, differs from the frame's.
    ///
    /// # Errors
    /// `NOT_SUPPORTED` for what floe does not do yet. The stream itself gives the errors of running. `INVALID_DATA` for a
    /// frame made by verbs whose inferred types did not hold: made anew, it has those that do.
    pub fn stream(&self) -> Result<ResultStream> {
        let stream = self.with_certain_types(|frame| frame.session.engine().run(&frame.plan))?;
        Ok(stream.of(self.sql.clone()))
    }

    /// Runs the frame, and where its types did not hold the frame of the same query planned anew.
    fn with_certain_types<T>(&self, run: impl Fn(&DataFrame) -> Result<T>) -> Result<T> {
        let Some(sql) = &self.sql else { return run(self) };
        let mut frame = self.clone();
        let mut first = true;
        with_certain_types(|| {
            if !std::mem::take(&mut first) {
                frame = frame.session.sql(sql)?;
            }
            run(&frame)
        })
        .map_err(|error| with_excerpt(error, sql))
    }

    /// Runs the query and keeps all of its batches. They are the caller's memory, not floe's.
    ///
    /// # Errors
    /// Those of planning and running.
    pub fn collect(&self) -> Result<Vec<RecordBatch>> {
        self.stream()?.collect()
    }

    /// Runs the query and prints its first rows as a table.
    ///
    /// # Errors
    /// Those of planning and running, and of the standard output.
    pub fn show(&self) -> Result<()> {
        let stream = self.stream()?;
        let mut writer = writer(Format::Table, Limits::default(), std::io::stdout().lock());
        writer.begin(&stream.schema())?;
        for batch in stream {
            writer.batch(&batch?)?;
        }
        writer.end()
    }

    /// The number of rows.
    ///
    /// # Errors
    /// Those of planning and running.
    pub fn count(&self) -> Result<u64> {
        let counted = self.group_by(Vec::<datafusion_expr::Expr>::new())?.agg([count_all().alias("rows")])?;
        let mut rows = 0_u64;
        for batch in counted.stream()? {
            let batch = batch?;
            let counts = batch.column(0).as_primitive_opt::<Int64Type>();
            let counts = counts.ok_or_else(|| Error::internal("a count is not a BIGINT"))?;
            rows += counts.values().iter().map(|count| u64::try_from(*count).unwrap_or(0)).sum::<u64>();
        }
        Ok(rows)
    }

    /// The plan as text.
    ///
    /// # Errors
    /// Those of planning.
    pub fn explain(&self) -> Result<String> {
        self.session.engine().explain(&self.plan)
    }

    /// Runs the query, leaves its rows out, and tells of every operator how many rows it saw, its time (of all workers),
    /// the bytes it read and spilled, and the most memory its working set took.
    ///
    /// # Errors
    /// Those of planning and running.
    pub fn explain_analyze(&self) -> Result<String> {
        self.with_certain_types(|frame| frame.session.engine().explain_analyze(&frame.plan))
    }

    /// Runs the query and writes it as CSV with a header; gives the number of rows.
    ///
    /// # Errors
    /// Those of planning and running, and `IO_ERROR`. A file that was begun is taken away again.
    pub fn write_csv(&self, path: impl AsRef<Path>) -> Result<u64> {
        self.write(WriteFormat::Csv, path.as_ref(), &WriteOptions::default())
    }

    /// Runs the query and writes it as Parquet; gives the number of rows.
    ///
    /// # Errors
    /// As [`write_csv`](DataFrame::write_csv).
    pub fn write_parquet(&self, path: impl AsRef<Path>) -> Result<u64> {
        self.write(WriteFormat::Parquet, path.as_ref(), &WriteOptions::default())
    }

    /// Runs the query and writes it as JSON lines; gives the number of rows.
    ///
    /// # Errors
    /// As [`write_csv`](DataFrame::write_csv).
    pub fn write_json(&self, path: impl AsRef<Path>) -> Result<u64> {
        self.write(WriteFormat::Json, path.as_ref(), &WriteOptions::default())
    }

    /// Runs the query and writes it into a folder of files.
    pub(crate) fn write_folder(
        &self,
        format: WriteFormat,
        path: &Path,
        options: &WriteOptions,
        folder: &FolderOptions,
    ) -> Result<WrittenFolder> {
        let name = text_of(path)?;
        if matches!(folder.existing, Existing::Replace | Existing::Overwrite) {
            self.check_reads_outside(name)?;
        }
        let schema = self.plan.schema();
        let key = |name: &String| {
            let field = schema.iter().find(|(_, field)| field.name().eq_ignore_ascii_case(name))?;
            Some(Expr::Column(Column::from(field)).sort(true, true))
        };
        let keys: Vec<_> = folder.partition_by.iter().filter_map(key).collect();
        self.with_certain_types(|frame| {
            let plan = match keys.is_empty() {
                true => frame.plan.clone(),
                false => LogicalPlanBuilder::from(frame.plan.clone()).sort(keys.clone())?.build()?,
            };
            let plan = with_intervals(with_texts(&plan)?, format)?;
            let engine = frame.session.engine();
            let begin = |schema, budget: &Budget| {
                WriteFolder::create(engine.storage(), name, format, options, folder.clone(), schema, budget)
            };
            engine.write_folder(&plan, begin)
        })
    }

    /// An error when the query reads files of the folder that it is going to write over.
    fn check_reads_outside(&self, folder: &str) -> Result<()> {
        let objects = self.session.engine().storage().object_folder(folder)?;
        let local = std::fs::canonicalize(folder).ok();
        let inside = |file: &Location| match (&objects, &local) {
            (Some(objects), _) => objects.contains(file),
            (None, Some(local)) => {
                let path = file.path().ok().and_then(|path| std::fs::canonicalize(path).ok());
                path.is_some_and(|path| path.starts_with(local))
            }
            (None, None) => false,
        };
        let mut read = None;
        self.plan.apply_with_subqueries(|node| {
            if let LogicalPlan::TableScan(scan) = node
                && let Some(table) = scan.source.downcast_ref::<FileTable>()
            {
                let files = table.spec.files.iter().map(|file| &file.path);
                read = read.take().or_else(|| files.into_iter().find(|file| inside(file)).map(Location::to_string));
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
        match read {
            None => Ok(()),
            Some(file) => {
                Err(Error::new(Code::InvalidQuery, format!("the query reads '{file}', which it would replace"))
                    .hint("write into another folder, or APPEND"))
            }
        }
    }

    pub(crate) fn write(&self, format: WriteFormat, path: &Path, options: &WriteOptions) -> Result<u64> {
        let engine = self.session.engine();
        let location = engine.storage().destination(text_of(path)?)?;
        match format {
            WriteFormat::Parquet => self.with_certain_types(|frame| {
                let plan = with_intervals(with_texts(&frame.plan)?, format)?;
                frame.session.engine().write_parquet(&plan, &location, options)
            }),
            WriteFormat::Csv | WriteFormat::Json => self.with_certain_types(|frame| {
                frame.session.engine().write_text(&with_texts(&frame.plan)?, &location, format, options)
            }),
            WriteFormat::Arrow | WriteFormat::ArrowStream => self.write_by_one(&location, format, options),
        }
    }

    fn write_by_one(&self, location: &Location, format: WriteFormat, options: &WriteOptions) -> Result<u64> {
        let has_others = self.schema().fields().iter().any(|field| has_other(field.data_type()));
        let stream = match has_others {
            true => DataFrame::new(self.session.clone(), with_texts(&self.plan)?).stream()?,
            false => self.stream()?,
        };
        let budget = self.session.engine().budget();
        let mut file = FileWriter::create(location, format, options, stream.schema(), budget)?;
        for batch in stream {
            file.write(&batch?)?;
        }
        file.finish()
    }
}

fn text_of(path: &Path) -> Result<&str> {
    path.to_str().ok_or_else(|| {
        Error::new(Code::Io, format!("the name '{}' is not UTF-8", path.display())).hint("choose another name")
    })
}

/// The plan with texts for ENUMs and BITs, which files do not have.
fn with_texts(plan: &LogicalPlan) -> Result<LogicalPlan> {
    let has_others = plan.schema().fields().iter().any(|field| has_other(field.data_type()));
    if !has_others {
        return Ok(plan.clone());
    }
    let column = |(qualifier, field): (Option<&TableReference>, &FieldRef)| {
        let column = Expr::Column(Column::from((qualifier, field.as_ref())));
        let to = in_files(field.data_type());
        if to == *field.data_type() { column } else { cast(column, to).alias(field.name()) }
    };
    let columns: Vec<Expr> = plan.schema().iter().map(column).collect();
    Ok(LogicalPlanBuilder::from(plan.clone()).project(columns)?.build()?)
}

/// The plan with INTERVALs as Parquet has them: months, days and milliseconds, four bytes each.
fn with_intervals(plan: LogicalPlan, format: WriteFormat) -> Result<LogicalPlan> {
    let has_interval = |field: &FieldRef| has_interval(field.data_type());
    if format != WriteFormat::Parquet || !plan.schema().fields().iter().any(has_interval) {
        return Ok(plan);
    }
    let encode = functions().scalar.get("#parquet_interval").cloned();
    let encode = encode.ok_or_else(|| Error::internal("there is no function #parquet_interval"))?;
    let column = |(qualifier, field): (Option<&TableReference>, &FieldRef)| {
        let column = Expr::Column(Column::from((qualifier, field.as_ref())));
        if has_interval(field) { encode.call(vec![column]).alias(field.name()) } else { column }
    };
    let columns: Vec<Expr> = plan.schema().iter().map(column).collect();
    Ok(LogicalPlanBuilder::from(plan).project(columns)?.build()?)
}

fn has_interval(data_type: &DataType) -> bool {
    match data_type {
        DataType::Interval(_) => true,
        DataType::Struct(fields) => fields.iter().any(|field| has_interval(field.data_type())),
        DataType::List(item) | DataType::FixedSizeList(item, _) | DataType::Map(item, _) => {
            has_interval(item.data_type())
        }
        _ => false,
    }
}

fn has_other(data_type: &DataType) -> bool {
    in_files(data_type) != *data_type
}
