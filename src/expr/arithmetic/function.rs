//! Checked arithmetic as functions of the logical plan.
//!
//! The optimizer folds constants with wrapping kernels, and it makes new constants while it works (a literal of an
//! inner query that meets `+ 1` of the outer one). So a plan is rewritten before it is optimised: `a + b` becomes
//! `checked_add(a, b)`. The optimizer can evaluate the function only through [`CheckedFunction::invoke_with_args`],
//! which gives the exact value or an error; after an error it leaves the call where it stands, so that an overflow in
//! a branch that is never taken is never raised. Names do not change: the function's schema name is `a + b`.
//!
//! A call of three arguments and more is a long chain, `a + b + c`, from left to right.

use std::fmt::Write;
use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion_common::{DataFusionError, Result as DataFusionResult, ScalarValue};
use datafusion_expr::binary::BinaryTypeCoercer;
use datafusion_expr::expr::ScalarFunction;
use datafusion_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion_expr::{
    BinaryExpr, ColumnarValue, Expr, ExprSchemable, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature, Volatility,
};

use super::operator::CheckedOperator;
use super::physical::evaluate_checked;

/// One checked operator as a scalar function.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct CheckedFunction {
    operator: CheckedOperator,
    signature: Signature,
}

/// The four functions, made once, so that equal expressions hold the same function.
static FUNCTIONS: LazyLock<[Arc<ScalarUDF>; 4]> = LazyLock::new(|| {
    [CheckedOperator::Add, CheckedOperator::Subtract, CheckedOperator::Multiply, CheckedOperator::Negate].map(
        |operator| {
            let signature = Signature::user_defined(Volatility::Immutable);
            Arc::new(ScalarUDF::new_from_impl(CheckedFunction { operator, signature }))
        },
    )
});

/// The call `operator(arguments…)`; `None` for operators that have no function (division never wraps).
pub(crate) fn checked_call(operator: CheckedOperator, arguments: Vec<Expr>) -> Option<Expr> {
    let function = FUNCTIONS.iter().find(|function| checked_operator(function) == Some(operator))?;
    Some(Expr::ScalarFunction(ScalarFunction::new_udf(function.clone(), arguments)))
}

/// The operator that `function` stands for, if it is one of ours.
pub(crate) fn checked_operator(function: &ScalarUDF) -> Option<CheckedOperator> {
    function.inner().downcast_ref::<CheckedFunction>().map(|function| function.operator)
}

impl CheckedFunction {
    /// The call as the plain operator over the same arguments.
    fn as_operator(&self, arguments: &[Expr]) -> DataFusionResult<Expr> {
        match (self.operator.as_binary(), arguments) {
            (Some(operator), [first, others @ ..]) if !others.is_empty() => {
                let binary = |left, right: &Expr| {
                    Expr::BinaryExpr(BinaryExpr::new(Box::new(left), operator, Box::new(right.clone())))
                };
                Ok(others.iter().fold(first.clone(), binary))
            }
            (None, [only]) => Ok(Expr::Negative(Box::new(only.clone()))),
            _ => Err(wrong_count(self.operator, arguments.len())),
        }
    }
}

/// The type of each step of a chain: of the first two arguments, of that and the third, and so on.
///
/// # Errors
/// For types that the operator does not take.
pub(crate) fn step_types(operator: CheckedOperator, types: &[DataType]) -> DataFusionResult<Vec<DataType>> {
    match (operator.as_binary(), types) {
        (Some(binary), [first, others @ ..]) if !others.is_empty() => {
            let mut left = first.clone();
            let step = |right: &DataType| {
                let result = BinaryTypeCoercer::new(&left, &binary, right).get_result_type()?;
                left = match (operator, &result, CheckedOperator::product(&left, right)) {
                    (CheckedOperator::Multiply, DataType::Decimal128(known, scale), Some(digits)) => {
                        DataType::Decimal128(digits.min(*known), *scale)
                    }
                    _ => result,
                };
                Ok(left.clone())
            };
            others.iter().map(step).collect()
        }
        (None, [only]) => Ok(vec![only.clone()]),
        _ => Err(wrong_count(operator, types.len())),
    }
}

fn wrong_count(operator: CheckedOperator, count: usize) -> DataFusionError {
    DataFusionError::Plan(format!("{operator} does not take {count} arguments"))
}

impl ScalarUDFImpl for CheckedFunction {
    fn name(&self) -> &str {
        match self.operator {
            CheckedOperator::Add => "checked_add",
            CheckedOperator::Subtract => "checked_subtract",
            CheckedOperator::Multiply => "checked_multiply",
            CheckedOperator::Divide => "checked_divide",
            CheckedOperator::Modulo => "checked_modulo",
            CheckedOperator::Negate => "checked_negate",
        }
    }

    fn schema_name(&self, arguments: &[Expr]) -> DataFusionResult<String> {
        // Written here and not by the operator's own, which would need copies of the arguments at each level of a sum.
        match (self.operator.as_binary(), arguments) {
            (Some(operator), [first, others @ ..]) if !others.is_empty() => {
                let mut name = first.schema_name().to_string();
                for other in others {
                    write!(name, " {operator} {}", other.schema_name())
                        .map_err(|_| DataFusionError::Internal("a name cannot be written".to_string()))?;
                }
                Ok(name)
            }
            (None, [only]) => Ok(format!("(- {})", only.schema_name())),
            _ => Err(wrong_count(self.operator, arguments.len())),
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> DataFusionResult<Vec<DataType>> {
        match (self.operator.as_binary(), types) {
            (Some(operator), [left, right]) => {
                let (left, right) = BinaryTypeCoercer::new(left, &operator, right).get_input_types()?;
                Ok(vec![left, right])
            }
            (None, [only]) => Ok(vec![only.clone()]),
            // Chains are made of arguments whose types are settled.
            (Some(_), [_, _, ..]) => Ok(types.to_vec()),
            _ => Err(wrong_count(self.operator, types.len())),
        }
    }

    fn return_type(&self, types: &[DataType]) -> DataFusionResult<DataType> {
        step_types(self.operator, types)?.pop().ok_or_else(|| wrong_count(self.operator, types.len()))
    }

    fn return_field_from_args(&self, arguments: ReturnFieldArgs) -> DataFusionResult<FieldRef> {
        let types: Vec<_> = arguments.arg_fields.iter().map(|field| field.data_type().clone()).collect();
        let nullable = arguments.arg_fields.iter().any(|field| field.is_nullable());
        Ok(Arc::new(Field::new(self.name(), self.return_type(&types)?, nullable)))
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> DataFusionResult<ColumnarValue> {
        let types: Vec<DataType> = arguments.args.iter().map(ColumnarValue::data_type).collect();
        evaluate_checked(self.operator, arguments.args, &step_types(self.operator, &types)?)
    }

    /// `a + 0`, `a - 0` and `a * 1` are `a`, for integers.
    fn simplify(&self, arguments: Vec<Expr>, context: &SimplifyContext) -> DataFusionResult<ExprSimplifyResult> {
        let [left, right] = match <[Expr; 2]>::try_from(arguments) {
            Ok(pair) => pair,
            Err(arguments) => return Ok(ExprSimplifyResult::Original(arguments)),
        };
        let neutral = if self.operator == CheckedOperator::Multiply { 1 } else { 0 };
        let commutes = self.operator != CheckedOperator::Subtract;
        if is_integer_literal(&right, neutral) && left.get_type(context.schema())?.is_integer() {
            return Ok(ExprSimplifyResult::Simplified(left));
        }
        if commutes && is_integer_literal(&left, neutral) && right.get_type(context.schema())?.is_integer() {
            return Ok(ExprSimplifyResult::Simplified(right));
        }
        Ok(ExprSimplifyResult::Original(vec![left, right]))
    }
}

fn is_integer_literal(expr: &Expr, value: i64) -> bool {
    let Expr::Literal(scalar, _) = expr else { return false };
    scalar.data_type().is_integer()
        && matches!(scalar.cast_to(&DataType::Int64), Ok(ScalarValue::Int64(Some(found))) if found == value)
}

/// `expr` with every checked function turned back into its operator: how it is printed, and what another engine reads.
pub(crate) fn as_operators(expr: Expr) -> DataFusionResult<Expr> {
    use datafusion_common::tree_node::{Transformed, TreeNode};
    let rewritten = expr.transform_up(|expr| match &expr {
        Expr::ScalarFunction(call) => match call.func.inner().downcast_ref::<CheckedFunction>() {
            Some(function) => Ok(Transformed::yes(function.as_operator(&call.args)?)),
            None => Ok(Transformed::no(expr)),
        },
        _ => Ok(Transformed::no(expr)),
    })?;
    Ok(rewritten.data)
}
