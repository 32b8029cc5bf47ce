//! From the library's compiled tree to floe's: checked arithmetic, and AND/OR whose answer does not depend on how rows
//! were cut into batches.

use std::sync::Arc;

use arrow::datatypes::{DataType, Schema};
use datafusion_common::Result as DataFusionResult;
use datafusion_common::tree_node::{Transformed, TreeNode};
use datafusion_expr::Operator;
use datafusion_physical_expr::expressions::{
    BinaryExpr, CaseExpr, CastExpr, Column, InListExpr, IsNotNullExpr, IsNullExpr, LikeExpr, Literal, NegativeExpr,
    NoOp, NotExpr, TryCastExpr,
};
use datafusion_physical_expr::{PhysicalExpr, ScalarFunctionExpr};

use crate::expr::arithmetic::{CheckedArithmetic, CheckedOperator, checked_operator, step_types};
use crate::expr::attempt::{Attempt, is_try};
use crate::expr::floats::{CanonicalFloat, comparable};
use crate::expr::logic::GuardedLogic;
use crate::expr::nested_order::NestedOrder;

/// `tree` with every wrapping node replaced. `schema` is that of the batches.
pub(super) fn checked(tree: Arc<dyn PhysicalExpr>, schema: &Schema) -> DataFusionResult<Arc<dyn PhysicalExpr>> {
    let rewritten = tree.transform_up(|node| {
        if let Some(binary) = node.downcast_ref::<BinaryExpr>() {
            return binary_node(&node, binary, schema);
        }
        if node.is::<InListExpr>() {
            return in_list_node(node, schema);
        }
        if let Some(negative) = node.downcast_ref::<NegativeExpr>() {
            let data_type = negative.arg().data_type(schema)?;
            if CheckedOperator::covers(&data_type, &data_type) {
                let arguments = vec![negative.arg().clone()];
                return Ok(replaced(CheckedArithmetic::new(CheckedOperator::Negate, arguments, vec![data_type])));
            }
        }
        if let Some(call) = node.downcast_ref::<ScalarFunctionExpr>()
            && is_try(call.fun())
            && let [value] = call.args()
        {
            return Ok(replaced(Attempt::new(value.clone())?));
        }
        if let Some(call) = node.downcast_ref::<ScalarFunctionExpr>()
            && let Some(operator) = checked_operator(call.fun())
        {
            let arguments = call.args().to_vec();
            let types = arguments.iter().map(|argument| argument.data_type(schema));
            let steps = step_types(operator, &types.collect::<DataFusionResult<Vec<_>>>()?)?;
            return Ok(replaced(CheckedArithmetic::new(operator, arguments, steps)));
        }
        Ok(Transformed::no(node))
    })?;
    Ok(rewritten.data)
}

fn replaced(node: impl PhysicalExpr) -> Transformed<Arc<dyn PhysicalExpr>> {
    Transformed::yes(Arc::new(node))
}

fn binary_node(
    node: &Arc<dyn PhysicalExpr>,
    binary: &BinaryExpr,
    schema: &Schema,
) -> DataFusionResult<Transformed<Arc<dyn PhysicalExpr>>> {
    let (left, right) = (binary.left(), binary.right());
    if matches!(binary.op(), Operator::And | Operator::Or) {
        let guarded = can_fail(right, schema)?;
        return Ok(match guarded {
            true => replaced(GuardedLogic::new(*binary.op(), left.clone(), right.clone())),
            false => Transformed::no(node.clone()),
        });
    }
    if is_comparison(*binary.op()) && left.data_type(schema)?.is_floating() {
        let sides = [comparable(left, schema)?, comparable(right, schema)?];
        return Ok(Transformed::yes(node.clone().with_new_children(sides.to_vec())?));
    }
    let sides = [left.clone(), right.clone()];
    if let Some(comparison) = NestedOrder::of(*binary.op(), sides, &left.data_type(schema)?) {
        return Ok(replaced(comparison));
    }
    let Some(operator) = CheckedOperator::from_binary(*binary.op()) else { return Ok(Transformed::no(node.clone())) };
    if CheckedOperator::covers(&left.data_type(schema)?, &right.data_type(schema)?) {
        let arguments = vec![left.clone(), right.clone()];
        return Ok(replaced(CheckedArithmetic::new(operator, arguments, vec![binary.data_type(schema)?])));
    }
    Ok(replaced(binary.clone().with_fail_on_overflow(true)))
}

/// Whether two values are compared.
pub(super) fn is_comparison(operator: Operator) -> bool {
    use Operator::{Eq, Gt, GtEq, IsDistinctFrom, IsNotDistinctFrom, Lt, LtEq, NotEq};
    matches!(operator, Eq | NotEq | Lt | LtEq | Gt | GtEq | IsDistinctFrom | IsNotDistinctFrom)
}

/// A float among floats is looked for in its canonical form.
fn in_list_node(node: Arc<dyn PhysicalExpr>, schema: &Schema) -> DataFusionResult<Transformed<Arc<dyn PhysicalExpr>>> {
    let children: Vec<_> = node.children().into_iter().cloned().collect();
    match children.first() {
        Some(value) if value.data_type(schema)?.is_floating() => {
            let children = children.iter().map(|child| comparable(child, schema));
            Ok(Transformed::yes(node.with_new_children(children.collect::<DataFusionResult<_>>()?)?))
        }
        _ => Ok(Transformed::no(node)),
    }
}

/// Whether evaluating `tree` can raise an error for some row. Says yes where it does not know.
pub(super) fn can_fail(tree: &Arc<dyn PhysicalExpr>, schema: &Schema) -> DataFusionResult<bool> {
    tree.exists(|node| Ok(!is_total(node, schema)?))
}

/// Whether the node itself, its children aside, has a value for every input.
fn is_total(node: &Arc<dyn PhysicalExpr>, schema: &Schema) -> DataFusionResult<bool> {
    if let Some(binary) = node.downcast_ref::<BinaryExpr>() {
        let float = binary.left().data_type(schema)?.is_floating();
        return Ok(float || CheckedOperator::from_binary(*binary.op()).is_none() && !is_regex(*binary.op()));
    }
    if let Some(cast) = node.downcast_ref::<CastExpr>() {
        return Ok(cast_is_total(&cast.expr().data_type(schema)?, &node.data_type(schema)?));
    }
    if let Some(call) = node.downcast_ref::<ScalarFunctionExpr>() {
        return Ok(TOTAL_FUNCTIONS.contains(&call.name()));
    }
    Ok(node.is::<Column>()
        || node.is::<Literal>()
        || node.is::<CanonicalFloat>()
        || node.is::<GuardedLogic>()
        || node.is::<NestedOrder>()
        || node.is::<NotExpr>()
        || node.is::<IsNullExpr>()
        || node.is::<IsNotNullExpr>()
        || node.is::<InListExpr>()
        || node.is::<LikeExpr>()
        || node.is::<TryCastExpr>()
        || node.is::<CaseExpr>()
        || node.is::<NoOp>())
}

/// Common functions that have a value for every input.
const TOTAL_FUNCTIONS: [&str; 20] = [
    "length",
    "strlen",
    "substr",
    "split_part",
    "lower",
    "upper",
    "character_length",
    "octet_length",
    "starts_with",
    "ends_with",
    "contains",
    "strpos",
    "btrim",
    "ltrim",
    "rtrim",
    "reverse",
    "nullif",
    "coalesce",
    "isnan",
    "date_part",
];

pub(super) fn is_regex(operator: Operator) -> bool {
    matches!(
        operator,
        Operator::RegexMatch | Operator::RegexIMatch | Operator::RegexNotMatch | Operator::RegexNotIMatch
    )
}

/// Casts that have a value for every input.
fn cast_is_total(from: &DataType, to: &DataType) -> bool {
    let integer_bits = |data_type: &DataType| data_type.primitive_width().unwrap_or(0) * 8;
    match (from, to) {
        _ if from == to => true,
        _ if from.is_integer() && to.is_integer() => {
            let widens = integer_bits(from) < integer_bits(to);
            widens && (from.is_unsigned_integer() || to.is_signed_integer())
        }
        _ if from.is_numeric() && to.is_floating() => true,
        (_, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View) => from.is_primitive() || from.is_string(),
        (DataType::Dictionary(_, value), _) => value.as_ref() == to,
        _ => false,
    }
}
