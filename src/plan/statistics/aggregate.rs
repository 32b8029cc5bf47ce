//! Estimates of aggregates and unions.
//!
//! What a call over groups gives is taken for the sum of as many rows as fall into a group by chance: a compound Poisson
//! distribution, near enough a normal one, of which a condition in HAVING keeps one end.

use datafusion_expr::expr::AggregateFunction;
use datafusion_expr::logical_plan::{Aggregate, Union};
use datafusion_expr::{Expr, LogicalPlan};

use super::node::{column, groups};
use super::{ColumnEstimate, Estimate, Estimator};

impl Estimator {
    pub(super) fn aggregate(&self, aggregate: &Aggregate) -> Estimate {
        let input = self.node(&aggregate.input);
        let schema = aggregate.input.schema();
        let keys: Vec<ColumnEstimate> = aggregate.group_expr.iter().map(|expr| column(expr, &input, schema)).collect();
        let rows = if keys.is_empty() { 1.0 } else { groups(&keys, input.rows) };
        let width = aggregate.schema.fields().len();
        // Grouping sets have fewer keys than columns; they are unknown.
        let calls = aggregate.aggr_expr.len();
        let unknown = ColumnEstimate::unknown(rows * 10.0);
        let known = keys.len().min(width.saturating_sub(calls));
        let mut columns: Vec<ColumnEstimate> = keys.into_iter().take(known).collect();
        columns.resize(width.saturating_sub(calls), unknown);
        columns.extend(aggregate.aggr_expr.iter().map(|call| {
            let normal = normal(call, input.rows / rows.max(1.0), |argument| column(argument, &input, schema));
            ColumnEstimate { normal, ..unknown }
        }));
        Estimate { rows, base: rows, columns }
    }

    /// The rows of all inputs: a column's values are as many as in the input with the most, unless their ranges lie apart.
    pub(super) fn union(&self, union: &Union) -> Estimate {
        let inputs: Vec<Estimate> = union.inputs.iter().map(|input| self.node(input)).collect();
        let rows: f64 = inputs.iter().map(|input| input.rows).sum();
        let base = inputs.iter().map(|input| input.base).sum();
        let columns = (0..union.schema.fields().len()).map(|index| {
            let of_inputs = inputs.iter().filter_map(|input| Some((input.rows, *input.columns.get(index)?)));
            of_inputs.reduce(|(one_rows, one), (rows, other)| (one_rows + rows, one.or((one_rows, rows), other)))
        });
        let columns = columns.map(|column| column.map_or_else(|| ColumnEstimate::unknown(rows), |(_, column)| column));
        Estimate { rows, base, columns: columns.collect() }
    }
}

impl ColumnEstimate {
    /// The values of a column and of another below it; `rows` are those of each.
    fn or(self, rows: (f64, f64), other: ColumnEstimate) -> ColumnEstimate {
        let (range, apart) = match (self.range, other.range) {
            (Some((low, high)), Some((other_low, other_high))) => {
                (Some((low.min(other_low), high.max(other_high))), high < other_low || other_high < low)
            }
            _ => (None, false),
        };
        let distinct = if apart { self.distinct + other.distinct } else { self.distinct.max(other.distinct) };
        let nulls = (self.nulls * rows.0 + other.nulls * rows.1) / (rows.0 + rows.1).max(1.0);
        ColumnEstimate { distinct, range, nulls, normal: None }
    }
}

/// The columns that decide what the calls of an aggregate give, of which `filter` names some.
pub(super) fn arguments_of_calls<'a>(filter: &Expr, input: &'a LogicalPlan) -> Vec<&'a Expr> {
    let LogicalPlan::Aggregate(aggregate) = input else { return Vec::new() };
    let named = filter.column_refs();
    let is_named = |call: &&Expr| named.iter().any(|column| column.name == call.schema_name().to_string());
    let calls = aggregate.aggr_expr.iter().filter(is_named);
    calls.filter_map(summed).filter_map(|call| call.params.args.first()).collect()
}

/// The call, if it adds something up for all rows of a group.
fn summed(call: &Expr) -> Option<&AggregateFunction> {
    match call {
        Expr::Alias(alias) => summed(&alias.expr),
        Expr::AggregateFunction(function) if !function.params.distinct && function.params.filter.is_none() => {
            Some(function)
        }
        _ => None,
    }
}

/// Mean and standard deviation of a call over groups of `rows` rows.
fn normal(call: &Expr, rows: f64, argument: impl Fn(&Expr) -> ColumnEstimate) -> Option<(f64, f64)> {
    let call = summed(call)?;
    let of_argument = || {
        let (low, high) = argument(call.params.args.first()?).range?;
        Some(((low + high) / 2.0, (high - low).powi(2) / 12.0))
    };
    match call.func.name() {
        "count" => Some((rows, rows.sqrt())),
        "sum" => of_argument().map(|(mean, variance)| (rows * mean, (rows * (variance + mean * mean)).sqrt())),
        "avg" => of_argument().map(|(mean, variance)| (mean, (variance / rows.max(1.0)).sqrt())),
        _ => None,
    }
}

/// The share of a normal distribution that lies below `value` (Abramowitz and Stegun, 26.2.17).
pub(super) fn share_below(value: f64, (mean, deviation): (f64, f64)) -> f64 {
    if deviation <= 0.0 {
        return if value < mean { 0.0 } else { 1.0 };
    }
    let distance = (value - mean) / deviation;
    let t = 1.0 / (1.0 + 0.231_641_9 * distance.abs());
    let factors = [1.330_274_429, -1.821_255_978, 1.781_477_937, -0.356_563_782, 0.319_381_530];
    let polynomial = factors.iter().fold(0.0, |sum, factor| (sum + factor) * t);
    let beyond = polynomial * (-distance * distance / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
    if distance < 0.0 { beyond } else { 1.0 - beyond }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_normal_distribution_is_that_of_the_tables() {
        for (distance, below) in [(0.0, 0.5), (1.0, 0.841_344_7), (-1.0, 0.158_655_3), (3.0, 0.998_650_1)] {
            let share = share_below(10.0 + 2.0 * distance, (10.0, 2.0));
            assert!((share - below).abs() < 1e-6, "{distance}: {share}");
        }
        assert_eq!(share_below(1.0, (1.0, 0.0)), 1.0);
    }

    #[test]
    fn values_of_a_union_add_up_where_their_ranges_lie_apart() {
        let column =
            |distinct, low, high| ColumnEstimate { distinct, range: Some((low, high)), nulls: 0.0, normal: None };
        let over = column(10.0, 0.0, 9.0).or((10.0, 30.0), column(20.0, 5.0, 25.0));
        assert_eq!((over.distinct, over.range), (20.0, Some((0.0, 25.0))));
        assert_eq!(column(10.0, 0.0, 9.0).or((10.0, 30.0), column(20.0, 10.0, 29.0)).distinct, 30.0);
    }
}
