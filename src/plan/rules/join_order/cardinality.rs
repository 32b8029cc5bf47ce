//! How many rows the join of a set of relations has: the same number whatever the order in which they are joined.
//!
//! A class of equal columns over `k` relations of the set divides the product of their rows by all numbers of distinct
//! values in it but the smallest. A divisor counts against the relation that it comes from, and the divisors of one
//! relation together are at most its rows: two columns that are a key together are not two independent conditions.

use super::graph::{JoinGraph, Relation, Set, members, only};
use crate::plan::statistics::{
    ColumnEstimate, Columns, Estimate, Estimator, UNKNOWN, column, matching_share, selectivity,
};
use datafusion_common::{Column, JoinType};
use datafusion_expr::Expr;

/// Numbers of values within this factor are taken for equal.
const SAME: f64 = 1.3;

/// What is expected of a join graph.
pub(super) struct Model {
    relations: Vec<Estimate>,
    /// By class: a column's relation and its number of distinct values.
    classes: Vec<Vec<(usize, f64)>>,
    /// By predicate between relations.
    predicates: Vec<(Set, f64)>,
    /// By attached relation: by what the rows are multiplied when it comes.
    attached: Vec<(usize, f64)>,
    /// The relations that never have more than one row.
    single_rows: Set,
}

impl Model {
    pub(super) fn new(graph: &JoinGraph, estimator: &Estimator) -> Self {
        let relations: Vec<Estimate> =
            graph.relations.iter().map(|relation| estimator.estimate(&relation.plan)).collect();
        let known = Known { graph, relations: &relations };
        let classes = graph.classes.iter().map(|class| {
            let distinct = |(index, name): &(usize, Column)| (*index, known.column(name).distinct);
            let mut columns: Vec<(usize, f64)> = class.columns.iter().map(distinct).collect();
            columns.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
            columns.dedup_by_key(|column| column.0);
            columns
        });
        let predicates = graph.predicates.iter().map(|predicate| (predicate.about, known.share(&predicate.expr)));
        let attached = (0..graph.relations.len()).filter_map(|index| Some((index, known.factor(index)?)));
        let (classes, predicates, attached) = (classes.collect(), predicates.collect(), attached.collect());
        let single = |relation: &Relation| relation.plan.max_rows().is_some_and(|rows| rows <= 1);
        let single_rows = graph.relations.iter().enumerate().filter(|(_, relation)| single(relation));
        let single_rows = single_rows.fold(0, |set, (index, _)| set | only(index));
        Model { relations, classes, predicates, attached, single_rows }
    }

    /// Rows of the join of `set`.
    pub(super) fn rows(&self, set: Set) -> f64 {
        let is_attached = |index: usize| self.attached.iter().any(|(attached, _)| *attached == index);
        let rows = |index: usize| self.relations.get(index).map_or(1.0, |relation| relation.rows);
        if set.count_ones() == 1 {
            return members(set).map(rows).product();
        }
        let mut product: f64 = members(set).filter(|index| !is_attached(*index)).map(rows).product();
        for (relation, divisor) in self.divisors(set) {
            let most = self.relations.get(relation).map_or(1.0, |relation| relation.base);
            product /= divisor.min(most.max(1.0)).max(1.0);
        }
        let applied = self.predicates.iter().filter(|(about, _)| about & !set == 0 && about.count_ones() > 1);
        product *= applied.map(|(_, share)| share).product::<f64>();
        let attached = self.attached.iter().filter(|(index, _)| set & only(*index) != 0);
        // Less than a row is only ever a guess that went too far.
        (product * attached.map(|(_, factor)| factor).product::<f64>()).max(1.0)
    }

    /// Whether the set is one relation that has never more than one row, which is not a matter of estimates.
    pub(super) fn is_row(&self, set: Set) -> bool {
        set & self.single_rows == set && set.is_power_of_two()
    }

    /// Divisors by the relation that they come from.
    fn divisors(&self, set: Set) -> Vec<(usize, f64)> {
        let mut divisors: Vec<(usize, f64)> = Vec::new();
        for class in &self.classes {
            let present: Vec<(usize, f64)> =
                class.iter().copied().filter(|(relation, _)| set & only(*relation) != 0).collect();
            let Some(spared) = self.spared(&present) else { continue };
            for (relation, distinct) in present {
                if relation == spared {
                    continue;
                }
                match divisors.iter_mut().find(|(known, _)| *known == relation) {
                    Some((_, divisor)) => *divisor *= distinct,
                    None => divisors.push((relation, distinct)),
                }
            }
        }
        divisors
    }

    /// The relation of a class that does not divide: that with the fewest values, among equals the largest.
    fn spared(&self, present: &[(usize, f64)]) -> Option<usize> {
        let fewest = present.iter().map(|(_, distinct)| *distinct).reduce(f64::min)?;
        let few = present.iter().filter(|(_, distinct)| *distinct <= fewest * SAME);
        let base = |index: usize| self.relations.get(index).map_or(0.0, |relation| relation.base);
        few.map(|(relation, _)| *relation).max_by(|a, b| base(*a).total_cmp(&base(*b)).then(b.cmp(a)))
    }
}

/// The columns of all relations.
struct Known<'a> {
    graph: &'a JoinGraph,
    relations: &'a [Estimate],
}

impl Known<'_> {
    fn column(&self, name: &Column) -> ColumnEstimate {
        let owner = self.graph.relations.iter().position(|relation| relation.brings.contains(name));
        let found = owner.and_then(|index| Some((self.graph.relations.get(index)?, self.relations.get(index)?)));
        match found {
            Some((relation, estimate)) => column(&Expr::Column(name.clone()), estimate, relation.plan.schema()),
            None => ColumnEstimate::unknown(1.0),
        }
    }

    /// The share of rows that a predicate lets pass.
    fn share(&self, expr: &Expr) -> f64 {
        let mut names: Vec<Column> = expr.column_refs().into_iter().cloned().collect();
        names.sort();
        let known: Vec<ColumnEstimate> = names.iter().map(|name| self.column(name)).collect();
        let fields = names.iter().map(|name| {
            let of = |relation: &Relation| {
                relation.plan.schema().qualified_field_from_column(name).ok().map(|(_, field)| field.clone())
            };
            self.graph.relations.iter().filter(|relation| relation.brings.contains(name)).find_map(of)
        });
        let Some(fields) = fields.collect::<Option<Vec<_>>>() else { return UNKNOWN };
        let schema = arrow::datatypes::Schema::new(fields);
        selectivity(expr, &known, &Columns::new(&|name| names.iter().position(|known| known == name), &schema))
    }

    /// By what an attached relation multiplies the rows of its left side.
    fn factor(&self, index: usize) -> Option<f64> {
        let relation = self.graph.relations.get(index)?;
        let attached = relation.attached.as_ref()?;
        let right = self.relations.get(index)?;
        let schema = relation.plan.schema();
        let key = |(left, right_key): &(Expr, Expr)| {
            let left = match left {
                Expr::Column(name) => self.column(name),
                _ => ColumnEstimate::unknown(right.rows * 10.0),
            };
            (left, column(right_key, right, schema))
        };
        let keys: Vec<(ColumnEstimate, ColumnEstimate)> = attached.on.iter().map(key).collect();
        let base = members(attached.needs).filter_map(|need| self.relations.get(need)).map(|left| left.base);
        let base = base.reduce(f64::max).unwrap_or(1.0);
        let left = Estimate::unknown(base, 0);
        let filter = if attached.filter.is_some() { UNKNOWN } else { 1.0 };
        let share = matching_share(&keys, &left, right, filter);
        let matches = || {
            let distinct = keys.iter().map(|key| key.0.distinct.max(key.1.distinct)).product::<f64>();
            right.rows / distinct.min(base.max(right.base)).max(1.0) * filter
        };
        Some(match attached.join_type {
            JoinType::LeftSemi => share,
            JoinType::LeftAnti => (1.0 - share).max(0.02),
            JoinType::LeftMark => 1.0,
            _ => matches().max(1.0),
        })
    }
}
