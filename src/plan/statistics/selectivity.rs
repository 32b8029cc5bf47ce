//! Which share of a relation's rows a condition lets pass.

use datafusion_common::{Column, ScalarValue};
use datafusion_expr::utils::split_conjunction;
use datafusion_expr::{Between, BinaryExpr, Expr, Like, Operator};

use super::aggregate::share_below as below_in;
use super::{ColumnEstimate, Estimate};
use crate::scan::statistics::number;

/// A condition of which nothing is known.
pub(in crate::plan) const UNKNOWN: f64 = 0.25;
/// `<` and the like between things of which nothing is known.
const INEQUALITY: f64 = 1.0 / 3.0;
/// `=` between things of which nothing is known.
const EQUALITY: f64 = 0.1;
/// LIKE with text before the first wildcard, and without.
const LIKE_PREFIX: f64 = 0.05;
const LIKE_INSIDE: f64 = 0.1;
/// The best condition counts in full, each further one with a power that shrinks by this.
const DEPENDENCE: f64 = 0.1;
/// The least share of groups that a condition on what was added up keeps: values are not as regular as all that.
const LEAST_SHARE: f64 = 1e-5;
/// No condition counts for less than this power.
const LEAST_POWER: f64 = 0.5;

/// The columns that a condition is about.
pub(in crate::plan) struct Columns<'a> {
    find: &'a dyn Fn(&Column) -> Option<usize>,
    schema: &'a arrow::datatypes::Schema,
}

impl<'a> Columns<'a> {
    /// Columns found by `find` among those of an estimate, whose types are those of `schema`.
    pub(in crate::plan) fn new(
        find: &'a dyn Fn(&Column) -> Option<usize>,
        schema: &'a arrow::datatypes::Schema,
    ) -> Self {
        Columns { find, schema }
    }
}

impl Estimate {
    /// Only the rows for which all of `conjuncts` are true.
    pub(in crate::plan) fn apply(&mut self, conjuncts: &[&Expr], columns: &Columns) {
        let mut shares = Vec::new();
        for conjunct in conjuncts {
            if let Some((index, low, high)) = bounds(conjunct, columns)
                && let Some(column) = self.columns.get_mut(index)
                && let Some(share) = column.narrow(low, high)
            {
                shares.push(share);
                continue;
            }
            shares.push(selectivity(conjunct, &self.columns, columns));
            self.pin(conjunct, columns);
        }
        self.rows *= joint(shares);
    }

    /// A column that must equal one of some constants has no more values than these.
    fn pin(&mut self, conjunct: &Expr, columns: &Columns) {
        if let Some((index, values)) = pinned(conjunct, columns)
            && let Some(column) = self.columns.get_mut(index)
        {
            column.distinct = column.distinct.min(values as f64);
        }
    }
}

/// The column that must equal one of so many constants, where the condition says just that.
fn pinned(conjunct: &Expr, columns: &Columns) -> Option<(usize, usize)> {
    match conjunct {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) => match (literal(left), literal(right)) {
            (None, Some(_)) => Some((column_of(left, columns)?, 1)),
            (Some(_), None) => Some((column_of(right, columns)?, 1)),
            _ => None,
        },
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => {
            let ((one, some), (other, more)) = (pinned(left, columns)?, pinned(right, columns)?);
            (one == other).then_some((one, some + more))
        }
        Expr::InList(list) if !list.negated => Some((column_of(&list.expr, columns)?, list.list.len())),
        _ => None,
    }
}

impl ColumnEstimate {
    /// Only values from `low` to `high`; gives the share that stays, `None` when the range is not known.
    fn narrow(&mut self, low: Option<f64>, high: Option<f64>) -> Option<f64> {
        if let Some(normal) = self.normal {
            let below = |bound: Option<f64>, otherwise| bound.map_or(otherwise, |bound| below_in(bound, normal));
            return Some((below(high, 1.0) - below(low, 0.0)).max(LEAST_SHARE));
        }
        let (old_low, old_high) = self.range?;
        let low = low.map_or(old_low, |low| low.max(old_low));
        let high = high.map_or(old_high, |high| high.min(old_high));
        let width = old_high - old_low;
        let share = if high < low {
            0.0
        } else if width <= 0.0 {
            1.0
        } else {
            ((high - low) / width).max(1.0 / self.distinct.max(1.0)).min(1.0)
        };
        self.distinct = (self.distinct * share).max(1.0);
        self.range = Some((low, high.max(low)));
        Some(share * (1.0 - self.nulls))
    }
}

/// Shares of conditions that hold together.
fn joint(mut shares: Vec<f64>) -> f64 {
    shares.sort_by(f64::total_cmp);
    let mut power = 1.0;
    let mut all = 1.0;
    for share in shares {
        all *= share.clamp(0.0, 1.0).powf(power);
        power = f64::max(power - DEPENDENCE, LEAST_POWER);
    }
    all
}

/// A comparison of a column with a constant as an interval of numbers; the two ends of a range are met one by one.
fn bounds(conjunct: &Expr, columns: &Columns) -> Option<(usize, Option<f64>, Option<f64>)> {
    match conjunct {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            let (column, op, value) = match (literal(left), literal(right)) {
                (None, Some(value)) => (left, *op, value),
                (Some(value), None) => (right, op.swap()?, value),
                _ => return None,
            };
            let index = column_of(column, columns)?;
            let value = as_number(value, index, columns)?;
            match op {
                Operator::Lt | Operator::LtEq => Some((index, None, Some(value))),
                Operator::Gt | Operator::GtEq => Some((index, Some(value), None)),
                _ => None,
            }
        }
        Expr::Between(Between { expr, negated: false, low, high }) => {
            let index = column_of(expr, columns)?;
            let low = as_number(literal(low)?, index, columns)?;
            Some((index, Some(low), Some(as_number(literal(high)?, index, columns)?)))
        }
        _ => None,
    }
}

fn as_number(value: &ScalarValue, index: usize, columns: &Columns) -> Option<f64> {
    let target = columns.schema.fields().get(index)?.data_type();
    // A text compared with a date and the like: the analysis made the types agree, so a failure means no number.
    number(value).filter(|_| target.is_numeric() || target.is_temporal())
}

fn literal(expr: &Expr) -> Option<&ScalarValue> {
    match expr {
        Expr::Literal(value, _) => Some(value),
        Expr::Cast(cast) => literal(&cast.expr),
        Expr::Alias(alias) => literal(&alias.expr),
        _ => None,
    }
}

fn column_of(expr: &Expr, columns: &Columns) -> Option<usize> {
    match expr {
        Expr::Column(column) => (columns.find)(column),
        Expr::Cast(cast) => column_of(&cast.expr, columns),
        Expr::Alias(alias) => column_of(&alias.expr, columns),
        _ => None,
    }
}

/// The share of rows for which `expr` is true.
pub(in crate::plan) fn selectivity(expr: &Expr, known: &[ColumnEstimate], columns: &Columns) -> f64 {
    let of = |expr: &Expr| selectivity(expr, known, columns);
    let column = |expr: &Expr| column_of(expr, columns).and_then(|index| known.get(index));
    match expr {
        Expr::BinaryExpr(BinaryExpr { op: Operator::And, .. }) => {
            joint(split_conjunction(expr).into_iter().map(of).collect())
        }
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => 1.0 - (1.0 - of(left)) * (1.0 - of(right)),
        Expr::BinaryExpr(binary) => comparison(binary, expr, known, columns),
        Expr::Not(inner) => 1.0 - of(inner),
        Expr::IsNull(inner) => column(inner).map_or(0.05, |column| column.nulls),
        Expr::IsNotNull(inner) => column(inner).map_or(0.95, |column| 1.0 - column.nulls),
        Expr::Literal(ScalarValue::Boolean(value), _) => f64::from(u8::from(value.unwrap_or(false))),
        Expr::Column(_) | Expr::IsTrue(_) | Expr::IsFalse(_) => 0.5,
        Expr::Alias(alias) => of(&alias.expr),
        Expr::Between(between) => {
            let share = bounded(expr, known, columns).unwrap_or(INEQUALITY * INEQUALITY);
            if between.negated { 1.0 - share } else { share }
        }
        Expr::InList(list) => {
            let one = column(&list.expr).map_or(EQUALITY / 2.0, |column| 1.0 / column.distinct);
            let share = (one * list.list.len() as f64).min(1.0);
            if list.negated { 1.0 - share } else { share }
        }
        Expr::Like(like) => like_share(like, column(&like.expr)),
        _ => UNKNOWN,
    }
}

fn comparison(binary: &BinaryExpr, expr: &Expr, known: &[ColumnEstimate], columns: &Columns) -> f64 {
    let values =
        |expr: &Expr| column_of(expr, columns).and_then(|index| known.get(index)).map(|column| column.distinct);
    match binary.op {
        Operator::Eq | Operator::IsNotDistinctFrom => match (values(&binary.left), values(&binary.right)) {
            (Some(left), Some(right)) => 1.0 / left.max(right),
            (Some(values), None) | (None, Some(values)) => 1.0 / values,
            (None, None) => EQUALITY,
        },
        Operator::NotEq | Operator::IsDistinctFrom => match (values(&binary.left), values(&binary.right)) {
            (Some(values), _) | (None, Some(values)) => 1.0 - 1.0 / values.max(2.0),
            (None, None) => 1.0 - EQUALITY,
        },
        Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq => {
            let range = |expr: &Expr| column_of(expr, columns).and_then(|index| known.get(index))?.range;
            let share = match (range(&binary.left), range(&binary.right)) {
                (Some(left), Some(right)) => {
                    let below = share_below(left, right);
                    let is_less = matches!(binary.op, Operator::Lt | Operator::LtEq);
                    Some(if is_less { below } else { 1.0 - below })
                }
                _ => bounded(expr, known, columns),
            };
            share.unwrap_or(INEQUALITY)
        }
        _ => UNKNOWN,
    }
}

/// How often a value of `left` is below one of `right`, both spread evenly.
fn share_below(left: (f64, f64), right: (f64, f64)) -> f64 {
    const STEPS: u32 = 8;
    let points = |(low, high): (f64, f64)| {
        (0..STEPS).map(move |step| low + (high - low) * (f64::from(step) + 0.5) / f64::from(STEPS))
    };
    let weight = |(one, other): (f64, f64)| {
        if one < other {
            1.0
        } else if one == other {
            0.5
        } else {
            0.0
        }
    };
    let pairs = points(left).flat_map(|one| points(right).map(move |other| (one, other)));
    pairs.map(weight).sum::<f64>() / f64::from(STEPS * STEPS)
}

fn bounded(expr: &Expr, known: &[ColumnEstimate], columns: &Columns) -> Option<f64> {
    let (index, low, high) = bounds(expr, columns)?;
    known.get(index).copied()?.narrow(low, high)
}

fn like_share(like: &Like, column: Option<&ColumnEstimate>) -> f64 {
    let least = column.map_or(0.0, |column| 1.0 / column.distinct);
    let share = match like.pattern.as_ref() {
        Expr::Literal(ScalarValue::Utf8(Some(text)) | ScalarValue::Utf8View(Some(text)), _) => {
            match text.find(['%', '_']) {
                None => least,
                Some(0) => LIKE_INSIDE,
                Some(_) => LIKE_PREFIX,
            }
        }
        _ => LIKE_INSIDE,
    };
    let share = share.max(least).min(1.0);
    if like.negated { 1.0 - share } else { share }
}
