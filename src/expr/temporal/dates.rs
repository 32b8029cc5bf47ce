//! `date < DATE '2020-01-31' + INTERVAL 1 MONTH` compares a TIMESTAMP. Where that is a constant, the date is compared with the
//! day instead, so that what is known of dates (statistics, pages, dictionaries) serves the comparison.

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, Schema, TimeUnit};
use datafusion_common::tree_node::{Transformed, TreeNode};
use datafusion_common::{DFSchema, Result as DataFusionResult, ScalarValue};
use datafusion_expr::{Between, BinaryExpr, Expr, ExprSchemable, Operator, lit};

use crate::expr::evaluator::Evaluator;

/// The comparison of a date, where `expr` is one of a date that was made a time.
pub(super) fn narrow(expr: Expr, schema: &DFSchema) -> DataFusionResult<Transformed<Expr>> {
    let narrowed = match &expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => match (as_date(left, schema), as_date(right, schema)) {
            (Some(date), None) => constant(right).and_then(|limit| compared(date, *op, limit)),
            (None, Some(date)) => op.swap().and_then(|op| constant(left).and_then(|limit| compared(date, op, limit))),
            _ => None,
        },
        Expr::Between(Between { expr: value, negated, low, high }) => {
            let between = |date: &Expr| {
                let (low, high) = (constant(low)?, constant(high)?);
                let first = if low.exact { low.day } else { low.day.checked_add(1)? };
                let day = |day: i32| Box::new(lit(ScalarValue::Date32(Some(day))));
                Some(Expr::Between(Between::new(Box::new(date.clone()), *negated, day(first), day(high.day))))
            };
            as_date(value, schema).and_then(between)
        }
        _ => None,
    };
    Ok(match narrowed {
        Some(narrowed) => Transformed::yes(narrowed),
        None => Transformed::no(expr),
    })
}

/// The date that a cast makes a time.
fn as_date<'a>(expr: &'a Expr, schema: &DFSchema) -> Option<&'a Expr> {
    let Expr::Cast(cast) = expr else { return None };
    let is_date = matches!(cast.field.data_type(), DataType::Timestamp(_, None))
        && cast.expr.get_type(schema).is_ok_and(|from| from == DataType::Date32)
        && !is_constant(&cast.expr);
    is_date.then_some(cast.expr.as_ref())
}

/// A constant time: its day, and whether it is the day's beginning.
struct Limit {
    day: i32,
    exact: bool,
}

fn is_constant(expr: &Expr) -> bool {
    let other = expr.exists(|expr| {
        Ok(!matches!(expr, Expr::Literal(..) | Expr::Cast(_) | Expr::BinaryExpr(_) | Expr::Negative(_)))
    });
    matches!(other, Ok(false))
}

fn constant(expr: &Expr) -> Option<Limit> {
    let nothing = DFSchema::empty();
    let DataType::Timestamp(unit, None) = expr.get_type(&nothing).ok()? else { return None };
    if !is_constant(expr) {
        return None;
    }
    let options = RecordBatchOptions::new().with_row_count(Some(1));
    let row = RecordBatch::try_new_with_options(Schema::empty().into(), vec![], &options).ok()?;
    let value = Evaluator::compile(expr, &nothing).ok()?.evaluate(&row).ok()?;
    let value = match ScalarValue::try_from_array(&value, 0).ok()? {
        ScalarValue::TimestampSecond(value, _)
        | ScalarValue::TimestampMillisecond(value, _)
        | ScalarValue::TimestampMicrosecond(value, _)
        | ScalarValue::TimestampNanosecond(value, _) => value?,
        _ => return None,
    };
    let per_day: i64 = match unit {
        TimeUnit::Second => 86_400,
        TimeUnit::Millisecond => 86_400_000,
        TimeUnit::Microsecond => 86_400_000_000,
        TimeUnit::Nanosecond => 86_400_000_000_000,
    };
    Some(Limit { day: i32::try_from(value.div_euclid(per_day)).ok()?, exact: value.rem_euclid(per_day) == 0 })
}

/// A day is before a time within another if it is that day or before it.
fn compared(date: &Expr, op: Operator, limit: Limit) -> Option<Expr> {
    use Operator as Op;
    let op = match (op, limit.exact) {
        (Op::Eq | Op::NotEq | Op::Lt | Op::GtEq | Op::IsDistinctFrom | Op::IsNotDistinctFrom, true) => op,
        (Op::LtEq | Op::Gt, _) => op,
        (Op::Lt, false) => Op::LtEq,
        (Op::GtEq, false) => Op::Gt,
        _ => return None,
    };
    let day = lit(ScalarValue::Date32(Some(limit.day)));
    Some(Expr::BinaryExpr(BinaryExpr::new(Box::new(date.clone()), op, Box::new(day))))
}
