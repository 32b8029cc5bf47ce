//! Operands before the planner asks what an operator makes of them: integers that are written take the type of the other operand,
//! and types that the planner does not know are brought to one.

use arrow::datatypes::DataType;
use datafusion_common::{DFSchema, Result};
use datafusion_expr::planner::RawBinaryExpr;
use datafusion_expr::{ExprSchemable, cast};
use datafusion_sql::sqlparser::ast::BinaryOperator;

use super::operators::{IS_DISTINCT_FROM, IS_NOT_DISTINCT_FROM};
use crate::batch::logical::{is_enum, is_logical};
use crate::error::{Code, Error};
use crate::expr::types::sql_type_name;
use crate::expr::{coercion, settle};

/// The operation over operands of types that the planner knows.
///
/// # Errors
/// `INVALID_QUERY` for an operator that the types do not have.
pub(super) fn agreed(mut operation: RawBinaryExpr, schema: &DFSchema) -> Result<RawBinaryExpr> {
    use BinaryOperator as B;
    if matches!(operation.op, B::And | B::Or | B::Xor) {
        return Ok(operation);
    }
    settle(&mut [&mut operation.left, &mut operation.right], schema);
    let (Ok(left), Ok(right)) = (operation.left.get_type(schema), operation.right.get_type(schema)) else {
        return Ok(operation);
    };
    if !is_logical(&left) && !is_logical(&right) {
        return Ok(operation);
    }
    let RawBinaryExpr { op, left: a, right: b } = operation;
    let is_plain = |data_type: &DataType| !data_type.is_nested() || is_enum(data_type);
    let is_text = |data_type: &DataType| data_type.is_string() || data_type.is_null() || is_enum(data_type);
    let types = match &op {
        B::Eq | B::NotEq | B::Lt | B::LtEq | B::Gt | B::GtEq => coercion::compared(&[&left, &right]),
        B::Custom(op) if [IS_DISTINCT_FROM, IS_NOT_DISTINCT_FROM].contains(&op.as_str()) => {
            coercion::compared(&[&left, &right])
        }
        B::StringConcat if is_plain(&left) && is_plain(&right) => Some(DataType::Utf8View),
        // All other operators that take labels and JSON take them for texts.
        B::Plus | B::Minus | B::Multiply | B::Divide | B::Modulo => None,
        _ if is_text(&left) && is_text(&right) => Some(DataType::Utf8View),
        _ => None,
    };
    match types {
        Some(common) => {
            let to = |expr, from: &DataType| if *from == common { expr } else { cast(expr, common.clone()) };
            Ok(RawBinaryExpr { op, left: to(a, &left), right: to(b, &right) })
        }
        None => {
            let (left, right) = (sql_type_name(&left), sql_type_name(&right));
            let error = Error::new(Code::InvalidQuery, format!("there is no operator {op} for {left} and {right}"));
            Err(error.hint("CAST(… AS VARCHAR) makes a text of any value").into())
        }
    }
}
