//! Estimates of the other plan nodes from those of their inputs.

use datafusion_common::{Column, DFSchema, JoinType, ScalarValue};
use datafusion_expr::logical_plan::{Distinct, Join, Projection};
use datafusion_expr::utils::split_conjunction;
use datafusion_expr::{Expr, LogicalPlan};

use super::{ColumnEstimate, Columns, Estimate, Estimator, selectivity};
use crate::scan::statistics::expected;

/// Elements of a list of which nothing is known.
const LIST_LENGTH: f64 = 4.0;
/// Rounds of a recursion of which nothing is known.
const ROUNDS: f64 = 10.0;

impl Estimator {
    pub(super) fn node(&self, plan: &LogicalPlan) -> Estimate {
        let mut estimate = self.unbounded(plan);
        // Less than a row is only ever a guess that went too far, and would make whatever is joined with it free.
        estimate.rows = estimate.rows.max(1.0);
        estimate.base = estimate.base.max(1.0);
        estimate
    }

    fn unbounded(&self, plan: &LogicalPlan) -> Estimate {
        let width = plan.schema().fields().len();
        match plan {
            LogicalPlan::TableScan(scan) => self.scan(scan),
            LogicalPlan::Projection(projection) => self.projection(projection),
            LogicalPlan::Filter(filter) => {
                let mut estimate = self.node(&filter.input);
                // A scan has counted the conditions that it was given.
                let scanned = match filter.input.as_ref() {
                    LogicalPlan::TableScan(scan) => scan.filters.as_slice(),
                    _ => &[],
                };
                let conjuncts = split_conjunction(&filter.predicate).into_iter();
                let conjuncts: Vec<&Expr> = conjuncts.filter(|conjunct| !scanned.contains(conjunct)).collect();
                apply(&mut estimate, &conjuncts, filter.input.schema());
                estimate
            }
            LogicalPlan::SubqueryAlias(alias) => self.node(&alias.input),
            LogicalPlan::Sort(sort) => first(self.node(&sort.input), sort.fetch),
            LogicalPlan::Limit(limit) => {
                let fetch = match limit.get_fetch_type() {
                    Ok(datafusion_expr::FetchType::Literal(fetch)) => fetch,
                    _ => None,
                };
                first(self.node(&limit.input), fetch)
            }
            LogicalPlan::Aggregate(aggregate) => self.aggregate(aggregate),
            LogicalPlan::Distinct(Distinct::All(input)) => {
                let input = self.node(input);
                let rows = groups(&input.columns, input.rows);
                Estimate { rows, base: rows, columns: input.columns }
            }
            LogicalPlan::Join(join) => self.join(join),
            LogicalPlan::Union(union) => self.union(union),
            LogicalPlan::Values(values) => Estimate::unknown(values.values.len() as f64, width),
            LogicalPlan::EmptyRelation(empty) => Estimate::unknown(f64::from(u8::from(empty.produce_one_row)), width),
            LogicalPlan::Unnest(unnest) => Estimate::unknown(self.node(&unnest.input).rows * LIST_LENGTH, width),
            LogicalPlan::RecursiveQuery(query) => Estimate::unknown(self.node(&query.static_term).rows * ROUNDS, width),
            LogicalPlan::Window(window) => {
                let input = self.node(&window.input);
                let added = width.saturating_sub(input.columns.len());
                let more = std::iter::repeat_n(ColumnEstimate::unknown(input.rows), added);
                Estimate { columns: input.columns.iter().copied().chain(more).collect(), ..input }
            }
            other => {
                let rows = other.inputs().into_iter().map(|input| self.node(input).rows).fold(1.0, f64::max);
                Estimate::unknown(rows, width)
            }
        }
    }

    fn projection(&self, projection: &Projection) -> Estimate {
        let input = self.node(&projection.input);
        let schema = projection.input.schema();
        let columns = projection.expr.iter().map(|expr| column(expr, &input, schema)).collect();
        Estimate { columns, ..input }
    }

    fn join(&self, join: &Join) -> Estimate {
        let (left, right) = (self.node(&join.left), self.node(&join.right));
        let keys: Vec<(ColumnEstimate, ColumnEstimate)> = join
            .on
            .iter()
            .map(|(l, r)| (column(l, &left, join.left.schema()), column(r, &right, join.right.schema())))
            .collect();
        let both: Vec<ColumnEstimate> = left.columns.iter().chain(&right.columns).copied().collect();
        let filter = join.filter.as_ref().map_or(1.0, |filter| {
            let schema = join.left.schema().join(join.right.schema());
            schema.map_or(super::UNKNOWN, |schema| {
                selectivity(filter, &both, &Columns::new(&|name| find(&schema, name), schema.as_arrow()))
            })
        });
        let matches = left.rows * right.rows / joint_distinct(&keys, left.base, right.base) * filter;
        let of_left = matching_share(&keys, &left, &right, filter);
        let swapped: Vec<_> = keys.iter().map(|(l, r)| (*r, *l)).collect();
        let of_right = matching_share(&swapped, &right, &left, filter);
        let lone_left = left.rows * (1.0 - of_left);
        let lone_right = right.rows * (1.0 - of_right);
        let with = |mut columns: Vec<ColumnEstimate>, mark: bool| {
            columns.extend(mark.then_some(ColumnEstimate {
                distinct: 2.0,
                range: Some((0.0, 1.0)),
                nulls: 0.0,
                normal: None,
            }));
            columns
        };
        let (rows, base, columns) = match join.join_type {
            // Conditions on the inputs do not make pairs of keys fewer than there are without them.
            JoinType::Inner => (matches, left.base * right.base / joint_distinct(&keys, left.base, right.base), both),
            JoinType::Left => (matches.max(left.rows), matches.max(left.rows), both),
            JoinType::Right => (matches.max(right.rows), matches.max(right.rows), both),
            JoinType::Full => (matches + lone_left + lone_right, matches + lone_left + lone_right, both),
            JoinType::LeftSemi => (left.rows * of_left, left.base, left.columns),
            JoinType::LeftAnti => (lone_left, left.base, left.columns),
            JoinType::LeftMark => (left.rows, left.base, with(left.columns, true)),
            JoinType::RightSemi => (right.rows * of_right, right.base, right.columns),
            JoinType::RightAnti => (lone_right, right.base, right.columns),
            JoinType::RightMark => (right.rows, right.base, with(right.columns, true)),
        };
        Estimate { rows, base: base.max(rows), columns }
    }
}

/// Only the first rows.
fn first(input: Estimate, fetch: Option<usize>) -> Estimate {
    Estimate { rows: fetch.map_or(input.rows, |fetch| input.rows.min(fetch as f64)), ..input }
}

/// Keeps the rows for which `conjuncts` hold.
pub(in crate::plan) fn apply(estimate: &mut Estimate, conjuncts: &[&Expr], schema: &DFSchema) {
    estimate.apply(conjuncts, &Columns::new(&|name| find(schema, name), schema.as_arrow()));
}

fn find(schema: &DFSchema, column: &Column) -> Option<usize> {
    schema.maybe_index_of_column(column)
}

/// What is expected of an expression over a relation.
pub(in crate::plan) fn column(expr: &Expr, input: &Estimate, schema: &DFSchema) -> ColumnEstimate {
    match expr {
        Expr::Column(name) => {
            let known = find(schema, name).and_then(|index| input.columns.get(index)).copied();
            known.unwrap_or(ColumnEstimate::unknown(input.rows))
        }
        Expr::Alias(alias) => column(&alias.expr, input, schema),
        Expr::Cast(cast) => ColumnEstimate { range: None, normal: None, ..column(&cast.expr, input, schema) },
        Expr::Literal(value, _) => ColumnEstimate {
            distinct: 1.0,
            range: None,
            nulls: f64::from(u8::from(matches!(value, ScalarValue::Null))),
            normal: None,
        },
        other => {
            // A function of columns has no more values than these together.
            let refs = other.column_refs();
            let of = refs.iter().map(|name| column(&Expr::Column((*name).clone()), input, schema).distinct);
            let distinct = of.product::<f64>().min(input.rows).max(1.0);
            ColumnEstimate { distinct, range: None, nulls: 0.0, normal: None }
        }
    }
}

/// How many different rows `rows` rows of these columns are.
pub(super) fn groups(columns: &[ColumnEstimate], rows: f64) -> f64 {
    let all: f64 = columns.iter().map(|column| column.distinct + f64::from(u8::from(column.nulls > 0.0))).product();
    expected(all, rows).max(rows.min(1.0))
}

/// Of how many pairs of rows one is a match: the larger number of distinct keys, by containment. Several keys together
/// have no more values than a side has rows; where that bounds them, the smaller bound is the better guess.
pub(in crate::plan) fn joint_distinct(keys: &[(ColumnEstimate, ColumnEstimate)], left: f64, right: f64) -> f64 {
    let product = |side: fn(&(ColumnEstimate, ColumnEstimate)) -> f64| keys.iter().map(side).product::<f64>();
    let (all_left, all_right) = (product(|key| key.0.distinct), product(|key| key.1.distinct));
    let (capped_left, capped_right) = (all_left.min(left), all_right.min(right));
    let distinct = if keys.len() > 1 && (all_left > left || all_right > right) {
        capped_left.min(capped_right)
    } else {
        all_left.max(all_right)
    };
    distinct.max(1.0)
}

/// How many of `values` are in `rows` rows of the `base` rows that have all of them.
fn drawn(values: f64, rows: f64, base: f64) -> f64 {
    let kept = (rows / base.max(1.0)).clamp(0.0, 1.0);
    values * (1.0 - (1.0 - kept).powf(base / values.max(1.0)))
}

/// Which share of the left rows has a match on the right.
pub(in crate::plan) fn matching_share(
    keys: &[(ColumnEstimate, ColumnEstimate)],
    left: &Estimate,
    right: &Estimate,
    filter: f64,
) -> f64 {
    if keys.is_empty() {
        return if right.rows * filter >= 1.0 { 1.0 } else { (right.rows * filter).max(0.0) };
    }
    let of_left = keys.iter().map(|key| key.0.distinct).product::<f64>().min(left.base).max(1.0);
    let of_right = keys.iter().map(|key| key.1.distinct).product::<f64>().min(right.base);
    let here = drawn(of_right, right.rows, right.base);
    let share = (here / of_left).min(1.0);
    // With several candidates for each row some other condition is met by one of them more easily.
    let candidates = (right.rows / here.max(1.0)).max(1.0);
    share * (1.0 - (1.0 - filter).powf(candidates))
}
