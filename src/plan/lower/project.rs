//! Projections and filters: streaming operators over every branch.

use std::sync::Arc;

use datafusion_expr::LogicalPlan;
use datafusion_expr::logical_plan::{Filter, Projection};

use super::join::is_hash_join;
use super::{Branches, Lowering, with_operator};
use crate::error::Result;
use crate::ops;

impl Lowering<'_> {
    pub(super) fn projection(&mut self, projection: &Projection) -> Result<Branches> {
        if let LogicalPlan::Join(join) = projection.input.as_ref()
            && is_hash_join(join)
        {
            return self.projected_join(projection, join);
        }
        let branches = self.rows_for(&projection.input, &projection.expr)?;
        let schema = projection.input.schema();
        let evaluators = projection.expr.iter().map(|expr| self.compile(expr, schema)).collect::<Result<Vec<_>>>()?;
        let output = projection.schema.inner().clone();
        Ok(with_operator(branches, Arc::new(ops::project::Project::new(evaluators, output))))
    }

    pub(super) fn filter(&mut self, filter: &Filter) -> Result<Branches> {
        let branches = self.rows_for(&filter.input, [&filter.predicate])?;
        let predicate = self.compile(&filter.predicate, filter.input.schema())?;
        let schema = filter.input.schema().inner().clone();
        Ok(with_operator(branches, Arc::new(ops::filter::Filter::new(predicate, schema))))
    }
}
