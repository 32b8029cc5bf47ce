//! Numbers that are compared: where there is a float, as floats whose zero has no sign.

use arrow::datatypes::DataType;
use datafusion_common::tree_node::Transformed;
use datafusion_common::{DFSchema, Result as DataFusionResult, ScalarValue, internal_err};
use datafusion_expr::expr::ScalarFunction;
use datafusion_expr::{Between, BinaryExpr, Case, Expr, ExprSchemable, Operator};

use super::meeting::Numbers;
use crate::expr::functions::{BETWEEN, functions};

/// The function that gives a float as it is compared.
const CANONICAL: &str = "#canonical";

pub(super) fn is_comparison(operator: Operator) -> bool {
    use Operator::{Eq, Gt, GtEq, IsDistinctFrom, IsNotDistinctFrom, Lt, LtEq, NotEq};
    matches!(operator, Eq | NotEq | Lt | LtEq | Gt | GtEq | IsDistinctFrom | IsNotDistinctFrom)
}

pub(super) fn is_float(expr: &Expr, schema: &DFSchema) -> bool {
    expr.get_type(schema).is_ok_and(|found| is_compared_so(&found))
}

fn is_compared_so(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Float32 | DataType::Float64)
}

/// What is compared, in one type of number.
pub(super) fn compared(values: Vec<Expr>, numbers: &Numbers) -> Transformed<Vec<Expr>> {
    let aligned = match numbers.as_decimals(&values) {
        Some(decimals) => Transformed::yes(decimals),
        None => numbers.align_floats(values),
    };
    if numbers.keep_names || !aligned.data.iter().any(|value| is_float(value, numbers.schema)) {
        return aligned;
    }
    let mut changed = aligned.transformed;
    let values = aligned.data.into_iter().map(|value| {
        let value = canonical(value, numbers.schema);
        changed |= value.transformed;
        value.data
    });
    let values = values.collect();
    if changed { Transformed::yes(values) } else { Transformed::no(values) }
}

/// A constant as it is compared: the optimizer compares constants as Arrow does. What has columns is compared by nodes of floe's own.
fn canonical(value: Expr, schema: &DFSchema) -> Transformed<Expr> {
    match &value {
        Expr::Literal(ScalarValue::Float64(Some(number)), _) if *number == 0.0 && number.is_sign_negative() => {
            return Transformed::yes(Expr::Literal(ScalarValue::from(0.0_f64), None));
        }
        Expr::Literal(..) => return Transformed::no(value),
        made if is_canonical(made) => return Transformed::no(value),
        _ => {}
    }
    let is_constant = !value.any_column_refs() && !value.is_volatile();
    let holds_query = value.exists_subquery();
    match functions().scalar.get(CANONICAL) {
        Some(function) if is_constant && !holds_query && is_float(&value, schema) => {
            Transformed::yes(function.call(vec![value]))
        }
        _ => Transformed::no(value),
    }
}

trait ExistsSubquery {
    fn exists_subquery(&self) -> bool;
}

impl ExistsSubquery for Expr {
    fn exists_subquery(&self) -> bool {
        use datafusion_common::tree_node::TreeNode;
        let is_query = |expr: &Expr| {
            let found = matches!(
                expr,
                Expr::ScalarSubquery(_)
                    | Expr::InSubquery(_)
                    | Expr::Exists(_)
                    | Expr::OuterReferenceColumn(..)
                    | Expr::AggregateFunction(_)
                    | Expr::WindowFunction(_)
                    | Expr::Placeholder(_)
            );
            Ok(found)
        };
        self.exists(is_query).unwrap_or(true)
    }
}

/// BETWEEN of a random number, as a call: the optimizer makes two comparisons of it, each with a number of its own.
pub(super) fn asked_once(between: Between, numbers: &Numbers) -> DataFusionResult<Transformed<Expr>> {
    let is_number = |value: &Expr| value.get_type(numbers.schema).is_ok_and(|found| found.is_numeric());
    let Between { expr, negated, low, high } = between;
    match functions().scalar.get(BETWEEN) {
        Some(function) if [&expr, &low, &high].into_iter().all(|value| is_number(value)) => {
            let call = function.call(compared(vec![*expr, *low, *high], numbers).data);
            Ok(Transformed::yes(if negated { !call } else { call }))
        }
        _ => Ok(Transformed::no(Expr::Between(Between { expr, negated, low, high }))),
    }
}

/// What is greatest or least as it is compared.
pub(super) fn extremes(values: Vec<Expr>, schema: &DFSchema) -> Transformed<Vec<Expr>> {
    let Some(function) = functions().scalar.get(CANONICAL) else { return Transformed::no(values) };
    let is_plain = |value: &Expr| matches!(value, Expr::Literal(..)) || is_canonical(value) || !is_float(value, schema);
    if values.iter().all(is_plain) {
        return Transformed::no(values);
    }
    let made = |value: Expr| if is_plain(&value) { value } else { function.call(vec![value]) };
    Transformed::yes(values.into_iter().map(made).collect())
}

fn is_canonical(value: &Expr) -> bool {
    matches!(value, Expr::ScalarFunction(call) if call.func.name() == CANONICAL)
}

fn equal(left: Expr, right: Expr, numbers: &Numbers) -> DataFusionResult<Expr> {
    match <[Expr; 2]>::try_from(compared(vec![left, right], numbers).data) {
        Ok([left, right]) => Ok(Expr::BinaryExpr(BinaryExpr::new(Box::new(left), Operator::Eq, Box::new(right)))),
        Err(_) => internal_err!("a side of = was lost"),
    }
}

/// `nullif(a, b)` as `CASE WHEN a = b THEN NULL ELSE a END`: of the type of `a`, equal as `=` says, and without fields where it
/// is NULL.
pub(super) fn without_nullif(call: ScalarFunction, numbers: &Numbers) -> DataFusionResult<Transformed<Expr>> {
    let types: Vec<_> = call.args.iter().filter_map(|value| value.get_type(numbers.schema).ok()).collect();
    let are_numbers = types.len() == 2 && types.iter().all(DataType::is_numeric);
    let differ = are_numbers && types.windows(2).any(|pair| pair[0] != pair[1]);
    match call.args.as_slice() {
        [value, other]
            if (differ || types.iter().any(|found| is_compared_so(found) || found.is_nested()))
                && !value.is_volatile() =>
        {
            let condition = equal(value.clone(), other.clone(), numbers)?;
            let null = Expr::Literal(ScalarValue::Null, None);
            let branch = (Box::new(condition), Box::new(null));
            Ok(Transformed::yes(Expr::Case(Case::new(None, vec![branch], Some(Box::new(value.clone()))))))
        }
        _ => Ok(Transformed::no(Expr::ScalarFunction(call))),
    }
}

/// `CASE float WHEN …` as `CASE WHEN float = …`.
pub(super) fn without_base(case: Case, numbers: &Numbers) -> DataFusionResult<Transformed<Expr>> {
    let Case { expr: Some(base), when_then_expr, else_expr } = case else {
        return Ok(Transformed::no(Expr::Case(case)));
    };
    if base.is_volatile() {
        let case = Case { expr: Some(base), when_then_expr, else_expr };
        return Ok(Transformed::no(Expr::Case(case)));
    }
    let branches = when_then_expr.into_iter().map(|(when, then)| {
        let condition = equal(base.as_ref().clone(), *when, numbers)?;
        Ok((Box::new(condition), then))
    });
    let when_then_expr = branches.collect::<DataFusionResult<Vec<_>>>()?;
    Ok(Transformed::yes(Expr::Case(Case { expr: None, when_then_expr, else_expr })))
}
