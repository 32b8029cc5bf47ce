//! Joins without equal keys.
//!
//! The smaller side waits (build), the other streams (probe).

use std::sync::Arc;

use datafusion_common::{DFSchema, JoinType};
use datafusion_expr::logical_plan::Join;
use datafusion_expr::utils::conjunction;
use datafusion_expr::{Expr, LogicalPlan};

use super::range_join::RangeCondition;
use super::{Branches, Lowering, with_operator};
use crate::error::Result;
use crate::ops::join::nested_loop::{
    BuildRows, BuildSlot, Condition, NestedLoop, NestedLoopBuild, NestedLoopProbe, Shape, SideColumn,
};
use crate::ops::join::range::{RangeBuild, RangeProbe};
use crate::ops::{DynSink, Operator};

/// Against a side of at most so many rows nothing is sorted.
const FEW_ROWS: f64 = 32.0;

impl Lowering<'_> {
    /// Joins by whatever condition there is; keys are part of it.
    pub(super) fn nested_join(&mut self, join: &Join) -> Result<Branches> {
        let (left, right) = (self.node(&join.left)?, self.node(&join.right)?);
        let (left_rows, right_rows) = (self.rows_at_most(&join.left), self.rows_at_most(&join.right));
        let by_range = join.on.is_empty() && !join.null_aware && left_rows.min(right_rows) > FEW_ROWS;
        let probe_is_left = probe_is_left(join, left_rows, right_rows);
        let shape = Shape::new(join.join_type, probe_is_left, join.null_aware)?;
        let (mut probe, build) = if probe_is_left { (left, right) } else { (right, left) };
        let (probe_plan, build_plan) =
            if probe_is_left { (&join.left, &join.right) } else { (&join.right, &join.left) };
        let expr = condition_of(join);
        let condition = expr.as_ref().map(|expr| self.condition(expr, probe_plan, build_plan)).transpose()?;
        let slot = BuildSlot::default();
        let (probe_schema, build_schema) = (probe_plan.schema().inner().clone(), build_plan.schema().inner().clone());
        let output = join.schema.inner().clone();
        let nested =
            Arc::new(NestedLoop::new(shape, probe_schema, build_schema.clone(), output, condition, slot.clone()));
        let range = expr.filter(|_| by_range).and_then(|expr| RangeCondition::of(&expr, probe_plan, build_plan));
        let (sink, operator): (Arc<dyn DynSink>, Arc<dyn Operator>) = match range {
            Some(range) => {
                let range = Arc::new(self.range_join(nested.clone(), range, probe_plan, build_plan)?);
                (Arc::new(RangeBuild::new(range.clone())), Arc::new(RangeProbe::new(range)))
            }
            None => (
                Arc::new(NestedLoopBuild::new(build_schema, slot, shape.marks_build())),
                Arc::new(NestedLoopProbe::new(nested.clone())),
            ),
        };
        let build = self.add_pipeline(build, Some(sink));
        probe.after.push(build);
        let branches = with_operator(probe, operator);
        Ok(match shape.marks_build() {
            true => with_operator(branches, Arc::new(BuildRows::new(nested))),
            false => branches,
        })
    }

    /// About how many rows that side has, never more than it can have.
    fn rows_at_most(&self, side: &LogicalPlan) -> f64 {
        let estimated = self.estimated_rows(side);
        side.max_rows().map_or(estimated, |most| estimated.min(most as f64))
    }

    /// `expr` over batches of the columns of both sides that it reads.
    pub(super) fn condition(&self, expr: &Expr, probe: &LogicalPlan, build: &LogicalPlan) -> Result<Condition> {
        let (mut fields, mut columns) = (Vec::new(), Vec::new());
        let read = expr.column_refs();
        for (of_probe, side) in [(true, probe), (false, build)] {
            let schema = side.schema();
            for (index, column) in schema.columns().iter().enumerate() {
                if read.contains(column) {
                    let (qualifier, field) = schema.qualified_field(index);
                    // Over pairs of an outer join's rows nothing is NULL that was not before.
                    fields.push((qualifier.cloned(), field.clone()));
                    columns.push(SideColumn { of_probe, index });
                }
            }
        }
        let schema = DFSchema::new_with_metadata(fields, Default::default())?;
        Ok(Condition::new(self.compile(expr, &schema)?, schema.inner().clone(), columns))
    }
}

/// The whole condition of a join as one expression.
fn condition_of(join: &Join) -> Option<Expr> {
    let equal = |(left, right): &(Expr, Expr)| match join.null_equality {
        datafusion_common::NullEquality::NullEqualsNothing => left.clone().eq(right.clone()),
        datafusion_common::NullEquality::NullEqualsNull => Expr::BinaryExpr(datafusion_expr::BinaryExpr::new(
            Box::new(left.clone()),
            datafusion_expr::Operator::IsNotDistinctFrom,
            Box::new(right.clone()),
        )),
    };
    // Where a NULL of the keys counts, one of the filter still means that the row is not there.
    let filter = join.filter.clone().map(|filter| if join.null_aware { filter.is_true() } else { filter });
    conjunction(join.on.iter().map(equal).chain(filter))
}

/// Whether the left side streams: the larger one, or the only one that can.
fn probe_is_left(join: &Join, left: f64, right: f64) -> bool {
    match join.join_type {
        JoinType::LeftAnti | JoinType::LeftMark if join.null_aware => true,
        JoinType::RightAnti | JoinType::RightMark if join.null_aware => false,
        _ => left >= right,
    }
}
