//! The option `file_row_number`: a column with the number of each row in its file, from 0.
//!
//! Invariant: without conditions the splits of a file are all of its rows in their order, so that a split's first row has
//! the number of the rows before it.
//!
//! # Known limitation
//! Nothing is left out of a scan that numbers its rows, neither row groups nor rows.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;

use crate::batch::Split;
use crate::error::{Code, Error, Result};
use crate::scan::format::{ScanRequest, SplitPlan, Splits};
use crate::scan::options::flag;
use crate::scan::parquet::plan;
use crate::scan::spec::Options;
use crate::store::QueryContext;

/// The option, and its column.
pub(super) const FILE_ROW_NUMBER: &str = "file_row_number";

/// The columns of the files, with that of the option where it is given.
///
/// # Errors
/// `INVALID_SETTING` when the files have a column of that name.
pub(super) fn with_number(schema: Schema, options: &Options) -> Result<Schema> {
    if !flag(options, FILE_ROW_NUMBER)?.unwrap_or(false) {
        return Ok(schema);
    }
    if schema.fields().iter().any(|field| field.name().eq_ignore_ascii_case(FILE_ROW_NUMBER)) {
        let message = format!("the reader option {FILE_ROW_NUMBER} adds a column of that name, which the files have");
        return Err(Error::new(Code::InvalidSetting, message));
    }
    let number = Arc::new(Field::new(FILE_ROW_NUMBER, DataType::Int64, false));
    let fields: Vec<_> = schema.fields().iter().cloned().chain([number]).collect();
    Ok(Schema::new_with_metadata(fields, schema.metadata().clone()))
}

/// The splits of `request`, with the number of the row where it asks for that.
///
/// # Errors
/// Those of planning.
pub(super) fn splits(request: &ScanRequest, context: &Arc<QueryContext>) -> Result<Splits> {
    let is_given = flag(&request.spec.options, FILE_ROW_NUMBER)?.unwrap_or(false);
    let is_number =
        |index: &usize| request.spec.schema.fields().get(*index).is_some_and(|field| field.name() == FILE_ROW_NUMBER);
    let Some(position) = request.projection.iter().position(is_number).filter(|_| is_given) else {
        return plan::splits(request, context);
    };
    let plain = ScanRequest {
        projection: request.projection.iter().copied().filter(|index| !is_number(index)).collect(),
        filters: Vec::new(),
        runtime_filters: Vec::new(),
        limit: request.limit.filter(|_| request.filters.is_empty()),
        ..request.clone()
    };
    let schema = Arc::new(request.spec.schema.project(&request.projection)?);
    let mut splits = plan::splits(&plain, context)?;
    let (mut file, mut first) = (usize::MAX, 0);
    let mut numbered: Vec<Box<dyn SplitPlan>> = Vec::with_capacity(splits.plans.len());
    for inner in splits.plans {
        if inner.file() != file {
            (file, first) = (inner.file(), 0);
        }
        let rows = inner.rows().ok_or_else(|| Error::internal("a split of Parquet without a number of rows"))?;
        numbered.push(Box::new(NumberedPlan { inner, first, position, schema: schema.clone() }));
        first += rows;
    }
    splits.plans = numbered;
    Ok(splits)
}

/// A split whose first row has the number `first`.
struct NumberedPlan {
    inner: Box<dyn SplitPlan>,
    first: u64,
    /// Where the number stands among the columns.
    position: usize,
    schema: SchemaRef,
}

impl SplitPlan for NumberedPlan {
    fn file(&self) -> usize {
        self.inner.file()
    }

    fn rows(&self) -> Option<u64> {
        self.inner.rows()
    }

    fn prepare(&self) {
        self.inner.prepare();
    }

    fn open(&self) -> Result<Box<dyn Split>> {
        let next = i64::try_from(self.first).map_err(|_| Error::internal("a file of more than 2^63 rows"))?;
        let (inner, position, schema) = (self.inner.open()?, self.position, self.schema.clone());
        Ok(Box::new(Numbered { inner, next, position, schema }))
    }
}

struct Numbered {
    inner: Box<dyn Split>,
    /// The number of the next row.
    next: i64,
    position: usize,
    schema: SchemaRef,
}

impl Split for Numbered {
    fn next(&mut self) -> Result<Option<RecordBatch>> {
        let Some(batch) = self.inner.next()? else { return Ok(None) };
        let end = self.next + i64::try_from(batch.num_rows()).unwrap_or(0);
        let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(self.next..end));
        self.next = end;
        let mut columns = batch.columns().to_vec();
        columns.insert(self.position.min(columns.len()), numbers);
        Ok(Some(RecordBatch::try_new(self.schema.clone(), columns)?))
    }
}
