//! Casts that mean something else in SQL than in Arrow.
//!
//! * Fractions become the nearest integer: of two, a DOUBLE the even one, a DECIMAL the one away from zero.
//! * Every value becomes the text that it is printed as; texts become lists, structs and maps again, intervals and bytes.
//! * Texts are read as JSON, everything else is written as JSON, and JSON is read as what it holds.
//! * Fields of structs find each other by name, regardless of case, and those of rows by position.
//!
//! [`own_casts`] puts a function in place of such a cast, when the types are known and before anything is folded.

mod function;
mod interval;
mod kernels;
mod logical;
mod nested_text;
mod unsigned;

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;
use datafusion_common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion_common::{DFSchema, Result as DataFusionResult};
use datafusion_expr::expr_rewriter::NamePreserver;
use datafusion_expr::{Expr, ExprSchemable, LogicalPlan};

use crate::batch::logical::{JSON, is_blob, is_logical};
use crate::error::Result;
use crate::expr::fold::input_schema;
use crate::expr::types::UHUGEINT;

pub(super) use kernels::{How, cast_values, no_value, start_of};
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

fn own_cast(expr: Expr, schema: &DFSchema) -> DataFusionResult<Transformed<Expr>> {
    let (value, to, safe) = match &expr {
        Expr::Cast(cast) => (&cast.expr, cast.field.data_type(), false),
        Expr::TryCast(cast) => (&cast.expr, cast.field.data_type(), true),
        _ => return Ok(Transformed::no(expr)),
    };
    let Ok(from) = value.get_type(schema) else { return Ok(Transformed::no(expr)) };
    // Rows that are compared have to be seen as such.
    let is_row = matches!(value.as_ref(), Expr::ScalarFunction(call) if call.func.name() == "struct");
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
        return from.is_nested()
            || from.is_floating()
            || matches!(from, T::Timestamp(..) | T::Time32(_) | T::Time64(_) | T::Interval(_) | T::Duration(_))
            || is_blob(from);
    }
    if from.is_string() {
        return to.is_integer() || to.is_nested() || is_blob(to) || matches!(to, T::Interval(_));
    }
    if to.is_integer() {
        return from.is_floating() || from.is_decimal();
    }
    from.is_nested() && to.is_nested()
}
