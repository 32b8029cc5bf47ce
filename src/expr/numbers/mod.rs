//! What numbers of different kinds are together.
//!
//! * `a / b` is a quotient of floats: a DOUBLE, or a FLOAT where that is the only float there is.
//! * A DECIMAL beside a float is that float; an integer beside a DECIMAL is a DECIMAL of all its digits.
//! * A product of decimals has the digits of both, a remainder those of the wider one.
//! * An integer that is written takes the type of what stands beside it ([`settle`]).
//! * What is compared with a float is equal or not as `=` says: zero has no sign, NaN is one value.
//!
//! [`own_numbers`] runs before the library makes types agree: it would compare DOUBLEs as decimals of 15 digits behind the point.
//! What it has settled once it leaves alone.

mod compared;
mod digits;
mod meeting;
mod whole;
mod written;

use std::sync::Arc;

use datafusion_common::tree_node::{Transformed, TreeNode};
use datafusion_common::{DFSchema, ExprSchema, Result as DataFusionResult, internal_err};
use datafusion_expr::expr::{InList, InSubquery, ScalarFunction};
use datafusion_expr::expr_rewriter::NamePreserver;
use datafusion_expr::logical_plan::{Join, Subquery, Union};
use datafusion_expr::{
    Between, BinaryExpr, Case, Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, Operator, cast,
};

use crate::expr::arithmetic::{CheckedOperator, checked_call};
use crate::expr::fold::input_schema;
use compared::{asked_once, compared, extremes, is_comparison, is_float, without_base, without_nullif};
use digits::{fewer_digits, remainder_types};
use meeting::{Numbers, digits_of_integer, meeting};
use whole::{whole_bounds, whole_comparison};
pub(super) use written::settled_types;
pub use written::{settle, written_integer};

/// Functions whose arguments are made one type.
const ALIKE: [&str; 4] = ["coalesce", "greatest", "least", "make_array"];

/// `plan`, not analysed yet, with the casts that numbers of different kinds need, in subqueries too.
///
/// # Errors
/// None but a defect.
pub fn own_numbers(plan: LogicalPlan) -> DataFusionResult<LogicalPlan> {
    let rewritten = plan.transform_up_with_subqueries(|plan| {
        let schema = input_schema(&plan)?;
        let names = NamePreserver::new(&plan);
        let rewritten = plan.map_expressions(|expr| {
            let name = names.save(&expr);
            // The keys of grouping sets have no names that could be restored.
            let numbers = Numbers { schema: &schema, keep_names: matches!(expr, Expr::GroupingSet(_)) };
            let rewritten = expr.transform_up(|expr| number(expr, &numbers))?;
            Ok(if rewritten.transformed { rewritten.update_data(|expr| name.restore(expr)) } else { rewritten })
        })?;
        let rewritten = rewritten.transform_data(|plan| match plan {
            LogicalPlan::Union(union) => sides(union),
            LogicalPlan::Join(join) => keys(join),
            plan => Ok(Transformed::no(plan)),
        })?;
        // A plan below may give other types than it did.
        rewritten.map_data(LogicalPlan::recompute_schema)
    })?;
    Ok(rewritten.data)
}

/// `left / right` as SQL means it.
pub fn quotient(left: Expr, right: Expr, schema: &DFSchema) -> Expr {
    Numbers { schema, keep_names: false }.quotient(left, right).data
}

/// One node whose arguments are settled.
fn number(expr: Expr, numbers: &Numbers) -> DataFusionResult<Transformed<Expr>> {
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => match op {
            Operator::Divide => Ok(numbers.quotient(*left, *right)),
            Operator::Plus | Operator::Minus | Operator::Multiply | Operator::Modulo => {
                arithmetic(*left, op, *right, numbers)
            }
            _ if is_comparison(op) => {
                let whole = whole_comparison(*left, op, *right, numbers);
                whole.transform_data(|sides| Ok(compared(sides, numbers)))?.map_data(|sides| binary(sides, op))
            }
            _ => Ok(Transformed::no(Expr::BinaryExpr(BinaryExpr { left, op, right }))),
        },
        Expr::Between(between) if between.expr.is_volatile() => asked_once(between, numbers),
        Expr::Between(Between { expr, negated, low, high }) => {
            let whole = whole_bounds(*expr, *low, *high, numbers);
            whole.transform_data(|bounds| Ok(compared(bounds, numbers)))?.map_data(
                |bounds| match <[Expr; 3]>::try_from(bounds) {
                    Ok([expr, low, high]) => {
                        Ok(Expr::Between(Between::new(Box::new(expr), negated, Box::new(low), Box::new(high))))
                    }
                    Err(_) => internal_err!("a bound of BETWEEN was lost"),
                },
            )
        }
        Expr::InList(InList { expr, list, negated }) => compared(std::iter::once(*expr).chain(list).collect(), numbers)
            .map_data(|mut values| {
                let expr = Box::new(values.remove(0));
                Ok(Expr::InList(InList::new(expr, values, negated)))
            }),
        Expr::InSubquery(looked_up) => in_subquery(looked_up, numbers.schema),
        Expr::Case(case) => branches(case, numbers),
        Expr::ScalarFunction(call) => called(call, numbers),
        Expr::Cast(cast) => Ok(match numbers.literal(&cast.expr, cast.field.data_type()) {
            Some(literal) => Transformed::yes(literal),
            None => Transformed::no(Expr::Cast(cast)),
        }),
        other => Ok(Transformed::no(other)),
    }
}

fn binary(sides: Vec<Expr>, op: Operator) -> DataFusionResult<Expr> {
    match <[Expr; 2]>::try_from(sides) {
        Ok([left, right]) => Ok(Expr::BinaryExpr(BinaryExpr::new(Box::new(left), op, Box::new(right)))),
        Err(_) => internal_err!("a side of {op} was lost"),
    }
}

fn arithmetic(left: Expr, op: Operator, right: Expr, numbers: &Numbers) -> DataFusionResult<Transformed<Expr>> {
    let mut sides = numbers.align(vec![left, right]);
    if let [left, right] = sides.data.as_slice()
        && let (Ok(a), Ok(b)) = (left.get_type(numbers.schema), right.get_type(numbers.schema))
    {
        if op == Operator::Multiply
            && CheckedOperator::is_narrow_product(&a, &b)
            && let Some(product) = checked_call(CheckedOperator::Multiply, vec![left.clone(), right.clone()])
        {
            return Ok(Transformed::yes(product));
        }
        if op == Operator::Modulo
            && let Some(common) = remainder_types(&a, &b)
        {
            let types = [a, b];
            let cast = sides.data.into_iter().zip(&types).map(|(side, found)| numbers.in_type(side, found, &common));
            sides = Transformed::yes(cast.collect());
        }
    }
    sides.map_data(|sides| binary(sides, op))
}

fn called(call: ScalarFunction, numbers: &Numbers) -> DataFusionResult<Transformed<Expr>> {
    let name = call.func.name();
    if ALIKE.contains(&name) || name == "divide" {
        let ScalarFunction { func, args } = call;
        let args = if func.name() == "divide" { numbers.as_floats(args) } else { numbers.align(args) };
        let args = match func.name() {
            "greatest" | "least" if !numbers.keep_names => {
                args.transform_data(|args| Ok(extremes(args, numbers.schema)))?
            }
            _ => args,
        };
        return args.map_data(|args| Ok(Expr::ScalarFunction(ScalarFunction { func, args })));
    }
    if numbers.keep_names {
        return Ok(Transformed::no(Expr::ScalarFunction(call)));
    }
    match name {
        "nullif" => without_nullif(call, numbers),
        "floor" | "ceil" | "trunc" | "round" => fewer_digits(call, numbers),
        _ => Ok(Transformed::no(Expr::ScalarFunction(call))),
    }
}

/// CASE: what is compared is alike, and so are the results.
fn branches(case: Case, numbers: &Numbers) -> DataFusionResult<Transformed<Expr>> {
    let Case { expr, when_then_expr, else_expr } = case;
    let count = when_then_expr.len();
    let (whens, thens): (Vec<Expr>, Vec<Expr>) = when_then_expr.into_iter().map(|(when, then)| (*when, *then)).unzip();
    let has_base = expr.is_some();
    let values: Vec<Expr> = expr.map(|expr| *expr).into_iter().chain(whens).collect();
    let values = if has_base { numbers.align_floats(values) } else { Transformed::no(values) };
    let results = numbers.align(thens.into_iter().chain(else_expr.map(|expr| *expr)).collect());
    let changed = values.transformed || results.transformed;
    let (mut values, mut results) = (values.data.into_iter(), results.data.into_iter());
    let expr = if has_base { values.next().map(Box::new) } else { None };
    let pairs = values.zip(results.by_ref().take(count));
    let when_then_expr = pairs.map(|(when, then)| (Box::new(when), Box::new(then))).collect();
    let case = Case { expr, when_then_expr, else_expr: results.next().map(Box::new) };
    if !numbers.keep_names && case.expr.as_ref().is_some_and(|base| is_float(base, numbers.schema)) {
        return without_base(case, numbers);
    }
    Ok(if changed { Transformed::yes(Expr::Case(case)) } else { Transformed::no(Expr::Case(case)) })
}

/// `expr IN (SELECT …)`: the side that is a decimal is made the float that the other is.
fn in_subquery(looked_up: InSubquery, schema: &DFSchema) -> DataFusionResult<Transformed<Expr>> {
    let InSubquery { expr, mut subquery, negated } = looked_up;
    let (mut tested, mut transformed) = (*expr, false);
    if let Some(column) = subquery.subquery.schema().columns().into_iter().next()
        && let (Ok(left), Ok(right)) = (tested.get_type(schema), subquery.subquery.schema().data_type(&column))
        && let Some(common) = meeting(&[left.clone(), right.clone()])
    {
        transformed = left != common || *right != common;
        if left != common {
            tested = cast(tested, common.clone());
        }
        if *right != common {
            let name = column.name.clone();
            let column = cast(Expr::Column(column), common).alias(name);
            let plan = LogicalPlanBuilder::from(subquery.subquery.as_ref().clone()).project([column])?.build()?;
            subquery = Subquery { subquery: Arc::new(plan), ..subquery };
        }
    }
    let expr = Expr::InSubquery(InSubquery::new(Box::new(tested), subquery, negated));
    Ok(if transformed { Transformed::yes(expr) } else { Transformed::no(expr) })
}

/// UNION: columns that are floats on one side and decimals on another are floats on all.
fn sides(union: Union) -> DataFusionResult<Transformed<LogicalPlan>> {
    let count = union.inputs.iter().map(|input| input.schema().fields().len()).min().unwrap_or(0);
    let types = |index: usize| {
        union.inputs.iter().map(move |input| input.schema().field(index).data_type().clone()).collect::<Vec<_>>()
    };
    let wanted: Vec<Vec<_>> = (0..count)
        .map(|index| {
            let types = types(index);
            let float = meeting(&types);
            let beside_decimal = float.is_none() && types.iter().any(|found| found.is_decimal());
            let wanted = |found: &arrow::datatypes::DataType| match &float {
                Some(float) => found.is_decimal().then(|| float.clone()),
                None if beside_decimal => digits_of_integer(found),
                None => None,
            };
            types.iter().map(wanted).collect()
        })
        .collect();
    if wanted.iter().flatten().all(Option::is_none) {
        return Ok(Transformed::no(LogicalPlan::Union(union)));
    }
    let inputs = union.inputs.iter().enumerate().map(|(side, input)| {
        let columns = input.schema().columns().into_iter().enumerate().map(|(index, column)| {
            let name = column.name.clone();
            match wanted.get(index).and_then(|sides| sides.get(side)).cloned().flatten() {
                Some(wanted) => cast(Expr::Column(column), wanted).alias(name),
                None => Expr::Column(column),
            }
        });
        let columns: Vec<Expr> = columns.collect();
        LogicalPlanBuilder::from(input.as_ref().clone()).project(columns)?.build().map(Arc::new)
    });
    let inputs = inputs.collect::<DataFusionResult<Vec<_>>>()?;
    Ok(Transformed::yes(LogicalPlan::Union(Union::try_new_with_loose_types(inputs)?)))
}

/// The keys of a join, each pair of one type.
fn keys(mut join: Join) -> DataFusionResult<Transformed<LogicalPlan>> {
    let mut transformed = false;
    for (left, right) in &mut join.on {
        let (Ok(a), Ok(b)) = (left.get_type(join.left.schema()), right.get_type(join.right.schema())) else { continue };
        let Some(common) = meeting(&[a.clone(), b.clone()]) else { continue };
        for (side, found) in [(left, a), (right, b)] {
            if found != common {
                *side = cast(side.clone(), common.clone());
                transformed = true;
            }
        }
    }
    let join = LogicalPlan::Join(join);
    Ok(if transformed { Transformed::yes(join) } else { Transformed::no(join) })
}
