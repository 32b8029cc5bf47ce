//! Casts that mean something else in SQL than in Arrow.
//!
//! * Fractions become the nearest integer: of two, a DOUBLE the even one, a DECIMAL the one away from zero.
//! * A time becomes the nearest of a coarser type, of two the one away from zero.
//! * Every value becomes the text that it is printed as; texts become lists, structs and maps again, dates, times, intervals and bytes.
//! * Texts are read as JSON, everything else is written as JSON, and JSON is read as what it holds.
//! * Fields of structs find each other by name, regardless of case, and those of rows by position.
//!
//! [`own_casts`] puts a function in place of such a cast, when the types are known and before anything is folded.

mod bits;
mod function;
mod interval;
mod kernels;
mod logical;
mod moments;
mod nested_text;
mod numbers;
mod unsigned;

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, TimeUnit};
use datafusion_common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion_common::{DFSchema, Result as DataFusionResult, ScalarValue};
use datafusion_expr::expr::Cast;
use datafusion_expr::expr_rewriter::NamePreserver;
use datafusion_expr::{Expr, ExprSchemable, LogicalPlan};

use crate::batch::logical::{JSON, is_blob, is_logical};
use crate::error::Result;
use crate::expr::fold::input_schema;
use crate::expr::types::UHUGEINT;
use logical::no_cast;

pub use interval::plain_interval;
pub(super) use kernels::{How, boolean, cast_values, no_value, start_of};
pub(super) use unsigned::unsigned;

/// `plan`, analysed, with floe's own casts, in subqueries too.
///
/// # Errors
/// None but a defect.
pub fn own_casts(plan: LogicalPlan) -> Result<LogicalPlan> {
    let rewritten = plan.transform_up_with_subqueries(|plan| {
        let mut has_casts = false;
        plan.apply_expressions(|expr| {
            has_casts |= expr.exists(|expr| Ok(matches!(expr, Expr::Cast(_) | Expr::TryCast(_))))?;
            Ok(TreeNodeRecursion::Continue)
        })?;
        if !has_casts {
            return Ok(Transformed::no(plan));
        }
        let schema = input_schema(&plan)?;
        let names = NamePreserver::new(&plan);
        plan.map_expressions(|expr| {
            let name = names.save(&expr);
            let rewritten = expr.transform_up(|expr| own_cast(expr, &schema))?;
            Ok(if rewritten.transformed { rewritten.update_data(|expr| name.restore(expr)) } else { rewritten })
        })
    })?;
    Ok(rewritten.data)
}

/// Texts as `to`, as CAST reads them; NULL where one is no such value.
///
/// # Errors
/// What a cast finds that TRY_CAST does not make NULL of.
pub fn try_cast_texts(texts: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    kernels::cast_values(texts, to, kernels::How { safe: true })
}

/// Whether SQL has no cast between the types, though Arrow has one: it would take what lies behind a time or a list for a number.
fn is_refused(from: &DataType, to: &DataType) -> bool {
    use DataType as T;
    let is_number = |data_type: &T| data_type.is_numeric() || *data_type == T::Boolean;
    let is_time = |data_type: &T| data_type.is_temporal();
    match (from, to) {
        (T::Null, _) | (_, T::Null) => false,
        (from, to) if is_logical(from) || is_logical(to) => false,
        (from, T::List(_) | T::LargeList(_) | T::FixedSizeList(..)) => !from.is_nested() && !from.is_string(),
        (from, to) if is_time(from) => {
            is_number(to)
                || is_blob(to)
                || matches!(
                    (from, to),
                    (T::Date32 | T::Interval(_) | T::Duration(_), T::Time64(_) | T::Time32(_))
                        | (T::Time64(_) | T::Time32(_), T::Date32 | T::Timestamp(..))
                )
        }
        // The library makes an interval of the days that are added to a date.
        (from, to) if is_number(from) => is_blob(to) || is_time(to) && !matches!(to, T::Interval(_) | T::Duration(_)),
        _ => false,
    }
}

/// # Errors
/// `INVALID_CAST` where a plan, analysed, has a cast that SQL does not have, be it written or made where such types met.
pub fn check_casts(plan: &LogicalPlan) -> DataFusionResult<()> {
    plan.apply_with_subqueries(|plan| {
        let mut casts: Vec<Cast> = Vec::new();
        plan.apply_expressions(|expr| {
            expr.apply(|expr| {
                if let Expr::Cast(cast) = expr {
                    casts.push(cast.clone());
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })?;
        if casts.is_empty() {
            return Ok(TreeNodeRecursion::Continue);
        }
        let schema = input_schema(plan)?;
        for cast in casts {
            let to = cast.field.data_type();
            match cast.expr.get_type(&schema) {
                Ok(from) if is_refused(&from, to) => return Err(no_cast(&from, to).into()),
                _ => {}
            }
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(())
}

/// `expr`, whose types agree, with floe's own casts.
///
/// # Errors
/// None but a defect.
pub(super) fn own_casts_of(expr: Expr, schema: &DFSchema) -> DataFusionResult<Expr> {
    Ok(expr.transform_up(|expr| own_cast(expr, schema))?.data)
}

fn own_cast(expr: Expr, schema: &DFSchema) -> DataFusionResult<Transformed<Expr>> {
    let (value, to, safe) = match &expr {
        Expr::Cast(cast) => (&cast.expr, cast.field.data_type(), false),
        Expr::TryCast(cast) => (&cast.expr, cast.field.data_type(), true),
        _ => return Ok(Transformed::no(expr)),
    };
    let Ok(from) = value.get_type(schema) else { return Ok(Transformed::no(expr)) };
    // Rows that are compared have to be seen as such.
    let is_row = matches!(value.as_ref(), Expr::ScalarFunction(call) if call.func.name() == "struct");
    if safe && is_refused(&from, to) {
        return Ok(Transformed::yes(Expr::Literal(ScalarValue::try_from(to)?, None)));
    }
    if is_row || !differs(&from, to) {
        return Ok(Transformed::no(expr));
    }
    let call = function::call(value.as_ref().clone(), to.clone(), safe);
    Ok(Transformed::yes(call))
}

/// Whether Arrow's cast would not do.
fn differs(from: &DataType, to: &DataType) -> bool {
    use DataType as T;
    if from == to || matches!(from, T::Dictionary(..) | T::Null) {
        return false;
    }
    if *from == JSON && to.is_string() {
        return false;
    }
    if is_logical(from) || is_logical(to) || *to == UHUGEINT {
        return true;
    }
    if to.is_string() {
        return from.is_nested() || from.is_floating() || from.is_temporal() || is_blob(from);
    }
    if from.is_string() {
        return to.is_numeric() || to.is_nested() || is_blob(to) || to.is_temporal();
    }
    if to.is_integer() {
        return from.is_floating() || from.is_decimal();
    }
    match (from, to) {
        (T::Timestamp(fine, _), T::Timestamp(coarse, _)) => coarse < fine,
        (T::Timestamp(TimeUnit::Nanosecond, _), T::Time64(_)) | (T::Float64, T::Float32) => true,
        (T::Boolean, other) | (other, T::Boolean) => other.is_decimal(),
        _ => from.is_nested() && to.is_nested(),
    }
}
