//! Expand: each row once for every set, with the columns that do not belong to the set as NULL or as constants.
//!
//! GROUPING SETS and several DISTINCT arguments become one aggregation this way: the sets' rows differ in a constant that
//! is a group key.
//!
//! Invariant: a batch leaves as one batch for each set, in the order of the sets; columns are shared, not copied.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatchOptions, new_null_array};
use arrow::compute::filter_record_batch;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion_common::ScalarValue;

use crate::error::{Error, Result};
use crate::ops::{Emit, Flow, Operator, Work};
use crate::store::QueryContext;

/// One column of a set's rows.
#[derive(Debug, Clone)]
pub enum Slot {
    /// The input's column of that index.
    Column(usize),
    Constant(ScalarValue),
    Null,
}

/// What one set's rows are.
#[derive(Debug, Clone)]
pub struct ExpandSet {
    pub slots: Vec<Slot>,
    /// The (boolean) column of the input that says which rows the set has; all without one.
    pub filter: Option<usize>,
}

/// Gives every row once for each set.
#[derive(Debug)]
pub struct Expand {
    sets: Arc<[ExpandSet]>,
    schema: SchemaRef,
}

impl Expand {
    /// `schema` is that of the output: a field for each slot.
    pub fn new(sets: Vec<ExpandSet>, schema: SchemaRef) -> Self {
        Expand { sets: sets.into(), schema }
    }
}

impl Operator for Expand {
    fn name(&self) -> &'static str {
        "Expand"
    }

    fn describe(&self) -> String {
        format!("{} sets", self.sets.len())
    }

    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn open(&self, _context: &Arc<QueryContext>) -> Result<Box<dyn Work>> {
        Ok(Box::new(ExpandWork { sets: self.sets.clone(), schema: self.schema.clone() }))
    }
}

struct ExpandWork {
    sets: Arc<[ExpandSet]>,
    schema: SchemaRef,
}

impl Work for ExpandWork {
    fn push(&mut self, batch: RecordBatch, out: &mut Emit) -> Result<Flow> {
        for set in self.sets.iter() {
            let expanded = self.expand(set, &batch)?;
            if expanded.num_rows() > 0 && out(expanded)? == Flow::Done {
                return Ok(Flow::Done);
            }
        }
        Ok(Flow::More)
    }
}

impl ExpandWork {
    fn expand(&self, set: &ExpandSet, batch: &RecordBatch) -> Result<RecordBatch> {
        let selected = match set.filter {
            None => batch.clone(),
            Some(filter) => filter_record_batch(batch, column(batch, filter)?.as_boolean())?,
        };
        let rows = selected.num_rows();
        let columns = set.slots.iter().zip(self.schema.fields()).map(|(slot, field)| {
            Ok(match slot {
                Slot::Column(index) => column(&selected, *index)?.clone(),
                Slot::Constant(value) => value.to_array_of_size(rows)?,
                Slot::Null => new_null_array(field.data_type(), rows),
            })
        });
        let columns = columns.collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        Ok(RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)?)
    }
}

fn column(batch: &RecordBatch, index: usize) -> Result<&ArrayRef> {
    batch.columns().get(index).ok_or_else(|| Error::internal(format!("Expand: no column {index} in the input")))
}

#[cfg(test)]
mod tests {
    use arrow::array::{BooleanArray, Int64Array};
    use arrow::datatypes::{DataType, Field, Int64Type, Schema};

    use super::*;
    use crate::ops::testing::{context, run};

    #[test]
    fn every_set_has_its_rows_and_columns() {
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3]));
        let chosen: ArrayRef = Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)]));
        let batch = RecordBatch::try_from_iter([("n", numbers), ("chosen", chosen)]).expect("a batch");
        let schema = ["a", "set"].map(|name| Field::new(name, DataType::Int64, true));
        let constant = |value: i64| Slot::Constant(ScalarValue::from(value));
        let sets = vec![
            ExpandSet { slots: vec![Slot::Null, constant(0)], filter: None },
            ExpandSet { slots: vec![Slot::Column(0), constant(1)], filter: Some(1) },
        ];
        let expand = Expand::new(sets, Arc::new(Schema::new(schema.to_vec())));
        let output = run(&expand, &context(1 << 20, 8, 1), vec![batch]).expect("expands");
        assert_eq!(output[0].column(0).null_count(), 3);
        assert_eq!(output[0].column(1).as_primitive::<Int64Type>().values(), &[0, 0, 0]);
        assert_eq!(output[1].column(0).as_primitive::<Int64Type>().values(), &[1]);
        assert_eq!(output[1].column(1).as_primitive::<Int64Type>().values(), &[1]);
    }
}
