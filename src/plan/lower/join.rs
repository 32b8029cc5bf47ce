//! Joins: the build side ends a pipeline, the probe side streams through an operator.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion_common::{DFSchema, JoinType, NullEquality};
use datafusion_expr::logical_plan::{Join, Projection};
use datafusion_expr::type_coercion::binary::comparison_coercion;
use datafusion_expr::{Expr, ExprSchemable, cast};

use super::{Branches, Lowering, with_operator};
use crate::error::{Error, Result};
use crate::expr::Evaluator;
use crate::ops;
use crate::ops::join::hash::{HashJoin, HashJoinPlan, Residual, Side};

/// A side is built although that side's rows come out by whether they match only if it is so many times smaller.
const WORTH_KEEPING: f64 = 2.0;

/// Which side of `join` is kept in a table, given the sides' rows as far as they are known.
pub(crate) fn build_side(join: &Join, left_rows: Option<f64>, right_rows: Option<f64>) -> Side {
    let (Some(left), Some(right)) = (left_rows, right_rows) else { return Side::Right };
    let left_is_smaller = match join.join_type {
        JoinType::Inner | JoinType::Full => left < right,
        JoinType::Left | JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => left * WORTH_KEEPING < right,
        JoinType::Right | JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => {
            left < right * WORTH_KEEPING
        }
    };
    if left_is_smaller { Side::Left } else { Side::Right }
}

/// Whether `join` is one by equal keys and nothing stands in the way.
pub(super) fn is_hash_join(join: &Join) -> bool {
    !join.on.is_empty() && !is_beside_unknown(join)
}

/// Whether `join` is NOT IN by several keys or beside other conditions: no hash finds what is only perhaps equal.
fn is_beside_unknown(join: &Join) -> bool {
    join.null_aware && !join.on.is_empty() && (join.on.len() > 1 || join.filter.is_some())
}

impl Lowering<'_> {
    pub(super) fn join(&mut self, join: &Join) -> Result<Branches> {
        if !is_hash_join(join) {
            return self.nested_join(join);
        }
        let all = (0..join.schema.fields().len()).collect();
        self.hash_join(join, all, join.schema.inner().clone())
    }

    /// A projection over a join: columns that nobody asks for are not made.
    pub(super) fn projected_join(&mut self, projection: &Projection, join: &Join) -> Result<Branches> {
        let plain: Option<Vec<usize>> = projection.expr.iter().map(|expr| plain_column(expr, &join.schema)).collect();
        let output = projection.schema.inner().clone();
        if let Some(columns) = plain {
            return self.hash_join(join, columns, output);
        }
        let mut used: Vec<usize> = Vec::new();
        for column in projection.expr.iter().flat_map(Expr::column_refs) {
            used.push(join.schema.index_of_column(column)?);
        }
        used.sort_unstable();
        used.dedup();
        let schema = part_of(&join.schema, &used)?;
        let branches = self.hash_join(join, used, schema.inner().clone())?;
        let branches = self.portioned(branches, &schema, &projection.expr)?;
        let evaluators = projection.expr.iter().map(|expr| self.compile(expr, &schema)).collect::<Result<Vec<_>>>()?;
        Ok(with_operator(branches, Arc::new(ops::project::Project::new(evaluators, output))))
    }

    /// A join with equal keys, giving the columns `output` of its schema as `schema`.
    fn hash_join(&mut self, join: &Join, output: Vec<usize>, schema: SchemaRef) -> Result<Branches> {
        let keys = join.on.iter().map(|(left, right)| self.join_key(join, left, right)).collect::<Result<Vec<_>>>()?;
        let (left_rows, right_rows) = (self.estimated_rows(&join.left), self.estimated_rows(&join.right));
        let build = build_side(join, Some(left_rows), Some(right_rows));
        let filters = self.filters_of(join, build);
        let plan = HashJoinPlan {
            join_type: join.join_type,
            build,
            keys,
            null_equal: join.null_equality == NullEquality::NullEqualsNull,
            null_aware: join.null_aware,
            residual: join.filter.as_ref().map(|filter| self.residual(join, filter)).transpose()?,
            left: join.left.schema().inner().clone(),
            right: join.right.schema().inner().clone(),
            output,
            schema,
            filters: filters.iter().map(|filter| filter.as_ref().map(|(filter, _)| filter.clone())).collect(),
        };
        let HashJoin { build: build_sink, fill, table, probe } = HashJoin::new(plan, self.join_share.clone())?;
        let (built, probed) = if build == Side::Left { (&join.left, &join.right) } else { (&join.right, &join.left) };
        let built = self.node(built)?;
        let rows = self.end_pipeline(built, Arc::new(build_sink));
        let rows = self.end_pipeline(rows, Arc::new(fill));
        let table = self.add_pipeline(rows, Some(Arc::new(table)));
        self.tell(filters, table);
        let mut branches = with_operator(self.node(probed)?, Arc::new(probe));
        branches.after.push(table);
        Ok(branches)
    }

    fn join_key(&self, join: &Join, left: &Expr, right: &Expr) -> Result<(Evaluator, Evaluator)> {
        let (left_schema, right_schema) = (join.left.schema(), join.right.schema());
        let (left_type, right_type) = (left.get_type(left_schema)?, right.get_type(right_schema)?);
        if left_type == right_type {
            return Ok((self.compile(left, left_schema)?, self.compile(right, right_schema)?));
        }
        let common = comparison_coercion(&left_type, &right_type)
            .ok_or_else(|| Error::not_supported(format!("a join of {left_type} with {right_type}")))?;
        let left = cast(left.clone(), common.clone());
        let right = cast(right.clone(), common);
        Ok((self.compile(&left, left_schema)?, self.compile(&right, right_schema)?))
    }

    /// A condition over both sides, compiled over just the columns that it reads.
    fn residual(&self, join: &Join, filter: &Expr) -> Result<Residual> {
        let both = join.left.schema().join(join.right.schema())?;
        let mut used = Vec::new();
        for column in filter.column_refs() {
            used.push(both.index_of_column(column)?);
        }
        used.sort_unstable();
        used.dedup();
        let left = join.left.schema().fields().len();
        let columns = used.iter().map(|&index| match index.checked_sub(left) {
            Some(index) => (Side::Right, index),
            None => (Side::Left, index),
        });
        let columns = columns.collect();
        Ok(Residual { condition: self.compile(filter, &part_of(&both, &used)?)?, columns })
    }
}

/// The index of the column that `expr` is, under whatever name.
fn plain_column(expr: &Expr, schema: &DFSchema) -> Option<usize> {
    match expr {
        Expr::Column(column) => schema.index_of_column(column).ok(),
        Expr::Alias(alias) => plain_column(&alias.expr, schema),
        _ => None,
    }
}

/// Some columns of a schema.
fn part_of(schema: &DFSchema, columns: &[usize]) -> Result<DFSchema> {
    let fields = columns.iter().map(|&index| {
        let (qualifier, field) = schema.qualified_field(index);
        (qualifier.cloned(), field.clone())
    });
    Ok(DFSchema::new_with_metadata(fields.collect(), HashMap::new())?)
}
