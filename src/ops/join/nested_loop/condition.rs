//! A join condition over pairs of rows.
//!
//! It is evaluated over batches of only those columns that it reads, laid out as pairs.

use arrow::array::{
    Array, ArrayRef, AsArray, PrimitiveArray, RecordBatchOptions, UInt32Array, downcast_primitive_array,
};
use arrow::buffer::BooleanBuffer;
use arrow::compute::take;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::expr::{Evaluator, Selection};

/// A column of one side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SideColumn {
    pub of_probe: bool,
    pub index: usize,
}

/// A condition over the columns of both sides.
#[derive(Debug)]
pub struct Condition {
    evaluator: Evaluator,
    schema: SchemaRef,
    columns: Vec<SideColumn>,
}

/// What a condition says of some pairs.
pub(in crate::ops::join) struct Truth {
    /// Where it is true.
    pub(in crate::ops::join) selected: Selection,
    /// Where it is NULL, if that was asked for and there are such pairs.
    pub(in crate::ops::join) unknown: Option<BooleanBuffer>,
}

impl Condition {
    /// The condition `evaluator`, which was compiled over batches of `schema`; its columns are `columns` of the sides.
    pub fn new(evaluator: Evaluator, schema: SchemaRef, columns: Vec<SideColumn>) -> Self {
        Condition { evaluator, schema, columns }
    }

    pub(in crate::ops::join) fn describe(&self) -> String {
        self.evaluator.describe()
    }

    /// The condition over `pairs` pairs, whose columns `column` gives.
    pub(in crate::ops::join) fn truth(
        &self,
        pairs: usize,
        null_aware: bool,
        column: impl Fn(SideColumn) -> Result<ArrayRef>,
    ) -> Result<Truth> {
        let columns = self.columns.iter().map(|&of| column(of)).collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(pairs));
        let batch = RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)?;
        if !null_aware {
            return Ok(Truth { selected: self.evaluator.predicate(&batch)?, unknown: None });
        }
        let values = self.evaluator.evaluate(&batch)?;
        let Some(values) = values.as_boolean_opt() else {
            return Err(Error::internal(format!("{} is not a condition", self.describe())));
        };
        let unknown = values.nulls().filter(|nulls| nulls.null_count() > 0).map(|nulls| !nulls.inner());
        let bits = match values.nulls() {
            Some(nulls) => values.values() & nulls.inner(),
            None => values.values().clone(),
        };
        let selected = match bits.count_set_bits() {
            0 => Selection::None,
            count if count == pairs => Selection::All,
            _ => Selection::Some(arrow::array::BooleanArray::new(bits, None)),
        };
        Ok(Truth { selected, unknown })
    }
}

/// Row `row` of `array`, `count` times.
pub(super) fn repeated(array: &ArrayRef, row: usize, count: usize) -> Result<ArrayRef> {
    if array.is_valid(row) {
        downcast_primitive_array!(
            array => return Ok(repeated_primitive(array, row, count)),
            _ => {}
        );
    }
    let row = u32::try_from(row).map_err(|_| Error::internal("a batch of more than 2^32 rows"))?;
    Ok(take(array, &UInt32Array::from_value(row, count), None)?)
}

fn repeated_primitive<T: arrow::datatypes::ArrowPrimitiveType>(
    array: &PrimitiveArray<T>,
    row: usize,
    count: usize,
) -> ArrayRef {
    Arc::new(PrimitiveArray::<T>::from_value(array.value(row), count).with_data_type(array.data_type().clone()))
}
