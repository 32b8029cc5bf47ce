//! What a statement that changes rows answers: their number, or what RETURNING says.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::record_batch::RecordBatch;
use datafusion_expr::LogicalPlanBuilder;

use crate::batch::{MemorySource, SourceRef};
use crate::error::Result;
use crate::plan::StoredTable;
use crate::session::format::CHANGES;
use crate::session::relation::{Relation, with_column_names};
use crate::session::rows::store_rows;
use crate::session::scope::Scope;
use crate::session::sql::Prepared;
use crate::session::sql::changes::{ROWS, Returning};
use crate::session::{DataFrame, Session};
use crate::store::StoredRows;

/// The answer of a statement that changed so many rows.
pub(super) fn changed_rows(session: &Session, count: u64) -> Result<DataFrame> {
    let count: ArrayRef = Arc::new(Int64Array::from(vec![i64::try_from(count).unwrap_or(i64::MAX)]));
    let fields = vec![Field::new("Count", DataType::Int64, false)];
    let schema = Arc::new(Schema::new_with_metadata(fields, [(CHANGES.to_string(), String::new())].into()));
    let batch = RecordBatch::try_new(schema.clone(), vec![count])?;
    frame(session, Arc::new(MemorySource::new(schema, vec![batch])))
}

/// The answer of `RETURNING list` over the rows that were changed: computed here, so that its errors come before the change is done.
pub(super) fn returned(session: &Session, returning: &Returning, rows: StoredRows) -> Result<DataFrame> {
    let rows = Relation::Stored(StoredTable::new(Arc::new(rows)));
    let scope = Scope::new(session.engine()).with(ROWS, rows);
    let plan = Prepared::of_tokens(returning.query()?, &scope)?.query_plan()?;
    let stream = DataFrame::new(session.clone(), plan).stream()?;
    let schema = stream.schema();
    // Two columns may have one name, which a table's must not.
    let numbered = schema.fields().iter().enumerate();
    let numbered: Vec<Field> =
        numbered.map(|(index, field)| field.as_ref().clone().with_name(index.to_string())).collect();
    let answer = store_rows(stream, &Arc::new(Schema::new(numbered)), session.engine().store())?;
    let frame = frame(session, Arc::new(answer))?;
    let names = schema.fields().iter().map(|field| field.name().as_str());
    Ok(DataFrame::new(session.clone(), with_column_names(frame.plan().clone(), names)?))
}

/// The frame of rows that are there.
pub(super) fn frame(session: &Session, rows: SourceRef) -> Result<DataFrame> {
    let plan = LogicalPlanBuilder::scan("answer", Arc::new(StoredTable::new(rows)), None)?.build()?;
    Ok(DataFrame::new(session.clone(), plan))
}
