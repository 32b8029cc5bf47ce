//! Arithmetic made safe from the optimizer.
//!
//! [`fold_checked`] runs between the analyzer and the optimizer. It does not fold anything itself: it replaces
//! integer (and widest-decimal) `+ - *` and unary minus by checked functions, which the optimizer then folds with
//! exact results only. `SELECT 9223372036854775807 + 1` keeps its call and raises at run time; the same in a branch
//! of CASE or COALESCE that no row takes raises nothing. The names of the output columns stay as they are.
//!
//! A fraction such as `17.69` that is made a decimal becomes that decimal here, digit by digit: multiplied by a power of
//! ten, as the optimizer would, it would be 17.690000000000002 and equal no value of the column it is compared with.

use arrow::datatypes::DataType;
use datafusion_common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion_common::{DFSchema, Result as DataFusionResult, ScalarValue};
use datafusion_expr::expr_rewriter::NamePreserver;
use datafusion_expr::utils::merge_schema;
use datafusion_expr::{BinaryExpr, Expr, ExprSchemable, LogicalPlan, Operator};

use crate::error::Result;
use crate::expr::arithmetic::{CheckedOperator, as_operators, checked_call, step_types};
use crate::expr::nested_order;

/// So many arguments make a chain a long one.
const LONG: usize = 16;

/// `plan` (analysed, with coerced types, not yet optimised) with arithmetic that the optimizer cannot wrap, in
/// subqueries too.
pub fn fold_checked(plan: LogicalPlan) -> Result<LogicalPlan> {
    let rewritten = plan.transform_up_with_subqueries(|plan| {
        let has_arithmetic = std::cell::Cell::new(false);
        plan.apply_expressions(|expr| {
            let is_changed = |expr: &Expr| Ok(is_arithmetic(expr) || is_order(expr) || as_written(expr).is_some());
            has_arithmetic.set(has_arithmetic.get() || expr.exists(is_changed)?);
            Ok(TreeNodeRecursion::Continue)
        })?;
        if !has_arithmetic.get() {
            return Ok(Transformed::no(plan));
        }
        let schema = input_schema(&plan)?;
        // Only ORDER BY inside of windows and aggregates shows in a name that needs restoring.
        let names = NamePreserver::new(&plan);
        plan.map_expressions(|expr| {
            let name = names.save(&expr);
            // The keys of grouping sets have no names that could be restored.
            let is_set = matches!(expr, Expr::GroupingSet(_));
            let chained = expr.transform_down(|expr| long_chain(expr, &schema))?.data;
            let rewritten = chained.transform_up(|expr| match is_set && as_written(&expr).is_some() {
                true => Ok(Transformed::no(expr)),
                false => check_expr(expr, &schema),
            })?;
            Ok(rewritten.update_data(|expr| name.restore(expr)))
        })
    })?;
    Ok(rewritten.data)
}

/// `expr` with plain operators in place of checked functions: to print it.
pub(super) fn unchecked(expr: Expr) -> Result<Expr> {
    Ok(as_operators(expr)?)
}

fn is_arithmetic(expr: &Expr) -> bool {
    matches!(expr, Expr::Negative(_))
        || matches!(expr, Expr::BinaryExpr(binary) if CheckedOperator::from_binary(binary.op).is_some())
}

/// Whether values, which may be nested, are compared by their order.
fn is_order(expr: &Expr) -> bool {
    use Operator::{Gt, GtEq, Lt, LtEq};
    matches!(expr, Expr::BinaryExpr(binary) if matches!(binary.op, Lt | LtEq | Gt | GtEq))
}

/// The decimal that a cast makes of a fraction, if it has no more digits than the decimal may have.
fn as_written(expr: &Expr) -> Option<Expr> {
    let Expr::Cast(cast) = expr else { return None };
    let (DataType::Decimal128(precision, scale), Expr::Literal(ScalarValue::Float64(Some(value)), _)) =
        (cast.field.data_type(), cast.expr.as_ref())
    else {
        return None;
    };
    // The fewest digits that name the number, never with an exponent.
    let text = value.to_string();
    let (whole, fraction) = text.split_once('.').unwrap_or((text.as_str(), ""));
    let width = usize::try_from(*scale).ok().filter(|width| fraction.len() <= *width)?;
    let unscaled: i128 = format!("{whole}{fraction:0<width$}").parse().ok()?;
    let fits = unscaled.unsigned_abs() < 10_u128.checked_pow(u32::from(*precision))?;
    fits.then(|| Expr::Literal(ScalarValue::Decimal128(Some(unscaled), *precision, *scale), None))
}

/// The columns that the plan's expressions may name.
pub(super) fn input_schema(plan: &LogicalPlan) -> DataFusionResult<DFSchema> {
    let mut schema = merge_schema(&plan.inputs());
    if let LogicalPlan::TableScan(scan) = plan {
        let source = DFSchema::try_from_qualified_schema(scan.table_name.clone(), &scan.source.schema())?;
        schema.merge(&source);
    }
    Ok(schema)
}

/// A chain of one operator as one call. Of calls within calls the optimizer would find out all types again for each of them.
fn long_chain(expr: Expr, schema: &DFSchema) -> DataFusionResult<Transformed<Expr>> {
    let (operator, mut arguments) = match &expr {
        Expr::BinaryExpr(BinaryExpr { op, right, .. }) => match CheckedOperator::from_binary(*op) {
            Some(operator) if is_exact(right, schema) => (operator, Vec::new()),
            _ => return Ok(Transformed::no(expr)),
        },
        _ => return Ok(Transformed::no(expr)),
    };
    let mut rest = &expr;
    while let Expr::BinaryExpr(BinaryExpr { left, op, right }) = rest
        && CheckedOperator::from_binary(*op) == Some(operator)
    {
        arguments.push(right.as_ref());
        rest = left;
    }
    arguments.push(rest);
    if arguments.len() < LONG || !arguments.iter().all(|argument| is_exact(argument, schema)) {
        return Ok(Transformed::no(expr));
    }
    let types = arguments.iter().rev().map(|argument| argument.get_type(schema));
    let steps = types.collect::<DataFusionResult<Vec<_>>>().and_then(|types| step_types(operator, &types));
    let is_checked = |steps: Vec<DataType>| steps.last().is_some_and(|result| operator.folding_may_be_wrong(result));
    if !steps.is_ok_and(is_checked) {
        return Ok(Transformed::no(expr));
    }
    let arguments = arguments.into_iter().rev().cloned().collect();
    Ok(checked_call(operator, arguments).map_or_else(|| Transformed::no(expr), Transformed::yes))
}

fn is_exact(expr: &Expr, schema: &DFSchema) -> bool {
    expr.get_type(schema).is_ok_and(|found| found.is_integer() || found.is_decimal())
}

/// One node. A node whose types are unknown here (or not coerced yet) stays: what it compiles to is checked anyway.
fn check_expr(expr: Expr, schema: &DFSchema) -> DataFusionResult<Transformed<Expr>> {
    if let Some(constant) = as_written(&expr).or_else(|| nested_order::constant(&expr, schema)) {
        return Ok(Transformed::yes(constant));
    }
    let (operator, may_be_wrong) = match &expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            let Some(operator) = CheckedOperator::from_binary(*op) else { return Ok(Transformed::no(expr)) };
            let (Ok(left), Ok(right), Ok(result)) =
                (left.get_type(schema), right.get_type(schema), expr.get_type(schema))
            else {
                return Ok(Transformed::no(expr));
            };
            let covered = (left.is_integer() || left.is_decimal()) && (right.is_integer() || right.is_decimal());
            (operator, covered && operator.folding_may_be_wrong(&result))
        }
        Expr::Negative(inner) => {
            let operator = CheckedOperator::Negate;
            (operator, inner.get_type(schema).is_ok_and(|result| operator.folding_may_be_wrong(&result)))
        }
        _ => return Ok(Transformed::no(expr)),
    };
    if !may_be_wrong {
        return Ok(Transformed::no(expr));
    }
    let arguments = match &expr {
        Expr::BinaryExpr(binary) => vec![binary.left.as_ref().clone(), binary.right.as_ref().clone()],
        Expr::Negative(inner) => vec![inner.as_ref().clone()],
        _ => Vec::new(),
    };
    Ok(match checked_call(operator, arguments) {
        Some(call) => Transformed::yes(call),
        None => Transformed::no(expr),
    })
}
