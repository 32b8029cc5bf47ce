//! Operators whose expressions make much of little get their rows in portions.

use std::sync::Arc;

use arrow::array::{AsArray, RecordBatchOptions};
use arrow::datatypes::{Float64Type, Schema};
use arrow::record_batch::RecordBatch;
use datafusion_common::DFSchema;
use datafusion_expr::{Expr, LogicalPlan};

use super::{Branches, Lowering, with_operator};
use crate::error::Result;
use crate::expr::{Evaluator, SMALL_GROWTH, grown_bytes};
use crate::ops::portions::Portions;

impl Lowering<'_> {
    /// The rows of `input` for an operator that evaluates `expressions` over them.
    pub(super) fn rows_for<'e>(
        &mut self,
        input: &LogicalPlan,
        expressions: impl IntoIterator<Item = &'e Expr>,
    ) -> Result<Branches> {
        let branches = self.node(input)?;
        self.portioned(branches, input.schema(), expressions)
    }

    /// Rows of `schema` for an operator that evaluates `expressions` over them.
    pub(super) fn portioned<'e>(
        &self,
        branches: Branches,
        schema: &DFSchema,
        expressions: impl IntoIterator<Item = &'e Expr>,
    ) -> Result<Branches> {
        let mut sizes = Vec::new();
        for expression in expressions {
            for size in grown_bytes(expression, schema)? {
                let evaluator = self.compile(&size, schema)?;
                if !size.column_refs().is_empty() || size.is_volatile() || !is_small(&evaluator)? {
                    sizes.push(evaluator);
                }
            }
        }
        if sizes.is_empty() {
            return Ok(branches);
        }
        Ok(with_operator(branches, Arc::new(Portions::new(sizes, schema.inner().clone()))))
    }
}

/// Whether a size that is the same for every row is one that needs no care.
fn is_small(size: &Evaluator) -> Result<bool> {
    let options = RecordBatchOptions::new().with_row_count(Some(1));
    let row = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), Vec::new(), &options)?;
    let bytes = size.evaluate(&row)?;
    Ok(bytes
        .as_primitive_opt::<Float64Type>()
        .is_some_and(|bytes| bytes.iter().flatten().all(|bytes| bytes < SMALL_GROWTH)))
}
