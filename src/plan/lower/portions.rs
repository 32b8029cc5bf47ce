//! Operators whose expressions make much of little get their rows in portions.

use std::sync::Arc;

use datafusion_common::DFSchema;
use datafusion_expr::{Expr, LogicalPlan};

use super::{Branches, Lowering, with_operator};
use crate::error::Result;
use crate::expr::grown_bytes;
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
                sizes.push(self.compile(&size, schema)?);
            }
        }
        if sizes.is_empty() {
            return Ok(branches);
        }
        Ok(with_operator(branches, Arc::new(Portions::new(sizes, schema.inner().clone()))))
    }
}
