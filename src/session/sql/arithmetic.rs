//! Operators that mean something else by the types of their operands.
//!
//! * `date + interval` is a TIMESTAMP, `date + time` too.
//! * `interval * number` and `interval / number` are functions of floe.
//! * `a || b` of numbers, truth values and times joins their texts.
//! * `list || list` is NULL where one is, unlike `list_concat`.
//! * `a ^ b` is a DOUBLE, and so is `a / b`, if none of them is a FLOAT.
//! * `a << b` and `a >> b` are functions of floe, and `&` and `|` of HUGEINTs.
//! * A time and a time of another type are calculated with as the type that they meet in; a UBIGINT and an integer with a sign as HUGEINTs.
//! * A UHUGEINT and an integer give a UHUGEINT, or an error.
//! * `a IS DISTINCT FROM b` has come as an operator.

use arrow::datatypes::{DataType, TimeUnit};
use datafusion_common::{DFSchema, Result, internal_err};
use datafusion_expr::planner::{PlannerResult, RawBinaryExpr};
use datafusion_expr::{Expr, ExprSchemable, binary_expr, cast};
use datafusion_sql::sqlparser::ast::BinaryOperator;

use super::operators::{IS_DISTINCT_FROM, IS_NOT_DISTINCT_FROM};
use crate::error::{Code, Error};
use crate::expr::types::{HUGEINT, UHUGEINT, sql_type_name};
use crate::expr::{coercion, functions, quotient};

/// UHUGEINTs while they are calculated with.
const WIDE: DataType = DataType::Decimal256(40, 0);

const TIMESTAMP: DataType = DataType::Timestamp(TimeUnit::Microsecond, None);

/// Plans such an operation; every other it leaves as it is.
pub(super) fn plan(operation: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
    use DataType as T;
    let distinct = match &operation.op {
        BinaryOperator::Custom(op) if op == IS_DISTINCT_FROM => Some(datafusion_expr::Operator::IsDistinctFrom),
        BinaryOperator::Custom(op) if op == IS_NOT_DISTINCT_FROM => Some(datafusion_expr::Operator::IsNotDistinctFrom),
        _ => None,
    };
    if let Some(operator) = distinct {
        return Ok(PlannerResult::Planned(binary_expr(operation.left, operator, operation.right)));
    }
    let plus = match operation.op {
        BinaryOperator::Plus => Some(datafusion_expr::Operator::Plus),
        BinaryOperator::Minus => Some(datafusion_expr::Operator::Minus),
        BinaryOperator::Multiply
        | BinaryOperator::Divide
        | BinaryOperator::PGExp
        | BinaryOperator::Modulo
        | BinaryOperator::BitwiseAnd
        | BinaryOperator::BitwiseOr
        | BinaryOperator::PGBitwiseShiftLeft
        | BinaryOperator::PGBitwiseShiftRight
        | BinaryOperator::StringConcat => None,
        _ => return Ok(PlannerResult::Original(operation)),
    };
    let (Ok(left), Ok(right)) = (operation.left.get_type(schema), operation.right.get_type(schema)) else {
        return Ok(PlannerResult::Original(operation));
    };
    let RawBinaryExpr { op, left: a, right: b } = operation;
    let is_number = |data_type: &DataType| data_type.is_numeric() || data_type.is_null();
    let planned = match (op, plus, left, right) {
        (BinaryOperator::PGExp, ..) => call("power", vec![cast(a, T::Float64), cast(b, T::Float64)])?,
        (_, Some(operator), T::Date32, T::Interval(_)) => binary_expr(cast(a, TIMESTAMP), operator, b),
        (BinaryOperator::Plus, Some(operator), T::Interval(_), T::Date32) => {
            binary_expr(cast(b, TIMESTAMP), operator, a)
        }
        (BinaryOperator::Plus, _, T::Date32, T::Time64(_)) => call("#date_at", vec![a, b])?,
        (BinaryOperator::Plus, _, T::Time64(_), T::Date32) => call("#date_at", vec![b, a])?,
        (BinaryOperator::Multiply, _, T::Interval(_), right) if is_number(&right) => {
            call("#interval_multiply", vec![a, b])?
        }
        (BinaryOperator::Multiply, _, left, T::Interval(_)) if is_number(&left) => {
            call("#interval_multiply", vec![b, a])?
        }
        (BinaryOperator::Divide, _, T::Interval(_), right) if is_number(&right) => {
            call("#interval_divide", vec![a, b])?
        }
        (BinaryOperator::Divide, ..) => quotient(a, b, schema),
        (op @ (BinaryOperator::PGBitwiseShiftLeft | BinaryOperator::PGBitwiseShiftRight), ..) => {
            with_bits(&op, a, b, schema)?
        }
        (op @ (BinaryOperator::BitwiseAnd | BinaryOperator::BitwiseOr), _, left, right)
            if left == HUGEINT || right == HUGEINT =>
        {
            with_bits(&op, a, b, schema)?
        }
        (BinaryOperator::Minus, Some(operator), left, right) if left != right && coercion::is_time(&left) => {
            match coercion::agreed(&[&left, &right]) {
                Some(common) => binary_expr(cast(a, common.clone()), operator, cast(b, common)),
                None => {
                    return Ok(PlannerResult::Original(RawBinaryExpr { op: BinaryOperator::Minus, left: a, right: b }));
                }
            }
        }
        (BinaryOperator::StringConcat, _, left, right) if is_joined_as_text(&left) && is_joined_as_text(&right) => {
            binary_expr(cast(a, DataType::Utf8View), datafusion_expr::Operator::StringConcat, b)
        }
        (BinaryOperator::StringConcat, _, T::List(_), T::List(_)) => call("#list_concat_known", vec![a, b])?,
        (op, _, left, right) => match operator(&op) {
            Some(operator) if is_unsigned(&left, &right) => {
                call("#uhugeint", vec![binary_expr(cast(a, WIDE), operator, cast(b, WIDE))])?
            }
            Some(operator) if coercion::meet_as_hugeints(&[&left, &right]) => {
                binary_expr(cast(a, HUGEINT), operator, cast(b, HUGEINT))
            }
            _ => return Ok(PlannerResult::Original(RawBinaryExpr { op, left: a, right: b })),
        },
    };
    Ok(PlannerResult::Planned(planned))
}

/// Whether it has no `||` of its own: two such values are joined as texts.
fn is_joined_as_text(data_type: &DataType) -> bool {
    data_type.is_numeric() || data_type.is_temporal() || matches!(data_type, DataType::Boolean | DataType::Null)
}

fn operator(op: &BinaryOperator) -> Option<datafusion_expr::Operator> {
    Some(match op {
        BinaryOperator::Plus => datafusion_expr::Operator::Plus,
        BinaryOperator::Minus => datafusion_expr::Operator::Minus,
        BinaryOperator::Multiply => datafusion_expr::Operator::Multiply,
        BinaryOperator::Modulo => datafusion_expr::Operator::Modulo,
        _ => return None,
    })
}

/// Whether the integers are calculated with as UHUGEINTs.
fn is_unsigned(left: &DataType, right: &DataType) -> bool {
    let is_integer = |data_type: &DataType| data_type.is_integer() || *data_type == UHUGEINT;
    is_integer(left) && is_integer(right) && (*left == UHUGEINT || *right == UHUGEINT)
}

/// Functions of floe in place of operators.
fn with_bits(op: &BinaryOperator, left: Expr, right: Expr, schema: &DFSchema) -> Result<Expr> {
    let (a, b) = (left.get_type(schema)?, right.get_type(schema)?);
    let has_bits = |data_type: &DataType| data_type.is_integer() || data_type.is_null() || *data_type == HUGEINT;
    if !has_bits(&a) || !has_bits(&b) {
        let types = format!("{} and {}", sql_type_name(&a), sql_type_name(&b));
        let error = Error::new(Code::InvalidQuery, format!("there is no operator {op} for {types}"));
        return Err(error.hint("it takes integers of up to 128 bits").into());
    }
    let name = match op {
        BinaryOperator::PGBitwiseShiftLeft => "#shift_left",
        BinaryOperator::PGBitwiseShiftRight => "#shift_right",
        BinaryOperator::BitwiseAnd => "#bit_and",
        _ => "#bit_or",
    };
    call(name, vec![left, right])
}

fn call(name: &str, arguments: Vec<Expr>) -> Result<Expr> {
    match functions().scalar.get(name) {
        Some(function) => Ok(function.call(arguments)),
        None => internal_err!("there is no function {name}"),
    }
}
