//! GROUP BY and aggregates over everything.

use std::sync::Arc;

use datafusion_expr::Expr;
use datafusion_expr::logical_plan::Aggregate;

use super::{Branches, Lowering};
use crate::error::{Error, Result};
use crate::expr::AggregateCall;
use crate::ops;

impl Lowering<'_> {
    pub(super) fn aggregate(&mut self, aggregate: &Aggregate) -> Result<Branches> {
        let branches = self.node(&aggregate.input)?;
        let schema = aggregate.input.schema();
        if aggregate.group_expr.iter().any(|expr| matches!(expr, Expr::GroupingSet(_))) {
            return Err(Error::not_supported("GROUPING SETS, ROLLUP or CUBE"));
        }
        let keys = aggregate.group_expr.iter().map(|expr| self.compile(expr, schema)).collect::<Result<Vec<_>>>()?;
        let calls = aggregate.aggr_expr.iter().map(|expr| AggregateCall::compile(expr, schema, self.compiler));
        let calls = calls.collect::<Result<Vec<_>>>()?;
        let output = aggregate.schema.inner().clone();
        let sink = ops::aggregate::HashAggregate::new(keys, calls, output)?;
        Ok(self.end_pipeline(branches, Arc::new(sink)))
    }
}
