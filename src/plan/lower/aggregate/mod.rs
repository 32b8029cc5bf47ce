//! GROUP BY and aggregates over everything.
//!
//! * Calls with a state of fixed size: one hash aggregation.
//! * Calls over all values of a group (quantiles, lists, texts): one holistic aggregation, whatever is beside them.
//! * DISTINCT in a call: an aggregation by the keys and the distinct arguments, and one by the keys over it (`distinct`).
//! * GROUPING SETS, ROLLUP, CUBE: rows once for each set, with the set's number as a further key (`grouping`).

mod distinct;
mod grouping;

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion_expr::logical_plan::Aggregate;
use datafusion_expr::utils::grouping_set_to_exprlist;

use self::grouping::key_sets;
use super::{Branches, Lowering, with_operator};
use crate::error::Result;
use crate::expr::{AggregateCall, Evaluator};
use crate::ops::aggregate::HashAggregate;
use crate::ops::holistic::HolisticAggregate;
use crate::ops::project::Project;

/// An aggregation that is being lowered.
struct Groups {
    branches: Branches,
    keys: Vec<Evaluator>,
    calls: Vec<AggregateCall>,
    /// The keys' columns, then one for each call.
    output: SchemaRef,
    /// Keys of the groups that exist although there are no rows, and how many they are.
    of_nothing: Option<(Vec<ArrayRef>, usize)>,
}

impl Lowering<'_> {
    pub(super) fn aggregate(&mut self, aggregate: &Aggregate) -> Result<Branches> {
        let branches = self.rows_for(&aggregate.input, aggregate.group_expr.iter().chain(&aggregate.aggr_expr))?;
        let schema = aggregate.input.schema();
        let keys = grouping_set_to_exprlist(&aggregate.group_expr)?;
        let calls = aggregate.aggr_expr.iter().map(|expr| AggregateCall::compile(expr, schema, self.compiler));
        let groups = Groups {
            branches,
            keys: keys.iter().map(|expr| self.compile(expr, schema)).collect::<Result<_>>()?,
            calls: calls.collect::<Result<_>>()?,
            output: aggregate.schema.inner().clone(),
            of_nothing: None,
        };
        match key_sets(&aggregate.group_expr, &keys)? {
            Some(sets) => self.grouping_sets(groups, &sets),
            None => self.groups(groups),
        }
    }

    fn groups(&mut self, groups: Groups) -> Result<Branches> {
        if groups.calls.iter().any(|call| call.gathering().is_some()) {
            let mut sink = HolisticAggregate::new(groups.keys, groups.calls, groups.output);
            if let Some((keys, groups)) = groups.of_nothing {
                sink = sink.with_groups_of_nothing(keys, groups);
            }
            return Ok(self.end_pipeline(groups.branches, Arc::new(sink)));
        }
        if groups.calls.iter().any(AggregateCall::is_distinct) {
            return self.distinct_groups(groups);
        }
        let sink = HashAggregate::new(groups.keys, groups.calls, groups.output)?;
        self.end_in_groups(groups.branches, sink, groups.of_nothing)
    }

    fn end_in_groups(
        &mut self,
        branches: Branches,
        mut sink: HashAggregate,
        of_nothing: Option<(Vec<ArrayRef>, usize)>,
    ) -> Result<Branches> {
        if let Some((keys, groups)) = of_nothing {
            sink = sink.with_groups_of_nothing(keys, groups);
        }
        Ok(self.end_pipeline(branches, Arc::new(sink)))
    }
}

/// The keys and inputs of an aggregation as columns `c0`, `c1`, … of a projection: the keys first, then every input of the
/// calls once. Constant arguments are no columns.
struct InputColumns {
    keys: usize,
    columns: Vec<Evaluator>,
    schema: SchemaRef,
    /// For each call, where its inputs are.
    places: Vec<Vec<Option<usize>>>,
}

impl InputColumns {
    fn new(keys: &[Evaluator], calls: &[AggregateCall]) -> Self {
        let mut columns = keys.to_vec();
        let mut place = |input: &Evaluator, is_filter: bool| {
            if input.is_constant() && !is_filter {
                return None;
            }
            let inputs = columns.iter().skip(keys.len());
            let known = inputs.clone().position(|known| known == input && !input.is_volatile());
            Some(known.map_or_else(
                || {
                    columns.push(input.clone());
                    columns.len() - 1
                },
                |index| keys.len() + index,
            ))
        };
        let places = calls.iter().map(|call| {
            let arguments = call.arguments().len();
            call.inputs().enumerate().map(|(index, input)| place(input, index >= arguments)).collect()
        });
        let places = places.collect();
        let schema = columns_schema(columns.iter().map(Evaluator::data_type));
        InputColumns { keys: keys.len(), columns, schema, places }
    }

    /// The calls over other rows, where `find` finds what is column `index` here.
    fn calls_over(
        &self,
        calls: &[AggregateCall],
        mut find: impl FnMut(usize) -> Result<Evaluator>,
    ) -> Result<Vec<AggregateCall>> {
        let over = |(call, places): (&AggregateCall, &Vec<Option<usize>>)| {
            let mut places = places.iter();
            call.over(|input| match places.next() {
                Some(Some(index)) => find(*index),
                _ => Ok(input.clone()),
            })
        };
        calls.iter().zip(&self.places).map(over).collect()
    }

    /// Computes the columns behind `branches`.
    fn project(self, branches: Branches) -> Branches {
        with_operator(branches, Arc::new(Project::new(self.columns, self.schema)))
    }
}

/// Nullable columns `c0`, `c1`, … of these types.
fn columns_schema<'a>(types: impl Iterator<Item = &'a DataType>) -> SchemaRef {
    let fields = types.enumerate().map(|(index, data_type)| Field::new(format!("c{index}"), data_type.clone(), true));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// Column `index` of `schema` as `data_type`: texts lie in a hash table in another form than that in which they came.
fn column_as(schema: &SchemaRef, index: usize, data_type: &DataType) -> Result<Evaluator> {
    Evaluator::of_column(schema, index)?.laid_out_as(data_type, schema)
}
